//! What to type for what did not come about because nobody led at the time: the command that does the same. Pure.

use super::StepState;
use super::record::{
    Operation, OperationId, OperationState, Return, SwitchKind, Switches, Wave, WaveChange, Work,
};
use super::schedule::{Repeat, local_text};
use super::switch::{Bearing, Switch, Timing};
use crate::World;
use minato_config::{ServiceName, SiteId, Timestamp};
use std::collections::BTreeMap;

/// Names that a command is told with; of more it says where they stand.
const SHOWN: usize = 8;
/// What a switch takes where nothing is typed, of services at once and of failures.
const SWITCH: (u16, u16) = (10, 1);
/// The same of a wave.
const WAVE: (u16, u16) = (5, 1);

/// For a switch, a failover or a drill that was missed. `back`: the return that was scheduled with it.
pub(super) fn begin_again(
    id: OperationId,
    operation: &Operation,
    back: Option<&Operation>,
    now: Timestamp,
) -> Option<String> {
    let Work::Switch(work) = &operation.work else {
        return None;
    };
    let services: Vec<_> = operation.steps.iter().map(|it| &it.service).collect();
    let until = back.filter(|it| it.state == OperationState::Scheduled);
    let until = until.and_then(|it| Some((it.schedule.at?, it.schedule.zone.as_str())));
    let mut flags = match (work.kind, until) {
        (SwitchKind::Drill, Some((until, _))) => {
            let begin = operation.schedule.at.unwrap_or(operation.asked);
            let ms = u64::try_from(until.since(begin).as_millis()).unwrap_or(u64::MAX);
            format!(" --for {}", length(ms))
        }
        (SwitchKind::Switch, Some((until, zone))) if until > now => {
            format!(" --until \"{}\"", local_text(until, zone))
        }
        (SwitchKind::Switch, Some((_, zone))) => format!(" --until \"DATE TIME {zone}\""),
        (_, None) | (SwitchKind::Failover, Some(_)) => String::new(),
    };
    flags.push_str(&limits((work.size, work.stop_after), SWITCH));
    flags.push_str(&patience(work.timing));
    flags.push_str(&accepted(work));
    let at = match work.kind {
        SwitchKind::Failover => None,
        SwitchKind::Switch | SwitchKind::Drill => operation.schedule.at,
    };
    let at = at.map(|_| operation.schedule.zone.as_str());
    let verb = format!("minato {} --to {}", work.kind.as_str(), work.to);
    Some(command(&verb, &services, id, &flags, at))
}

/// For a wave that was missed, or was not done by the end of its window: what is left of it.
pub(super) fn wave_again(id: OperationId, operation: &Operation, work: &Wave) -> String {
    let left = operation.steps.iter();
    let left = left.filter(|it| it.state == StepState::Waiting);
    let services: Vec<_> = left.map(|it| &it.service).collect();
    let change = match &work.change {
        WaveChange::Restart => "--restart".to_owned(),
        WaveChange::Image(image) => format!("--image {image}"),
        WaveChange::Pull => "--pull".to_owned(),
        WaveChange::Rollback => "--rollback".to_owned(),
    };
    let mut flags = format!(" {change}{}", limits((work.size, work.stop_after), WAVE));
    let schedule = &operation.schedule;
    if schedule.until.is_some() {
        flags.push_str(&format!(" --until \"DATE TIME {}\"", schedule.zone));
    }
    if schedule.repeat == Repeat::Daily {
        flags.push_str(" --daily");
    }
    let at = schedule.at.map(|_| schedule.zone.as_str());
    command("minato wave", &services, id, &flags, at)
}

/// For a return that was missed: one command for each site that served what `first` has moved and nobody has moved on since. `None`
/// where nothing is left to be led back.
pub(super) fn lead_back(work: &Return, first: Option<&Operation>, world: &World) -> Option<String> {
    let Some(first) = first else {
        return Some("minato switch --to SITE leads back by hand".to_owned());
    };
    let moved = first.steps.iter().filter_map(|it| {
        let switch: &Switch = it.switch.as_deref().filter(|it| it.has_moved())?;
        let order = world.orders.get(&it.service);
        let is_there = order.is_none_or(|it| it.value.first == work.from);
        is_there.then_some((&switch.from, &it.service))
    });
    let mut sites: BTreeMap<&SiteId, Vec<&ServiceName>> = BTreeMap::new();
    for (site, service) in moved {
        sites.entry(site).or_default().push(service);
    }
    let flags = limits((work.size, SWITCH.1), SWITCH) + &patience(work.timing);
    let commands = sites.iter().map(|(site, services)| {
        let verb = format!("minato switch --to {site}");
        command(&verb, services, work.of, &flags, None)
    });
    let commands: Vec<String> = commands.collect();
    (!commands.is_empty()).then(|| format!("{} leads back by hand", commands.join("; ")))
}

/// `at`: the zone of the time that it had.
fn command(
    verb: &str,
    services: &[&ServiceName],
    id: OperationId,
    flags: &str,
    at: Option<&str>,
) -> String {
    let (names, note) = match services.len() > SHOWN {
        true => (
            "NAMES".to_owned(),
            format!(" (minato operation show {id} has the names)"),
        ),
        false => {
            let names: Vec<&str> = services.iter().map(|it| it.as_str()).collect();
            (names.join(","), String::new())
        }
    };
    let at = at.map(|zone| format!(" --at \"DATE TIME {zone}\", or without --at for now"));
    let at = at.unwrap_or_default();
    format!("{verb} --services {names}{flags}{at}{note}")
}

fn limits((size, stop_after): (u16, u16), usual: (u16, u16)) -> String {
    let mut flags = String::new();
    if size != usual.0 {
        flags.push_str(&format!(" --size {size}"));
    }
    if stop_after != usual.1 {
        flags.push_str(&format!(" --stop-after {stop_after}"));
    }
    flags
}

fn patience(it: Timing) -> String {
    let usual = Timing::default();
    let mut flags = String::new();
    if it.quiet_ms != usual.quiet_ms {
        flags.push_str(&format!(" --quiet {}", length(it.quiet_ms)));
    }
    if it.watch_ms != usual.watch_ms {
        flags.push_str(&format!(" --watch {}", length(it.watch_ms)));
    }
    flags
}

fn accepted(work: &Switches) -> String {
    let mut flags = String::new();
    if work.accepted.overload == Bearing::Accepted {
        flags.push_str(" --accept-overload");
    }
    // Only a failover can be typed with it.
    if work.accepted.data_loss == Bearing::Accepted && work.kind == SwitchKind::Failover {
        flags.push_str(" --accept-data-loss");
    }
    flags
}

/// As commands take it: `90s`, `30m`, `2h`.
fn length(ms: u64) -> String {
    let seconds = ms.div_ceil(1000);
    match seconds {
        it if it > 0 && it % 3600 == 0 => format!("{}h", it / 3600),
        it if it > 0 && it % 60 == 0 => format!("{}m", it / 60),
        it => format!("{it}s"),
    }
}
