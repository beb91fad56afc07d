//! How the current generation of one slot does, from its instance document and the gateways' reports.

use crate::World;
use minato_config::{Generation, Health, ServiceName, SlotIndex, Timestamp};
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
    /// It takes requests.
    Ready,
}

impl Condition {
    /// Whether replacing it surely takes nothing away from anybody.
    pub(super) fn is_broken(self, now: Timestamp) -> bool {
        match self {
            Self::Failed(_) | Self::Idle => true,
            Self::Down(since) => now.since(since) >= DOWN_LONG,
            Self::Unsure | Self::Ready => false,
        }
    }

    /// 0 is the worst. Since when something is so does not make it worse.
    pub(super) fn rank(self) -> u8 {
        match self {
            Self::Failed(_) => 0,
            Self::Idle => 1,
            Self::Down(_) => 2,
            Self::Unsure => 3,
            Self::Ready => 4,
        }
    }
}

/// How this generation of slot `n` does, and the same for people: `down: connect refused`; empty for a ready one.
///
/// Ready: the process of the current generation runs, and at least one live gateway calls this run up and none calls it
/// down; with no live gateway, the agent's own probe passes; with health off, it runs.
pub(super) fn condition(
    world: &World,
    service: &ServiceName,
    n: SlotIndex,
    generation: Generation,
    instance: Option<&Instance>,
) -> (Condition, String) {
    let reports: Vec<&VerdictReport> = world
        .gateways
        .keys()
        .filter_map(|it| world.verdicts.get(&(service.clone(), n, it.clone())))
        .map(|it| &it.value)
        .filter(|it| it.generation == generation)
        .collect();
    let Some(instance) = instance else {
        // A gateway that still reaches it knows better than a document that vanished.
        if reports.iter().any(|it| it.verdict == Verdict::Up) {
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
                .filter(|it| it.run == instance.run)
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

fn watched(instance: &Instance, reports: &[&VerdictReport]) -> (Condition, String) {
    let verdicts: Vec<Verdict> = reports.iter().map(|it| it.verdict).collect();
    let worst = reports.iter().max_by_key(|it| it.verdict);
    let text = match worst.map(|it| (it.verdict, it.reason.as_str())) {
        None => "starting: no gateway has checked it yet".to_owned(),
        Some((Verdict::Up, _)) => return (Condition::Ready, String::new()),
        Some((Verdict::Suspect, _)) if verdicts.contains(&Verdict::Up) => {
            return (Condition::Ready, String::new());
        }
        Some((Verdict::Suspect, reason)) => with_reason("suspect", reason),
        Some((Verdict::Down, reason)) => with_reason("down", reason),
    };
    let all_down = verdicts.iter().all(|it| *it == Verdict::Down);
    let down = reports.iter().filter(|it| it.verdict == Verdict::Down);
    match down.map(|it| it.since).max() {
        Some(since) if all_down || combine(&verdicts, instance.local) == Combined::Down => {
            (Condition::Down(since), text)
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
