//! What the runtime and the local probes saw, taken into the state.

use super::place::{Life, Place, Stage};
use super::stop::{Goal, Stopping};
use super::{ADOPTION_PATIENCE, Moment, Node, NodeAction, PlaceKey, RunName, START_DEADLINE};
use crate::{Event, EventKind, RestartDecision, Restarts};
use minato_config::{Command, Generation, Run};
use minato_health::{Instance, Layer, Phase, Verdict};
use std::net::SocketAddr;
use std::time::Duration;

/// Between attempts to change the resources of a run.
pub(super) const ADJUST_WAIT: Duration = Duration::from_secs(30);

/// A run that an earlier agent left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// Which.
    pub name: RunName,
    /// What it runs or ran; `None` where only the store remembers it.
    pub command: Option<Box<Command>>,
    /// The digest of its assignment; empty where it is not known.
    pub digest: String,
    /// The port that it was given.
    pub port: u16,
    /// Where it is reached; `None` where that is its port at the node's address.
    pub address: Option<SocketAddr>,
    /// Whether it lives.
    pub state: LeftState,
}

/// How it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeftState {
    /// Alive.
    Running {
        /// Its process id.
        pid: u32,
        /// How long it has run.
        age: Duration,
    },
    /// Dead; the sentence says how it ended.
    Ended(String),
    /// Dead, because an agent stopped it on purpose.
    Stopped,
}

impl Node {
    /// Takes over what an earlier agent left: the newest run of each place, at most once for each, before the first
    /// [`Node::reconcile`]. `document`: what the store says of it.
    pub fn adopt(
        &mut self,
        left: Left,
        document: Option<&Instance>,
        now: Moment,
        jitter: f64,
    ) -> Vec<NodeAction> {
        let key = (left.name.service.clone(), left.name.slot);
        let address = left
            .address
            .unwrap_or(SocketAddr::new(self.address, left.port));
        let known = document.filter(|it| it.run <= left.name.run);
        let place = self.places.entry(key.clone()).or_default();
        (place.generation, place.run) = (left.name.generation, left.name.run);
        (place.command, place.digest) = (left.command, left.digest);
        place.restarts = Restarts::resume(known.map_or(0, |it| it.restarts), now.instant);
        let mut written = Instance {
            v: 1,
            run: left.name.run,
            phase: Phase::Running,
            address,
            since: now.wall,
            pid: None,
            restarts: place.restarts.count(now.instant),
            local: None,
            reason: String::new(),
            retry_at: None,
        };
        match left.state {
            LeftState::Running { pid, age } => {
                let began = now.before(age);
                written.pid = Some(pid);
                written.since = minato_config::Timestamp(
                    now.wall
                        .0
                        .saturating_sub(u64::try_from(age.as_millis()).unwrap_or(u64::MAX)),
                );
                let same = known.filter(|it| it.run == left.name.run && it.pid == Some(pid));
                place.document = Some(match same.filter(|it| it.phase == Phase::Running) {
                    Some(same) => Instance {
                        address,
                        ..same.clone()
                    },
                    None => written,
                });
                place.local = same.and_then(|it| it.local);
                place.stage = Stage::Running(Life {
                    patience: (began + START_DEADLINE).max(now.instant + ADOPTION_PATIENCE),
                    met: false,
                    up_since: None,
                    found: true,
                });
                let event = Event::info(
                    now.wall,
                    EventKind::Adopted,
                    format!(
                        "{}/{} was found running (pid {pid}) and goes on",
                        key.0, key.1
                    ),
                );
                vec![place.event(&key, event)]
            }
            LeftState::Stopped => Vec::new(),
            LeftState::Ended(reason) => {
                match known.filter(|it| it.phase == Phase::Failed && it.run == left.name.run) {
                    Some(failed) => {
                        (place.document, place.stage) = (Some(failed.clone()), Stage::Failed);
                        Vec::new()
                    }
                    None => {
                        place.document = Some(written);
                        let reason = format!("ended while no agent watched: {reason}");
                        let mut actions = vec![place.exited(&key, now, &reason)];
                        actions.extend(place.back_off(&key, now, jitter, &reason));
                        actions
                    }
                }
            }
        }
    }

    /// The run that was asked for lives. `at`: where it is reached, where that is not its port at the node's address.
    pub fn started(
        &mut self,
        name: &RunName,
        pid: u32,
        port: u16,
        at: Option<SocketAddr>,
        now: Moment,
    ) -> Vec<NodeAction> {
        let address = at.unwrap_or(SocketAddr::new(self.address, port));
        let Some((key, place)) = self.place(name) else {
            return vec![NodeAction::Kill(name.clone())];
        };
        place.refused = None;
        place.document = Some(Instance {
            v: 1,
            run: name.run,
            phase: Phase::Running,
            address,
            since: now.wall,
            pid: Some(pid),
            restarts: place.restarts.count(now.instant),
            local: None,
            reason: String::new(),
            retry_at: None,
        });
        place.stage = Stage::Running(Life {
            patience: now.instant + START_DEADLINE,
            met: false,
            up_since: None,
            found: false,
        });
        let event = Event::info(
            now.wall,
            EventKind::Started,
            format!("{}/{} was started (pid {pid}, port {port})", key.0, key.1),
        );
        vec![place.event(&key, event)]
    }

