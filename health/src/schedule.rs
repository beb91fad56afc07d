//! When the next probe starts. Probes overlap: a probe that has not answered after `fast` makes the next one start.

use minato_config::HealthTiming;
use std::time::{Duration, Instant};

/// Longest time from start to start while down, unless the interval itself is longer.
pub const SLOWEST: Duration = Duration::from_secs(15);
/// How long a target that was never up is probed fast.
pub const STARTING: Duration = Duration::from_secs(30);
/// The first part of that, in which a target that refuses is asked again after a fifth of `fast`: most programs listen
/// within a second of their start, and every wait for the next look is a wait of the people who visit.
pub const FRESH: Duration = Duration::from_secs(5);
/// How long a target that is down is probed fast after a hint that it may be back.
pub const NUDGED: Duration = Duration::from_secs(5);
/// Share of an interval by which a start comes early, at most, so that checks never march in step.
const SPREAD: f64 = 0.05;

/// What the judge thinks, as far as pace depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Up, and nothing speaks against it.
    Steady,
    /// The next outcomes may change the verdict: suspect, or down with a pass.
    Edge,
    /// Down.
    Down,
}

/// Decides the start of each probe of one target. Never reads a clock.
///
/// | stage | start to start |
/// |---|---|
/// | steady, all answered | interval, up to 5 % less |
/// | steady, a probe outstanding | fast |
/// | edge | fast |
/// | down, in the first 5 s of a target never up, all answered | a fifth of fast |
/// | down, in the first 30 s of a target never up, or within 5 s of a nudge | fast |
/// | down | interval, doubling with each start to 15 s (or the interval, if longer), up to 5 % less |
///
/// Bound kept, with [`crate::Judge`]: a target that stops answering right after a passed probe is down within
/// `interval + (fall - 1) * fast + timeout`.
#[derive(Debug, Clone)]
pub struct Schedule {
    timing: HealthTiming,
    last_start: Option<Instant>,
    /// Share of the interval taken off the next gap.
    early: f64,
    /// Asked again a fifth of `fast` after an answer, while down, until then.
    fresh_until: Option<Instant>,
    /// Probed fast while down until then.
    eager_until: Option<Instant>,
    /// Starts at the slow pace since it went down; doubles the gap.
    slow_starts: u32,
}

impl Schedule {
    /// The first probe is due at once.
    pub fn new(timing: HealthTiming) -> Self {
        Self {
            timing,
            last_start: None,
            early: 0.0,
            fresh_until: None,
            eager_until: None,
            slow_starts: 0,
        }
    }

    /// A probe has just been started; `spread` in 0..1 is a fresh random number.
    pub fn started(&mut self, now: Instant, stage: Stage, spread: f64) {
        if self.last_start.is_none() && stage == Stage::Down {
            self.eager_until = Some(now + STARTING);
            self.fresh_until = Some(now + FRESH);
        }
        if stage != Stage::Down {
            self.slow_starts = 0;
        } else if !self.is_eager(now) {
            self.slow_starts = self.slow_starts.saturating_add(1);
        }
        self.last_start = Some(now);
        self.early = SPREAD * spread.clamp(0.0, 1.0);
    }

    /// The target is up: from now on it is no longer starting.
    pub fn came_up(&mut self) {
        self.eager_until = None;
        self.fresh_until = None;
        self.slow_starts = 0;
    }

    /// Something hints that a target that is down may be back: fast again for 5 s, and from the interval after that.
    pub fn nudge(&mut self, now: Instant) {
        let until = now + NUDGED;
        self.eager_until = Some(self.eager_until.map_or(until, |it| it.max(until)));
        self.slow_starts = 0;
    }

    /// When the next probe is due, `None` meaning at once. `outstanding` probes have not answered yet.
    pub fn next_start(&self, now: Instant, stage: Stage, outstanding: usize) -> Option<Instant> {
        let last = self.last_start?;
        let timing = &self.timing;
        let gap = match stage {
            Stage::Edge => timing.fast,
            Stage::Steady if outstanding > 0 => timing.fast,
            Stage::Steady => timing.interval.mul_f64(1.0 - self.early),
            Stage::Down if outstanding == 0 && self.is_fresh(now) => timing.fast / 5,
            Stage::Down if self.is_eager(now) => timing.fast,
            Stage::Down => self.slow_gap().mul_f64(1.0 - self.early),
        };
        Some(last + gap.min(timing.interval.max(SLOWEST)))
    }

    fn is_fresh(&self, now: Instant) -> bool {
        self.fresh_until.is_some_and(|until| now < until)
    }

    fn is_eager(&self, now: Instant) -> bool {
        self.eager_until.is_some_and(|until| now < until)
    }

    fn slow_gap(&self) -> Duration {
        let doubled = 1_u32.checked_shl(self.slow_starts).unwrap_or(u32::MAX);
        let slowest = self.timing.interval.max(SLOWEST);
        self.timing.interval.saturating_mul(doubled).min(slowest)
    }
}

#[cfg(test)]
#[path = "schedule_tests.rs"]
mod tests;
