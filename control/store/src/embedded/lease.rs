//! When leases end. In memory only: after the store was opened again, every lease has its whole time anew.

use crate::{LeaseId, StoreError};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The one clock of this backend: monotonic, so that setting the wall clock ends no lease.
#[expect(
    clippy::disallowed_methods,
    reason = "the embedded backend's one place that reads the clock"
)]
pub(super) fn now() -> Instant {
    Instant::now()
}

#[derive(Debug, Clone, Copy)]
struct Running {
    ttl: Duration,
    ends: Instant,
}

/// Deadlines of all live leases.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    running: Mutex<BTreeMap<LeaseId, Running>>,
}

impl Deadlines {
    fn running(&self) -> MutexGuard<'_, BTreeMap<LeaseId, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn start(&self, lease: LeaseId, ttl: Duration, now: Instant) {
        let ends = now + ttl;
        self.running().insert(lease, Running { ttl, ends });
    }

    pub(super) fn keep_alive(&self, lease: LeaseId, now: Instant) -> Result<(), StoreError> {
        match self.running().get_mut(&lease) {
            Some(running) => {
                running.ends = now + running.ttl;
                Ok(())
            }
            None => Err(StoreError::LeaseGone { lease }),
        }
    }

    pub(super) fn forget(&self, lease: LeaseId) {
        self.running().remove(&lease);
    }

    /// The next end.
    pub(super) fn next(&self) -> Option<Instant> {
        self.running().values().map(|it| it.ends).min()
    }

    /// Takes out what has ended by `now`; no keep-alive brings it back.
    pub(super) fn take_ended(&self, now: Instant) -> Vec<LeaseId> {
        let mut running = self.running();
        let ended = running.extract_if(.., |_, it| it.ends <= now);
        ended.map(|(lease, _)| lease).collect()
    }

    /// Gives every lease its whole time: this process did not run for a while, so nobody could keep one alive.
    pub(super) fn restart(&self, now: Instant) {
        for running in self.running().values_mut() {
            running.ends = now + running.ttl;
        }
    }
}
