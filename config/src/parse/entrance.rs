//! `[entrance]` of `minato.toml`. Its tables are read in `name` and `hook`.

mod hook;
mod name;

pub(super) use hook::HOOK_KEYS;
#[cfg(test)]
pub(super) use name::KEY_KEYS;
pub(super) use name::{DNS_KEYS, check};

use super::document::Report;
use super::field::{Field, Given, Section};
use super::key::Keys;
use super::{address, gateway};
use crate::{EntranceName, EntranceSettings, Role};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

/// Of `[entrance]`.
pub(super) const KEYS: Keys = Keys {
    known: &["listen", "drain", "dns", "hook"],
    later: &[],
    below: &[("dns.NAME", &DNS_KEYS), ("hook.NAME", &HOOK_KEYS)],
};

const MOST_LISTENERS: usize = 16;
const MOST_NAMES: usize = 64;
const MOST_ADDRESSES: usize = 32;
/// Ten minutes at a stop are enough for every DNS check and too long for every operator.
const DRAIN: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(600);

/// Fills `to`; what is wrong is left out. Relative paths are taken from `folder`.
pub(super) fn read(
    section: &Section<'_>,
    report: &mut Report<'_>,
    folder: &Path,
    roles: &BTreeSet<Role>,
    to: &mut EntranceSettings,
) {
    section.read(report, "listen", |it, report| {
        listeners(it, report, &mut to.listen)
    });
    let drain = section.read(report, "drain", |it, report| it.duration(report, DRAIN));
    to.drain = drain.or(to.drain);
    let dns = section.read(report, "dns", |it, report| {
        named(it, report, "dns", |it, report| {
            name::dns(it, report, folder)
        })
    });
    to.dns = dns.or(BTreeMap::new());
    name::twice(section, report, &to.dns);
    let hook = section.read(report, "hook", |it, report| {
        named(it, report, "hook", |it, report| {
            hook::hook(it, report, folder)
        })
    });
    to.hooks = hook.or(BTreeMap::new());
    if let Some(name) = to.hooks.keys().find(|it| to.dns.contains_key(it))
        && let Some(field) = section.get(report, "hook")
    {
        let message = format!(
            "`{name}` is the name of an [entrance.dns.{name}] as well; commands could not tell the two apart: call one of them otherwise"
        );
        field.problem::<()>(report, message);
    }
    if !roles.contains(&Role::Gateway) {
        for key in ["listen", "dns", "hook"] {
            if let Some(field) = section.get(report, key) {
                let message = format!(
                    "says nothing without the role \"gateway\": it is about the gateway of this process; add the role to `roles`, or leave `{key}` out"
                );
                field.problem::<()>(report, message);
            }
        }
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

fn named<T>(
    field: &Field<'_>,
    report: &mut Report<'_>,
    kind: &str,
    read: impl Fn(&Section<'_>, &mut Report<'_>) -> Option<T>,
) -> Option<BTreeMap<EntranceName, T>> {
    let form = format!("tables, written [entrance.{kind}.NAME]");
    let section = field.section(report, &form)?;
    let fields = section.fields(report);
    if fields.len() > MOST_NAMES {
        let message = format!("at most {MOST_NAMES} may stand here, got {}", fields.len());
        return field.problem(report, message);
    }
    let mut all = BTreeMap::new();
    for (name, value) in fields {
        let name = match EntranceName::parse(name) {
            Ok(name) => Some(name),
            Err(error) => value.problem(report, error.to_string()),
        };
        let Some(table) = value.section(report, &form) else {
            continue;
        };
        if let (Some(one), Some(name)) = (read(&table, report), name) {
            all.insert(name, one);
        }
    }
    Some(all)
}

/// Reports that `key` is missing.
fn needed<T>(
    section: &Section<'_>,
    report: &mut Report<'_>,
    key: &str,
    given: Given<T>,
) -> Option<T> {
    if given.is_absent() {
        let message = format!("needs `{key}`");
        report.problem(section.line, &section.path, message);
    }
    given.right()
}

fn addresses(field: &Field<'_>, report: &mut Report<'_>, least: usize) -> Option<BTreeSet<IpAddr>> {
    const FORM: &str = "a list of addresses of this site, like [\"192.0.2.10\", \"2001:db8::10\"]";
    let mut all = BTreeSet::new();
    for item in &field.items(report, FORM, least..=MOST_ADDRESSES)? {
        let text = item.text(report, FORM)?;
        match text.parse::<IpAddr>() {
            Ok(it) if !it.is_unspecified() && !it.is_multicast() => {
                if !all.insert(it) {
                    return item.problem(report, "stands here already; leave one of them out");
                }
            }
            _ => {
                return item.wrong(
                    report,
                    "an address that visitors can reach, like \"192.0.2.10\"",
                );
            }
        }
    }
    Some(all)
}
