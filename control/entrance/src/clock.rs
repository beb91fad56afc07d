//! The one place where this crate reads clocks.

use minato_config::Timestamp;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// For events.
#[expect(
    clippy::disallowed_methods,
    reason = "the shell's one wall clock, for events and signatures"
)]
pub(crate) fn wall() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// What lasts is measured with it.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// For signatures.
pub(crate) fn wall_seconds() -> u64 {
    wall().0 / 1_000
}
