//! What the admin API asks of the gateway and the agent in its own process.
//!
//! The root composition implements [`View`]; this crate meets neither the proxy nor the agent.

use crate::api::{
    ChangeAnswer, CourseStatus, DependencyStatus, DrainRequest, EntranceStatus, GatherStatus,
    LinkStatus, PublishRequest, RouteTest, ShareStatus, UpgradeRequest, UpgradeStatus,
};
use minato_config::{Generation, Run, ServiceName, SiteId, SlotIndex, Timestamp};
use minato_health::Verdict;
use std::net::SocketAddr;

/// This process's gateway and agent, as the admin API sees them. Methods are quick and never wait for a network;
/// [`View::logs`] reads files and is called where blocking is allowed.
pub trait View: Send + Sync + 'static {
    /// Each service that the gateway's table holds.
    fn traffic(&self) -> Vec<ServiceTraffic>;
    /// Each endpoint that the gateway's table holds.
    fn endpoints(&self) -> Vec<EndpointView>;
    /// What would happen to a request for `url`; the error is a sentence about a URL that cannot be understood.
    fn route_test(&self, url: &str) -> Result<RouteTest, String>;
    /// The last `lines` (at most 10,000) lines that the instance wrote, oldest first; the error is a sentence.
    fn logs(
        &self,
        service: &ServiceName,
        slot: SlotIndex,
        lines: usize,
    ) -> Result<Vec<String>, String>;
    /// The last `lines` (at most 10,000) requests of a service that this gateway answered, oldest first, or those that were
    /// fetched from `site`; the error is a sentence.
    fn access_log(
        &self,
        service: &ServiceName,
        site: Option<&SiteId>,
        lines: usize,
    ) -> Result<Vec<String>, String>;
    /// Fetches the access log of a service from another site; what came of it once it is done. `None` where that is no peer.
    fn gather(
        &self,
        _service: &ServiceName,
        _site: &SiteId,
    ) -> Option<tokio::sync::oneshot::Receiver<GatherStatus>> {
        None
    }
    /// Prometheus text format 0.0.4 of the gateway and the agent.
    fn metrics(&self) -> String;
    /// What services of this node depend on, sorted by name.
    fn dependencies(&self) -> Vec<DependencyStatus>;
    /// What this gateway says of itself to those who point traffic at it.
    fn entrance(&self) -> EntranceStatus;
    /// Takes it out of traffic, or lets it in again, from `now` on; writes a file, so it is called where blocking is
    /// allowed. An answer without `undo` changed nothing; the error is a sentence that says why not.
    fn drain_entrance(&self, asked: DrainRequest, now: Timestamp) -> Result<ChangeAnswer, String>;
    /// Takes a word about a name in; its number tells how far it is, in [`View::entrance`]. The error is a sentence that says
    /// why it is none.
    fn publish(&self, name: &str, asked: PublishRequest) -> Result<ChangeAnswer, String>;
    /// The gateways of other sites; none where this process has no links.
    fn links(&self) -> Vec<LinkStatus> {
        Vec::new()
    }
    /// Services whose visitors do not all go to their first site.
    fn shares(&self) -> Vec<ShareStatus> {
        Vec::new()
    }
    /// Sites that were left within the last hour, or to which not all visitors may go.
    fn courses(&self) -> Vec<CourseStatus> {
        Vec::new()
    }
    /// What is wrong with this site's certificates for links, or soon will be, and what to do.
    fn identity_trouble(&self) -> Option<String> {
        None
    }
    /// How far an upgrade of this process is.
    fn upgrade(&self) -> UpgradeStatus;
    /// Begins one; the error is a sentence that says why not.
    fn begin_upgrade(&self, asked: UpgradeRequest) -> Result<UpgradeStatus, String>;
}

/// One service's traffic since the gateway began.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceTraffic {
    /// Whose.
    pub service: ServiceName,
    /// The gateway turns new requests away because an operator said so.
    pub draining: bool,
    /// Requests now being served.
    pub in_flight: u64,
    /// Requests waiting for a place.
    pub queued: u64,
    /// Requests ended.
    pub requests: u64,
    /// Of these, answered with an error of the gateway's own making.
    pub gateway_errors: u64,
    /// Milliseconds; `None` without requests.
    pub p50_ms: Option<f64>,
    /// Milliseconds; `None` without requests.
    pub p95_ms: Option<f64>,
    /// Milliseconds; `None` without requests.
    pub p99_ms: Option<f64>,
}

/// One endpoint as the gateway sees it now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointView {
    /// Whose.
    pub service: ServiceName,
    /// Which place; for fixed addresses the place in the list.
    pub slot: SlotIndex,
    /// Which assignment; 0.0 for fixed addresses.
    pub generation: Generation,
    /// Which start.
    pub run: Run,
    /// Where requests go.
    pub address: SocketAddr,
    /// What this gateway thinks.
    pub verdict: Verdict,
    /// What this gateway does with it: `serving`, `suspect`, `ejected`, `held`, ...
    pub standing: String,
    /// The last failure; empty while up.
    pub reason: String,
    /// When the verdict began.
    pub since: Timestamp,
    /// Requests on it now.
    pub in_flight: u64,
    /// Requests ended.
    pub requests: u64,
    /// Of these, failures of a gateway's class.
    pub failures: u64,
}
