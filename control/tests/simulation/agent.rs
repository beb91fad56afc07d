//! A simulated agent: fills its slots, restarts what ended, stops what was told to go.

use crate::site::{Nature, Process, Site, State, nature_by_digest};
use minato_config::{NodeId, Run, ServiceName, Slot, SlotIndex};
use minato_control::InstanceKey;
use minato_health::{Phase, Verdict};
use std::collections::BTreeSet;

/// Ends that spend the restart budget.
const BUDGET: u32 = 5;

pub(crate) fn any_turn(site: &mut Site) {
    let nodes: Vec<NodeId> = site.nodes.iter().cloned().collect();
    if let Some(node) = site.one_of(&nodes) {
        turn(site, &node);
    }
}

pub(crate) fn all(site: &mut Site) {
    for node in site.nodes.clone() {
        turn(site, &node);
    }
}

fn turn(site: &mut Site, node: &NodeId) {
    if site.agents_down.contains(node) {
        return;
    }
    if !site.store.nodes.contains_key(node) {
        let since = site.now;
        let alive = site.stored(minato_health::NodeAlive { v: 1, since });
        site.store.nodes.insert(node.clone(), alive);
    }
    let assigned = site.store.slots.iter();
    let assigned = assigned.filter(|(_, slot)| slot.value.node == *node);
    let mut places: BTreeSet<(ServiceName, SlotIndex)> =
        assigned.map(|(key, _)| key.clone()).collect();
    let here = site.processes.keys().filter(|(it, _, _)| it == node);
    places.extend(here.map(|(_, service, n)| (service.clone(), *n)));
    for (service, n) in places {
        fill(site, node, &service, n);
    }
}

fn fill(site: &mut Site, node: &NodeId, service: &ServiceName, n: SlotIndex) {
    let slot = site
        .store
        .slots
        .get(&(service.clone(), n))
        .map(|it| it.value.clone());
    let place = (node.clone(), service.clone(), n);
    match (slot, site.processes.get(&place).cloned()) {
        (Some(slot), None) if slot.node == *node && !slot.removed => {
            start(site, node, service, n, &slot);
        }
        (_, None) => {}
        (Some(slot), Some(process)) if slot.removed || slot.generation > process.generation => {
            stop(site, node, service, n, &process);
        }
        (slot, Some(process)) => {
            let key = key(node, service, n, &process);
            let phase = site.store.instances.get(&key).map(|it| it.value.phase);
            match slot {
                None if phase == Some(Phase::Stopping) => stop(site, node, service, n, &process),
                // A slot document that vanished is an accident.
                None => {}
                Some(_) => keep(site, node, service, n, process),
            }
        }
    }
}

fn key(node: &NodeId, service: &ServiceName, slot: SlotIndex, process: &Process) -> InstanceKey {
    InstanceKey {
        node: node.clone(),
        service: service.clone(),
        slot,
        generation: process.generation,
    }
}

fn start(site: &mut Site, node: &NodeId, service: &ServiceName, n: SlotIndex, slot: &Slot) {
    let digest = slot.digest.clone();
    let Some(nature) = nature_by_digest(&site.store, service, &digest) else {
        return;
    };
    let process = Process {
        generation: slot.generation,
        run: Run(1),
        digest,
        restart: slot.restart,
        nature,
        state: State::Alive,
        ends: 0,
    };
    let key = key(node, service, n, &process);
    site.processes
        .insert((node.clone(), service.clone(), n), process);
    site.write_instance(key, Run(1), Phase::Running, "");
}

/// First it says so, a turn later the process is gone.
fn stop(site: &mut Site, node: &NodeId, service: &ServiceName, n: SlotIndex, process: &Process) {
    let key = key(node, service, n, process);
    let phase = site.store.instances.get(&key).map(|it| it.value.phase);
    if process.state != State::Dead && phase != Some(Phase::Stopping) {
        site.write_instance(key, process.run, Phase::Stopping, "");
        return;
    }
    site.processes.remove(&(node.clone(), service.clone(), n));
    site.store.instances.remove(&key);
    site.deleted();
}

fn keep(site: &mut Site, node: &NodeId, service: &ServiceName, n: SlotIndex, process: Process) {
    let key = key(node, service, n, &process);
    let phase = site.store.instances.get(&key).map(|it| it.value.phase);
    let mut next = process;
    if next.state == State::Alive && next.nature == Nature::Crash {
        next.state = State::Dead;
    }
    if next.state == State::Frozen && is_down_for_all(site, service, n, &next) {
        next.state = State::Dead;
    }
    match (next.state, phase) {
        (State::Dead, Some(Phase::Running)) => {
            next.ends += 1;
            let (phase, reason) = match next.ends {
                BUDGET.. => (Phase::Failed, "exited 5 times"),
                _ => (Phase::Exited, "exited"),
            };
            site.write_instance(key, next.run, phase, reason);
        }
        (State::Dead, Some(Phase::Exited)) => {
            next.run = Run(next.run.0 + 1);
            next.state = State::Alive;
            site.write_instance(key, next.run, Phase::Running, "");
        }
        _ => {}
    }
    site.processes
        .insert((node.clone(), service.clone(), n), next);
}

fn is_down_for_all(site: &Site, service: &ServiceName, n: SlotIndex, process: &Process) -> bool {
    let gateways = site.store.gateways.keys();
    let reports =
        gateways.filter_map(|it| site.store.verdicts.get(&(service.clone(), n, it.clone())));
    let mut reports = reports
        .map(|it| &it.value)
        .filter(|it| it.generation == process.generation && it.run == process.run)
        .peekable();
    reports.peek().is_some() && reports.all(|it| it.verdict == Verdict::Down)
}
