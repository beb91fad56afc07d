//! What services depend on, as one node sees it.

use serde::{Deserialize, Serialize};

/// `GET /v1/dependencies`: those of the node that answers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dependencies {
    /// Whose view this is.
    pub node: String,
    /// Sorted by name.
    pub dependencies: Vec<DependencyStatus>,
}

/// One dependency.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DependencyStatus {
    /// Its name in `[dependencies]`.
    pub name: String,
    /// `database`, `server`, `mount`.
    pub noun: String,
    /// What it must be: `primary`, `replica`, `tcp`, `http`, `mount`.
    pub wants: String,
    /// `up`, `down` or `unknown`.
    pub state: String,
    /// Why it is down; empty otherwise.
    pub reason: String,
    /// Since when it is so.
    pub since_ms: u64,
    /// More than one primary; empty where that is not so.
    #[serde(default)]
    pub alarm: String,
    /// Who is asked.
    pub members: Vec<DependencyMember>,
    /// Where this node passes connections on.
    #[serde(default)]
    pub relay: Option<RelayStatus>,
}

/// One member.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DependencyMember {
    /// Address; of a mount its path.
    pub name: String,
    /// `up`, `suspect` or `down`.
    pub verdict: String,
    /// Why not up; empty while it is.
    pub reason: String,
    /// Whether new connections go to it.
    #[serde(default)]
    pub in_use: bool,
    /// Connections that the relay has to it now.
    #[serde(default)]
    pub connections: u64,
}

/// One relay, with what it counted since its process began.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayStatus {
    /// Where it listens.
    pub listen: Vec<String>,
    /// Where new connections go, of several the first; `None`: they wait.
    pub current: Option<String>,
    /// Changes from one member to another.
    pub switches: u64,
    /// Connections now, those that wait included.
    pub open: u64,
    /// At most so many.
    pub most: usize,
    /// Connections so far.
    pub connections: u64,
    /// Of these refused.
    pub refused: u64,
    /// Of these cut because their member was left.
    pub cut: u64,
    /// Bytes from clients.
    pub bytes_in: u64,
    /// Bytes to clients.
    pub bytes_out: u64,
}
