//! The simulated leader: looks, plans on what it saw, maybe long ago, and commits as the real one must: one service in a
//! transaction that compares what its steps rely on.

use crate::invariant;
use crate::site::{Leader, Site};
use minato_config::ServiceName;
use minato_control::{
    Action, BalancingNext, Losses, Object, Plan, Relied, Rollouts, Step, World, plan,
};
use std::time::Duration;

pub(crate) fn look(site: &mut Site) {
    site.view = site.store.clone();
}

pub(crate) fn act(site: &mut Site) {
    if site.leader() == Leader::ReadsItsWrites && site.view.revision < site.committed {
        return;
    }
    if site.random.u8(0..20) == 0 {
        // Another leads: it knows only what is written.
        site.rollouts = Rollouts::default();
    }
    if roll(site) {
        return;
    }
    let planned: Plan = plan(&site.view, site.now);
    assert_eq!(planned, plan(&site.view.clone(), site.now), "equal inputs");
    invariant::check_plan(&site.view, &planned, site.now);
    balance(site, &planned);
    let mut services: Vec<ServiceName> =
        planned.steps.iter().map(|it| it.service.clone()).collect();
    services.dedup();
    for service in services {
        let steps = planned.steps.iter().filter(|it| it.service == service);
        let mut steps: Vec<Step> = steps.cloned().collect();
        if site.random.u8(0..8) == 0 {
            // Died in the middle: a prefix must do.
            steps.truncate(site.random.usize(0..=steps.len()));
        }
        commit(site, &steps);
    }
}

/// Whether something was written, from which the next plan follows.
fn roll(site: &mut Site) -> bool {
    let now = site.began + Duration::from_millis(site.now.0);
    let steps = site
        .rollouts
        .turn(&site.view, &Losses::default(), now, site.now);
    let mut written = false;
    for step in steps {
        let stored = site.store.rollouts.get(&step.service);
        let fits = stored.map(|it| it.modified) == step.modified;
        if !fits || !step.relies_on.iter().all(|it| holds(&site.store, it)) {
            site.count("stale");
            continue;
        }
        invariant::check_rollout(site, &step);
        for news in &step.news {
            site.note(&format!("leader: {}", news.text));
        }
        let record = site.stored(step.record);
        site.store.rollouts.insert(step.service, record);
        site.committed = site.store.revision;
        written = true;
    }
    written
}

/// Writes down how far a rebalance is.
fn balance(site: &mut Site, planned: &Plan) {
    let (Some(standing), Some(seen)) = (&planned.balancing, &site.view.rebalance) else {
        return;
    };
    let stored = site.store.rebalance.as_ref().map(|it| it.modified);
    let mut word = seen.value.clone();
    match &standing.next {
        BalancingNext::GoOn => return,
        BalancingNext::Round => word.round += 1,
        BalancingNext::End(why) => word.ended = Some(why.clone()),
    }
    if stored == Some(seen.modified) {
        site.count(match word.ended {
            Some(_) => "balanced",
            None => "round",
        });
        site.store.rebalance = Some(site.stored(word));
        site.committed = site.store.revision;
    }
}

fn commit(site: &mut Site, steps: &[Step]) {
    let relied = steps.iter().flat_map(|it| &it.relies_on);
    if !relied.into_iter().all(|it| holds(&site.store, it)) {
        site.count("stale");
        return;
    }
    for step in steps {
        invariant::check_commit(site, step);
        site.note(&format!("leader: {step}"));
        apply(site, step);
    }
    site.committed = site.store.revision;
}

fn holds(world: &World, relied: &Relied) -> bool {
    let modified = match &relied.object {
        Object::Service(name) => world.services.get(name).map(|it| it.modified),
        Object::Intent(name) => world.intents.get(name).map(|it| it.modified),
        Object::Slot(name, n) => world.slots.get(&(name.clone(), *n)).map(|it| it.modified),
        Object::Rollout(name) => world.rollouts.get(name).map(|it| it.modified),
    };
    modified == relied.modified
}

fn apply(site: &mut Site, step: &Step) {
    let key = |n| (step.service.clone(), n);
    match &step.action {
        Action::Assign(n, slot) => {
            let slot = site.stored(slot.clone());
            site.store.slots.insert(key(*n), slot);
            site.count("assign");
        }
        Action::Remove(n) => {
            if let Some(mut slot) = site.store.slots.get(&key(*n)).map(|it| it.value.clone()) {
                slot.removed = true;
                let slot = site.stored(slot);
                site.store.slots.insert(key(*n), slot);
            }
            site.count("remove");
        }
        Action::Forget(n) => {
            site.store.slots.remove(&key(*n));
            site.deleted();
            site.count("forget");
        }
        Action::ForgetService => {
            site.store.services.remove(&step.service);
            site.store.intents.remove(&step.service);
            site.store.rollouts.remove(&step.service);
            site.deleted();
            site.count("forget service");
        }
    }
}
