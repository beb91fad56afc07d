//! What is seen of services that are moved: from this site's store, and from what the old site's gateways say. Pure.

use super::record::{Data, Held, Phase, Source, SwitchState};
use super::run::Start;
use crate::operation::{Operation, StepState, Work};
use crate::{World, up, wanted};
use minato_config::{ServiceName, SiteId, Timestamp};
use minato_health::LinkState;
use std::collections::BTreeMap;

/// Instances of `service` here that are up, and that are wanted.
pub fn up_and_wanted(world: &World, service: &ServiceName) -> (u16, u16) {
    (up(world, service), wanted(world, service))
}

/// Whether an operation is about to move `service` here, so that its instances should run: from its checks on, until it has been given up.
pub fn is_warmed(world: &World, service: &ServiceName) -> bool {
    let open = world.operations.values().map(|it| &it.value);
    let mut open = open.filter(|it| it.state.is_open() && matches!(it.work, Work::Switch(_)));
    open.any(|it| is_warmed_by(it, service))
}

fn is_warmed_by(operation: &Operation, service: &ServiceName) -> bool {
    let mut steps = operation.steps.iter();
    steps.any(|it| {
        let switch = it.switch.as_ref();
        it.service == *service
            && it.state == StepState::Running
            && switch.is_some_and(|it| {
                it.phase >= Phase::Warm
                    && matches!(it.state, SwitchState::Running | SwitchState::Stuck)
            })
    })
}

/// Instances that operations ask for here, of a service that is about to come here, or has just come; 0 where none does.
pub fn asked_for(world: &World, service: &ServiceName) -> u16 {
    let open = world.operations.values().map(|it| &it.value);
    let open = open.filter(|it| it.state.is_open() && matches!(it.work, Work::Switch(_)));
    let steps = open.flat_map(|it| &it.steps);
    let steps = steps.filter(|it| it.service == *service && it.state == StepState::Running);
    let needs = steps.filter_map(|it| {
        let switch = it.switch.as_ref()?;
        let counts = matches!(switch.state, SwitchState::Running | SwitchState::Stuck)
            && (Phase::Warm..=Phase::Verify).contains(&switch.phase);
        counts.then_some(switch.need.wanted)
    });
    needs.max().unwrap_or(0)
}

/// From where, and with what, `service` would be moved to `to` now. The error is why that is nothing to do, half a sentence.
pub fn start(world: &World, to: &SiteId, service: &ServiceName) -> Result<Start, String> {
    let Some(record) = world.services.get(service).map(|it| &it.value) else {
        return Err("is not known here (any more)".to_owned());
    };
    if record.removed {
        return Err("is ending: its file is gone".to_owned());
    }
    let Some(sites) = &record.service.sites else {
        return Err("has no `sites` in its file: no other site serves it".to_owned());
    };
    if sites.place(to).is_none() {
        let listed: Vec<&str> = sites.order.iter().map(SiteId::as_str).collect();
        let listed = listed.join(", ");
        return Err(format!("does not list {to} in its `sites` ({listed})"));
    }
    let order = world.orders.get(service).map(|it| &it.value);
    match sites.first(order) {
        Some(first) if first == to => {
            let by = order.map(|it| format!(", by {} (epoch {})", it.who, it.epoch));
            Err(format!(
                "is served by {to} already{}",
                by.unwrap_or_default()
            ))
        }
        Some(first) => Ok(Start {
            from: first.clone(),
            epoch: order.map_or(0, |it| it.epoch),
            // A command that the file names copies what was written last.
            data: match sites.sync {
                Some(_) => Data::Hook,
                None => Data::None,
            },
        }),
        None => Err("has no site at all in its `sites`".to_owned()),
    }
}

/// Services that `to` could serve and that another site comes first for, by that site.
pub fn remaining(world: &World, to: &SiteId) -> BTreeMap<SiteId, Vec<ServiceName>> {
    let mut left: BTreeMap<SiteId, Vec<ServiceName>> = BTreeMap::new();
    for name in world.services.keys() {
        if let Ok(start) = start(world, to, name) {
            left.entry(start.from).or_default().push(name.clone());
        }
    }
    left
}

/// What the gateways of the old site say together: the least that all of them know, the most that any of them has. `None` where none of
/// them answers, or none knows the service.
pub fn source(states: &[LinkState], service: &ServiceName) -> Option<Source> {
    let told: Vec<_> = states
        .iter()
        .filter_map(|it| it.services.get(service))
        .collect();
    let epoch = |it: &&minato_health::SharedService| it.decided.as_ref().map_or(0, |it| it.epoch);
    Some(Source {
        epoch: told.iter().map(epoch).min()?,
        held: Held::No,
        in_flight: told.iter().map(|it| it.in_flight).sum(),
        // Quiet is what is quiet at all of them, since the last one was.
        quiet_since: told
            .iter()
            .map(|it| it.quiet_since)
            .collect::<Option<Vec<Timestamp>>>()
            .and_then(|all| all.into_iter().max()),
        came: told.iter().map(|it| it.came).sum(),
    })
}
