//! One instance as the proxy sees it. An `Arc<Endpoint>` survives every recompile of the table.
//!
//! Owns what must be true at once on every core: requests in flight, standing, failures in a row, penalty. All of it
//! is atomics; nothing here locks or waits. Not here: what makes a verdict (`health`), the choice (`pick`).

mod penalty;
mod state;

use crate::serial::Serial;
use crate::sync::{AtomicU8, AtomicU32, Ordering};
use crate::{AttemptEnd, classify};
use minato_config::{Generation, Run, ServiceName, SiteId, SlotIndex};
use minato_health::Verdict;
use penalty::Penalty;
use state::State;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

pub use state::{Checks, Reach, Standing};

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
    /// Set of a gateway of another site, which stands for all instances there. Then `slot` says which of its gateways, and the
    /// other two say nothing.
    pub site: Option<SiteId>,
}

/// A counter on cache lines of its own: every core writes it, and neighbours are only read.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Padded(pub(crate) AtomicU32);

/// Shared by the table, requests in flight and the health loop.
#[derive(Debug)]
pub struct Endpoint {
    serial: Serial,
    id: EndpointId,
    address: SocketAddr,
    tier: AtomicU8,
    state: State,
    /// Gateway-class failures in a row.
    failures: AtomicU32,
    penalty: Penalty,
    in_flight: Padded,
    /// Connections to it, idle ones too, of all cores.
    connections: Padded,
    /// Those of them that are idle.
    idle: AtomicU32,
}

impl Endpoint {
    /// A new endpoint with the standing that its verdict gives it: up, suspect, or out while down.
    pub fn new(id: EndpointId, address: SocketAddr, tier: u8, verdict: Verdict) -> Arc<Self> {
        let standing = match verdict {
            Verdict::Up => Standing::Up,
            Verdict::Suspect => Standing::Suspect,
            Verdict::Down => Standing::Out,
        };
        Arc::new(Self {
            serial: Serial::next(),
            id,
            address,
            tier: AtomicU8::new(tier),
            state: State::new(standing),
            failures: AtomicU32::new(0),
            penalty: Penalty::default(),
            in_flight: Padded::default(),
            connections: Padded::default(),
            idle: AtomicU32::new(0),
        })
    }

    /// Its name.
    pub fn id(&self) -> &EndpointId {
        &self.id
    }

    /// Unlike that of any other endpoint, other runs of the same instance included.
    pub fn serial(&self) -> Serial {
        self.serial
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The place of its site in the order of its service, from 0; the same for all of one site.
    pub fn tier(&self) -> u8 {
        self.tier.load(Ordering::Relaxed)
    }

    /// The order has changed. Set by the health loop before it makes the table that is sorted so; who still works on the table of
    /// before sees the new number in the old place, and picks among the same endpoints.
    pub fn set_tier(&self, tier: u8) {
        self.tier.store(tier, Ordering::Relaxed);
    }

    /// The other site whose gateway it is; `None` of an instance.
    pub fn site(&self) -> Option<&SiteId> {
        self.id.site.as_ref()
    }

    /// How it may be used now.
    pub fn standing(&self) -> Standing {
        self.state.view().standing()
    }

    /// Set by the health loop only, mostly through [`crate::ServiceEntry::settle`].
    ///
    /// `Draining` is [`Endpoint::drain`]. A draining endpoint takes no other standing but `Out`; a retired one takes none.
    /// Coming back to `Up` from `Held` or `Out` forgets the failures in a row, so that old ones do not eject it again.
    pub fn set_standing(&self, standing: Standing) {
        let before = self.state.set_standing(standing);
        if standing == Standing::Up && matches!(before, Standing::Held | Standing::Out) {
            self.failures.store(0, Ordering::Relaxed);
        }
    }

    /// A connect failed: up becomes suspect at once, before the health loop hears of it. True if it did.
    ///
    /// Never where [`Checks::Off`]: nothing would bring it back.
    pub fn suspect_now(&self) -> bool {
        self.state.suspect()
    }

    /// Whether a request still waiting for its first byte should give up on it: ejected, stopped, or gone from the
    /// table. False while it drains: what is in flight there may end.
    pub fn is_out(&self) -> bool {
        self.standing() == Standing::Out
    }

    /// It is to be stopped: takes no new requests, those in flight go on. One way.
    pub fn drain(&self) {
        self.state.set_standing(Standing::Draining);
    }

    /// Whether it was told to drain; it may be out by now.
    pub fn is_draining(&self) -> bool {
        self.state.view().is_draining()
    }

    /// It has left the table for good (gone, or a newer run took its place): out, and nothing brings it back.
    pub fn retire(&self) {
        self.state.retire();
    }

    /// Whether it is known to refuse, or not to run.
    pub fn reach(&self) -> Reach {
        self.state.view().reach()
    }

    /// Set by the health loop, mostly through [`crate::ServiceEntry::settle`].
    pub fn set_reach(&self, reach: Reach) {
        self.state.set_reach(reach);
    }

    /// Whether it was ever up or suspect. One that was not has yet to earn its first request, even in a panic.
    pub fn has_been_up(&self) -> bool {
        self.state.view().has_been_up()
    }

    /// Remembers from elsewhere (the verdicts on disk) that this run has been up.
    pub fn remember_up(&self) {
        self.state.remember_up();
    }

    /// Whether its service is checked at all.
    pub fn set_checks(&self, checks: Checks) {
        self.state.set_checks(checks);
    }

    /// Whether a panic may use it, whatever its standing: neither refusing, stopped nor leaving, and up before.
    pub(crate) fn is_last_resort(&self) -> bool {
        // A gateway of another site carries nothing itself: one that is down is nobody's last hope.
        self.id.site.is_none() && self.state.view().is_last_resort()
    }

    /// Requests in flight on it.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.0.load(Ordering::Relaxed)
    }

