//! Passive ejection: what failing real requests say about an instance.

use std::time::{Duration, Instant};

/// Gateway-class failures in a row that eject.
pub const CONSECUTIVE_FAILURES: u32 = 5;

/// One endpoint's history of passive ejections: 10 s times the count, at most 300 s, with jitter.
#[derive(Debug, Clone, Default)]
pub struct Ejection {
    times: u32,
    until: Option<Instant>,
    began: Option<Instant>,
}

impl Ejection {
    /// Whether one more may be ejected: at most half of all, never the last that takes requests.
    pub fn allowed(_total: usize, _ejected: usize, _serving: usize) -> Option<()> {
        None
    }

    /// Ejects from `now`; `jitter` in 0..1. Returns how long at most.
    pub fn begin(&mut self, now: Instant, _jitter: f64) -> Duration {
        self.times += 1;
        (self.began, self.until) = (Some(now), Some(now));
        Duration::ZERO
    }
}
