//! What must hold at every moment, said again in other words than the planner's.

use crate::site::{Site, State, command_of};
use minato_config::{Health, ServiceName, Slot, SlotIndex, Timestamp};
use minato_control::{
    Action, FAILED_PAUSE, InstanceKey, Object, Plan, RolloutStep, STEPS_PER_SERVICE, Settled, Step,
    World, settled, wanted,
};
use minato_health::{Instance, Phase, Verdict};
use std::collections::{BTreeMap, BTreeSet};

type Place = (ServiceName, SlotIndex);

/// Of the site after each turn.
pub(crate) fn check(site: &Site) {
    let mut live: BTreeMap<Place, u32> = BTreeMap::new();
    for ((node, service, n), process) in &site.processes {
        let key = InstanceKey {
            node: node.clone(),
            service: service.clone(),
            slot: *n,
            generation: process.generation,
        };
        let document = site.store.instances.get(&key).map(|it| it.value.phase);
        if process.state == State::Alive && document == Some(Phase::Running) {
            *live.entry((service.clone(), *n)).or_default() += 1;
        }
    }
    for (place, count) in live {
        assert!(count <= 1, "{count} live generations of {place:?}");
    }
}

/// Of the site at rest: exactly what is wanted runs.
pub(crate) fn check_rest(site: &Site) {
    for name in &site.names {
        let here = site
            .processes
            .iter()
            .filter(|((_, service, _), _)| service == name);
        let here: Vec<_> = here.map(|(_, process)| process).collect();
        let Some(record) = site.store.services.get(name).map(|it| &it.value) else {
            assert!(here.is_empty(), "{name} is gone, yet {here:?}");
            continue;
        };
        assert!(!record.removed, "{name} was removed and is still there");
        let Some((_, digest)) = command_of(record) else {
            assert!(here.is_empty(), "{name} has fixed endpoints, yet {here:?}");
            continue;
        };
        let goal = usize::from(wanted(&site.store, name));
        assert_eq!(here.len(), goal, "{name}: {here:?}");
        let restart = site.store.intents.get(name).and_then(|it| it.value.restart);
        for process in here {
            assert_eq!(process.state, State::Alive);
            assert_eq!(process.digest, digest, "{name} runs an old command");
            // A restart that failed is not tried again.
            let rollout = site.store.rollouts.get(name);
            let failed = rollout.and_then(|it| it.value.failed.as_ref());
            let gone = failed.and_then(|it| it.restart);
            assert!(
                process.restart >= restart || gone == restart,
                "{name} was not restarted"
            );
        }
    }
}

/// Of a plan and the world it was made from.
pub(crate) fn check_plan(world: &World, plan: &Plan, now: Timestamp) {
    let mut by_service: BTreeMap<&ServiceName, Vec<&Step>> = BTreeMap::new();
    for step in &plan.steps {
        by_service.entry(&step.service).or_default().push(step);
    }
    for (service, steps) in by_service {
        let found = settled(world, service);
        let moves = plan.balancing.as_ref().map_or(0, |it| it.moving.len());
        assert!(moves <= 2, "{moves} move at once:\n{plan}");
        let may_move = moves > 0 && is_moved(&steps);
        assert!(
            may_move || matches!(found, Settled::Waiting(_)),
            "{service}: {found:?}, yet:\n{plan}"
        );
        assert!(steps.len() <= STEPS_PER_SERVICE);
        let touched: BTreeSet<_> = steps.iter().map(|it| slot_of(it)).collect();
        assert_eq!(touched.len(), steps.len(), "a slot twice:\n{plan}");
        assert!(
            world.services.contains_key(service),
            "{service} vanished, yet:\n{plan}"
        );
        for step in &steps {
            check_step(world, step, plan);
        }
        check_prefixes(world, service, &steps, now, plan);
    }
}

fn slot_of(step: &Step) -> Option<SlotIndex> {
    match &step.action {
        Action::Assign(n, _) | Action::Remove(n) | Action::Forget(n) => Some(*n),
        Action::ForgetService => None,
    }
}

