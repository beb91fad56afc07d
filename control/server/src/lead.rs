//! The leader loop. Stub body.

use minato_config::{NodeId, Timestamp};
use minato_control::Event;
use minato_control_store::SharedStore;
use minato_control_store::keys::Keys;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// Who leads, and how patiently.
#[derive(Debug, Clone)]
pub struct LeadOptions {
    /// Of which site.
    pub keys: Keys,
    /// This process's node.
    pub node: NodeId,
    /// Life of the leader key without keep-alive. Default 15 s.
    pub lease: Duration,
    /// How often the lease is kept alive. Default 5 s.
    pub keep_alive: Duration,
    /// How often the plan is made anew without a change. Default 1 s.
    pub tick: Duration,
}

impl LeadOptions {
    /// Default times.
    pub fn new(keys: Keys, node: NodeId) -> Self {
        Self {
            keys,
            node,
            lease: Duration::from_secs(15),
            keep_alive: Duration::from_secs(5),
            tick: Duration::from_secs(1),
        }
    }
}

/// The document at `leader`, under the leader's lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaderRecord {
    /// Format version, 1.
    pub v: u32,
    /// Who leads.
    pub node: NodeId,
    /// Process id.
    pub pid: u32,
    /// Since when.
    pub since: Timestamp,
}

/// Runs for election, then commits plans, until `stop` is true; then gives the lead up.
pub async fn lead(
    _options: LeadOptions,
    _store: SharedStore,
    _events: mpsc::Sender<Event>,
    _stop: watch::Receiver<bool>,
) {
}
