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

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(
        clippy::disallowed_methods,
        reason = "an origin for simulated time; nothing depends on its value"
    )]
    fn origin() -> Instant {
        Instant::now()
    }

    fn secs(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn at_most_half_and_never_the_last() {
        use Allowance::{Granted, HalfEjected, LastServing};
        for (total, ejected, serving, expected) in [
            (1, 0, 1, LastServing),
            (2, 0, 2, Granted),
            (2, 1, 1, LastServing),
            (3, 0, 3, Granted),
            (3, 1, 2, HalfEjected),
            (3, 0, 1, LastServing),
            (4, 1, 3, Granted),
            (4, 2, 2, HalfEjected),
            (10, 4, 6, Granted),
            (10, 5, 5, HalfEjected),
            (0, 0, 0, LastServing),
        ] {
            let allowed = Ejection::allowed(total, ejected, serving);
            assert_eq!(allowed, expected, "{total} {ejected} {serving}");
        }
    }

    #[test]
    fn ten_seconds_times_the_count_at_most_three_hundred() {
        let mut now = origin();
        let mut ejection = Ejection::default();
        for times in 1..=40 {
            let length = ejection.begin(now, 0.0);
            assert_eq!(length, secs(10 * times).min(secs(300)));
            now += length;
            assert!(!ejection.is_ejected(now));
        }
        let least = ejection.begin(now, 1.0);
        assert_eq!(least, secs(270));
        assert_eq!(Ejection::default().begin(now, 1.0), secs(10));
    }

    #[test]
    fn a_pass_ends_it_after_the_first_ten_seconds_only() {
        let now = origin();
        let mut ejection = Ejection::default();
        ejection.begin(now, 0.0);
        let now = now + secs(20);
        assert_eq!(ejection.begin(now, 0.0), secs(20));
        ejection.passed(now + Duration::from_millis(9_999));
        assert!(ejection.is_ejected(now + secs(10)));
        assert!(ejection.is_held(now + Duration::from_millis(9_999)));
        assert!(!ejection.is_held(now + secs(10)));
        ejection.passed(now + secs(10));
        assert!(!ejection.is_ejected(now + secs(10)));
    }

    #[test]
    fn ten_minutes_without_one_are_forgotten() {
        let now = origin();
        let mut ejection = Ejection::default();
        ejection.begin(now, 0.0);
        ejection.begin(now + secs(10), 0.0);
        assert_eq!(ejection.times(), 2);
        let end = now + secs(30);
        let mut early = ejection.clone();
        early.begin(end + secs(599), 0.0);
        assert_eq!(early.times(), 3);
        ejection.begin(end + secs(600), 0.0);
        assert_eq!(ejection.times(), 1);
    }
}
