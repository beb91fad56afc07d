//! Whether a failed attempt may be made again elsewhere.

use crate::sync::{AtomicU32, Ordering};
use std::sync::Arc;

/// What of the request left us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// Nothing was handed to the kernel, or the connect failed.
    Nothing,
    /// Something was, and no response byte went to the client.
    Something,
    /// Response bytes went to the client.
    ResponseBegan,
}

/// All that the decision looks at.
#[derive(Debug, Clone, Copy)]
pub struct Situation {
    /// RFC 9110 9.2.2.
    pub idempotent: bool,
    /// Whether all of the request body is still ours to send (none of it consumed, or there is none).
    pub body_intact: bool,
    /// What left us.
    pub sent: Sent,
    /// Retries made so far, and how many the service allows.
    pub made: u8,
    /// From the service's `retries`.
    pub allowed: u8,
    /// The instance that failed is suspect or out now: free of the budget.
    pub leaves_bad_instance: bool,
}

/// May it be tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryDecision {
    /// Yes, and it costs nothing.
    Free,
    /// Yes, if the budget gives a place.
    Budgeted,
    /// No.
    No,
}

/// Decides by semantics.md, "Retries": what was never handed over may go again whatever its method; what was handed
/// over only if it is idempotent; nothing of which the client has seen an answer, or whose body is partly gone.
pub fn decide_retry(situation: &Situation) -> RetryDecision {
    let could = match situation.sent {
        Sent::Nothing => situation.body_intact,
        Sent::Something => situation.body_intact && situation.idempotent,
        Sent::ResponseBegan => false,
    };
    match (could, situation.leaves_bad_instance) {
        _ if situation.made >= situation.allowed => RetryDecision::No,
        (false, _) => RetryDecision::No,
        (true, true) => RetryDecision::Free,
        (true, false) => RetryDecision::Budgeted,
    }
}

/// Percent of the requests in flight that may be budgeted retries.
const BUDGET_PERCENT: u64 = 20;
/// Budgeted retries that a quiet service has all the same.
const BUDGET_LEAST: u64 = 3;

/// Budgeted retries in flight: within 20 % of requests in flight, at least 3.
#[derive(Debug, Default)]
pub struct Budget {
    taken: AtomicU32,
}

impl Budget {
    /// A place for one retry, given back when the guard drops; `None` when spent.
    pub fn take(self: &Arc<Self>, requests_in_flight: u32) -> Option<RetryGuard> {
        let share = u64::from(requests_in_flight) * BUDGET_PERCENT / 100;
        let most = share.max(BUDGET_LEAST);
        let more = |now: u32| (u64::from(now) < most).then_some(now + 1);
        self.taken
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .ok()
            .map(|_| RetryGuard(Arc::clone(self)))
    }

    /// Budgeted retries in flight.
    pub fn taken(&self) -> u32 {
        self.taken.load(Ordering::Relaxed)
    }
}

/// One budgeted retry in flight.
#[derive(Debug)]
pub struct RetryGuard(Arc<Budget>);

impl Drop for RetryGuard {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
