//! Ending a run: drain, SIGTERM, grace, SIGKILL; for a restart or for good.

use super::place::{Place, Stage};
use super::turn::Turn;
use super::{NodeAction, Wish};
use crate::{Event, EventKind};
use minato_config::StopPolicy;
use minato_health::Phase;
use std::time::{Duration, Instant};

/// A run that is down has this much of its grace: it is not answering anyone.
const DOWN_GRACE: Duration = Duration::from_secs(1);
/// SIGKILL is sent again each time this much has passed without an exit (a process can be stuck in the kernel).
const KILL_AGAIN: Duration = Duration::from_secs(5);
/// The time to drain begins when the store tells gateways of it, but at the latest after this much.
const UNTOLD: Duration = Duration::from_secs(10);

/// A run on its way out.
#[derive(Debug)]
pub(super) struct Stopping {
    pub(super) step: StopStep,
    pub(super) goal: Goal,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum StopStep {
    /// Gateways send no new requests; those in flight end.
    /// `until` is set once gateways can know of it; it ends at `latest` in any case.
    Draining {
        until: Option<Instant>,
        latest: Instant,
    },
    /// SIGTERM was sent.
    Terminating { kill_at: Instant },
    /// SIGKILL was sent.
    Killing { again_at: Instant },
}

/// What comes after the end.
#[derive(Debug, Clone)]
pub(super) enum Goal {
    /// The next run; the sentence says why this one had to go.
    Restart(String),
    /// Nothing; the sentence says why.
    Leave(String),
}

impl Stopping {
    pub(super) fn is_restart(&self) -> bool {
        matches!(self.goal, Goal::Restart(_))
    }

    pub(super) fn deadline(&self) -> Instant {
        match self.step {
            StopStep::Draining { until, latest } => until.unwrap_or(latest),
            StopStep::Terminating { kill_at } => kill_at,
            StopStep::Killing { again_at } => again_at,
        }
    }
}

impl Place {
    /// It runs and should not.
    pub(super) fn begin_leaving(&mut self, turn: &mut Turn<'_>, reason: &str) {
        self.say(turn.now, Phase::Stopping, reason);
        let policy = self.stop_policy(turn);
        let event = Event::info(
            turn.now.wall,
            EventKind::Stopping,
            format!("{}/{} is being stopped: {reason}", turn.key.0, turn.key.1),
        );
        turn.actions.push(self.event(turn.key, event));
        self.stage = Stage::Stopping(Stopping {
            step: StopStep::Draining {
                until: policy.drain.is_zero().then_some(turn.now.instant),
                latest: turn.now.instant + policy.drain + UNTOLD,
            },
            goal: Goal::Leave(reason.to_owned()),
        });
        self.advance(turn);
    }

    /// It runs, but for nobody.
    pub(super) fn begin_killing(&mut self, turn: &mut Turn<'_>, reason: String) {
        let grace = self.stop_policy(turn).grace.min(DOWN_GRACE);
        let event = Event::warn(
            turn.now.wall,
            EventKind::Killed,
            format!(
                "{}/{} is killed and started again: {reason}",
                turn.key.0, turn.key.1
            ),
        );
        turn.actions.push(self.event(turn.key, event));
        turn.actions
            .push(NodeAction::Terminate(self.name(turn.key)));
        self.stage = Stage::Stopping(Stopping {
            step: StopStep::Terminating {
                kill_at: turn.now.instant + grace,
            },
            goal: Goal::Restart(reason),
        });
        (self.recovering, self.spared) = (true, false);
    }

    /// Time has passed, or the world has changed.
    pub(super) fn go_on_stopping(&mut self, turn: &mut Turn<'_>, wish: &Wish) {
        let mut told = None;
        if let (Stage::Stopping(stopping), Wish::Leave(reason)) = (&mut self.stage, wish)
            && let Goal::Restart(_) = stopping.goal
        {
            stopping.goal = Goal::Leave(reason.clone());
            told = Some(reason);
        }
        if let Some(reason) = told {
            self.say(turn.now, Phase::Stopping, reason);
        }
        self.advance(turn);
    }

    /// The next steps whose time has come.
    fn advance(&mut self, turn: &mut Turn<'_>) {
        let now = turn.now.instant;
        let name = self.name(turn.key);
        let StopPolicy { drain, grace } = self.stop_policy(turn);
        let drained = turn.closing || turn.is_drained(self.generation, self.run);
        let told = turn.is_told(self.generation, self.run);
        let Stage::Stopping(stopping) = &mut self.stage else {
            return;
        };
        if let StopStep::Draining { until, latest } = &mut stopping.step
            && until.is_none()
            && told
        {
            *until = Some((now + drain).min(*latest));
        }
        match stopping.step {
            StopStep::Draining { until, latest } if drained || until.unwrap_or(latest) <= now => {
                turn.actions.push(NodeAction::Terminate(name));
                stopping.step = StopStep::Terminating {
                    kill_at: now + grace,
                };
            }
            StopStep::Terminating { kill_at: at } | StopStep::Killing { again_at: at }
                if at <= now =>
            {
                turn.actions.push(NodeAction::Kill(name));
                stopping.step = StopStep::Killing {
                    again_at: now + KILL_AGAIN,
                };
            }
            StopStep::Draining { .. } | StopStep::Terminating { .. } | StopStep::Killing { .. } => {
            }
        }
    }
}
