//! Runs that could not be started: what was wrong, what it costs, and when they are tried again.

use super::observe::hint;
use super::place::Stage;
use super::{Moment, Node, NodeAction, RunName};
use crate::{Event, EventKind};
use minato_config::Run;
use minato_health::{Instance, Phase};
use std::net::SocketAddr;
use std::time::Duration;

/// How long a run waits before it asks again for a port that another slot has.
const PORT_WAIT: Duration = Duration::from_secs(1);
/// How long a run waits before it asks an engine again that did not answer.
const ENGINE_WAIT: Duration = Duration::from_secs(2);

/// Why a run could not be started. Each text says what to do, and names no service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// `command` cannot be executed as it is written.
    Command(String),
    /// This key of the service's file asks for what this node cannot give.
    Field(&'static str, String),
    /// The engine that runs containers does not answer: nothing was tried, and it costs nothing of the restart budget.
    Away(String),
    /// `port` is not to be had.
    Port(String),
    /// `port` is another slot's, which may be on its way out: waiting costs nothing of the restart budget.
    PortHeld(String),
    /// The machine or the runtime did not do its part.
    Machine(String),
}

impl Node {
    /// The run that was asked for could not be started; nothing of it is left. Counts as an end, unless its port is
    /// held or the engine is away. `port`: the one it would have had, 0 where none was found.
    pub fn not_started(
        &mut self,
        name: &RunName,
        port: u16,
        why: &Refusal,
        now: Moment,
        jitter: f64,
    ) -> Vec<NodeAction> {
        let address = SocketAddr::new(self.address, port);
        let Some((key, place)) = self.place(name) else {
            return Vec::new();
        };
        let mut actions = Vec::new();
        let reason = why.text(place.source.as_deref());
        if place.refused.as_deref() != Some(reason.as_str()) {
            let event = Event::warn(
                now.wall,
                EventKind::Exited,
                format!("{}/{} could not be started: {reason}", key.0, key.1),
            )
            .hint(hint(&key));
            actions.push(place.event(&key, event));
            place.refused = Some(reason.clone());
        }
        let reason = format!("could not be started: {reason}");
        let since = place
            .document
            .as_ref()
            .filter(|it| it.reason == reason)
            .map(|it| it.since);
        place.document = Some(Instance {
            v: 1,
            run: name.run,
            phase: Phase::Exited,
            address,
            since: since.unwrap_or(now.wall),
            pid: None,
            restarts: place.restarts.count(now.instant),
            local: None,
            reason: reason.clone(),
            retry_at: None,
        });
        if let Some(wait) = why.wait() {
            let until = now.instant + wait;
            // Its number is free again: nothing was started under it.
            place.run = Run(name.run.0.saturating_sub(1));
            place.stage = Stage::Waiting { until };
        } else {
            actions.extend(place.back_off(&key, now, jitter, &reason));
        }
        actions
    }
}

impl Refusal {
    /// When to try again, where waiting costs nothing.
    fn wait(&self) -> Option<Duration> {
        match self {
            Self::PortHeld(_) => Some(PORT_WAIT),
            Self::Away(_) => Some(ENGINE_WAIT),
            Self::Command(_) | Self::Field(..) | Self::Port(_) | Self::Machine(_) => None,
        }
    }

    /// `services/library.toml: command: no such program`, as far as a file is to blame and known.
    fn text(&self, source: Option<&str>) -> String {
        let (field, text) = match self {
            Self::Command(text) => ("command", text),
            Self::Field(field, text) => (*field, text),
            Self::Port(text) | Self::PortHeld(text) => ("port", text),
            Self::Machine(text) | Self::Away(text) => return text.clone(),
        };
        match source {
            Some(source) => format!("{source}: {field}: {text}"),
            None => text.clone(),
        }
    }
}
