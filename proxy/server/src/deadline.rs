//! How long clients may take. Times of instances are each service's own (`minato_config::Timeouts`).

use std::time::{Duration, Instant};

/// Bytes a second that a body must move on average, once it has been waited for long enough.
pub(crate) const SLOWEST: u64 = 240;

/// How long a peer was waited for while a body moved: what trickles is told from what is merely long.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    waited: Duration,
    since: Option<Instant>,
}

impl Pace {
    /// The peer is waited for from now on, if it was not already.
    pub(crate) fn waits(&mut self, now: Instant) {
        self.since.get_or_insert(now);
    }

    /// The peer has moved; false where all in all it is slower than [`SLOWEST`], once it was waited for longer than `grace`.
    pub(crate) fn moved(&mut self, now: Instant, bytes: u64, grace: Duration) -> bool {
        if let Some(since) = self.since.take() {
            self.waited += now.saturating_duration_since(since);
        }
        let wanted = self.waited.as_millis() * u128::from(SLOWEST) / 1000;
        self.waited <= grace || u128::from(bytes) >= wanted
    }
}

/// Times of client connections. The defaults are those of the documentation; tests shorten them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// A whole TLS handshake, with a client or an instance. Default 10 s.
    pub handshake: Duration,
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
            handshake: Duration::from_secs(10),
            keep_alive: Duration::from_secs(75),
            head: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            slow: Duration::from_secs(10),
            linger: Duration::from_secs(2),
        }
    }
}
