//! `replicas` of a service: a number, or bounds and targets between which control finds it.

use super::document::Report;
use super::field::{Field, Given, Section};
use super::image::decimal;
use super::key::Keys;
use crate::Scale;
use std::time::Duration;
use toml::de::DeValue;

/// Of `replicas` as a table.
pub(super) const KEYS: Keys = Keys::known(&["min", "max", "in_flight", "p95", "cpu"]);

/// Instances of one service.
pub(super) const MOST_REPLICAS: u64 = 1_000;
/// Requests of one instance at once.
const MOST_IN_FLIGHT: u64 = 100_000;

/// How many instances there should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Replicas {
    /// The number, with `scale` the lowest.
    pub(super) least: u16,
    pub(super) scale: Option<Scale>,
}

impl Replicas {
    /// A number that nobody but a person changes.
    pub(super) fn fixed(number: u16) -> Self {
        Self {
            least: number,
            scale: None,
        }
    }

    /// As many as there may ever be.
    pub(super) fn most(&self) -> u16 {
        self.scale.as_ref().map_or(self.least, |it| it.max)
    }
}

/// `replicas = 2` or `replicas = { min = 2, max = 8, in_flight = 40 }`
pub(super) fn read(field: &Field<'_>, report: &mut Report<'_>) -> Option<Replicas> {
    match field.value {
        DeValue::Table(_) => scaled(field, report),
        DeValue::Integer(it) if it.as_str() == "0" => {
            let message = "must be at least 1, got 0; to stop serving type `minato drain`, to change the number for a while `minato scale`, to end the service delete its file";
            field.problem(report, message)
        }
        _ => field.number(report, 1..=MOST_REPLICAS).map(Replicas::fixed),
    }
}

fn scaled(field: &Field<'_>, report: &mut Report<'_>) -> Option<Replicas> {
    let section = field.section(report, "a number or a table")?;
    KEYS.check(&section, report);
    let count = |it: &Field<'_>, to: &mut Report<'_>| it.number::<u16>(to, 1..=MOST_REPLICAS);
    let min = section.read(report, "min", count);
    let max = section.read(report, "max", count);
    let in_flight = section.read(report, "in_flight", |it, to| {
        it.number::<u32>(to, 1..=MOST_IN_FLIGHT)
    });
    let p95 = section.read(report, "p95", |it, to| {
        it.duration(to, Duration::from_millis(1)..=Duration::from_secs(60))
    });
    let cpu = section.read(report, "cpu", share);
    if in_flight.is_absent() && p95.is_absent() && cpu.is_absent() {
        let message = "needs a target, like in_flight = 40 (requests that each instance should have at once), p95 = \"500ms\" or cpu = 0.7 (of the processors that each is promised)";
        return field.problem(report, message);
    }
    let max = needed(field, &section, report, max)?;
    let least = min.in_force(1)?;
    if max <= least {
        let message = format!(
            "must be above min ({least}), got {max}; for a fixed number write `replicas = {least}`"
        );
        return section.get(report, "max")?.problem(report, message);
    }
    Some(Replicas {
        least,
        scale: Some(Scale {
            max,
            in_flight: optional(in_flight)?,
            p95: optional(p95)?,
            cpu_percent: optional(cpu)?,
        }),
    })
}

/// A part of what each instance is promised, in hundredths.
fn share(field: &Field<'_>, report: &mut Report<'_>) -> Option<u32> {
    let wanted =
        "a part of the processors that each instance is promised, from 0.05 to 10, like 0.7";
    let milli = decimal(field, report, wanted)?;
    match milli {
        50..=10_000 if milli % 10 == 0 => Some(milli / 10),
        _ => field.wrong(report, wanted),
    }
}

fn needed(
    field: &Field<'_>,
    section: &Section<'_>,
    report: &mut Report<'_>,
    max: Given<u16>,
) -> Option<u16> {
    if max.is_absent() && section.get(report, "max").is_none() {
        return field.problem(report, "needs `max`, the most instances there may be");
    }
    max.right()
}

/// `None` where it is wrong.
fn optional<T>(given: Given<T>) -> Option<Option<T>> {
    match given {
        Given::Absent => Some(None),
        Given::Right(it) => Some(Some(it)),
        Given::Wrong => None,
    }
}
