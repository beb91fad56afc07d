//! What gateways of one site tell those of another about the services that they share.

use minato_config::{NodeId, OrderRecord, ServiceName, SiteId, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The answer to `GET /v1/state` over a link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkState {
    /// Format version, 1.
    pub v: u32,
    /// Who answers. The certificate is what counts; this is for people.
    pub site: SiteId,
    /// On which machine.
    pub node: NodeId,
    /// Version of minato.
    pub version: String,
    /// Its wall clock.
    pub now: Timestamp,
    /// The services whose `sites` name both sites.
    pub services: BTreeMap<ServiceName, SharedService>,
    /// Whether it follows what other sites decide about which comes first.
    #[serde(default)]
    pub follows_orders: bool,
}

/// One service at the site that speaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedService {
    /// The order of sites as it stands there.
    pub order: Vec<SiteId>,
    /// Instances that should be there.
    pub wanted: u32,
    /// Those that this gateway routes to.
    pub up: u32,
    /// An operator took it out there.
    #[serde(default)]
    pub draining: bool,
    /// Which site comes first, where that was decided; what this gateway follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided: Option<OrderRecord>,
    /// Requests that this gateway is serving.
    #[serde(default)]
    pub in_flight: u64,
    /// Since when nobody has come to this gateway for it; `None` while somebody does, or where nobody has looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quiet_since: Option<Timestamp>,
}
