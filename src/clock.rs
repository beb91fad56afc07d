//! The one place where the binary reads clocks.

use minato_config::Timestamp;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Wall clock, for documents and events.
#[expect(
    clippy::disallowed_methods,
    reason = "the composition's one wall clock"
)]
pub(crate) fn wall() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Monotonic clock, for measuring.
#[expect(
    clippy::disallowed_methods,
    reason = "the composition's one monotonic clock"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}
