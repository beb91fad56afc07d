//! A counter that one core writes and anyone reads.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts without a locked instruction, for it has one writer only.
#[derive(Debug, Default)]
pub(crate) struct Tally(AtomicU64);

impl Tally {
    /// By the one core that owns it.
    pub(crate) fn add(&self, count: u64) {
        let next = self.0.load(Ordering::Relaxed).wrapping_add(count);
        self.0.store(next, Ordering::Relaxed);
    }

    /// By the one core that owns it.
    pub(crate) fn subtract(&self, count: u64) {
        let next = self.0.load(Ordering::Relaxed).saturating_sub(count);
        self.0.store(next, Ordering::Relaxed);
    }

    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    pub(crate) fn clear(&self) {
        self.set(0);
    }

    pub(crate) fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