    /// In flight plus one for each gateway-class failure of the last second: what `pick` compares.
    pub fn load(&self, now: Instant) -> u32 {
        self.in_flight().saturating_add(self.penalty.at(now))
    }

    /// Counts one request until the guard drops.
    pub fn begin(self: &Arc<Self>) -> InFlight {
        self.in_flight.0.fetch_add(1, Ordering::Relaxed);
        InFlight(Arc::clone(self))
    }

    /// Counts one connection to it until the guard drops; `None` where there are `most` already (0: no limit).
    pub fn connect(self: &Arc<Self>, most: u32) -> Option<Connection> {
        let one_more = |now: u32| (most == 0 || now < most).then_some(now.saturating_add(1));
        self.connections
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more)
            .ok()?;
        Some(Connection {
            endpoint: Arc::clone(self),
            is_idle: false,
        })
    }

    /// Connections to it now, idle and active, of all cores.
    pub fn connections(&self) -> u32 {
        self.connections.0.load(Ordering::Relaxed)
    }

    /// Those of them that are idle.
    pub fn idle_connections(&self) -> u32 {
        self.idle.load(Ordering::Relaxed)
    }

    /// Records how an attempt ended; returns the number of gateway-class failures in a row: 0 after a success,
    /// unchanged after an abandoned attempt.
    ///
    /// Each failure returns a number of its own, so exactly one caller sees any given count of a streak.
    pub fn record(&self, end: AttemptEnd, now: Instant) -> u32 {
        if classify(end) {
            self.penalty.add(now);
            return self
                .failures
                .fetch_add(1, Ordering::Relaxed)
                .saturating_add(1);
        }
        if end == AttemptEnd::Abandoned {
            return self.failures();
        }
        // Mostly zero already: read before writing, so that healthy traffic shares the line.
        if self.failures() != 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
        0
    }

    /// Gateway-class failures in a row.
    pub fn failures(&self) -> u32 {
        self.failures.load(Ordering::Relaxed)
    }
}

/// A connection to an endpoint; counted until it is dropped.
#[derive(Debug)]
pub struct Connection {
    endpoint: Arc<Endpoint>,
    is_idle: bool,
}

impl Connection {
    /// It waits in a pool from now on.
    pub fn rest(&mut self) {
        if !std::mem::replace(&mut self.is_idle, true) {
            self.endpoint.idle.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// It serves a request again.
    pub fn work(&mut self) {
        if std::mem::replace(&mut self.is_idle, false) {
            self.endpoint.idle.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.work();
        self.endpoint.connections.0.fetch_sub(1, Ordering::Relaxed);
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

impl Drop for InFlight {
    fn drop(&mut self) {
        let before = self.0.in_flight.0.fetch_sub(1, Ordering::Release);
        debug_assert!(before > 0, "more requests given back than begun");
    }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
