//! Restart with backoff and a budget: at once, then 1 s doubling to 60 s with jitter; 5 in 10 minutes spend the budget.

use std::time::{Duration, Instant};

/// Restarts granted within [`WINDOW`].
pub const BUDGET: usize = 5;
/// How long a restart counts.
pub const WINDOW: Duration = Duration::from_secs(600);
/// A run that was up this long ends the doubling: the next restart is at once again. It still counts in the budget.
pub const STEADY: Duration = Duration::from_secs(10);

const FIRST_DELAY: Duration = Duration::from_secs(1);
const LONGEST_DELAY: Duration = Duration::from_secs(60);
/// Delays are shortened by up to this part, so that what failed together does not start together.
const JITTER: f64 = 0.2;

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
    /// When each was granted, oldest first; at most [`BUDGET`].
    recent: Vec<Instant>,
    /// Ends in a row without a steady run between them.
    streak: u32,
}

impl Restarts {
    /// Goes on after `count` restarts whose times are not known: they count as made `now`.
    pub fn resume(count: u32, now: Instant) -> Self {
        let count = BUDGET.min(usize::try_from(count).unwrap_or(BUDGET));
        Self {
            recent: vec![now; count],
            streak: u32::try_from(count).unwrap_or(u32::MAX),
        }
    }

    /// The instance ended at `now`; `jitter` in 0..1.
    pub fn ended(&mut self, now: Instant, jitter: f64) -> RestartDecision {
        self.recent.retain(|it| is_recent(*it, now));
        if self.recent.len() >= BUDGET {
            return RestartDecision::Spent;
        }
        self.recent.push(now);
        let delay = match self.streak {
            0 => Duration::ZERO,
            ends => FIRST_DELAY
                .saturating_mul(1_u32.checked_shl(ends - 1).unwrap_or(u32::MAX))
                .min(LONGEST_DELAY)
                .mul_f64(1.0 - JITTER * jitter.clamp(0.0, 1.0)),
        };
        self.streak = self.streak.saturating_add(1);
        RestartDecision::After(delay)
    }

    /// Restarts granted after `since` count for nothing: what they were to cure was not the instance's own.
    pub fn forgive(&mut self, since: Instant) {
        let before = self.recent.len();
        self.recent.retain(|it| *it < since);
        if self.recent.len() < before {
            self.streak = 0;
        }
    }

    /// The run has been up for [`STEADY`].
    pub fn steady(&mut self) {
        self.streak = 0;
    }

    /// Whether a steady run would change anything.
    pub fn is_backing_off(&self) -> bool {
        self.streak > 0
    }

    /// Restarts within the last 10 minutes.
    pub fn count(&self, now: Instant) -> u32 {
        let recent = self.recent.iter().filter(|it| is_recent(**it, now)).count();
        u32::try_from(recent).unwrap_or(u32::MAX)
    }
}

fn is_recent(granted: Instant, now: Instant) -> bool {
    now.saturating_duration_since(granted) < WINDOW
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "an origin for simulated time")]
mod tests {
    use super::*;

    /// Ends at these seconds; `s` after the number: the run before it was steady. Expects the delays in ms, `-` for spent.
    #[track_caller]
    fn check(ends: &str, jitter: f64, expected: &str) {
        let origin = Instant::now();
        let mut restarts = Restarts::default();
        let decided: Vec<String> = ends
            .split(' ')
            .map(|end| {
                if end.ends_with('s') {
                    restarts.steady();
                }
                let at = end.trim_end_matches('s').parse().unwrap();
                match restarts.ended(origin + Duration::from_secs(at), jitter) {
                    RestartDecision::After(delay) => delay.as_millis().to_string(),
                    RestartDecision::Spent => "-".to_owned(),
                }
            })
            .collect();
        assert_eq!(decided.join(" "), expected);
    }

    #[test]
    fn at_once_then_doubling_until_the_budget_is_spent() {
        check("0 1 3 6 11 20 30", 0.0, "0 1000 2000 4000 8000 - -");
    }

    #[test]
    fn jitter_shortens_by_a_fifth_at_most() {
        check("0 1 3 6", 1.0, "0 800 1600 3200");
    }

    #[test]
    fn restarts_older_than_ten_minutes_do_not_count() {
        check("0 1 3 6 11 599 600", 0.0, "0 1000 2000 4000 8000 - 16000");
    }

    #[test]
    fn the_delay_never_passes_a_minute() {
        check(
            "0 700 1400 2100 2800 3500 4200 4900 5600",
            0.0,
            "0 1000 2000 4000 8000 16000 32000 60000 60000",
        );
    }

    #[test]
    fn a_steady_run_restarts_at_once_but_counts() {
        check("0 20s 40s 60s 80s 100s", 0.0, "0 0 0 0 0 -");
    }

    #[test]
    fn counts_go_on_after_a_restart_of_the_agent() {
        let now = Instant::now();
        let mut restarts = Restarts::resume(4, now);
        assert_eq!(restarts.count(now), 4);
        assert_eq!(
            restarts.ended(now, 0.0),
            RestartDecision::After(Duration::from_secs(8))
        );
        assert_eq!(restarts.ended(now, 0.0), RestartDecision::Spent);
        assert_eq!(Restarts::resume(u32::MAX, now).count(now), 5);
        assert_eq!(restarts.count(now + WINDOW), 0);
    }

    #[test]
    fn forgiven_restarts_count_for_nothing_and_end_the_doubling() {
        let origin = Instant::now();
        let at = |seconds| origin + Duration::from_secs(seconds);
        let mut restarts = Restarts::default();
        for seconds in [0, 10, 20] {
            restarts.ended(at(seconds), 0.0);
        }
        restarts.forgive(at(30));
        assert_eq!(restarts.count(at(30)), 3);
        restarts.forgive(at(5));
        assert_eq!(restarts.count(at(30)), 1);
        assert_eq!(
            restarts.ended(at(31), 0.0),
            RestartDecision::After(Duration::ZERO)
        );
    }
}
