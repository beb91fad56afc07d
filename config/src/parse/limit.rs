//! `limits` and `timeouts` of a service.

use super::document::Report;
use super::field::{Field, Given};
use super::key::Keys;
use crate::{Limits, Timeouts};
use std::time::Duration;

/// Of `limits`.
pub(super) const LIMIT_KEYS: Keys = Keys::known(&[
    "in_flight",
    "queue",
    "queue_timeout",
    "body",
    "connections",
    "idle",
]);
/// Of `timeouts`.
pub(super) const TIMEOUT_KEYS: Keys = Keys::known(&["connect", "first_byte", "idle", "tunnel"]);

const INSTANT: Duration = Duration::from_millis(10);
const HOUR: Duration = Duration::from_secs(3_600);

/// `limits = { .. }`
pub(super) fn limits(field: &Field<'_>, report: &mut Report<'_>) -> Option<Limits> {
    let section = field.section(report, "a table, like { in_flight = 400, queue = 200 }")?;
    LIMIT_KEYS.check(&section, report);
    let default = Limits::default();
    let in_flight = section.read(report, "in_flight", |it, to| it.number(to, 0..=1_000_000));
    let queue = section.read(report, "queue", |it, to| it.number(to, 0..=100_000));
    let wait = |it: &Field<'_>, to: &mut Report<'_>| it.duration(to, INSTANT..=10 * HOUR / 60);
    let queue_timeout = section.read(report, "queue_timeout", wait);
    let body = section.read(report, "body", |it, to| it.size(to, 0..=u64::MAX));
    let connections = section.read(report, "connections", |it, to| it.number(to, 0..=100_000));
    let idle = section.read(report, "idle", |it, to| it.number(to, 0..=100_000));
    let unlimited = matches!(in_flight, Given::Absent | Given::Right(0));
    if let (Given::Right(1..), true, Some(field)) = (queue, unlimited, section.get(report, "queue"))
    {
        let message =
            "does nothing without `in_flight`: requests wait only where their number is limited";
        return field.problem(report, message);
    }
    Some(Limits {
        in_flight: in_flight.in_force(default.in_flight)?,
        queue: queue.in_force(default.queue)?,
        queue_timeout: queue_timeout.in_force(default.queue_timeout)?,
        body_bytes: body.in_force(default.body_bytes)?,
        connections: connections.in_force(default.connections)?,
        idle: idle.in_force(default.idle)?,
    })
}

/// `timeouts = { .. }`
pub(super) fn timeouts(field: &Field<'_>, report: &mut Report<'_>) -> Option<Timeouts> {
    let section = field.section(
        report,
        "a table, like { connect = \"3s\", first_byte = \"60s\" }",
    )?;
    TIMEOUT_KEYS.check(&section, report);
    let default = Timeouts::default();
    let mut read = |key: &str, last: Duration| {
        section.read(report, key, |it, to| it.duration(to, INSTANT..=last))
    };
    let connect = read("connect", HOUR / 60);
    let first_byte = read("first_byte", 24 * HOUR);
    let idle = read("idle", 24 * HOUR);
    let tunnel = read("tunnel", 168 * HOUR);
    Some(Timeouts {
        connect: connect.in_force(default.connect)?,
        first_byte: first_byte.in_force(default.first_byte)?,
        idle: idle.in_force(default.idle)?,
        tunnel: tunnel.in_force(default.tunnel)?,
    })
}
