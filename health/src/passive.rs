//! Passive ejection: what failing real requests say about an instance.

use std::time::{Duration, Instant};

/// Gateway-class failures in a row that eject.
pub const CONSECUTIVE_FAILURES: u32 = 5;
/// Passing probes count for nothing in this first part of an ejection; also the unit of its length.
pub const EJECTION_HOLD: Duration = Duration::from_secs(10);
/// An ejection is never longer.
pub const EJECTION_MOST: Duration = Duration::from_secs(300);
/// Without an ejection for so long after the last one ended, the count starts again.
pub const EJECTION_MEMORY: Duration = Duration::from_secs(600);

/// Whether one more instance may be ejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allowance {
    /// Eject it.
    Granted,
    /// More than half of the service's instances would be ejected.
    HalfEjected,
    /// It is the last that takes requests.
    LastServing,
}

/// One endpoint's history of passive ejections: 10 s times the count, at most 300 s, with jitter.
///
/// Within the first 10 s passing probes count for nothing; after that they restore it by the judge's rules. The whole
/// length matters where nothing probes: then it ends by itself.
#[derive(Debug, Clone, Default)]
pub struct Ejection {
    times: u32,
    began: Option<Instant>,
    until: Option<Instant>,
}

impl Ejection {
    /// Whether one more of `total` instances may be ejected, when `ejected` are and `serving` take requests, the
    /// candidate among them.
    pub fn allowed(total: usize, ejected: usize, serving: usize) -> Allowance {
        if serving <= 1 {
            Allowance::LastServing
        } else if (ejected + 1) * 2 > total {
            Allowance::HalfEjected
        } else {
            Allowance::Granted
        }
    }

    /// Ejects from `now`; `jitter` in 0..1 takes up to a tenth off what is above 10 s. Returns how long at most.
    pub fn begin(&mut self, now: Instant, jitter: f64) -> Duration {
        let forgotten = self
            .until
            .is_some_and(|until| now.saturating_duration_since(until) >= EJECTION_MEMORY);
        self.times = if forgotten {
            1
        } else {
            self.times.saturating_add(1)
        };
        let whole = EJECTION_HOLD.saturating_mul(self.times).min(EJECTION_MOST);
        let off = whole.mul_f64(0.1 * jitter.clamp(0.0, 1.0));
        let length = whole.saturating_sub(off).max(EJECTION_HOLD);
        (self.began, self.until) = (Some(now), Some(now + length));
        length
    }

    /// Whether it is ejected and passing probes still count for nothing.
    pub fn is_held(&self, now: Instant) -> bool {
        self.is_ejected(now)
            && self
                .began
                .is_some_and(|began| now.saturating_duration_since(began) < EJECTION_HOLD)
    }

    /// Whether its time has not passed and no probe has ended it.
    pub fn is_ejected(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    /// A probe passed; ends the ejection unless it is still held.
    pub fn passed(&mut self, now: Instant) {
        if self.is_ejected(now) && !self.is_held(now) {
            self.until = Some(now);
        }
    }

    /// Ejections remembered.
    pub fn times(&self) -> u32 {
        self.times
    }
}