    /// The run may use what was last asked for, or could not be given it: then it is asked again after a while.
    pub fn adjusted(
        &mut self,
        name: &RunName,
        result: Result<(), String>,
        now: Moment,
    ) -> Vec<NodeAction> {
        let Some((key, place)) = self.place(name) else {
            return Vec::new();
        };
        let event = match result {
            Ok(()) => {
                place.unadjusted = None;
                Event::info(
                    now.wall,
                    EventKind::Adjusted,
                    format!("{}/{} was given other resources as it runs", key.0, key.1),
                )
            }
            Err(why) => {
                let again = now.instant + ADJUST_WAIT;
                if place
                    .unadjusted
                    .replace((again, why.clone()))
                    .is_some_and(|it| it.1 == why)
                {
                    return Vec::new();
                }
                Event::warn(
                    now.wall,
                    EventKind::Adjusted,
                    format!(
                        "{}/{} goes on with the resources it has, and is tried again: {why}",
                        key.0, key.1
                    ),
                )
                .hint(format!(
                    "look at `resources` of {}; minato restart {}",
                    key.0, key.0
                ))
            }
        };
        vec![place.event(&key, event)]
    }

    /// The run has ended; `reason`: `exited with status 3 after 0.1s; last output: "no such table"`.
    pub fn ended(
        &mut self,
        name: &RunName,
        reason: &str,
        now: Moment,
        jitter: f64,
    ) -> Vec<NodeAction> {
        let Some((key, place)) = self.place(name) else {
            return Vec::new();
        };
        match std::mem::take(&mut place.stage) {
            Stage::Stopping(Stopping {
                goal: Goal::Leave(why),
                ..
            }) => {
                let event = Event::info(
                    now.wall,
                    EventKind::Stopped,
                    format!("{}/{} is stopped: {why}", key.0, key.1),
                );
                place.stage = Stage::Gone;
                vec![place.event(&key, event)]
            }
            Stage::Stopping(Stopping {
                goal: Goal::Restart(why),
                ..
            }) => place.back_off(&key, now, jitter, &why),
            Stage::Starting | Stage::Running(_) => {
                let mut actions = vec![place.exited(&key, now, reason)];
                actions.extend(place.back_off(&key, now, jitter, reason));
                actions
            }
            stage @ (Stage::Vacant | Stage::Gone | Stage::Waiting { .. } | Stage::Failed) => {
                place.stage = stage;
                Vec::new()
            }
        }
    }

    /// The agent's own probe has a verdict on this run, and failed last at `layer`. Down says nothing of a run that may
    /// still be starting.
    pub fn local(
        &mut self,
        name: &RunName,
        verdict: Option<Verdict>,
        layer: Option<Layer>,
        now: Moment,
    ) {
        let Some((_, place)) = self.place(name) else {
            return;
        };
        let starting = matches!(
            &place.stage,
            Stage::Running(life) if life.up_since.is_none() && now.instant < life.patience
        );
        place.local = verdict.filter(|it| !starting || *it != Verdict::Down);
        place.layer = layer;
        if let Some(document) = &mut place.document {
            document.local = place.local;
        }
    }

    /// The place that has this very run.
    pub(super) fn place(&mut self, name: &RunName) -> Option<(PlaceKey, &mut Place)> {
        let key = (name.service.clone(), name.slot);
        let place = self.places.get_mut(&key)?;
        let (generation, run): (Generation, Run) = (place.generation, place.run);
        (generation == name.generation && run == name.run).then_some((key, place))
    }
}

impl Place {
    fn exited(&self, key: &PlaceKey, now: Moment, reason: &str) -> NodeAction {
        self.event(
            key,
            Event::warn(
                now.wall,
                EventKind::Exited,
                format!("{}/{} {reason}", key.0, key.1),
            ),
        )
    }

    /// It has ended and should not have: when does it start again?
    pub(super) fn back_off(
        &mut self,
        key: &PlaceKey,
        now: Moment,
        jitter: f64,
        reason: &str,
    ) -> Vec<NodeAction> {
        if let Some(waits) = self.waits.clone() {
            self.wait_after(now, reason, &waits);
            return Vec::new();
        }
        let decision = self.restarts.ended(now.instant, jitter);
        let (phase, stage, retry_at) = match decision {
            RestartDecision::After(delay) => {
                let until = now.instant + delay;
                (
                    Phase::Exited,
                    Stage::Waiting { until },
                    Some(now.wall_at(until)),
                )
            }
            RestartDecision::Spent => (Phase::Failed, Stage::Failed, None),
        };
        self.stage = stage;
        self.local = None;
        self.say(now, phase, reason);
        if let Some(document) = &mut self.document {
            (document.pid, document.local, document.retry_at) = (None, None, retry_at);
        }
        if decision != RestartDecision::Spent {
            return Vec::new();
        }
        let message = format!(
            "{}/{} ended {} times within 10 minutes and is given up: {reason}",
            key.0,
            key.1,
            self.restarts.count(now.instant).saturating_add(1)
        );
        vec![self.event(
            key,
            Event::error(now.wall, EventKind::Failed, message).hint(hint(key)),
        )]
    }
}

pub(super) fn hint((service, _): &PlaceKey) -> String {
    format!("minato logs {service}; minato restart {service}")
}
