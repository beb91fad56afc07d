//! The agent's one place to read the clocks.

use minato_config::Timestamp;
use minato_control::Moment;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

#[expect(
    clippy::disallowed_methods,
    reason = "the shell's clock, handed to pure code as a value"
)]
pub(crate) fn now() -> Moment {
    let wall = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Moment {
        instant: Instant::now(),
        wall: Timestamp(u64::try_from(wall.as_millis()).unwrap_or(u64::MAX)),
    }
}
