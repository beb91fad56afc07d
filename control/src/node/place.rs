//! One place: what fills it, and the steps from one stage to the next.

use super::observe::ADJUST_WAIT;
use super::stop::Stopping;
use super::turn::Turn;
use super::{Moment, NodeAction, PlaceKey, RunName, Wish};
use crate::{Event, EventKind, Restarts, restart::STEADY};
use minato_config::{Command, Generation, Run, StopPolicy};
use minato_health::{Combined, Instance, Layer, Phase, Verdict, combine};
use std::time::Instant;

/// One place of a service on this node.
#[derive(Debug, Default)]
pub(super) struct Place {
    /// The highest assignment seen here.
    pub(super) generation: Generation,
    /// The last run that was begun under it; 0 before the first.
    pub(super) run: Run,
    /// What this generation runs.
    pub(super) command: Option<Box<Command>>,
    pub(super) digest: String,
    pub(super) restarts: Restarts,
    pub(super) stage: Stage,
    /// What the store should say; `None`: nothing.
    pub(super) document: Option<Instance>,
    /// The agent's own probe of the run; `None` before its first answer.
    pub(super) local: Option<Verdict>,
    /// Where that probe failed last; `None` while it passes.
    pub(super) layer: Option<Layer>,
    /// It was ended because it was down, and has not been up since.
    pub(super) recovering: bool,
    /// It was told that it is down and goes on.
    pub(super) spared: bool,
    /// The file that describes it, as far as it was known at the last start.
    pub(super) source: Option<String>,
    /// The alarm that was last raised, so that it is raised once.
    pub(super) alarm: Option<String>,
    /// Why it could last not be started, so that it is said once.
    pub(super) refused: Option<String>,
    /// Its resources could not be changed: when that is tried again, and why not.
    pub(super) unadjusted: Option<(Instant, String)>,
    /// What its service waits for or lacks now, as `waits for its database ..`.
    pub(super) waits: Option<String>,
    /// What it lacked is there again; until then its being down does not count.
    pub(super) recovers_until: Option<Instant>,
}

/// Where a place stands.
#[derive(Debug, Default)]
pub(super) enum Stage {
    /// Nothing runs.
    #[default]
    Vacant,
    /// The runtime was asked to start it.
    Starting,
    /// It lives.
    Running(Life),
    /// It is being ended.
    Stopping(Stopping),
    /// It was to end and has.
    Gone,
    /// It ended; a restart is due.
    Waiting { until: Instant },
    /// It ended too often.
    Failed,
}

/// One run's life.
#[derive(Debug, Clone, Copy)]
pub(super) struct Life {
    /// Before it, being down for all gateways does not count unless it was up for them together.
    pub(super) patience: Instant,
    /// It was up for the gateways together. The agent's own probe, or one gateway's, is the first that passes, while the
    /// others' are on their way.
    pub(super) met: bool,
    /// When some observer first saw it up.
    pub(super) up_since: Option<Instant>,
    /// An earlier agent began it, so it may have been up before anyone here looked.
    pub(super) found: bool,
}

impl Place {
    pub(super) fn is_vacant(&self) -> bool {
        matches!(self.stage, Stage::Vacant)
    }

    pub(super) fn name(&self, (service, slot): &PlaceKey) -> RunName {
        RunName {
            service: service.clone(),
            slot: *slot,
            generation: self.generation,
            run: self.run,
        }
    }

    pub(super) fn next_wake(&self) -> Option<Instant> {
        match &self.stage {
            Stage::Vacant | Stage::Starting | Stage::Gone | Stage::Failed => None,
            Stage::Waiting { until } => Some(*until),
            Stage::Stopping(stopping) => Some(stopping.deadline()),
            Stage::Running(life) => {
                let steady = match life.up_since {
                    None => Some(life.patience),
                    Some(since) => self.restarts.is_backing_off().then_some(since + STEADY),
                };
                let adjust = self.unadjusted.as_ref().map(|it| it.0);
                let unmet = (!life.met).then_some(life.patience);
                let all = steady.into_iter().chain(unmet).chain(adjust);
                all.chain(self.recovers_until).min()
            }
        }
    }

