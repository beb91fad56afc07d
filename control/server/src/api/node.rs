//! The machines of the site, and why instances are where they are.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `GET /v1/nodes`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Nodes {
    /// Sorted by name.
    pub nodes: Vec<NodeStatus>,
    /// Why no node is given up at all; empty without an alarm.
    #[serde(default)]
    pub alarm: String,
}

/// One machine. `POST /v1/nodes/{name}/drain` takes a [`super::DrainRequest`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// Its name.
    pub name: String,
    /// `alive` or `gone`.
    pub state: String,
    /// Of one that is gone: whether it is given up, since when, and why; empty while it has nothing or the leader has not said.
    #[serde(default)]
    pub absence: String,
    /// What a person can do about that.
    #[serde(default)]
    pub hint: String,
    /// An operator wants it to be empty.
    pub drained: bool,
    /// Who said so, and when; empty without a word.
    #[serde(default)]
    pub drained_by: String,
    /// minato's version there; empty where it never said.
    #[serde(default)]
    pub version: String,
    /// What the operator says of the machine.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Slots assigned to it.
    pub slots: usize,
    /// Instances that run on it.
    pub running: usize,
    /// Logical processors.
    #[serde(default)]
    pub cpus: Option<u32>,
    /// Bytes of memory.
    #[serde(default)]
    pub memory_bytes: Option<u64>,
    /// Processors in use, percent.
    #[serde(default)]
    pub cpu_percent: Option<f64>,
    /// Bytes of memory that programs could still have.
    #[serde(default)]
    pub memory_free_bytes: Option<u64>,
    /// Bytes that may still be written where minato keeps its data.
    #[serde(default)]
    pub disk_free_bytes: Option<u64>,
    /// Bytes received in a second.
    #[serde(default)]
    pub received_per_s: Option<u64>,
    /// Bytes sent in a second.
    #[serde(default)]
    pub sent_per_s: Option<u64>,
    /// When its agent began; 0 while gone.
    pub since_ms: u64,
}

/// `GET /v1/services/{name}/explain`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explained {
    /// Whose.
    pub service: String,
    /// Slots that should be.
    pub wanted: usize,
    /// Every slot, by index.
    pub slots: Vec<ExplainedSlot>,
    /// Every live node, as it stands for one more instance.
    pub nodes: Vec<ExplainedNode>,
    /// What control is about to do, and why.
    pub next: Vec<String>,
    /// What cannot be done, and what is missing for it.
    pub missing: Vec<String>,
}

/// One slot.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainedSlot {
    /// Which place.
    pub slot: u16,
    /// Where.
    pub node: String,
    /// Under which assignment, `0.7`.
    pub generation: String,
    /// `ready`, `down: connect refused`, ...
    pub condition: String,
    /// Why it is there.
    pub why: String,
    /// What would have to change for it to be elsewhere; may be empty.
    pub otherwise: String,
}

/// One live node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainedNode {
    /// Its name.
    pub name: String,
    /// Instances of the service on it.
    pub here: usize,
    /// Slots of all services on it.
    pub slots: usize,
    /// It takes one more.
    pub fits: bool,
    /// How it stands, or what is missing.
    pub why: String,
}
