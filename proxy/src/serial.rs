//! Numbers that no two things of this process share, so that what is kept beside them finds them fast.

use std::sync::atomic::{AtomicU64, Ordering};

/// Unlike that of anything else made by this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Serial(pub u64);

impl Serial {
    /// The next one.
    pub(crate) fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}
