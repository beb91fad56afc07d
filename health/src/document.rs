//! The documents by which agents and gateways say what they see.

use crate::Verdict;
use minato_config::{Generation, Run, Timestamp};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// The document at `instances/<node>/<service>/<n>/<generation>`, written by that node's agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Format version, 1.
    pub v: u32,
    /// Which start this is.
    pub run: Run,
    /// Where it stands.
    pub phase: Phase,
    /// Where gateways reach it.
    pub address: SocketAddr,
    /// When this phase began.
    pub since: Timestamp,
    /// Process id; `None` while none runs.
    #[serde(default)]
    pub pid: Option<u32>,
    /// Restarts within the last 10 minutes.
    #[serde(default)]
    pub restarts: u32,
    /// The agent's own probe of it.
    #[serde(default)]
    pub local: Option<Verdict>,
    /// Why it is in this phase: `exited with status 3`, `killed by signal 9`, `down for all gateways: no answer in 1s`.
    #[serde(default)]
    pub reason: String,
    /// When the agent will start it again, while it waits.
    #[serde(default)]
    pub retry_at: Option<Timestamp>,
}

/// Where an instance stands, as its agent knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The process lives; whether it serves is for the gateways to say.
    Running,
    /// Told to go: no new requests; it is stopped when those in flight have ended.
    Stopping,
    /// It ended by itself or was killed as down; a restart is due at `retry_at`.
    Exited,
    /// The restart budget is spent, or it cannot be started at all; only a new generation tries again.
    Failed,
}

/// The document at `verdicts/<gateway>/<service>/<n>`, under the gateway's lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerdictReport {
    /// Format version, 1.
    pub v: u32,
    /// Of which assignment; era and counter 0 for fixed endpoints.
    pub generation: Generation,
    /// Of which start.
    pub run: Run,
    /// What this gateway thinks.
    pub verdict: Verdict,
    /// The last failure as text; empty while up.
    #[serde(default)]
    pub reason: String,
    /// When the verdict began.
    pub since: Timestamp,
    /// The instance is stopping and no request of this gateway is left on it.
    #[serde(default)]
    pub drained: bool,
}

/// The document at `gateways/<gateway>/alive`, under the gateway's lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayAlive {
    /// Format version, 1.
    pub v: u32,
    /// When this process began.
    pub since: Timestamp,
}

/// The document at `nodes/<node>/alive`, under the agent's lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeAlive {
    /// Format version, 1.
    pub v: u32,
    /// When this agent process began.
    pub since: Timestamp,
}

/// The document at `nodes/<node>/info`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeInfo {
    /// Format version, 1.
    pub v: u32,
    /// minato's version.
    pub version: String,
    /// Logical processors.
    pub cpus: u32,
    /// Bytes of memory.
    pub memory_bytes: u64,
}
