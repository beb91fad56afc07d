//! What the composition hands to the agent.

use minato_config::{NodeId, Overcommit, PortRange, RuntimeSettings, SiteId};
use minato_control::Standings;
use minato_control_store::keys::Keys;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::watch;

/// One agent's settings.
#[derive(Debug, Clone)]
pub struct AgentOptions {
    /// Which site.
    pub site: SiteId,
    /// Which machine this is.
    pub node: NodeId,
    /// The site's keys.
    pub keys: Keys,
    /// Data folder: `instances/`, `containers/`, `secrets/`, `logs/` and `ports.json` are kept in it.
    pub data: PathBuf,
    /// Ports for instances.
    pub ports: PortRange,
    /// Captured output kept for one instance, bytes, over two files.
    pub log_bytes: u64,
    /// Whether images are run, and with what.
    pub runtime: RuntimeSettings,
    /// Program and leading arguments that end up in [`crate::shim::run`]: `["/usr/bin/minato", "shim"]`.
    pub shim: Vec<OsString>,
    /// The address at which instances of this node are reached.
    pub address: IpAddr,
    /// This node counts as gone this long after its last word.
    pub lease: Duration,
    /// What this machine is, for services that ask for it.
    pub labels: BTreeMap<String, String>,
    /// How far more than the machine has may be promised.
    pub overcommit: Overcommit,
    /// How everything stands that services depend on; `None`: nothing is known, nobody waits.
    pub dependencies: Option<watch::Receiver<Standings>>,
}

/// What the owner of an agent wants of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stop {
    /// Go on.
    #[default]
    Run,
    /// Return at once; instances go on and are adopted by the next agent.
    LeaveInstances,
    /// Stop every instance (SIGTERM, grace, SIGKILL), remove their documents, then return.
    StopInstances,
}
