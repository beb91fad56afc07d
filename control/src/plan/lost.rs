//! Which nodes count as lost, so that what they had may go elsewhere.
//!
//! A node whose lease has ended is gone. It is lost when it has been gone for the grace and no gateway reaches anything
//! there: one whose instances still answer is never given up, whatever its lease says, and where nobody can say, nothing
//! moves. When more than half of the nodes are gone at once, the observer is suspected before they are.
//!
//! Times are the leader's own, from its election on: no wall clock that was set moves anything.
//! Not here: where the slots go (`place`), how (`decide`).

use super::balance::is_rebalancing;
use super::place::is_drained;
use crate::World;
use minato_config::{Health, NodeId, ServiceName, SlotIndex};
use minato_health::{Phase, Verdict};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A node that was lost, or had nothing, is counted among those gone at once for this long.
const AT_ONCE: Duration = Duration::from_secs(600);

/// Agents tell a load that has changed notably within three looks of 5 s; one more for what is under way.
const MEASURING: Duration = Duration::from_secs(20);

/// How patiently a leader waits for nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// From the end of a lease, as the leader sees it, until the node is given up. Default 10 s.
    pub grace: Duration,
    /// From the election, where several nodes are missing at it. Default 60 s.
    pub after_election: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            grace: Duration::from_secs(10),
            after_election: Duration::from_secs(60),
        }
    }
}

/// What a leader remembers of the nodes of its term.
#[derive(Debug, Clone, Default)]
pub struct Absences {
    gone: BTreeMap<NodeId, Gone>,
    /// When the slots of a node changed last, while a rebalance is under way.
    stirred: BTreeMap<NodeId, Stirred>,
    /// Seen alive in this term.
    met: BTreeSet<NodeId>,
    /// Whether anything was observed yet.
    began: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Stirred {
    /// In office.
    since: Duration,
    slots: BTreeSet<(ServiceName, SlotIndex)>,
}

#[derive(Debug, Clone, Copy)]
struct Gone {
    /// In office.
    since: Duration,
    /// It was missing when the term began.
    at_election: bool,
}

/// How the nodes that are gone stand now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Losses {
    /// Given up: what they had goes elsewhere.
    pub lost: BTreeSet<NodeId>,
    /// Gone and not given up, and why; without a reason while the grace lasts.
    pub waiting: BTreeMap<NodeId, String>,
    /// Their load does not show yet what came to them or left them: nothing is moved because of it. Known while a rebalance is under way.
    #[serde(default)]
    pub unmeasured: BTreeSet<NodeId>,
    /// Nothing is given up at all, and a person is needed. It changes only with its cause.
    pub alarm: Option<String>,
}

impl Absences {
    /// Takes in who is there. `office`: how long this leader has led, by a clock that nobody sets.
    pub fn observe(&mut self, world: &World, office: Duration) {
        let at_election = !std::mem::replace(&mut self.began, true);
        for node in world.nodes.keys() {
            self.gone.remove(node);
            if !self.met.contains(node) {
                self.met.insert(node.clone());
            }
        }
        for node in absent(world) {
            let now = Gone {
                since: office,
                at_election,
            };
            self.gone.entry(node.clone()).or_insert(now);
        }
        // A machine that nothing speaks of any more is forgotten.
        let known = |it: &NodeId| world.nodes.contains_key(it) || is_known(world, it);
        self.gone.retain(|node, _| known(node));
        self.met.retain(known);
        self.observe_slots(world, office);
    }

    fn observe_slots(&mut self, world: &World, office: Duration) {
        if !is_rebalancing(world) {
            return self.stirred.clear();
        }
        let mut slots: BTreeMap<&NodeId, BTreeSet<(ServiceName, SlotIndex)>> = BTreeMap::new();
        for (key, slot) in &world.slots {
            slots
                .entry(&slot.value.node)
                .or_default()
                .insert(key.clone());
        }
        for node in world.nodes.keys() {
            let slots = slots.remove(node).unwrap_or_default();
            match self.stirred.get_mut(node) {
                Some(it) if it.slots == slots => {}
                _ => drop(self.stirred.insert(
                    node.clone(),
                    Stirred {
                        since: office,
                        slots,
                    },
                )),
            }
        }
    }

