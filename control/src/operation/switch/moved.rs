//! What a decision says of the move that it makes: why, from where, and how old the data is that is served from then on. Pure.

use super::record::{Cause, Data, Switch};
use crate::World;
use crate::operation::{SwitchKind, Switches};
use minato_config::{Move, MoveKind, NEVER_COPIED, ServiceName, Timestamp};
use std::time::Duration;

/// Of `switch`, which makes its target first at `now`.
pub fn moved(
    world: &World,
    work: &Switches,
    service: &ServiceName,
    switch: &Switch,
    now: Timestamp,
) -> Move {
    let record = world.services.get(service).map(|it| &it.value.service);
    let sites = record.and_then(|it| it.sites.as_ref());
    let is_back =
        !work.asked_by.is_empty() || sites.is_some_and(|it| it.order.first() == Some(&switch.to));
    let kind = match (work.kind, is_back) {
        (SwitchKind::Failover, _) => MoveKind::Failover,
        // It shows nothing of how it goes without the first site.
        (_, true) => MoveKind::Return,
        (SwitchKind::Drill, false) => MoveKind::Drill,
        (SwitchKind::Switch, false) => MoveKind::Switch,
    };
    Move {
        kind,
        from: switch.from.clone(),
        data_age_ms: (switch.data == Data::Hook).then(|| age(world, service, switch, now)),
    }
}

/// Rather too old than too young: what was copied by other means is not known here.
fn age(world: &World, service: &ServiceName, switch: &Switch, now: Timestamp) -> u64 {
    let copied = world.syncs.get(service).and_then(|it| it.value.copied);
    let order = world.orders.get(service).map(|it| &it.value);
    // Until then it was written here.
    let left = order.filter(|it| it.moved.as_ref().is_some_and(|it| it.from == switch.to));
    let left = left.map(|it| it.since);
    let newest = match switch.cause {
        Cause::Planned => copied,
        Cause::Lost => copied.max(left),
    };
    newest.map_or(NEVER_COPIED, |it| millis(now.since(it)))
}

fn millis(it: Duration) -> u64 {
    u64::try_from(it.as_millis()).unwrap_or(u64::MAX)
}
