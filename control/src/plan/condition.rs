//! How the current generation of one slot does, from its instance document and the gateways' reports.

use crate::World;
use minato_config::{GatewayId, Generation, Health, ServiceName, SlotIndex, Timestamp};
use minato_health::{Combined, Instance, Phase, Verdict, VerdictReport, combine};
use std::time::Duration;

/// Down for this long makes a slot broken. An observer that has just started calls everything down, and a site that has
/// just started has such observers only.
const DOWN_LONG: Duration = Duration::from_secs(10);

/// How a slot does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition {
    /// Its agent has given up since then.
    Failed(Timestamp),
    /// No process serves for it: not started, ended, or being stopped.
    Idle,
    /// The process lives; all reports, or the majority that `combine` asks for, say down since then.
    Down(Timestamp),
    /// The process lives, and that is all that is known.
    Unsure,
    /// Most gateways call it up, another does not: it serves, and nothing may rest on it.
    Disputed,
    /// It takes requests.
    Ready,
}

impl Condition {
    /// Whether replacing it surely takes nothing away from anybody.
    pub(super) fn is_broken(self, now: Timestamp) -> bool {
        match self {
            Self::Failed(_) | Self::Idle => true,
            Self::Down(since) => now.since(since) >= DOWN_LONG,
            Self::Unsure | Self::Disputed | Self::Ready => false,
        }
    }

    /// 0 is the worst. Since when something is so does not make it worse.
    pub(super) fn rank(self) -> u8 {
        match self {
            Self::Failed(_) => 0,
            Self::Idle => 1,
            Self::Down(_) => 2,
            Self::Unsure => 3,
            Self::Disputed => 4,
            Self::Ready => 5,
        }
    }
}

/// How this generation of slot `n` does, and the same for people: `down: connect refused`; empty for a ready one.
///
/// Ready: the process of the current generation runs, every live gateway has checked this run, at least one calls it up and
/// none calls it down; with no live gateway, the agent's own probe passes; with health off, it runs.
pub(super) fn condition(
    world: &World,
    service: &ServiceName,
    n: SlotIndex,
    generation: Generation,
    instance: Option<&Instance>,
) -> (Condition, String) {
    let reports: Vec<(&GatewayId, Option<&VerdictReport>)> = world
        .gateways
        .keys()
        .map(|it| {
            let report = world.verdicts.get(&(service.clone(), n, it.clone()));
            let report = report.map(|it| &it.value);
            (it, report.filter(|it| it.generation == generation))
        })
        .collect();
    let Some(instance) = instance else {
        // A gateway that still reaches it knows better than a document that vanished.
        let is_up = |it: &&VerdictReport| it.verdict == Verdict::Up;
        if reports.iter().filter_map(|it| it.1).any(|it| is_up(&it)) {
            return (Condition::Unsure, "its document vanished".to_owned());
        }
        return (Condition::Idle, "not started yet".to_owned());
    };
    let told = |state: &str| match instance.reason.as_str() {
        "" => state.to_owned(),
        reason => format!("{state}: {reason}"),
    };
    match instance.phase {
        Phase::Failed => (Condition::Failed(instance.since), told("failed")),
        Phase::Exited => (Condition::Idle, told("ended")),
        Phase::Stopping => (Condition::Idle, "stopping".to_owned()),
        Phase::Running if health_is_off(world, service) => (Condition::Ready, String::new()),
        Phase::Running if world.gateways.is_empty() => unwatched(instance),
        Phase::Running => watched(
            instance,
            &reports
                .into_iter()
                .map(|(gateway, it)| (gateway, it.filter(|it| it.run == instance.run)))
                .collect::<Vec<_>>(),
        ),
    }
}

fn health_is_off(world: &World, service: &ServiceName) -> bool {
    world
        .services
        .get(service)
        .is_some_and(|it| it.value.service.health == Health::Off)
}

fn unwatched(instance: &Instance) -> (Condition, String) {
    match instance.local {
        Some(Verdict::Up) => (Condition::Ready, String::new()),
        None => (
            Condition::Unsure,
            "no gateway is alive and its agent has not probed it yet".to_owned(),
        ),
        Some(_) => (
            Condition::Unsure,
            "its agent's probe does not pass".to_owned(),
        ),
    }
}

/// `reports`: what each live gateway says of this run, if anything.
fn watched(
    instance: &Instance,
    reports: &[(&GatewayId, Option<&VerdictReport>)],
) -> (Condition, String) {
    let said: Vec<(&GatewayId, &VerdictReport)> = reports
        .iter()
        .filter_map(|(gateway, it)| Some((*gateway, (*it)?)))
        .collect();
    let verdicts: Vec<Verdict> = said.iter().map(|(_, it)| it.verdict).collect();
    let Some((gateway, worst)) = said.iter().max_by_key(|(_, it)| it.verdict) else {
        let text = "starting: no gateway has checked it yet";
        return (Condition::Unsure, text.to_owned());
    };
    if worst.verdict != Verdict::Down && verdicts.contains(&Verdict::Up) {
        let silent = reports.iter().find(|(_, it)| it.is_none());
        return match silent {
            None => (Condition::Ready, String::new()),
            Some((gateway, _)) => {
                let text = format!("starting: gateway {gateway} has not checked it yet");
                (Condition::Disputed, text)
            }
        };
    }
    let text = match worst.verdict {
        Verdict::Down => with_reason("down", &worst.reason),
        Verdict::Up | Verdict::Suspect => with_reason("suspect", &worst.reason),
    };
    let all_down = verdicts.iter().all(|it| *it == Verdict::Down);
    let combined = combine(&verdicts, instance.local);
    let down = said.iter().map(|it| it.1);
    let down = down.filter(|it| it.verdict == Verdict::Down);
    match down.map(|it| it.since).max() {
        Some(since) if all_down || combined == Combined::Down => (Condition::Down(since), text),
        Some(_) if combined == Combined::Up => {
            let text = format!("down for gateway {gateway}: {}", worst.reason);
            (Condition::Disputed, text)
        }
        _ => (Condition::Unsure, text),
    }
}

fn with_reason(state: &str, reason: &str) -> String {
    match reason {
        "" => state.to_owned(),
        reason => format!("{state}: {reason}"),
    }
}
