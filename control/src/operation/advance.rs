//! One look at an operation: what follows from it, from what is seen of its steps, and from the clock.
//!
//! Equal inputs give equal turns. A turn that changes nothing gives the document as it was, so that nothing is written.

use super::again::wave_again;
use super::record::{Operation, OperationId, OperationState, StepState, Work};
use super::sight::{Offer, Sights, StepSight};
use crate::rollout::News;
use crate::{EventKind, Level};
use minato_config::Timestamp;
use std::time::Duration;

/// A service that cannot be begun for so long is left out.
const PATIENCE: Duration = Duration::from_secs(600);
/// What has neither come true nor failed in this time counts as failed; the rollout has deadlines of its own, and is mostly sooner.
const LONGEST: Duration = Duration::from_secs(3600);
/// Names in one sentence.
const SHOWN: usize = 5;

/// What follows from one look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// The document as it should be from now on.
    pub next: Operation,
    /// What to write together with it.
    pub orders: Vec<Offer>,
    /// What to tell once it is written.
    pub news: Vec<News>,
}

/// One look at a wave. `now` is the wall clock of who leads.
pub fn advance(id: OperationId, operation: &Operation, sights: &Sights, now: Timestamp) -> Turn {
    let mut run = Run {
        id,
        now,
        turn: Turn {
            next: operation.clone(),
            orders: Vec::new(),
            news: Vec::new(),
        },
    };
    match operation.state {
        OperationState::Scheduled | OperationState::Paused => run.wait(sights),
        OperationState::Running => run.go_on(sights),
        OperationState::Held => run.hear(sights),
        OperationState::Aborting => {
            run.hear(sights);
            if run.turn.next.count(StepState::Running) == 0 {
                let reason = run.turn.next.reason.clone();
                run.end(OperationState::Aborted, reason, Level::Info, None);
            }
        }
        OperationState::Done
        | OperationState::Aborted
        | OperationState::Missed
        | OperationState::Closed => {}
    }
    run.turn
}

struct Run {
    id: OperationId,
    now: Timestamp,
    turn: Turn,
}

impl Run {
    /// Until its time comes.
    fn wait(&mut self, sights: &Sights) {
        let schedule = &self.turn.next.schedule;
        if schedule.at.is_some_and(|at| self.now < at) {
            return;
        }
        if schedule.is_missed(self.turn.next.asked, self.now) {
            return self.miss();
        }
        let next = &self.turn.next;
        let text = if next.state == OperationState::Paused {
            format!("goes on: {}", next.progress())
        } else {
            let waves = match next.waves() {
                1 => "1 wave".to_owned(),
                n => format!("{n} waves"),
            };
            format!("begins, in {waves}")
        };
        self.turn.next = next.turned(OperationState::Running, String::new(), self.now);
        let undo = format!("minato operation abort {}", self.id);
        self.tell(Level::Info, &text, Some(undo));
        self.go_on(sights);
    }

    /// Nobody led when its time came.
    fn miss(&mut self) {
        let text = match self.turn.next.schedule.text() {
            it if it.is_empty() => "at once".to_owned(),
            it => it,
        };
        match self.turn.next.schedule.next_window(self.now) {
            Some(next) => {
                let to = next.text();
                self.turn.next.schedule = next;
                let reason = format!("nobody led {text}; it waits for its next window, {to}");
                self.turn.next =
                    (self.turn.next).turned(self.turn.next.state, reason.clone(), self.now);
                self.tell(Level::Warn, &reason, Some("minato events".to_owned()));
            }
            None => {
                let reason = format!("nobody led when its time came, {text}: nothing was begun");
                let next = &self.turn.next;
                let hint = match &next.work {
                    Work::Wave(work) => Some(wave_again(self.id, next, work)),
                    Work::Switch(_) | Work::Return(_) => None,
                };
                let done = self.turn.next.count(StepState::Waiting) < self.turn.next.steps.len();
                let state = if done {
                    OperationState::Closed
                } else {
                    OperationState::Missed
                };
                self.end(state, reason, Level::Warn, hint);
            }
        }
    }

    fn go_on(&mut self, sights: &Sights) {
        self.hear(sights);
        let next = &self.turn.next;
        let under_way = next.count(StepState::Running) > 0;
        if next.current_wave().is_none() {
            let failed = next.count(StepState::Failed);
            let level = if failed > 0 { Level::Warn } else { Level::Info };
            let reason = next.progress();
            return self.end(OperationState::Done, reason, level, self.to_repeat());
        }
        if self.is_too_much() {
            return self.hold();
        }
        if next.schedule.is_over(self.now) {
            if !under_way {
                self.close();
            }
            return;
        }
        self.begin(sights);
    }

    /// Takes in what has become of steps that were ordered.
    fn hear(&mut self, sights: &Sights) {
        let now = self.now;
        let mut news = Vec::new();
        for (n, step) in self.turn.next.steps.iter_mut().enumerate() {
            if step.state != StepState::Running {
                continue;
            }
            let (state, detail) = match sights.get(&n) {
                Some(StepSight::Done(detail)) => (StepState::Done, detail.clone()),
                Some(StepSight::Failed(detail)) => (StepState::Failed, detail.clone()),
                Some(StepSight::Superseded(detail) | StepSight::Needless(detail)) => {
                    (StepState::Skipped, detail.clone())
                }
                Some(StepSight::Waiting(detail)) if now.since(step.since) >= LONGEST => (
                    StepState::Failed,
                    format!("neither true nor given up after {LONGEST:?}: {detail}"),
                ),
                _ => continue,
            };
            (step.state, step.detail, step.since) = (state, detail, now);
            let level = match (state, sights.get(&n)) {
                (StepState::Done, _) | (_, Some(StepSight::Needless(_))) => Level::Info,
                _ => Level::Warn,
            };
            let text = format!("{} {}: {}", step.service, state.as_str(), step.detail);
            news.push((level, text, step.service.clone()));
        }
        for (level, text, service) in news {
            let hint = (level == Level::Warn).then(|| format!("minato explain {service}"));
            self.tell(level, &text, hint);
        }
    }

