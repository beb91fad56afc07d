//! `[entrance]` of `minato.toml`.

use super::document::Report;
use super::field::{Field, Section};
use super::key::Keys;
use super::{address, gateway};
use crate::{EntranceSettings, Role};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

/// Of `[entrance]`.
pub(super) const KEYS: Keys = Keys::known(&["listen", "drain"]);

const MOST_LISTENERS: usize = 16;
/// Ten minutes at a stop are enough for every DNS check and too long for every operator.
const DRAIN: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(600);

/// Fills `to`; where a listener is wrong it is left out.
pub(super) fn read(
    section: &Section<'_>,
    report: &mut Report<'_>,
    roles: &BTreeSet<Role>,
    to: &mut EntranceSettings,
) {
    section.read(report, "listen", |it, report| {
        listeners(it, report, &mut to.listen)
    });
    let drain = section.read(report, "drain", |it, report| it.duration(report, DRAIN));
    to.drain = drain.or(to.drain);
    if !roles.contains(&Role::Gateway)
        && let Some(field) = section.get(report, "listen")
    {
        let message = "says nothing without the role \"gateway\": it is about the gateway of this process; add the role to `roles`, or leave `listen` out";
        field.problem::<()>(report, message);
    }
}

fn listeners(field: &Field<'_>, report: &mut Report<'_>, to: &mut Vec<SocketAddr>) -> Option<()> {
    let wanted = "a list of addresses, like [\"127.0.0.1:7071\"]";
    for item in &field.items(report, wanted, 0..=MOST_LISTENERS)? {
        let Some(address) = address::listener(item, report) else {
            continue;
        };
        match to.iter().find(|it| gateway::overlap(**it, address)) {
            Some(other) => {
                let message = format!("overlaps with {other}, which stands here already");
                item.problem::<()>(report, message);
            }
            None => to.push(address),
        }
    }
    Some(())
}
