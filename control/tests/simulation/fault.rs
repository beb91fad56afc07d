//! Simulated faults: processes, agents and gateways that die or freeze, documents that vanish.

use crate::site::{Leader, Site, State};
use minato_config::{GatewayId, NodeId};

pub(crate) fn turn(site: &mut Site) {
    match site.random.u8(0..30) {
        0..9 => hit(site, State::Dead),
        9..14 => hit(site, State::Frozen),
        14..17 => crash_loop(site),
        17..20 => agent_dies(site),
        20..23 => agents_return(site),
        23..27 => gateway_restarts(site),
        27 | 28 if site.leader() == Leader::ReadsItsWrites => slot_vanishes(site),
        _ => record_vanishes(site),
    }
}

/// Everybody is back; what froze stays so until its agent kills it.
pub(crate) fn heal(site: &mut Site) {
    agents_return(site);
}

fn hit(site: &mut Site, state: State) {
    let all: Vec<_> = site.processes.keys().cloned().collect();
    let Some(key) = site.one_of(&all) else { return };
    site.note(&format!("{state:?}: {key:?}"));
    if let Some(process) = site.processes.get_mut(&key) {
        process.state = state;
    }
}

fn crash_loop(site: &mut Site) {
    let all: Vec<_> = site.processes.keys().cloned().collect();
    let Some(key) = site.one_of(&all) else { return };
    site.note(&format!("crash loop: {key:?}"));
    if let Some(process) = site.processes.get_mut(&key) {
        (process.state, process.ends) = (State::Dead, 10);
    }
}

fn agent_dies(site: &mut Site) {
    let all: Vec<NodeId> = site.nodes.iter().cloned().collect();
    let Some(node) = site.one_of(&all) else {
        return;
    };
    site.note(&format!("agent {node} dies"));
    site.agents_down.insert(node.clone());
    // Its lease ends, unless it is back before.
    if site.random.bool() && site.store.nodes.remove(&node).is_some() {
        site.deleted();
    }
}

fn agents_return(site: &mut Site) {
    site.agents_down.clear();
}

/// Its lease ends, its verdicts with it; it may remember what it thought.
fn gateway_restarts(site: &mut Site) {
    let all: Vec<GatewayId> = site.gateways.keys().cloned().collect();
    let Some(gateway) = site.one_of(&all) else {
        return;
    };
    site.note(&format!("gateway {gateway} restarts"));
    site.store.gateways.remove(&gateway);
    site.store.verdicts.retain(|(_, _, by), _| *by != gateway);
    site.deleted();
    if site.random.bool() {
        site.gateways.insert(gateway, Default::default());
    }
}

fn slot_vanishes(site: &mut Site) {
    let all: Vec<_> = site.store.slots.keys().cloned().collect();
    let Some(key) = site.one_of(&all) else { return };
    site.note(&format!("slot document of {}/{} vanishes", key.0, key.1));
    site.store.slots.remove(&key);
    site.deleted();
}

fn record_vanishes(site: &mut Site) {
    let names = site.names.clone();
    let Some(name) = site.one_of(&names) else {
        return;
    };
    site.note(&format!("record of {name} vanishes"));
    if site.store.services.remove(&name).is_some() {
        site.deleted();
    }
}
