//! What the admin API says and takes, as JSON. The command line reads these same types.
//!
//! Times are milliseconds since the Unix epoch (`_ms`) unless the field says that it is a duration.
//! Fields may be added; readers ignore what they do not know.

use minato_control::Event;
use serde::{Deserialize, Serialize};

mod change;
mod dependency;
mod entrance;
mod link;
mod node;
mod operation;
mod rebalance;
mod restored;
mod service;
mod switch;
mod upgrade;

pub use change::{
    ApiError, ChangeAnswer, DrainRequest, RestartRequest, RollbackRequest, ScaleRequest, Settled,
    UpdateFailed, UpdateRequest,
};
pub use dependency::{Dependencies, DependencyMember, DependencyStatus, RelayStatus};
pub use entrance::{EntranceStatus, NameStatus, PublishAction, PublishRequest};
pub use link::{LinkStatus, ShareStatus};
pub use node::{Explained, ExplainedNode, ExplainedSlot, NodeStatus, Nodes};
pub use operation::{
    LeftOutStatus, OperationAnswer, OperationRequest, OperationStatus, OperationStepStatus,
    Operations, WaveRequest,
};
pub use rebalance::{RebalanceRequest, RebalanceStatus};
pub use restored::{ConfirmRequest, RestoredStatus};
pub use service::{
    ByHand, InstanceStatus, ReleaseStatus, RolloutStatus, Scaled, ServiceState, ServiceStatus,
};
pub use switch::{CheckStatus, SwitchAnswer, SwitchRequest};
pub use upgrade::{CopiedStatus, UpgradeRequest, UpgradeState, UpgradeStatus};

/// `GET /v1/status`: this process and everything it knows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Which site.
    pub site: String,
    /// Which node this process is.
    pub node: String,
    /// minato's version.
    pub version: String,
    /// Process id.
    pub pid: u32,
    /// When this process began.
    pub since_ms: u64,
    /// When this answer was made, by the clock of the process.
    pub now_ms: u64,
    /// This process leads the site.
    pub leading: bool,
    /// The node that leads, where one does.
    #[serde(default)]
    pub leader: Option<String>,
    /// Where the gateway listens, `127.0.0.1:8080`.
    pub listeners: Vec<String>,
    /// Where this API listens.
    pub admin: String,
    /// The files.
    pub config: ConfigStatus,
    /// The store.
    pub store: StoreStatus,
    /// Sorted by name.
    pub services: Vec<ServiceStatus>,
    /// What needs a person, one sentence each; empty when all is well.
    pub alarms: Vec<String>,
    /// Operations that have not ended.
    #[serde(default)]
    pub operations: Vec<OperationStatus>,
    /// Processes of before an upgrade that still serve the connections that they had.
    #[serde(default)]
    pub draining: Vec<u32>,
    /// The gateways of other sites, sorted by site and address.
    #[serde(default)]
    pub links: Vec<LinkStatus>,
    /// Services whose visitors go to several sites now, or to another than the first.
    #[serde(default)]
    pub shares: Vec<ShareStatus>,
    /// What this gateway says of itself to those who point traffic at it; `None` where nobody can ask and nobody said
    /// anything.
    #[serde(default)]
    pub entrance: Option<EntranceStatus>,
}

/// The watched folder as last read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigStatus {
    /// Where it is.
    pub folder: String,
    /// Service files found.
    pub files: usize,
    /// Services that are good.
    pub services: usize,
    /// One line each, as `minato check` prints them; empty when every file took effect.
    pub problems: Vec<String>,
    /// When it was read.
    pub loaded_at_ms: u64,
}

/// The store as this process sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreStatus {
    /// Where it is.
    pub path: String,
    /// The newest revision read.
    pub revision: u64,
    /// It reads and, as far as is known, writes.
    pub healthy: bool,
    /// What is wrong; empty while healthy.
    pub detail: String,
}

/// `GET /v1/route?url=U`: what would happen to a request now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteTest {
    /// The URL as it was understood: host and path after normalising.
    pub url: String,
    /// Whose route takes it; `None` when no route does (404).
    pub service: Option<String>,
    /// The route, `example.org/library`.
    pub pattern: Option<String>,
    /// `forward`, `forward, prefix stripped`, `redirect to https://...`, `404`, `503`.
    pub action: String,
    /// Every instance that could take it.
    pub candidates: Vec<RouteCandidate>,
    /// The slot that would take it now; another request may go to another.
    pub chosen: Option<u16>,
    /// The decision step by step, one sentence each.
    pub why: Vec<String>,
}

/// One instance that a request could go to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteCandidate {
    /// Which place.
    pub slot: u16,
    /// Where it listens.
    pub address: String,
    /// `serving`, `suspect`, `ejected: connect refused`, ...
    pub standing: String,
    /// Requests on it now.
    pub in_flight: u64,
}

/// One line of `GET /v1/events` (NDJSON) and of `events.jsonl`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventLine {
    /// Rises by one with each event of this node; 0 only for a note about lines that are no longer kept.
    pub seq: u64,
    /// What happened.
    pub event: Event,
}

/// `GET /v1/access/{service}?site=SITE&lines=N`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessLines {
    /// Whose.
    pub service: String,
    /// Where they were answered, if not by this gateway.
    #[serde(default)]
    pub site: Option<String>,
    /// Oldest first, one for each request.
    pub lines: Vec<String>,
}

/// `GET /v1/logs/{service}?slot=N&lines=N`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLines {
    /// Whose.
    pub service: String,
    /// Which place.
    pub slot: u16,
    /// Oldest first.
    pub lines: Vec<String>,
}
