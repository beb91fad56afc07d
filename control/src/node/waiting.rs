//! Instances whose service lacks what it depends on: they are neither started, nor killed for it, and it costs nothing of
//! their restart budget.
//!
//! Not here: whether a dependency can be used (`control/agent`, `relay`), words for it (`dependency`).

use super::place::{Place, Stage};
use super::turn::Turn;
use super::{Moment, Node, NodeAction, PlaceKey};
use crate::dependency::{Wait, unexplained};
use crate::{Event, EventKind, Standings, World};
use minato_config::{Command, Run, ServiceName};
use minato_health::{Instance, Phase};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// Restarts of this long before a dependency was found down were most likely its fault: about the time that finding takes.
const FINDING: Duration = Duration::from_secs(15);
/// What lacked its dependency may be down for this long once that is back: it has to connect anew, and probes of what is
/// down are up to 15 s apart.
const RECOVERY: Duration = Duration::from_secs(40);

/// What the service of a place has to wait for.
pub(super) fn wait_of(world: &World, key: &PlaceKey, standings: &Standings) -> Option<Wait> {
    Wait::of(&world.services.get(&key.0)?.value.service, standings)
}

impl Node {
    /// Says once for each service on this node that it waits, and once that it no longer does.
    pub(super) fn tell_of_waiting(
        &mut self,
        world: &World,
        now: Moment,
        actions: &mut Vec<NodeAction>,
    ) {
        let here: BTreeSet<&ServiceName> = self.places.keys().map(|(service, _)| service).collect();
        let mut waiting = BTreeMap::new();
        let mut open = BTreeSet::new();
        for name in here {
            let Some(record) = world.services.get(name) else {
                continue;
            };
            let service = &record.value.service;
            for missing in unexplained(service, &self.standings) {
                open.insert((name.clone(), missing.clone()));
            }
            let Some(wait) = Wait::of(service, &self.standings).filter(Wait::is_sure) else {
                continue;
            };
            if self.waiting.get(name) != Some(&wait.name) {
                let sentence = format!("{name} {}", wait.waits());
                let event = Event::warn(now.wall, EventKind::Dependency, sentence);
                let event = event.of(name).hint("minato dependencies");
                actions.push(NodeAction::Tell(event));
            }
            waiting.insert(name.clone(), wait.name);
        }
        for (name, before) in &self.waiting {
            let known = world.services.contains_key(name);
            if known && !waiting.contains_key(name) {
                let sentence = format!("{name} has {before} again");
                let event = Event::info(now.wall, EventKind::Dependency, sentence);
                actions.push(NodeAction::Tell(event.of(name)));
            }
        }
        for (service, name) in open.difference(&self.unexplained) {
            let sentence = format!(
                "{service} depends on {name}, which the settings of node {} do not explain; it is started without",
                self.id
            );
            let event = Event::error(now.wall, EventKind::Alarm, sentence).of(service);
            let hint =
                format!("write [dependencies.{name}] into minato.toml there; minato upgrade");
            actions.push(NodeAction::Tell(event.hint(hint)));
        }
        (self.waiting, self.unexplained) = (waiting, open);
    }
}

impl Place {
    /// Its service begins to wait, goes on, or has what it needs.
    pub(super) fn take_in_wait(&mut self, turn: &Turn<'_>) {
        let now = turn.now.instant;
        let sure = turn.wait.as_ref().is_some_and(Wait::is_sure);
        let waits = turn.wait.as_ref().map(Wait::waits);
        if sure && self.waits.is_none() {
            if let Some(since) = now.checked_sub(FINDING) {
                self.restarts.forgive(since);
            }
            self.recovers_until = None;
        }
        if waits.is_none() && self.waits.is_some() {
            self.recovers_until = Some(now + RECOVERY);
        }
        let runs = matches!(self.stage, Stage::Running(_));
        let waiting = matches!(self.stage, Stage::Waiting { .. });
        if let Some(document) = &mut self.document {
            if runs {
                // Nothing else is said of what runs.
                document.reason = turn.wait.as_ref().map(Wait::lacks).unwrap_or_default();
            } else if waiting && let Some(waits) = &waits {
                document.retry_at = None;
                if !document.reason.contains(waits.as_str()) {
                    let cause = document.reason.split(WAITS).next().unwrap_or_default();
                    document.reason = joined(cause, waits);
                }
            }
        }
        // What runs while nothing is known yet lacks nothing that is known.
        self.waits = waits.filter(|_| sure || !runs);
    }

    /// It should start and has to wait before its first run.
    pub(super) fn hold_back(&mut self, turn: &Turn<'_>, command: Box<Command>, why: &str) {
        self.command = Some(command);
        self.source = turn.source();
        self.document = Some(Instance {
            v: 1,
            run: Run(self.run.0.max(1)),
            phase: Phase::Exited,
            address: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
            since: turn.now.wall,
            pid: None,
            restarts: self.restarts.count(turn.now.instant),
            local: None,
            reason: why.to_owned(),
            retry_at: None,
        });
        self.stage = Stage::Waiting {
            until: turn.now.instant,
        };
    }

    /// It has ended while its service lacks what it needs: it starts again once that is back.
    pub(super) fn wait_after(&mut self, now: Moment, reason: &str, waits: &str) {
        self.stage = Stage::Waiting { until: now.instant };
        self.local = None;
        self.say(now, Phase::Exited, &joined(reason, waits));
        if let Some(document) = &mut self.document {
            (document.pid, document.local) = (None, None);
        }
    }
}

/// Between why an instance ended and what it waits for.
const WAITS: &str = "; waits for its ";

fn joined(cause: &str, waits: &str) -> String {
    match cause {
        "" => waits.to_owned(),
        cause if cause.starts_with("waits for its ") => waits.to_owned(),
        cause => format!("{cause}; {waits}"),
    }
}
