//! What is kept of services of other sites.

use minato_config::{OrderRecord, ServiceName, ServiceRecord, SiteId, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The document at `mirror/<home>/services/<service>`: the record as its home has it. Nobody but the mirror writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MirrorRecord {
    /// Format version, 1.
    pub v: u32,
    /// The site whose folder or API owns the service.
    pub home: SiteId,
    /// As it stands there.
    pub record: ServiceRecord,
    /// When it was last heard to have changed, by this site's clock.
    pub since: Timestamp,
}

/// What a peer says of the services that it owns, decoded one by one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SharedServices {
    /// Those whose order names this site.
    pub services: BTreeMap<ServiceName, ServiceRecord>,
    /// Those that this site had of it before and did not find among them, and asked about.
    pub asked: BTreeSet<ServiceName>,
    /// Of these, those that exist there and are no longer shared with this site.
    pub elsewhere: BTreeSet<ServiceName>,
    /// What this version does not understand, and why: it stays as it is.
    pub undecodable: BTreeMap<ServiceName, String>,
    /// What no service file could say, and why: it stays as it is.
    pub refused: BTreeMap<ServiceName, String>,
    /// Which sites come first, as that site knows it; of all services that name both sites, its own or not.
    pub orders: BTreeMap<ServiceName, OrderRecord>,
}
