//! The demo's only clock. Everything else in this folder takes times as [`Duration`] since the demo began.

use minato_config::Timestamp;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// One origin on both clocks, so that the gateway's event times and the client's own can be compared.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    origin: Instant,
    wall: Duration,
}

impl Clock {
    /// Starts at zero.
    #[expect(
        clippy::disallowed_methods,
        reason = "the demo measures real time; this is its one origin"
    )]
    pub(crate) fn start() -> Self {
        Self {
            origin: Instant::now(),
            wall: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default(),
        }
    }

    /// Time since the start.
    pub(crate) fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    /// A wall-clock time of the same machine, cut to milliseconds; zero where it lies before the start.
    pub(crate) fn of(&self, wall: Timestamp) -> Duration {
        Duration::from_millis(wall.0).saturating_sub(self.wall)
    }
}
