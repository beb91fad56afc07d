//! One target under observation: judge, schedule and ejection hold together. The shell sends the probes.

use crate::{
    Change, EJECTION_HOLD, Failure, Judge, Outcome, ProbeNumber, Schedule, Stage, Verdict,
};
use minato_config::HealthTiming;
use std::time::Instant;

/// Probes of one target that may be unanswered at once, unless `fall` needs more.
const OUTSTANDING: usize = 8;

/// What others than probes know of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Evidence {
    /// A connect of real traffic failed: up becomes suspect.
    ConnectFailed(Failure),
    /// Passive ejection, at most until then: down, and for the first 10 s of it passing probes count for nothing.
    Eject(Failure, Instant),
    /// It may be back: a connect succeeded, its agent said that it runs. Changes no verdict, but the pace while down.
    MayBeBack,
}

/// A changed verdict, and when the first evidence for it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What changed.
    pub change: Change,
    /// The first outcome or evidence of the row that led here: of a down, when it was first suspected.
    pub first_detected: Instant,
}

/// Decides when to probe one target and what its outcomes mean. No clock, no sockets.
///
/// Drive it: start a probe whenever [`Watch::due`] has come, tell each outcome. The bound of [`Schedule`] holds over any
/// overlap, because `fall` probes may always be outstanding together.
#[derive(Debug, Clone)]
pub struct Watch {
    judge: Judge,
    schedule: Schedule,
    /// Sorted by start.
    outstanding: Vec<ProbeNumber>,
    most_outstanding: usize,
    /// Passes count for nothing until then.
    held_until: Option<Instant>,
    /// When the first of the outcomes or evidence that now speak against the verdict arrived.
    row_began: Option<Instant>,
    last_failure: Option<Failure>,
}

impl Watch {
    /// `start`: down for a new run; the last verdict after a gateway's restart, which holds until the first outcome.
    pub fn new(timing: &HealthTiming, start: Verdict) -> Self {
        Self {
            judge: Judge::resume(timing, start),
            schedule: Schedule::new(timing.clone()),
            outstanding: Vec::new(),
            most_outstanding: OUTSTANDING.max(usize::from(timing.fall)),
            held_until: None,
            row_began: None,
            last_failure: None,
        }
    }

    /// The verdict now.
    pub fn verdict(&self) -> Verdict {
        self.judge.verdict()
    }

    /// The latest failure; `None` before the first, and again once it is up.
    pub fn last_failure(&self) -> Option<&Failure> {
        self.last_failure.as_ref()
    }

    /// When to start the next probe, at once if that has passed; `None`: not before an outstanding one ends.
    pub fn due(&self, now: Instant) -> Option<Instant> {
        if self.outstanding.len() >= self.most_outstanding {
            return None;
        }
        let next = self
            .schedule
            .next_start(now, self.stage(), self.outstanding.len())
            .unwrap_or(now);
        // The first probe after a hold does not wait for a pace that has slowed down meanwhile.
        Some(self.held_until.map_or(next, |held| next.min(held)))
    }

    /// A probe starts now; `spread` in 0..1 is a fresh random number. Tell its outcome, or that it has none.
    pub fn started(&mut self, now: Instant, spread: f64) -> ProbeNumber {
        self.release(now);
        self.schedule.started(now, self.stage(), spread);
        let probe = self.judge.start();
        self.outstanding.push(probe);
        probe
    }

    /// The probe ended without saying anything about the target.
    pub fn abandoned(&mut self, probe: ProbeNumber) {
        self.outstanding.retain(|it| *it != probe);
    }

    /// The probe ended. A probe that is not outstanding is ignored.
    pub fn answered(
        &mut self,
        probe: ProbeNumber,
        outcome: &Outcome,
        now: Instant,
    ) -> Option<Finding> {
        let index = self.outstanding.iter().position(|it| *it == probe)?;
        self.outstanding.remove(index);
        self.release(now);
        if let Err(failure) = outcome {
            self.last_failure = Some(failure.clone());
        } else if self.held_until.is_some() {
            return None;
        }
        let was_edge = self.judge.is_edge();
        let change = self.judge.observe_of(probe, outcome);
        self.conclude(was_edge, change, now)
    }

    /// Someone else knows something.
    pub fn learn(&mut self, evidence: &Evidence, now: Instant) -> Option<Finding> {
        let was_edge = self.judge.is_edge();
        let change = match evidence {
            Evidence::ConnectFailed(failure) => {
                self.last_failure = Some(failure.clone());
                self.judge.suspect_by(failure)
            }
            Evidence::Eject(failure, until) => {
                self.last_failure = Some(failure.clone());
                let held = (*until).min(now + EJECTION_HOLD);
                self.held_until = Some(self.held_until.map_or(held, |it| it.max(held)));
                self.judge.eject_by(failure)
            }
            Evidence::MayBeBack => {
                self.schedule.nudge(now);
                None
            }
        };
        self.conclude(was_edge, change, now)
    }

    fn conclude(
        &mut self,
        was_edge: bool,
        change: Option<Change>,
        now: Instant,
    ) -> Option<Finding> {
        // Off the edge there was no row: what came now is the first of one.
        let row_began = self.row_began.filter(|_| was_edge).unwrap_or(now);
        self.row_began = Some(row_began);
        let change = change?;
        if change.to == Verdict::Up {
            self.schedule.came_up();
            self.last_failure = None;
        }
        let first_detected = match (change.from, change.to) {
            // The row so far spoke against it; the one pass that restores is new.
            (Verdict::Suspect, Verdict::Up) => now,
            _ => row_began,
        };
        Some(Finding {
            change,
            first_detected,
        })
    }

    fn release(&mut self, now: Instant) {
        if self.held_until.is_some_and(|held| held <= now) {
            self.held_until = None;
            self.schedule.nudge(now);
        }
    }

    fn stage(&self) -> Stage {
        match self.judge.verdict() {
            _ if self.judge.is_edge() => Stage::Edge,
            Verdict::Down => Stage::Down,
            Verdict::Up | Verdict::Suspect => Stage::Steady,
        }
    }
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