fn check_step(world: &World, step: &Step, plan: &Plan) {
    assert!(!step.reason.is_empty());
    assert!(step.relies_on.is_sorted(), "{:?}", step.relies_on);
    if let Some(n) = slot_of(step) {
        let own = Object::Slot(step.service.clone(), n);
        let modified = world
            .slots
            .get(&(step.service.clone(), n))
            .map(|it| it.modified);
        let relied = step.relies_on.iter().find(|it| it.object == own);
        let relied = relied.map(|it| it.modified);
        assert_eq!(relied, Some(modified), "{step} does not rely on its slot");
    }
    let key = |n| (step.service.clone(), n);
    match &step.action {
        Action::Assign(n, slot) => {
            assert!(!slot.removed, "{step}");
            if let Some(before) = world.slots.get(&key(*n)) {
                let before = &before.value;
                assert!(slot.generation > before.generation, "{step}");
                assert!(!before.removed, "{step}");
            } else {
                assert!(
                    world.nodes.contains_key(&slot.node)
                        || is_restore(world, &step.service, *n, slot),
                    "{step}"
                );
            }
        }
        Action::Remove(n) => {
            assert!(
                world
                    .slots
                    .get(&key(*n))
                    .is_some_and(|it| !it.value.removed),
                "{step}"
            );
        }
        Action::Forget(n) => {
            assert!(
                world.slots.get(&key(*n)).is_some_and(|it| it.value.removed),
                "{step}"
            );
            let mut left = world.instances.keys();
            assert!(
                !left.any(|it| it.service == step.service && it.slot == *n),
                "{step}, yet an instance is there"
            );
        }
        Action::ForgetService => {
            let forgotten = plan
                .steps
                .iter()
                .filter(|it| it.service == step.service && matches!(it.action, Action::Forget(_)));
            let slots = world.slots.keys().filter(|(it, _)| *it == step.service);
            assert_eq!(slots.count(), forgotten.count(), "{step}");
        }
    }
}

fn is_restore(world: &World, service: &ServiceName, n: SlotIndex, slot: &Slot) -> bool {
    world.instances.contains_key(&InstanceKey {
        node: slot.node.clone(),
        service: service.clone(),
        slot: n,
        generation: slot.generation,
    })
}

/// Every prefix: never more slots than wanted or than before; at most one instance that may well serve taken for a new
/// generation, and only with all others ready; no ready instance removed while one that is not ready stays.
fn check_prefixes(
    world: &World,
    service: &ServiceName,
    steps: &[&Step],
    now: Timestamp,
    plan: &Plan,
) {
    let slots = world
        .slots
        .iter()
        .filter(|((it, _), slot)| it == service && !slot.value.removed);
    let mut kept: BTreeMap<SlotIndex, &Slot> = slots.map(|((_, n), it)| (*n, &it.value)).collect();
    let before = kept.len();
    let goal = usize::from(wanted(world, service));
    let is_ready = |n: &SlotIndex, slot: &Slot| ready(world, service, *n, slot);
    let surge = surge(world, service, steps);
    let mut taken = 0;
    let mut restored = 0;
    for step in steps {
        match &step.action {
            Action::Assign(n, slot) => {
                let old = kept.insert(*n, slot);
                if is_restore(world, service, *n, slot) {
                    restored += 1;
                } else if let Some(old) = old {
                    let (broken, waits) = why_replaced(world, service, *n, old, slot, now);
                    assert!(broken || waits, "{step}: for no reason\n{plan}");
                    if is_ready(n, old) || !is_accused(world, service, *n, old) {
                        taken += 1;
                        let others = kept.iter().filter(|(it, _)| *it != n);
                        let mut others = others.map(|(n, slot)| is_ready(n, slot));
                        assert!(others.all(|it| it), "{step}: others are not ready\n{plan}");
                        assert_eq!(kept.len(), goal, "{step}: slots are missing\n{plan}");
                    }
                }
            }
            Action::Remove(n) => {
                let was_ready = kept.remove(n).is_some_and(|it| is_ready(n, it));
                let dead_weight = kept.iter().find(|(n, slot)| !is_ready(n, slot));
                let removed = world
                    .services
                    .get(service)
                    .is_some_and(|it| it.value.removed);
                let ready_left = kept.iter().filter(|(n, slot)| is_ready(n, slot)).count();
                assert!(
                    !was_ready
                        || dead_weight.is_none()
                        || removed
                        || goal == 0
                        || ready_left >= goal,
                    "{step}: {dead_weight:?} stays\n{plan}"
                );
                let endpoints = world
                    .services
                    .get(service)
                    .is_some_and(|it| command_of(&it.value).is_none());
                assert!(
                    kept.len() >= goal || endpoints,
                    "{step}: fewer than wanted\n{plan}"
                );
            }
            Action::Forget(_) | Action::ForgetService => {}
        }
        assert!(taken <= 1, "two at a time\n{plan}");
        assert!(
            kept.len() <= (goal + surge).max(before) + restored,
            "more than wanted\n{plan}"
        );
    }
}

