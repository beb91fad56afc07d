//! Instances and places for them.

use super::ready::TRUST_PERCENT;
use super::{Bearing, Check, Facts, met, unmet, wanted_there};
use crate::operation::switch::run::Start;
use crate::operation::switch::seen::up_and_wanted;
use crate::wanted;
use minato_config::{Backend, ServiceName};

/// What will run here against what the old site has to have.
pub(super) fn capacity(facts: &Facts<'_>, service: &ServiceName, start: &Start) -> Check {
    let (up, before) = up_and_wanted(facts.world, service);
    let grown = wanted(&facts.ready.world, service);
    let here = before.max(grown);
    let states = facts.peer.states.as_ref().ok();
    let there = states.and_then(|it| wanted_there(it, service));
    let (from, to) = (&start.from, facts.to);
    let Some(there) = there.filter(|it| *it > 0) else {
        return match here {
            0 => unmet("capacity", format!("no instance is wanted at {to}")),
            _ => met(
                "capacity",
                format!("{up} of {here} up at {to}; how many {from} has is not known"),
            ),
        };
    };
    let percent = u64::from(here) * TRUST_PERCENT / u64::from(there);
    let figure = format!(
        "{up} of {here} up at {to}{more}, {there} wanted at {from}: {percent}% of the work",
        percent = percent.min(100),
        more = match here.saturating_sub(before) {
            more if more > 0 && before > 0 => format!(" ({more} more are asked for first)"),
            _ => String::new(),
        }
    );
    match (percent >= 100, facts.accepted.overload) {
        (true, _) => met("capacity", figure),
        (false, Bearing::Accepted) => met("capacity", format!("{figure}; accepted")),
        (false, Bearing::Refused) => unmet(
            "capacity",
            format!(
                "{figure}; raise [at.{to}] replicas, or bear with sorry pages for the rest: --accept-overload"
            ),
        ),
    }
}

/// Whether there is a place for every instance: a machine that is alive, with room, with what it runs on.
pub(super) fn room(facts: &Facts<'_>, service: &ServiceName) -> Check {
    let record = facts
        .world
        .services
        .get(service)
        .map(|it| &it.value.service);
    if let Some(Backend::Endpoints(all)) = record.map(|it| &it.backend) {
        return met("room", format!("{} fixed addresses", all.len()));
    }
    let world = &facts.ready.world;
    // Those that find no place are what a person bears with.
    let is_grown = !facts.ready.need(service, facts.accepted).is_nothing();
    match facts.ready.notes.get(service) {
        Some(text) if is_grown && facts.accepted.overload == Bearing::Accepted => {
            met("room", format!("{text}; accepted"))
        }
        Some(text) => unmet("room", text.clone()),
        None if world.nodes.is_empty() => {
            unmet("room", format!("no machine of {} is alive", facts.to))
        }
        None => {
            let alive = world.nodes.len();
            met(
                "room",
                format!("{alive} machines of {} are alive", facts.to),
            )
        }
    }
}
