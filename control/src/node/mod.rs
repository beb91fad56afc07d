//! An agent's decisions: what its node should run against what it runs.
//!
//! Owns the state of every place on one node, from the first start to the last stop. Inputs are what the runtime and
//! the local probes saw; [`Node::reconcile`] answers with what to do; [`Node::documents`] is what the store should say.
//! Not here: processes, ports, the store, clocks (`control/agent`); which slot goes where (`plan`).

mod action;
mod down;
mod name;
mod observe;
mod place;
mod refusal;
mod stop;
#[cfg(test)]
mod tests;
mod turn;
mod waiting;
mod wish;

pub use action::{Moment, NodeAction};
pub use name::RunName;
pub use observe::{Left, LeftState};
pub use refusal::Refusal;

use crate::{InstanceKey, Standings, World};
use minato_config::{Backend, DependencyName, NodeId, ServiceName, SlotIndex};
use minato_health::{Instance, Verdict};
use place::{Place, Stage};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};
use turn::Turn;
use waiting::wait_of;
use wish::{Wish, wish};

/// A run that was never up is not down before this much time.
pub const START_DEADLINE: Duration = Duration::from_secs(60);
/// A run that was just adopted is not down before this much time: its observers may have begun anew as well.
pub const ADOPTION_PATIENCE: Duration = Duration::from_secs(15);

/// One slot's place on this node.
pub type PlaceKey = (ServiceName, SlotIndex);

/// Everything one node runs or is about to. A deterministic state machine: equal calls give equal answers.
#[derive(Debug)]
pub struct Node {
    id: NodeId,
    address: IpAddr,
    places: BTreeMap<PlaceKey, Place>,
    /// Some gateway was alive since this agent began.
    met_gateways: bool,
    closing: bool,
    /// What this machine knows of what services depend on.
    standings: Standings,
    /// Services that were last told to wait or to lack something, and for which name.
    waiting: BTreeMap<ServiceName, DependencyName>,
    /// Names that services use and nobody explains, as last told.
    unexplained: BTreeSet<(ServiceName, DependencyName)>,
}

impl Node {
    /// A node that runs nothing yet; `address` is where its instances are reached.
    pub fn new(id: NodeId, address: IpAddr) -> Self {
        Self {
            id,
            address,
            places: BTreeMap::new(),
            met_gateways: false,
            closing: false,
            standings: Standings::new(),
            waiting: BTreeMap::new(),
            unexplained: BTreeSet::new(),
        }
    }

    /// What to do now. Call after every input, on every change of the world, and when [`Node::next_wake`] is reached.
    pub fn reconcile(&mut self, world: &World, now: Moment) -> Vec<NodeAction> {
        let mut actions = Vec::new();
        let mut due = Vec::new();
        self.met_gateways |= !world.gateways.is_empty();
        for ((service, slot), assigned) in &world.slots {
            if assigned.value.node == self.id && !self.closing {
                self.places.entry((service.clone(), *slot)).or_default();
            }
        }
        self.tell_of_waiting(world, now, &mut actions);
        for (key, place) in &mut self.places {
            let mut turn = Turn {
                wait: wait_of(world, key, &self.standings),
                node: &self.id,
                key,
                world,
                now,
                met_gateways: self.met_gateways,
                closing: self.closing,
                actions: &mut actions,
            };
            // Twice: what has just been vacated may take the next assignment at once.
            for _ in 0..2 {
                let wish = if self.closing {
                    Wish::Leave("minato stops its instances".to_owned())
                } else {
                    wish(&self.id, key, place, world)
                };
                due.extend(place.step(&mut turn, &wish).map(|it| (key.clone(), it)));
                if !place.is_vacant() {
                    break;
                }
            }
        }
        self.end_down(due, world, now, &mut actions);
        self.places.retain(|key, place| {
            let kept = !place.is_vacant() || world.slots.contains_key(key);
            if !kept {
                actions.push(NodeAction::Release(key.clone()));
            }
            kept
        });
        actions
    }

    /// How everything stands that services depend on, from now on.
    pub fn depend(&mut self, standings: Standings) {
        self.standings = standings;
    }

    /// From now on every instance is being stopped, without draining, and none is started.
    pub fn close(&mut self) {
        self.closing = true;
    }

    /// Whether nothing runs and nothing is being started or stopped.
    pub fn is_idle(&self) -> bool {
        self.places.values().all(|it| {
            !matches!(
                it.stage,
                Stage::Starting | Stage::Running(_) | Stage::Stopping(_) | Stage::Gone
            )
        })
    }

    /// The run that lives at a place.
    pub fn living(&self, key: &PlaceKey) -> Option<RunName> {
        let place = self.places.get(key)?;
        matches!(place.stage, Stage::Running(_) | Stage::Stopping(_)).then(|| place.name(key))
    }

    /// Whether this run is being ended for good, so that its end is no failure.
    pub fn is_leaving(&self, name: &RunName) -> bool {
        let place = self.places.get(&(name.service.clone(), name.slot));
        place.is_some_and(|it| {
            (it.generation, it.run) == (name.generation, name.run)
                && matches!(&it.stage, Stage::Stopping(stopping) if matches!(stopping.goal, stop::Goal::Leave(_)))
        })
    }

    /// The instance documents of this node as they should be in the store.
    pub fn documents(&self) -> BTreeMap<InstanceKey, Instance> {
        self.places
            .iter()
            .filter_map(|((service, slot), place)| {
                let key = InstanceKey {
                    node: self.id.clone(),
                    service: service.clone(),
                    slot: *slot,
                    generation: place.generation,
                };
                Some((key, place.document.clone()?))
            })
            .collect()
    }

    /// Runs that live and are not being stopped: where to probe them, and the last local verdict.
    pub fn running(&self) -> BTreeMap<RunName, (SocketAddr, Option<Verdict>)> {
        self.places
            .iter()
            .filter(|(_, place)| matches!(place.stage, Stage::Running(_)))
            .filter_map(|(key, place)| {
                let address = place.document.as_ref()?.address;
                Some((place.name(key), (address, place.local)))
            })
            .collect()
    }

    /// The longest time that any of its instances may take from SIGTERM to SIGKILL.
    pub fn longest_grace(&self, world: &World) -> Duration {
        let of = |(key, place): (&PlaceKey, &Place)| {
            let current = world
                .services
                .get(&key.0)
                .map(|it| &it.value.service.backend);
            match current {
                Some(Backend::Command(command)) => Some(command.stop.grace),
                _ => place.command.as_ref().map(|it| it.stop.grace),
            }
        };
        self.places.iter().filter_map(of).max().unwrap_or_default()
    }

    /// When to reconcile again although nothing has happened; `None`: no deadline is running. `now`: the moment of the
    /// last [`Node::reconcile`], which did all that was due then; the answer is always later.
    pub fn next_wake(&self, now: Instant) -> Option<Instant> {
        let wakes = self.places.values().filter_map(Place::next_wake);
        wakes.filter(|it| *it > now).min()
    }
}
