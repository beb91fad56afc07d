//! The one place where this crate reads clocks.

use std::time::{Instant, SystemTime};

#[expect(clippy::disallowed_methods, reason = "the shell's one monotonic clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

#[expect(
    clippy::disallowed_methods,
    reason = "the shell's one wall clock, for the access log and Date"
)]
pub(crate) fn wall() -> SystemTime {
    SystemTime::now()
}