    fn is_too_much(&self) -> bool {
        let Work::Wave(wave) = &self.turn.next.work else {
            return false;
        };
        let failed = self.turn.next.count(StepState::Failed);
        failed.saturating_sub(usize::from(wave.forgiven)) >= usize::from(wave.stop_after)
    }

    fn hold(&mut self) {
        let failed: Vec<&str> = (self.turn.next.steps.iter())
            .filter(|it| it.state == StepState::Failed)
            .map(|it| it.service.as_str())
            .collect();
        let shown = failed.len().min(SHOWN);
        let names = failed[..shown].join(", ");
        let reason = format!("{} failed ({names}); nothing more begins", failed.len());
        self.turn.next = (self.turn.next).turned(OperationState::Held, reason.clone(), self.now);
        let id = self.id;
        let hint = format!("minato operation resume {id}, or minato operation abort {id}");
        let text = format!("is held: {reason}");
        self.tell(Level::Error, &text, Some(hint));
    }

    /// Its window is over.
    fn close(&mut self) {
        let progress = self.turn.next.progress();
        match self.turn.next.schedule.next_window(self.now) {
            Some(schedule) => {
                let reason = format!(
                    "its window is over: {progress}; it goes on {}",
                    schedule.text()
                );
                self.turn.next =
                    (self.turn.next).turned(OperationState::Paused, reason.clone(), self.now);
                self.turn.next.schedule = schedule;
                self.tell(Level::Info, &reason, None);
            }
            None => {
                let reason = format!("its window is over: {progress}");
                let hint = self.to_repeat();
                self.end(OperationState::Closed, reason, Level::Warn, hint);
            }
        }
    }

    /// Begins what may begin of the current wave.
    fn begin(&mut self, sights: &Sights) {
        let Some(current) = self.turn.next.current_wave() else {
            return;
        };
        let now = self.now;
        let is_first = {
            let of_wave = || self.turn.next.steps.iter().filter(|it| it.wave == current);
            of_wave().all(|it| it.state == StepState::Waiting && it.detail.is_empty())
        };
        let mut begun = Vec::new();
        let mut news = Vec::new();
        for (n, step) in self.turn.next.steps.iter_mut().enumerate() {
            if step.state != StepState::Waiting || step.wave != current {
                continue;
            }
            match sights.get(&n) {
                Some(StepSight::Offer(offer)) => {
                    step.state = StepState::Running;
                    step.number = Some(offer.number);
                    (step.since, step.detail) = (now, String::new());
                    begun.push(step.service.to_string());
                    self.turn.orders.push((**offer).clone());
                }
                Some(StepSight::Needless(why)) => {
                    step.state = StepState::Skipped;
                    (step.since, step.detail) = (now, why.clone());
                    news.push(format!("{} is skipped: {why}", step.service));
                }
                // The first reason is written down: it begins the patience, and each further one is not worth a commit.
                Some(StepSight::Unfit(why)) if step.detail.is_empty() => {
                    (step.since, step.detail) = (now, why.clone());
                }
                Some(StepSight::Unfit(why)) if now.since(step.since) >= PATIENCE => {
                    step.state = StepState::Skipped;
                    let waited = PATIENCE.as_secs() / 60;
                    let text = format!("was not well for {waited} min before its turn: {why}");
                    (step.since, step.detail) = (now, text.clone());
                    news.push(format!("{} is skipped: {text}", step.service));
                }
                _ => {}
            }
        }
        if is_first && !begun.is_empty() {
            let more = begun.len().saturating_sub(SHOWN);
            let mut names = begun[..begun.len().min(SHOWN)].join(", ");
            if more > 0 {
                names.push_str(&format!(" and {more} more"));
            }
            let text = format!("wave {current} of {}: {names}", self.turn.next.waves());
            self.tell(Level::Info, &text, None);
        }
        for text in news {
            self.tell(Level::Warn, &text, None);
        }
    }

    /// What to type for what was not done.
    fn to_repeat(&self) -> Option<String> {
        let is_left = |it: StepState| matches!(it, StepState::Failed | StepState::Waiting);
        let left = self.turn.next.steps.iter().any(|it| is_left(it.state));
        left.then(|| format!("minato operation show {}", self.id))
    }

    fn end(&mut self, state: OperationState, reason: String, level: Level, hint: Option<String>) {
        let text = format!("is {state}: {reason}");
        self.turn.next = self.turn.next.turned(state, reason, self.now);
        self.tell(level, &text, hint);
    }

    fn tell(&mut self, level: Level, text: &str, hint: Option<String>) {
        let title = self.turn.next.title();
        self.turn.news.push(News {
            level,
            kind: EventKind::Operation,
            text: format!("operation {} ({title}): {text}", self.id),
            hint,
        });
    }
}
