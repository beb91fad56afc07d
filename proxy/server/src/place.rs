//! How many client connections may be open at once, over all cores.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Places for connections.
#[derive(Debug)]
pub(crate) struct Places {
    free: AtomicUsize,
}

impl Places {
    pub(crate) fn new(most: usize) -> Self {
        Self {
            free: AtomicUsize::new(most),
        }
    }

    /// Takes one; false where none is free.
    pub(crate) fn take(&self) -> bool {
        let one_less = |free: usize| free.checked_sub(1);
        self.free
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less)
            .is_ok()
    }

    /// Gives back one that was taken.
    pub(crate) fn give_back(&self) {
        self.free.fetch_add(1, Ordering::Relaxed);
    }
}