    /// Moves as far as it can at this moment. Answers why it should be ended and started again, where it should.
    pub(super) fn step(&mut self, turn: &mut Turn<'_>, wish: &Wish) -> Option<String> {
        self.raise(turn, wish);
        self.take_in_wait(turn);
        if let (Stage::Running(_), Wish::Run { .. } | Wish::Keep(_) | Wish::Nothing) =
            (&self.stage, wish)
        {
            self.adjust(turn, wish);
            return self.watch(turn);
        }
        match (&self.stage, wish) {
            (Stage::Starting | Stage::Vacant, Wish::Leave(_)) => {}
            (Stage::Running(_), Wish::Leave(reason)) => self.begin_leaving(turn, reason),
            (Stage::Gone, _) | (Stage::Waiting { .. } | Stage::Failed, Wish::Leave(_)) => {
                self.vacate(turn);
            }
            (Stage::Stopping(_), _) => self.go_on_stopping(turn, wish),
            (Stage::Waiting { .. }, _) if self.waits.is_some() => {}
            (Stage::Waiting { until }, _) if *until <= turn.now.instant => self.restart(turn, wish),
            (
                Stage::Vacant,
                Wish::Run {
                    generation,
                    digest,
                    command: Some(command),
                },
            ) => {
                if *generation > self.generation {
                    (self.generation, self.run) = (*generation, Run(0));
                    self.restarts = Restarts::default();
                    self.recovering = false;
                }
                self.digest.clone_from(digest);
                match self.waits.clone() {
                    None => self.begin(turn, command.clone()),
                    Some(why) => self.hold_back(turn, command.clone(), &why),
                }
            }
            (
                Stage::Vacant
                | Stage::Starting
                | Stage::Running(_)
                | Stage::Waiting { .. }
                | Stage::Failed,
                _,
            ) => {}
        }
        None
    }

    /// A restart is due. An accident in the store does not keep it from what it ran before.
    fn restart(&mut self, turn: &mut Turn<'_>, wish: &Wish) {
        let command = match wish {
            Wish::Run {
                command, digest, ..
            } => {
                // Without the command of this digest nothing runs under its name.
                if command.is_some() {
                    self.digest.clone_from(digest);
                }
                command.clone()
            }
            Wish::Keep(_) | Wish::Nothing | Wish::Leave(_) => self.command.clone(),
        };
        if let Some(command) = command {
            self.begin(turn, command);
        }
    }

    /// What differs in resources only is made so as it runs.
    fn adjust(&mut self, turn: &mut Turn<'_>, wish: &Wish) {
        let Wish::Run {
            generation,
            command: Some(wanted),
            ..
        } = wish
        else {
            return;
        };
        let due = self
            .unadjusted
            .as_ref()
            .is_some_and(|(again, _)| *again <= turn.now.instant);
        let name = self.name(turn.key);
        let Some(command) = self
            .command
            .as_mut()
            .filter(|_| *generation == self.generation)
        else {
            return;
        };
        if !due && command.resources() == wanted.resources() {
            return;
        }
        let resources = wanted.resources();
        *command = wanted.clone();
        match &mut self.unadjusted {
            // The reason is kept, so that it is told once.
            Some((again, _)) if due => *again = turn.now.instant + ADJUST_WAIT,
            unadjusted => *unadjusted = None,
        }
        turn.actions.push(NodeAction::Adjust { name, resources });
    }

    fn begin(&mut self, turn: &mut Turn<'_>, command: Box<Command>) {
        self.unadjusted = None;
        self.run = Run(self.run.0.saturating_add(1));
        self.stage = Stage::Starting;
        (self.local, self.layer) = (None, None);
        self.source = turn.source();
        self.command = Some(command.clone());
        turn.actions.push(NodeAction::Start {
            name: self.name(turn.key),
            command,
            digest: self.digest.clone(),
        });
    }

