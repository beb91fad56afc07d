//! What one core counts. It alone writes; whoever reads adds up the cores.

use super::recent::Recent;
use super::tally::Tally;
use crate::note::Note;
use minato_config::{ServiceName, SiteId, SlotIndex};
use minato_proxy::{Endpoint, EndpointId, Serial, ServiceEntry};
use rustc_hash::FxHashMap;
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// Upper bounds of the latency histogram, in microseconds.
pub(super) const BUCKETS_US: [u64; 14] = [
    1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000, 30_000_000,
];
/// Classes of status.
pub(super) const CLASSES: [&str; 6] = ["cut", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// Requests of one service.
#[derive(Debug, Default)]
pub(crate) struct ServiceCounts {
    pub(super) classes: [Tally; CLASSES.len()],
    /// One more than there are bounds, for what is past the last.
    pub(super) buckets: [Tally; BUCKETS_US.len() + 1],
    pub(super) sum_us: Tally,
    pub(super) notes: [Tally; Note::ALL.len()],
    pub(crate) retries: Tally,
    pub(super) gateway_errors: Tally,
    pub(super) recent: Recent,
}

impl ServiceCounts {
    /// One request that ended. `now` is the time since the process started.
    pub(crate) fn add(&self, status: u16, note: Note, took: Duration, now: Duration) {
        let class = usize::from(status / 100).min(CLASSES.len() - 1);
        self.classes[class].add(1);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BUCKETS_US.partition_point(|it| *it < micros);
        self.buckets[bucket].add(1);
        self.sum_us.add(micros);
        if let Some(index) = note.index() {
            self.notes[index].add(1);
            self.gateway_errors.add(u64::from(status >= 500));
        }
        self.recent.add(took, now);
    }

    pub(super) fn requests(&self) -> u64 {
        self.classes.iter().map(Tally::value).sum()
    }
}

/// Attempts at one run, or at one slot.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    pub(super) requests: Tally,
    pub(super) failures: Tally,
}

/// Whether an attempt counts against the instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attempted {
    Well,
    Failed,
}

impl Attempts {
    fn add(&self, attempted: Attempted) {
        self.requests.add(1);
        self.failures.add(u64::from(attempted == Attempted::Failed));
    }
}

/// Where attempts go: a slot of this site, or another site, whichever gateway of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Place {
    Slot(ServiceName, SlotIndex),
    Site(ServiceName, SiteId),
}

impl Place {
    fn of(id: &EndpointId) -> Self {
        match &id.site {
            None => Self::Slot(id.service.clone(), id.slot),
            Some(site) => Self::Site(id.service.clone(), site.clone()),
        }
    }
}

type Shelf<K, V> = RwLock<HashMap<K, Arc<V>>>;

/// How a TLS handshake with a client ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Handshake {
    Full,
    Resumed,
    Refused,
    TooSlow,
}

/// In the order of [`Handshake`].
pub(super) const HANDSHAKES: [&str; 4] = ["full", "resumed", "refused", "timeout"];

/// All that one core counts, by name.
#[derive(Debug, Default)]
pub(super) struct CoreCounts {
    /// `None`: requests that no route took.
    pub(super) services: Shelf<Option<ServiceName>, ServiceCounts>,
    pub(super) runs: Shelf<EndpointId, Attempts>,
    pub(super) slots: Shelf<Place, Attempts>,
    pub(super) connections: Tally,
    pub(super) accepted: Tally,
    pub(super) pool_idle: Tally,
    pub(super) log_dropped: Tally,
    pub(super) handshakes: [Tally; HANDSHAKES.len()],
}

/// A core's own way to its counts: found once, then by number.
#[derive(Debug)]
pub(crate) struct Counts {
    shared: Arc<CoreCounts>,
    unrouted: Arc<ServiceCounts>,
    services: RefCell<FxHashMap<Serial, Arc<ServiceCounts>>>,
    endpoints: RefCell<FxHashMap<Serial, Counted>>,
}

#[derive(Debug)]
struct Counted {
    run: Arc<Attempts>,
    slot: Arc<Attempts>,
}

impl Counts {
    pub(super) fn new(shared: Arc<CoreCounts>) -> Self {
        let unrouted = found(&shared.services, None);
        Self {
            shared,
            unrouted,
            services: RefCell::default(),
            endpoints: RefCell::default(),
        }
    }

    /// Hands over the counts of a service, or of what has none.
    pub(crate) fn with_service<T>(
        &self,
        entry: Option<&ServiceEntry>,
        with: impl FnOnce(&ServiceCounts) -> T,
    ) -> T {
        let Some(entry) = entry else {
            return with(&self.unrouted);
        };
        let mut services = self.services.borrow_mut();
        let counts = services
            .entry(entry.shared.serial)
            .or_insert_with(|| found(&self.shared.services, Some(entry.service.name.clone())));
        with(counts)
    }

    /// Counts one attempt, under its run and under its slot.
    pub(crate) fn attempt(&self, endpoint: &Endpoint, attempted: Attempted) {
        let mut endpoints = self.endpoints.borrow_mut();
        let counted = endpoints.entry(endpoint.serial()).or_insert_with(|| {
            let id = endpoint.id();
            Counted {
                run: found(&self.shared.runs, id.clone()),
                slot: found(&self.shared.slots, Place::of(id)),
            }
        });
        counted.run.add(attempted);
        counted.slot.add(attempted);
    }

    pub(crate) fn opened(&self) {
        self.shared.accepted.add(1);
        self.shared.connections.add(1);
    }

    pub(crate) fn closed(&self) {
        self.shared.connections.subtract(1);
    }

    pub(crate) fn handshake(&self, ended: Handshake) {
        self.shared.handshakes[ended as usize].add(1);
    }

    pub(crate) fn pool_idle(&self, connections: usize) {
        self.shared.pool_idle.set(connections as u64);
    }

    pub(crate) fn log_dropped(&self, lines: u64) {
        self.shared.log_dropped.add(lines);
    }

    /// Forgets the way to what may be gone; it is found again where it is not. Call it now and then.
    pub(crate) fn forget(&self) {
        self.services.borrow_mut().clear();
        self.endpoints.borrow_mut().clear();
    }
}

fn found<K: std::hash::Hash + Eq, V: Default>(shelf: &Shelf<K, V>, key: K) -> Arc<V> {
    let mut shelf = shelf.write().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(shelf.entry(key).or_default())
}
