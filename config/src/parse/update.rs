//! `update` of a service: how carefully it goes from one version to the next.

use super::document::Report;
use super::duration::show;
use super::field::Field;
use super::key::Keys;
use crate::{UpdateOrder, UpdatePolicy};
use std::time::Duration;

/// Of `update`.
pub(super) const KEYS: Keys = Keys::known(&["healthy", "deadline", "parallel", "order"]);

/// New instances on their way at once.
const MOST_PARALLEL: u64 = 100;

/// `update = { healthy = "10s", deadline = "5m", parallel = 1, order = "start-first" }`
pub(super) fn read(field: &Field<'_>, report: &mut Report<'_>) -> Option<UpdatePolicy> {
    let section = field.section(
        report,
        "a table, like { healthy = \"10s\", deadline = \"5m\", parallel = 1 }",
    )?;
    KEYS.check(&section, report);
    let (second, day) = (Duration::from_secs(1), Duration::from_secs(86_400));
    let healthy = section.read(report, "healthy", |it, to| {
        it.duration(to, Duration::ZERO..=day)
    });
    let deadline = section.read(report, "deadline", |it, to| it.duration(to, second..=day));
    let parallel = section.read(report, "parallel", |it, to| {
        it.number::<u16>(to, 1..=MOST_PARALLEL)
    });
    let order = section.read(report, "order", order);
    let default = UpdatePolicy::default();
    let policy = UpdatePolicy {
        healthy: healthy.in_force(default.healthy)?,
        deadline: deadline.in_force(default.deadline)?,
        parallel: parallel.in_force(default.parallel)?,
        order: order.in_force(default.order)?,
    };
    if policy.deadline <= policy.healthy {
        let (deadline, healthy) = (show(policy.deadline), show(policy.healthy));
        let why = "no new instance could be healthy in time";
        return match section.get(report, "deadline") {
            Some(at) => at.problem(
                report,
                format!("must be above healthy ({healthy}), got {deadline}: {why}"),
            ),
            None => section.get(report, "healthy")?.problem(
                report,
                format!("must be below deadline ({deadline}), got {healthy}: {why}"),
            ),
        };
    }
    Some(policy)
}

fn order(field: &Field<'_>, report: &mut Report<'_>) -> Option<UpdateOrder> {
    const FORM: &str =
        "\"start-first\" (one more than wanted meanwhile) or \"stop-first\" (each in its place)";
    match field.text(report, FORM)? {
        "start-first" => Some(UpdateOrder::StartFirst),
        "stop-first" => Some(UpdateOrder::StopFirst),
        _ => field.wrong(report, FORM),
    }
}
