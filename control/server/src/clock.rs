//! The one place where this crate reads clocks.

use minato_config::Timestamp;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// The wall clock, for documents and people.
#[expect(
    clippy::disallowed_methods,
    reason = "the shell's wall clock, read here alone"
)]
pub(crate) fn wall() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// The monotonic clock, for measuring.
#[expect(
    clippy::disallowed_methods,
    reason = "the shell's monotonic clock, read here alone"
)]
pub(crate) fn monotonic() -> Instant {
    Instant::now()
}
