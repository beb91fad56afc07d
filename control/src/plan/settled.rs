//! Whether a service is what it should be: what `minato scale` and its like wait for.

use super::condition::Condition;
use super::seen::{Instances, Seen, SlotSeen, replicas};
use crate::World;
use minato_config::{Backend, ServiceName, SlotIndex};
use minato_health::{Combined, Verdict, combine};
use std::collections::{BTreeMap, BTreeSet};

/// Problems that a text names; the rest is a number.
const SHOWN: usize = 5;

/// Whether a change has come true.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// What is agrees with what should be: `4 of 4 up`.
    Done(String),
    /// Not yet, and what is missing: `3 of 4 up; library/2 down: connect refused`.
    Waiting(String),
}

/// Instances that should run: the operator's number, else what follows the load, else the file's. For fixed endpoints the number of addresses.
/// 0 for a service that is removed or not known.
pub fn wanted(world: &World, service: &ServiceName) -> u16 {
    let Some(record) = world.services.get(service).map(|it| &it.value) else {
        return 0;
    };
    match record.service.backend {
        _ if record.removed => 0,
        Backend::Command(_) => replicas(world, record),
        Backend::Endpoints(_) => record.service.replicas,
    }
}

/// Instances that are up: of fixed endpoints those that live gateways agree on, of a command those that gateways send requests to.
pub fn up(world: &World, service: &ServiceName) -> u16 {
    let Some(record) = world.services.get(service).map(|it| &it.value) else {
        return 0;
    };
    let count = match &record.service.backend {
        Backend::Command(_) => {
            let instances = Instances::of(world);
            let seen = Seen::of(world, &instances, service);
            let wanted = seen.wanted();
            let ready = |it: &&&SlotSeen<'_>| it.condition.rank() >= Condition::Disputed.rank();
            wanted.iter().filter(ready).count().min(seen.goal.slots)
        }
        Backend::Endpoints(_) => {
            let mut by_slot: BTreeMap<SlotIndex, Vec<Verdict>> = BTreeMap::new();
            for ((name, slot, gateway), report) in &world.verdicts {
                if name == service && world.gateways.contains_key(gateway) {
                    by_slot.entry(*slot).or_default().push(report.value.verdict);
                }
            }
            let is_up = |it: &&Vec<Verdict>| combine(it, None) == Combined::Up;
            by_slot.values().filter(is_up).count()
        }
    };
    u16::try_from(count).unwrap_or(u16::MAX)
}

/// Whether all wanted slots are ready as the newest command and restart want them, and nothing else is left.
///
/// It says nothing about drain, and of fixed endpoints only that no slot is left: whether they answer is not control's.
pub fn settled(world: &World, service: &ServiceName) -> Settled {
    let instances = Instances::of(world);
    let Some(service) = instances
        .services(world)
        .into_iter()
        .find(|it| *it == service)
    else {
        return Settled::Done(format!("{service} is not there"));
    };
    of_service(world, &instances, service)
}

/// [`settled`] of each of `services` that is there; the world is gone through once for all of them.
pub(crate) fn settled_each(
    world: &World,
    services: &BTreeSet<&ServiceName>,
) -> BTreeMap<ServiceName, Settled> {
    if services.is_empty() {
        return BTreeMap::new();
    }
    let instances = Instances::of(world);
    let there = instances.services(world).into_iter();
    there
        .filter(|it| services.contains(it))
        .map(|it| (it.clone(), of_service(world, &instances, it)))
        .collect()
}

fn of_service(world: &World, instances: &Instances<'_>, service: &ServiceName) -> Settled {
    let seen = Seen::of(world, instances, service);
    let left = seen.kept.len() + seen.removed.len() + seen.orphans.len();
    match seen.record.map(|it| &it.value) {
        None => Settled::Waiting(format!(
            "the record of {service} vanished; {left} slots are left as they are"
        )),
        Some(record) if record.removed => {
            Settled::Waiting(format!("{service} is removed; {left} slots are left"))
        }
        Some(record) => match &record.service.backend {
            Backend::Endpoints(_) if left > 0 => Settled::Waiting(format!(
                "{service} has fixed endpoints; {left} slots of its command are left"
            )),
            Backend::Endpoints(list) => Settled::Done(format!("{} fixed endpoints", list.len())),
            Backend::Command(_) => of_command(&seen),
        },
    }
}

fn of_command(seen: &Seen<'_>) -> Settled {
    let wanted = seen.wanted();
    let ready = |it: &&&SlotSeen<'_>| it.condition.rank() >= Condition::Disputed.rank();
    // While one takes the place of another both may be up.
    let up = wanted.iter().filter(ready).count().min(seen.goal.slots);
    let mut head = format!("{up} of {} up", seen.goal.slots);
    let name = |it: &SlotSeen<'_>| format!("{}/{}", seen.service, it.n);
    let mut problems: Vec<String> = Vec::new();
    for it in &wanted {
        match (it.outdated, it.detail.as_str()) {
            _ if it.leaving.is_some() => problems.push(format!(
                "{} to be moved: node {} is drained",
                name(it),
                it.slot.node
            )),
            (None, _) if it.condition == Condition::Ready => {}
            _ if !it.node_lives && it.condition != Condition::Ready => problems.push(format!(
                "{} waits for node {}, which is gone",
                name(it),
                it.slot.node
            )),
            (Some(why), _) => problems.push(format!("{} to be replaced: {why}", name(it))),
            (None, detail) => problems.push(format!("{} {detail}", name(it))),
        }
    }
    let missing = seen.goal.slots.saturating_sub(seen.kept.len());
    if missing > 0 {
        problems.push(format!("{missing} without a node yet"));
    }
    let going = seen.removed.iter().chain(seen.surplus());
    problems.extend(going.map(|it| format!("{} to be stopped", name(it))));
    let orphans = seen.orphans.iter();
    problems.extend(orphans.map(|it| format!("{}/{} without a slot", seen.service, it.key.slot)));
    if problems.is_empty() {
        return Settled::Done(head);
    }
    let more = problems.len().saturating_sub(SHOWN);
    for problem in problems.iter().take(SHOWN) {
        head.push_str("; ");
        head.push_str(problem);
    }
    if more > 0 {
        head.push_str(&format!("; and {more} more"));
    }
    Settled::Waiting(head)
}
