//! One instance as the proxy sees it. An `Arc<Endpoint>` survives every recompile of the table.

use minato_config::{Generation, Run, ServiceName, SlotIndex};
use minato_health::Verdict;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

/// Which run of which instance. A new run is a new endpoint.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndpointId {
    /// Of what.
    pub service: ServiceName,
    /// Which place.
    pub slot: SlotIndex,
    /// Which assignment.
    pub generation: Generation,
    /// Which start.
    pub run: Run,
}

/// How an endpoint may be used now, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Takes requests.
    Up,
    /// Only while none is up.
    Suspect,
    /// Down by its probes but the last of its service, and not refusing: better than nothing.
    Held,
    /// Takes none: down, draining, or gone from the table.
    Out,
}

/// Shared by the table, requests in flight and the health loop.
#[derive(Debug)]
pub struct Endpoint {
    id: EndpointId,
    address: SocketAddr,
    tier: u8,
    // Padded in-flight atomic, standing, consecutive failures, penalty: std atomics.
}

impl Endpoint {
    /// A new endpoint with the standing that its verdict gives it.
    pub fn new(id: EndpointId, address: SocketAddr, tier: u8, verdict: Verdict) -> Arc<Self> {
        let _ = verdict;
        Arc::new(Self { id, address, tier })
    }
    /// Its name.
    pub fn id(&self) -> &EndpointId {
        &self.id
    }
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
    /// 0: this site; 1 and up: other sites in order.
    pub fn tier(&self) -> u8 {
        self.tier
    }
    /// How it may be used now.
    pub fn standing(&self) -> Standing {
        Standing::Out
    }
    /// Set by the health loop only.
    pub fn set_standing(&self, _standing: Standing) {}
    /// A connect failed: up becomes suspect at once, before the health loop hears of it. True if it did.
    pub fn suspect_now(&self) -> bool {
        false
    }
    /// Whether a request still waiting for its first byte should give up on it.
    pub fn is_out(&self) -> bool {
        self.standing() == Standing::Out
    }
    /// Requests in flight on it.
    pub fn in_flight(&self) -> u32 {
        0
    }
    /// In flight plus one for each gateway-class failure of the last second: what `pick` compares.
    pub fn load(&self, _now: Instant) -> u32 {
        0
    }
    /// Counts one request until the guard drops.
    pub fn begin(self: &Arc<Self>) -> InFlight {
        InFlight(Arc::clone(self))
    }
    /// Records how an attempt ended; returns the number of gateway-class failures in a row (0 after a success).
    pub fn record(&self, _gateway_failure: crate::AttemptEnd, _now: Instant) -> u32 {
        0
    }
}

/// A request in flight on an endpoint; gives its place back when dropped.
#[derive(Debug)]
pub struct InFlight(Arc<Endpoint>);

impl InFlight {
    /// The endpoint it is on.
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        &self.0
    }
}
