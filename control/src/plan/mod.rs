//! The leader's decisions.

use crate::World;
use minato_config::{ServiceName, Slot, SlotIndex, Timestamp};

mod settled;

pub use settled::{Settled, settled, wanted};

/// What control wants to change, with reasons. Commit one service's steps per transaction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// In order; every prefix is safe.
    pub steps: Vec<Step>,
    /// Why something cannot be done now, or looks like an accident. One sentence each, sorted by service.
    pub notes: Vec<(ServiceName, String)>,
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
    /// What must still be so when the step is committed. Sorted, each object once.
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
}

/// What to change now. Empty when intent and observation agree, or when nothing safe can be done yet.
pub fn plan(_world: &World, _now: Timestamp) -> Plan {
    Plan::default()
}
