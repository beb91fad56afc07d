//! How long clients may take. Times of instances are each service's own (`minato_config::Timeouts`).

use std::time::Duration;

/// Bytes a second that a body must move on average, once it has been waited for long enough.
pub(crate) const SLOWEST: u64 = 240;

/// Times of client connections. The defaults are those of the documentation; tests shorten them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// Between requests of a kept-alive connection. Default 75 s.
    pub keep_alive: Duration,
    /// A whole request head, from its first byte. Default 10 s.
    pub head: Duration,
    /// Between bytes of a body, in either direction. Default 60 s.
    pub idle: Duration,
    /// A request body that was waited for longer than this must have come at 240 bytes a second. Default 10 s.
    pub slow: Duration,
    /// A lingering close: how long what still arrives is discarded. Default 2 s.
    pub linger: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            keep_alive: Duration::from_secs(75),
            head: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            slow: Duration::from_secs(10),
            linger: Duration::from_secs(2),
        }
    }
}
