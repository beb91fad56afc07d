//! The leader's decisions: which slots there should be, on which nodes, under which generation.
//!
//! Input: [`World`] and `now`. Output: [`Plan`]. Equal inputs give equal plans.
//!
//! Rules, one module each: what a service has (`seen`), how a slot does (`condition`), where a slot goes (`place`), what another node would suit better (`balance`), which
//! nodes are given up (`lost`; as told to people: `absence`), what to change (`decide`; from version to version: `roll`), how many instances would fit (`room`), what a rollout is decided from (`rolling`), whether a change has come true (`settled`), why it is so (`explain`).
//!
//! Invariants: a ready instance of an old version ends only when a new one has taken its place, or is replaced in its place (`stop-first`) only while all others of its service are ready; no ready instance is removed
//! while one that is not ready is surplus too; what vanished from the store without a document that says removed stops
//! nothing; a slot never moves because its node's lease is gone alone (`lost`).
//! Not here: the transactions that carry a plan out (`control/server`), local restarts (`node`).

mod absence;
mod balance;
mod condition;
mod decide;
mod explain;
mod lost;
mod place;
mod roll;
mod rolling;
mod room;
mod seen;
mod settled;

#[cfg(test)]
mod golden;
#[cfg(test)]
mod scene;
#[cfg(test)]
mod tests;

pub use absence::{Absence, AbsenceRecord};
pub use balance::{Balancing, BalancingNext, REBALANCE_LIMIT, Rebalance, would_move};
pub use explain::{Explanation, NodeExplained, SlotExplained, explain};
pub use lost::{Absences, Losses, Patience};
pub(crate) use rolling::{RollSlot, Rolling};
pub use room::{Room, lacking_room};
pub(crate) use room::{Sights, Standing};
pub(crate) use settled::settled_each;
pub use settled::{Settled, settled, up, wanted};

use crate::World;
use minato_config::{ServiceName, Slot, SlotIndex, Timestamp};
use std::fmt;
use std::time::Duration;

/// Steps for one service in one plan, so that they fit in one transaction; the rest follows in the next plan.
pub const STEPS_PER_SERVICE: usize = 64;

/// After a slot's instance has been `Failed` for this long, a new generation tries again.
pub const FAILED_PAUSE: Duration = Duration::from_secs(60);

/// What control wants to change, with reasons. Commit one service's steps per transaction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// In order, one service's steps together; every prefix is safe.
    pub steps: Vec<Step>,
    /// Why something cannot be done now, or looks like an accident. One sentence each, sorted by service. A text changes
    /// only with its cause, never with the clock, so that it can be told once.
    pub notes: Vec<(ServiceName, String)>,
    /// How the rebalance that was asked for stands; `None` where none is under way.
    pub balancing: Option<Balancing>,
}

/// One change and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Whose.
    pub service: ServiceName,
    /// What.
    pub action: Action,
    /// For the event: `2 wanted, 1 assigned`.
    pub reason: String,
    /// What must still be so when the step is committed. Sorted, each object once. The steps of one service share most of
    /// it; a step changes none but its own slot. Instances and verdicts are not among it: news of them that comes a moment
    /// before the commit does no more harm than the same news a moment after.
    pub relies_on: Vec<Relied>,
}

/// A write of the leader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Write this slot document: a new slot, or a new generation of one.
    Assign(SlotIndex, Slot),
    /// Mark the slot as removed: its agent drains and stops the instance.
    Remove(SlotIndex),
    /// Delete the document of a removed slot whose instances are gone.
    Forget(SlotIndex),
    /// Delete the record of a removed service whose slots are gone, and its intent.
    ForgetService,
}

/// One object as a step saw it; the executor compares it in the step's transaction.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Relied {
    /// Which document.
    pub object: Object,
    /// The commit that wrote it last; `None`: it must not exist.
    pub modified: Option<u64>,
}

/// A document that the leader's steps rely on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Object {
    /// `services/<service>`
    Service(ServiceName),
    /// `intents/<service>`
    Intent(ServiceName),
    /// `slots/<service>/<n>`
    Slot(ServiceName, SlotIndex),
    /// `rollouts/<service>`
    Rollout(ServiceName),
}

/// What to change now. Empty when intent and observation agree, or when nothing safe can be done yet.
///
/// Call it again after every change of the world and each second: some rules wait for time to pass. A leader shows it no
/// world from before its own last commit: [`Relied`] finds what changed since, but not a slot that came and went.
///
/// No node is given up: see [`plan_with`].
pub fn plan(world: &World, now: Timestamp) -> Plan {
    plan_with(world, &Losses::default(), now)
}

/// As [`plan`], by a leader that has watched the nodes: what the lost ones had goes elsewhere.
pub fn plan_with(world: &World, losses: &Losses, now: Timestamp) -> Plan {
    let instances = seen::Instances::of(world);
    let mut places = place::Places::of(world);
    let mut plan = Plan::default();
    let (moves, balancing) = balance::moves(world, &instances, losses, now);
    plan.balancing = balancing;
    for service in instances.services(world) {
        let mut seen = seen::Seen::of(world, &instances, service);
        if let Some(it) = moves.get(service) {
            seen.leave(it);
        }
        decide::decide(&seen, losses, &mut places, now, &mut plan);
    }
    plan
}

/// `library/2: assign 0.7 on node a: 3 wanted, 2 assigned`
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let service = &self.service;
        match &self.action {
            Action::Assign(n, slot) => {
                let Slot {
                    node, generation, ..
                } = slot;
                write!(f, "{service}/{n}: assign {generation} on node {node}")?;
            }
            Action::Remove(n) => write!(f, "{service}/{n}: remove")?,
            Action::Forget(n) => write!(f, "{service}/{n}: forget")?,
            Action::ForgetService => write!(f, "{service}: forget")?,
        }
        write!(f, ": {}", self.reason)
    }
}

/// One line for each step, then one for each note: what a person reads to learn why.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            writeln!(f, "{step}")?;
        }
        for (service, note) in &self.notes {
            writeln!(f, "{service}: note: {note}")?;
        }
        Ok(())
    }
}