    /// What follows from it.
    pub fn judge(&self, world: &World, office: Duration, patience: Patience) -> Losses {
        let fresh = self.stirred.iter();
        let fresh = fresh.filter(|(_, it)| office.saturating_sub(it.since) < MEASURING);
        let mut losses = Losses {
            unmeasured: fresh.map(|(node, _)| node.clone()).collect(),
            ..Losses::default()
        };
        let holding = holding(world);
        let missed: Vec<(&NodeId, &Gone)> = self
            .gone
            .iter()
            .filter(|(node, gone)| {
                let recent = office.saturating_sub(gone.since) < AT_ONCE;
                !is_drained(world, node)
                    && (holding.contains(*node) || (recent && self.met.contains(*node)))
            })
            .collect();
        let all = missed.len() + world.nodes.len();
        if missed.len() > 1 && missed.len() * 2 > all {
            losses.alarm = Some(format!(
                "{} of {all} nodes are gone at once: nothing is moved until more of them are back, since the fault may be \
                 on this side; look at the network and the store, or say `minato node drain NODE` of those that are really lost",
                missed.len()
            ));
        }
        let at_election = missed.iter().filter(|(_, gone)| gone.at_election).count();
        for (node, gone) in &self.gone {
            if !holding.contains(node) {
                continue;
            }
            let patient = match gone.at_election && at_election > 1 {
                true => patience.after_election.max(patience.grace),
                false => patience.grace,
            };
            let waited = office.saturating_sub(gone.since) >= patient;
            match silence(world, node) {
                // The operator's word is enough.
                _ if is_drained(world, node) => drop(losses.lost.insert(node.clone())),
                Err(why) => drop(losses.waiting.insert(node.clone(), why.to_owned())),
                Ok(()) if losses.alarm.is_some() => {
                    let why = "too many nodes are gone at once".to_owned();
                    losses.waiting.insert(node.clone(), why);
                }
                Ok(()) if waited => drop(losses.lost.insert(node.clone())),
                Ok(()) => drop(losses.waiting.insert(node.clone(), String::new())),
            }
        }
        losses
    }
}

/// Nodes that are not alive and of which something speaks.
fn absent(world: &World) -> BTreeSet<&NodeId> {
    let slots = world.slots.values().map(|it| &it.value.node);
    let named = world.node_infos.keys().chain(slots);
    named.filter(|it| !world.nodes.contains_key(*it)).collect()
}

fn is_known(world: &World, node: &NodeId) -> bool {
    world.node_infos.contains_key(node) || world.slots.values().any(|it| it.value.node == *node)
}

/// Nodes that slots are assigned to.
fn holding(world: &World) -> BTreeSet<&NodeId> {
    let slots = world.slots.values().filter(|it| !it.value.removed);
    slots.map(|it| &it.value.node).collect()
}

/// Whether gateways reach nothing on the node; else why it may not be given up.
fn silence(world: &World, node: &NodeId) -> Result<(), &'static str> {
    let mut unwatched = None;
    for (key, instance) in world.instances.iter().filter(|(key, _)| key.node == *node) {
        let instance = &instance.value;
        let current = world.slots.get(&(key.service.clone(), key.slot));
        let is_current = current.is_some_and(|it| it.value.generation == key.generation);
        if instance.phase != Phase::Running || !is_current || is_unchecked(world, &key.service) {
            continue;
        }
        let reports = world.gateways.keys().filter_map(|gateway| {
            let report = (key.service.clone(), key.slot, gateway.clone());
            let report = &world.verdicts.get(&report)?.value;
            let same = report.generation == key.generation && report.run == instance.run;
            same.then_some(report.verdict)
        });
        match reports.min() {
            Some(Verdict::Down) => {}
            Some(Verdict::Up | Verdict::Suspect) => return Err("its instances still answer"),
            None => unwatched = Some("no gateway says whether its instances answer"),
        }
    }
    unwatched.map_or(Ok(()), Err)
}

/// Nobody would know whether it answers.
fn is_unchecked(world: &World, service: &ServiceName) -> bool {
    let record = world.services.get(service);
    record.is_none_or(|it| it.value.service.health == Health::Off)
}
