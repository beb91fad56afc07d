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

/// Which probe of its target, by start: a later start is greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProbeNumber(u64);

/// Turns probe outcomes into a verdict. It never waits and never probes.
///
/// Up -> suspect at the first failure; suspect -> up at the first pass; -> down after `fall` failures in a row;
/// down -> up after `rise` passes in a row. A connect that failed under real traffic counts as `suspect_by`.
///
/// Probes overlap, so outcomes may arrive out of order. "In a row" means by start, over the outcomes known:
/// - a pass never restores past a failure of a probe that started later, nor past a failed connect or an ejection
///   that came after its start; it only takes the failures that started before it out of the row;
/// - a failure older than a known pass counts for nothing; an older failure behind newer failures counts.
#[derive(Debug, Clone)]
pub struct Judge {
    fall: usize,
    rise: usize,
    verdict: Verdict,
    /// Probes started so far; numbers begin at 1.
    started: u64,
    /// Probes in a row that contradict the verdict; at most `fall` or `rise` of them.
    against: Vec<ProbeNumber>,
    newest_pass: ProbeNumber,
    newest_failure: ProbeNumber,
}

impl Judge {
    /// A new instance or a new run starts down.
    pub fn new(timing: &HealthTiming) -> Self {
        Self::resume(timing, Verdict::Down)
    }

    /// Goes on with a verdict from disk until the first outcome.
    pub fn resume(timing: &HealthTiming, verdict: Verdict) -> Self {
        Self {
            fall: usize::from(timing.fall.max(1)),
            rise: usize::from(timing.rise.max(1)),
            verdict,
            started: 0,
            against: Vec::new(),
            newest_pass: ProbeNumber(0),
            newest_failure: ProbeNumber(0),
        }
    }

    /// The verdict now.
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// Whether the next outcomes may change the verdict: probe fast.
    pub fn is_edge(&self) -> bool {
        !self.against.is_empty() || self.verdict == Verdict::Suspect
    }

    /// Numbers a probe that starts now.
    pub fn start(&mut self) -> ProbeNumber {
        self.started += 1;
        ProbeNumber(self.started)
    }

    /// Records the outcome of a probe that was numbered by [`Judge::start`]; returns the verdict only when it changes.
    pub fn observe_of(&mut self, probe: ProbeNumber, outcome: &Outcome) -> Option<Change> {
        match outcome {
            Ok(()) => self.passed(probe),
            Err(failure) => self.failed(probe, failure),
        }
    }

    /// Records one outcome where probes do not overlap.
    pub fn observe(&mut self, outcome: &Outcome) -> Option<Change> {
        let probe = self.start();
        self.observe_of(probe, outcome)
    }

    /// A real connect failed: up becomes suspect at once. Does not count towards down.
    pub fn suspect_by(&mut self, failure: &Failure) -> Option<Change> {
        if self.verdict == Verdict::Down {
            return None;
        }
        self.newest_failure = ProbeNumber(self.started);
        if self.verdict == Verdict::Suspect {
            return None;
        }
        Some(self.turn(Verdict::Suspect, Some(failure)))
    }

    /// Passive ejection: down at once, whatever the probes said.
    pub fn eject_by(&mut self, failure: &Failure) -> Option<Change> {
        self.newest_failure = ProbeNumber(self.started);
        self.against.clear();
        if self.verdict == Verdict::Down {
            return None;
        }
        Some(self.turn(Verdict::Down, Some(failure)))
    }

    fn passed(&mut self, probe: ProbeNumber) -> Option<Change> {
        self.newest_pass = self.newest_pass.max(probe);
        match self.verdict {
            Verdict::Up => None,
            Verdict::Suspect => {
                self.against.retain(|failed| *failed > probe);
                (self.against.is_empty() && probe > self.newest_failure)
                    .then(|| self.turn(Verdict::Up, None))
            }
            Verdict::Down => {
                if probe <= self.newest_failure {
                    return None;
                }
                self.against.push(probe);
                (self.against.len() >= self.rise).then(|| self.turn(Verdict::Up, None))
            }
        }
    }

    fn failed(&mut self, probe: ProbeNumber, failure: &Failure) -> Option<Change> {
        self.newest_failure = self.newest_failure.max(probe);
        if self.verdict == Verdict::Down {
            self.against.retain(|passed| *passed > probe);
            return None;
        }
        if probe < self.newest_pass {
            return None;
        }
        self.against.push(probe);
        if self.against.len() >= self.fall {
            Some(self.turn(Verdict::Down, Some(failure)))
        } else if self.verdict == Verdict::Up {
            let row = std::mem::take(&mut self.against);
            let change = self.turn(Verdict::Suspect, Some(failure));
            self.against = row;
            Some(change)
        } else {
            None
        }
    }

    fn turn(&mut self, to: Verdict, cause: Option<&Failure>) -> Change {
        self.against.clear();
        let from = std::mem::replace(&mut self.verdict, to);
        Change {
            from,
            to,
            cause: cause.cloned(),
        }
    }
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
