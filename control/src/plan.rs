//! The leader's decisions.

use crate::World;
use minato_config::{ServiceName, Slot, SlotIndex, Timestamp};

/// What control wants to change, with reasons. Commit one service's steps per transaction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// In order; every prefix is safe.
    pub steps: Vec<Step>,
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

/// What to change now. Empty when intent and observation agree, or when nothing safe can be done yet.
pub fn plan(_world: &World, _now: Timestamp) -> Plan {
    Plan::default()
}