/// How many more than wanted there may be: while a version takes another's place.
fn surge(world: &World, service: &ServiceName, steps: &[&Step]) -> usize {
    let assigned = steps.iter().filter_map(|it| match &it.action {
        Action::Assign(_, slot) => Some(slot),
        _ => None,
    });
    let slots = world
        .slots
        .iter()
        .filter(|((it, _), slot)| it == service && !slot.value.removed);
    let all = slots.map(|(_, it)| &it.value).chain(assigned);
    let versions: BTreeSet<_> = all.map(|it| (&it.digest, it.restart)).collect();
    match versions.len() {
        0 | 1 => usize::from(is_moved(steps)),
        _ => world
            .services
            .get(service)
            .map_or(0, |it| usize::from(it.value.service.update.parallel)),
    }
}

/// Whether one of the steps moves something to a better node.
fn is_moved(steps: &[&Step]) -> bool {
    let mut steps = steps.iter();
    steps.any(|it| it.reason.contains("asked to be balanced"))
}

/// Of a rollout's next document: what serves is forgotten only for what is healthy on every instance.
pub(crate) fn check_rollout(site: &mut Site, step: &RolloutStep) {
    let before = site
        .view
        .rollouts
        .get(&step.service)
        .map(|it| it.value.clone());
    let before = before.unwrap_or_default();
    let (old, new) = (&before.stable, &step.record.stable);
    if old.is_some() {
        assert!(
            new.is_some(),
            "{}: nothing is left to go back to",
            step.service
        );
    }
    let changed = match (old, new) {
        (Some(old), Some(new)) => (&old.digest, old.restart) != (&new.digest, new.restart),
        (None, Some(_)) => true,
        (_, None) => false,
    };
    if let Some(new) = new.as_ref().filter(|_| changed) {
        let goal = usize::from(wanted(&site.view, &step.service));
        let slots = site.view.slots.iter();
        let kept = slots.filter(|((it, _), slot)| *it == step.service && !slot.value.removed);
        let kept: Vec<_> = kept.map(|((_, n), slot)| (*n, &slot.value)).collect();
        assert_eq!(kept.len(), goal, "{}: {new:?}", step.service);
        for (n, slot) in kept {
            assert_eq!(slot.digest, new.digest, "{}/{n}", step.service);
            assert!(
                ready(&site.view, &step.service, n, slot),
                "{}/{n}",
                step.service
            );
        }
        site.count("done");
    }
    if step.record.failed != before.failed {
        site.count("revert");
    }
}

/// Whether the slot is out of date or failed; and whether a failed one waited long enough.
fn why_replaced(
    world: &World,
    service: &ServiceName,
    n: SlotIndex,
    slot: &Slot,
    next: &Slot,
    now: Timestamp,
) -> (bool, bool) {
    let outdated = slot.digest != next.digest || slot.restart < next.restart;
    let waited = instance(world, service, n, slot)
        .is_some_and(|it| it.phase == Phase::Failed && now.since(it.since) >= FAILED_PAUSE);
    (outdated, waited)
}

fn instance<'a>(
    world: &'a World,
    service: &ServiceName,
    n: SlotIndex,
    slot: &Slot,
) -> Option<&'a Instance> {
    let key = InstanceKey {
        node: slot.node.clone(),
        service: service.clone(),
        slot: n,
        generation: slot.generation,
    };
    world.instances.get(&key).map(|it| &it.value)
}