    /// Nothing runs any more, and nothing is to be said of it.
    pub(super) fn vacate(&mut self, turn: &mut Turn<'_>) {
        (self.stage, self.document, self.refused) = (Stage::Vacant, None, None);
        (self.recovering, self.spared) = (false, false);
        let kept = turn
            .world
            .slots
            .get(turn.key)
            .is_some_and(|it| !it.value.removed && *turn.node == it.value.node);
        if !kept {
            turn.actions.push(NodeAction::Release(turn.key.clone()));
        }
    }

    /// It should run and it does: is it down for all?
    fn watch(&mut self, turn: &Turn<'_>) -> Option<String> {
        let Stage::Running(life) = &mut self.stage else {
            return None;
        };
        let now = turn.now.instant;
        if let Some(document) = &mut self.document {
            document.restarts = self.restarts.count(now);
        }
        let seen = turn.reports(self.generation, self.run);
        let verdicts: Vec<Verdict> = seen.iter().map(|it| it.verdict).collect();
        let is_up = |it: &Verdict| *it != Verdict::Down;
        let combined = combine(&verdicts, self.local);
        life.met |= combined == Combined::Up;
        let up = verdicts.iter().chain(&self.local).any(is_up);
        self.recovering &= !up;
        match life.up_since {
            None if up => life.up_since = Some(now),
            Some(since) if now.saturating_duration_since(since) >= STEADY && up => {
                self.restarts.steady();
            }
            _ => {}
        }
        let patient = !life.met && now < life.patience;
        let never = life.up_since.is_none();
        self.spared &= combined != Combined::Up;
        if patient || !turn.is_probed() || combined != Combined::Down {
            return None;
        }
        // A restart cures nothing while it lacks what it needs, and neither does haste once that is back.
        if self.waits.is_some() || self.recovers_until.is_some_and(|it| now < it) {
            return None;
        }
        let cause = seen
            .iter()
            .find(|it| it.verdict == Verdict::Down && !it.reason.is_empty());
        let cause = cause
            .map(|it| format!(": {}", it.reason))
            .unwrap_or_default();
        Some(if never {
            format!("was never up{cause}")
        } else {
            format!("down for all gateways{cause}")
        })
    }

    /// The rules of this place's command for stopping: as the service says now, else as it was started.
    pub(super) fn stop_policy(&self, turn: &Turn<'_>) -> StopPolicy {
        turn.command()
            .or(self.command.as_deref())
            .map(|it| it.stop.clone())
            .unwrap_or_default()
    }

    /// The document in a new phase.
    pub(super) fn say(&mut self, now: Moment, phase: Phase, reason: &str) {
        if let Some(document) = &mut self.document {
            (document.phase, document.since, document.reason) =
                (phase, now.wall, reason.to_owned());
            document.restarts = self.restarts.count(now.instant);
            document.retry_at = None;
        }
    }

    pub(super) fn event(&self, key: &PlaceKey, event: Event) -> NodeAction {
        NodeAction::Tell(event.of(&key.0).instance(key.1, self.generation, self.run))
    }

    /// Says what is wrong with what the store wants, once for as long as it is.
    fn raise(&mut self, turn: &mut Turn<'_>, wish: &Wish) {
        let idle = matches!(self.stage, Stage::Vacant | Stage::Waiting { .. });
        let (service, slot) = turn.key;
        let event = match wish {
            Wish::Keep(sentence) => Some(Event::error(turn.now.wall, EventKind::Alarm, sentence)),
            Wish::Run { command: None, .. } if idle => Some(Event::warn(
                turn.now.wall,
                EventKind::Alarm,
                format!(
                    "{service}/{slot} waits for a new assignment: its service does not describe the command of this one"
                ),
            )),
            _ => None,
        };
        let sentence = event.as_ref().map(|it| it.message.clone());
        if let Some(event) = event.filter(|_| sentence != self.alarm) {
            turn.actions.push(self.event(turn.key, event));
        }
        self.alarm = sentence;
    }
}
