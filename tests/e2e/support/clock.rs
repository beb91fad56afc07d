//! The one place that reads the clock and waits.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Conditions are waited for this long: a busy machine is slow, not wrong.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(20);

#[expect(
    clippy::disallowed_methods,
    reason = "where these tests read the clock"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Milliseconds since the Unix epoch, as in events.
#[expect(clippy::disallowed_methods, reason = "events carry the wall clock")]
pub(crate) fn wall_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Between two looks at a condition, or two requests of a load.
#[expect(
    clippy::disallowed_methods,
    reason = "where these tests pause between two looks at a condition"
)]
pub(crate) fn pause(length: Duration) {
    std::thread::sleep(length);
}

/// Looks until `found` finds something, for [`PATIENCE`] at most; then fails and names `what`.
#[track_caller]
pub(crate) fn until<T>(what: &str, found: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, what, found)
}

/// The same with a limit of its own.
#[track_caller]
pub(crate) fn within<T>(limit: Duration, what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let began = now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(
            began.elapsed() < limit,
            "waited {limit:?} for this in vain: {what}"
        );
        pause(LOOK);
    }
}