/// Whether anything speaks against it: it does not run, or a live gateway calls this run down.
fn is_accused(world: &World, service: &ServiceName, n: SlotIndex, slot: &Slot) -> bool {
    let Some(instance) = instance(world, service, n, slot) else {
        return true;
    };
    instance.phase != Phase::Running || is_said(world, service, n, slot, instance, Verdict::Down)
}

fn is_said(
    world: &World,
    service: &ServiceName,
    n: SlotIndex,
    slot: &Slot,
    instance: &Instance,
    wanted: Verdict,
) -> bool {
    world.verdicts.iter().any(|((of, slot_of, by), it)| {
        of == service
            && *slot_of == n
            && world.gateways.contains_key(by)
            && it.value.run == instance.run
            && it.value.generation == slot.generation
            && it.value.verdict == wanted
    })
}

/// Ready, said without the planner's code: runs, and somebody calls this run up and nobody down.
pub(crate) fn ready(world: &World, service: &ServiceName, n: SlotIndex, slot: &Slot) -> bool {
    let Some(instance) = instance(world, service, n, slot) else {
        return false;
    };
    let health = world
        .services
        .get(service)
        .map(|it| &it.value.service.health);
    let said = |verdict| is_said(world, service, n, slot, instance, verdict);
    instance.phase == Phase::Running
        && (health == Some(&Health::Off)
            || (world.gateways.is_empty() && instance.local == Some(Verdict::Up))
            || (said(Verdict::Up)
                && !said(Verdict::Down)
                && have_all_said(world, service, n, slot, instance)))
}

/// Every live gateway has a word on this run.
fn have_all_said(
    world: &World,
    service: &ServiceName,
    n: SlotIndex,
    slot: &Slot,
    instance: &Instance,
) -> bool {
    world.gateways.keys().all(|gateway| {
        let key = (service.clone(), n, gateway.clone());
        let said = world.verdicts.get(&key).map(|it| &it.value);
        said.is_some_and(|it| (it.generation, it.run) == (slot.generation, instance.run))
    })
}

/// Of a step against the store that it is about to change, and against everything committed before.
pub(crate) fn check_commit(site: &mut Site, step: &Step) {
    let Action::Assign(n, slot) = &step.action else {
        if step.reason.contains("taken its place") {
            site.count("take over");
        }
        if let Some(n) = slot_of(step) {
            site.taken.remove(&(step.service.clone(), n));
        }
        return;
    };
    let place = (step.service.clone(), *n);
    let back: Vec<Place> = site
        .taken
        .iter()
        .filter(|(service, n)| {
            let slot = site.store.slots.get(&(service.clone(), *n));
            let seen = site.view.slots.get(&(service.clone(), *n));
            slot.is_none_or(|it| {
                ready(&site.store, service, *n, &it.value)
                    || seen == Some(it) && ready(&site.view, service, *n, &it.value)
            })
        })
        .cloned()
        .collect();
    back.iter().for_each(|it| {
        site.taken.remove(it);
    });
    let restored = is_restore(&site.view, &step.service, *n, slot);
    let before = site.store.slots.get(&place).map(|it| it.value.clone());
    if let Some(before) = before.filter(|_| !restored) {
        if ready(&site.view, &step.service, *n, &before) {
            let others = site.taken.iter().filter(|(it, _)| *it == step.service);
            let others: Vec<_> = others.cloned().collect();
            assert!(
                others.is_empty(),
                "{step}, while {others:?} are not back yet"
            );
            site.taken.insert(place.clone());
            site.count("roll");
        } else if step.reason.starts_with("failed") {
            let last = site.retried.insert(place.clone(), site.now);
            let pause = last.map(|it| site.now.since(it));
            assert!(
                pause.is_none_or(|it| it >= FAILED_PAUSE),
                "{step}: again after {pause:?}"
            );
            site.count("retry");
        } else {
            site.count("fix");
        }
    }
    if restored {
        site.count("restore");
        site.restored.insert(step.service.clone());
    }
    let highest = site.highest.entry(place).or_default();
    assert!(
        slot.generation > *highest || restored,
        "{step}: {highest} was there before"
    );
    *highest = slot.generation.max(*highest);
}
