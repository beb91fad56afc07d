//! Failures of the last second, each counting as one more request in flight, so that failing fast attracts nothing.

use crate::sync::{AtomicU64, Ordering};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Time is cut into ticks; a failure counts in its own tick and the four after it: for 1 s to 1.25 s.
const TICK: Duration = Duration::from_millis(250);
const BUCKETS: usize = 5;

/// The lower bits of a bucket count failures, the upper ones say in which tick.
const COUNT_BITS: u32 = 24;
const COUNT: u64 = (1 << COUNT_BITS) - 1;

/// A ring of counters, each one atomic word of (tick, count). Lock-free; a failure is one compare-and-set.
#[derive(Debug, Default)]
pub(super) struct Penalty {
    /// The moment of the first failure ever, from which ticks count.
    origin: OnceLock<Instant>,
    buckets: [AtomicU64; BUCKETS],
}

impl Penalty {
    pub(super) fn add(&self, now: Instant) {
        let origin = *self.origin.get_or_init(|| now);
        let tick = ticks(origin, now);
        let Some(bucket) = self.buckets.get((tick % BUCKETS as u64) as usize) else {
            return;
        };
        let more = |word: u64| match (word >> COUNT_BITS).cmp(&tick) {
            std::cmp::Ordering::Less => Some(tick << COUNT_BITS | 1),
            std::cmp::Ordering::Equal => (word & COUNT < COUNT).then_some(word + 1),
            // A caller so late that its tick has left the window.
            std::cmp::Ordering::Greater => None,
        };
        let _ = bucket.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
    }

    pub(super) fn at(&self, now: Instant) -> u32 {
        let Some(origin) = self.origin.get() else {
            return 0;
        };
        let tick = ticks(*origin, now);
        let sum: u64 = self
            .buckets
            .iter()
            .map(|it| it.load(Ordering::Relaxed))
            // A failure from a core whose clock reading is ahead of `now` counts too.
            .filter(|word| word >> COUNT_BITS > tick.saturating_sub(BUCKETS as u64))
            .map(|word| word & COUNT)
            .sum();
        u32::try_from(sum).unwrap_or(u32::MAX)
    }
}

/// From 1, so that an empty bucket (tick 0) is never in the window.
fn ticks(origin: Instant, now: Instant) -> u64 {
    let passed = now.saturating_duration_since(origin).as_millis() / TICK.as_millis();
    u64::try_from(passed)
        .unwrap_or(u64::MAX >> COUNT_BITS)
        .saturating_add(1)
}
