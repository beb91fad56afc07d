//! Simulated people: scale, restart, edit, remove, bring back.

use crate::site::{Nature, Site, command_of};
use minato_config::{Backend, Intent, Restart, ServiceName};
use minato_control::{Rebalance, RolloutStanding, rollout_standing};

pub(crate) fn turn(site: &mut Site) {
    let names = site.names.clone();
    let Some(name) = site.one_of(&names) else {
        return;
    };
    let there = site.store.services.get(&name).map(|it| it.value.removed);
    if site.random.u8(0..6) == 0 {
        return rebalance(site);
    }
    match (there, site.random.u8(0..20)) {
        (None, _) | (Some(true), 0..10) => edit(site, &name),
        (Some(_), 0..8) => scale(site, &name),
        (Some(_), 8..12) => restart(site, &name),
        (Some(_), 12..17) => edit(site, &name),
        (Some(_), 17) => endpoints(site, &name),
        (Some(_), _) => remove(site, &name),
    }
}

/// Leaves only what can come to rest: records are there, commands work.
pub(crate) fn mend(site: &mut Site) {
    for name in site.names.clone() {
        let record = site.store.services.get(&name).map(|it| it.value.clone());
        match record {
            None => site.write_record(&name, Nature::Good),
            Some(it) if command_of(&it).is_some_and(|(nature, _)| nature != Nature::Good) => {
                site.write_record(&name, Nature::Good);
            }
            Some(_) => {}
        }
    }
}

/// What the hints of lost slots and failed rollouts say; whether there was one.
pub(crate) fn follow_hints(site: &mut Site) -> Hints {
    let names = std::mem::take(&mut site.restored);
    for name in &names {
        restart(site, name);
    }
    let again = ask_again(site);
    match names.is_empty() && again == Hints::None {
        true => Hints::None,
        false => Hints::Followed,
    }
}

/// What failed for want of luck is asked for once more.
pub(crate) fn ask_again(site: &mut Site) -> Hints {
    let mut failed = site.names.clone();
    failed.retain(|it| {
        let standing = rollout_standing(&site.store, it, None);
        matches!(standing, RolloutStanding::Failed { .. })
    });
    for name in &failed {
        site.write_record(name, Nature::Good);
    }
    match failed.is_empty() {
        true => Hints::None,
        false => Hints::Followed,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hints {
    None,
    Followed,
}

fn change_intent(site: &mut Site, name: &ServiceName, change: impl FnOnce(&mut Intent)) {
    let mut intent = match site.store.intents.get(name) {
        Some(it) => it.value.clone(),
        None => Intent::default(),
    };
    change(&mut intent);
    let intent = site.stored(intent);
    site.store.intents.insert(name.clone(), intent);
}

fn rebalance(site: &mut Site) {
    site.note("rebalance");
    let names = site.names.clone();
    let service = match site.random.bool() {
        true => site.one_of(&names),
        false => None,
    };
    let request = Rebalance {
        v: 1,
        service,
        since: site.now,
        ..Rebalance::default()
    };
    site.store.rebalance = Some(site.stored(request));
}

fn scale(site: &mut Site, name: &ServiceName) {
    let replicas = match site.random.u16(0..12) {
        0 => Some(0),
        1 | 2 => None,
        _ => Some(1 + site.random.u16(0..5)),
    };
    site.note(&format!("scale {name} {replicas:?}"));
    change_intent(site, name, |it| it.replicas = replicas);
}

fn restart(site: &mut Site, name: &ServiceName) {
    site.note(&format!("restart {name}"));
    let number = Restart(site.now.0);
    change_intent(site, name, |it| it.restart = Some(number));
}

fn edit(site: &mut Site, name: &ServiceName) {
    let nature = match site.random.u8(0..8) {
        0 => Nature::Crash,
        1 => Nature::Mute,
        _ => Nature::Good,
    };
    site.note(&format!("edit {name}: {nature:?}"));
    site.write_record(name, nature);
}

fn endpoints(site: &mut Site, name: &ServiceName) {
    site.note(&format!("{name} gets fixed endpoints"));
    if let Some(mut record) = site.store.services.get(name).map(|it| it.value.clone()) {
        record.service.backend = Backend::Endpoints(vec![([10, 0, 0, 1], 80).into()]);
        let record = site.stored(record);
        site.store.services.insert(name.clone(), record);
    }
}

fn remove(site: &mut Site, name: &ServiceName) {
    site.note(&format!("remove {name}"));
    if let Some(mut record) = site.store.services.get(name).map(|it| it.value.clone()) {
        record.removed = true;
        let record = site.stored(record);
        site.store.services.insert(name.clone(), record);
    }
}
