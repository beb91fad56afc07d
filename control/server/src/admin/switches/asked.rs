//! What a person types, as it is meant: from a request to what is asked for, or to why not.

use super::super::answer::Refusal;
use super::super::change::caller;
use super::super::state::Shared;
use crate::api::SwitchRequest;
use minato_config::{SiteId, Timestamp};
use minato_control::operation::switch::{Accepted, AskedSwitch, Bearing, Timing};
use minato_control::operation::{Repeat, Schedule, SwitchKind};
use std::time::Duration;

/// Names and patterns of one request.
const MOST_PATTERNS: usize = 1000;
/// Letters of a reason.
const MOST_WHY: usize = 200;
const MOST_QUIET: u64 = 24 * 3600 * 1000;
const MOST_WATCH: u64 = 7 * 24 * 3600 * 1000;
const MOST_DRILL: u64 = 7 * 24 * 3600 * 1000;

pub(super) fn asked(
    shared: &Shared,
    request: &SwitchRequest,
    to: &SiteId,
    now: Timestamp,
) -> Result<AskedSwitch, Refusal> {
    let kind = match request.kind.as_str() {
        "switch" => SwitchKind::Switch,
        "failover" => SwitchKind::Failover,
        "drill" => SwitchKind::Drill,
        _ => return Err(Refusal::bad("`kind` is switch, failover or drill")),
    };
    if request.services.len() > MOST_PATTERNS {
        return Err(Refusal::bad(format!(
            "at most {MOST_PATTERNS} names or patterns of services, not {}",
            request.services.len()
        )));
    }
    let (at, until) = (request.at.as_deref(), request.until.as_deref());
    let mut schedule = Schedule::parse(at, until, Repeat::Once, now)
        .map_err(|why| Refusal::refused(why).hint("`date` tells the time"))?;
    match (kind, request.for_ms) {
        (SwitchKind::Drill, Some(length)) if (1_000..=MOST_DRILL).contains(&length) => {
            let begin = schedule.at.unwrap_or(now);
            schedule.until = Some(begin.after(Duration::from_millis(length)));
            if schedule.zone.is_empty() {
                "UTC".clone_into(&mut schedule.zone);
            }
        }
        (SwitchKind::Drill, _) => {
            return Err(Refusal::bad("a drill takes 1 s to 7 days: `for_ms`"));
        }
        (_, Some(_)) => return Err(Refusal::bad("`for_ms` is for drills")),
        (_, None) => {}
    }
    if kind == SwitchKind::Failover && schedule != Schedule::default() {
        return Err(Refusal::bad(
            "a failover is for now: no `at` and no `until`",
        ));
    }
    let quiet_ms = match request.quiet_ms {
        Some(it) if it <= MOST_QUIET => it,
        Some(_) => return Err(Refusal::bad("`quiet_ms` is at most a day")),
        None => shared
            .admin
            .quiet
            .as_millis()
            .try_into()
            .unwrap_or(u64::MAX),
    };
    let watch_ms = match request.watch_ms {
        Some(it) if it <= MOST_WATCH && it >= quiet_ms => it,
        Some(_) => {
            return Err(Refusal::bad(
                "`watch_ms` is at least `quiet_ms`, and at most 7 days",
            ));
        }
        None => Timing::default().watch_ms.max(quiet_ms),
    };
    let bears = |it: bool| match it {
        true => Bearing::Accepted,
        false => Bearing::Refused,
    };
    let plain = |it: &char| !it.is_control();
    Ok(AskedSwitch {
        to: to.clone(),
        services: request.services.clone(),
        kind,
        schedule,
        size: request.size.unwrap_or(10),
        stop_after: request.stop_after.unwrap_or(1),
        timing: Timing {
            quiet_ms,
            watch_ms,
            ..Timing::default()
        },
        accepted: Accepted {
            overload: bears(request.accept_overload),
            data_loss: bears(request.accept_data_loss),
        },
        asked_by: request.asked_by.chars().filter(plain).take(100).collect(),
        who: caller(&request.who),
        why: request.why.chars().filter(plain).take(MOST_WHY).collect(),
    })
}
