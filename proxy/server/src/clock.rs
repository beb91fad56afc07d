//! The one place where this crate reads clocks.

use std::time::{Instant, SystemTime};

#[cfg(not(any(test, feature = "fuzzing")))]
#[expect(clippy::disallowed_methods, reason = "the shell's one monotonic clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Follows the runtime's clock, which a rehearsal moves by hand.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[expect(
    clippy::disallowed_methods,
    reason = "the shell's one wall clock, for the access log and Date"
)]
pub(crate) fn wall() -> SystemTime {
    SystemTime::now()
}
