//! `GET /v1/sites/report`, its metrics and alarms: targets of recovery against what was measured and is to be expected.

use super::answer::Refusal;
use super::state::Shared;
use crate::api::{RecoveryFigures, RecoveryReports, RecoveryStatus};
use crate::clock;
use axum::Json;
use axum::extract::State;
use minato_config::{NEVER_COPIED, Timestamp};
use minato_control::{RecoveryReport, World, recovery_reports};
use minato_health::recovery::Recovery;
use std::fmt::Write as _;
use std::time::Duration;

pub(super) async fn show(State(shared): State<Shared>) -> Result<Json<RecoveryReports>, Refusal> {
    let observed = shared.look_now().await?;
    let now = clock::wall();
    let services = recovery_reports(&observed.world, now);
    Ok(Json(RecoveryReports {
        now_ms: now.0,
        services: services.iter().map(status).collect(),
    }))
}

fn status(it: &RecoveryReport) -> RecoveryStatus {
    RecoveryStatus {
        service: it.service.to_string(),
        rto_ms: millis(it.rto),
        rpo_ms: millis(it.rpo),
        last: it.last.as_ref().map(figures),
        returned: it.returned.as_ref().map(figures),
        events: it.events,
        predicted_ms: it.predicted.map(millis),
        unproven_since_ms: it.unproven_since.map(|it| it.0),
        missed: it.missed.clone(),
    }
}

fn figures(it: &Recovery) -> RecoveryFigures {
    RecoveryFigures {
        kind: it.kind.as_str().to_owned(),
        at_ms: it.at.0,
        from: it.from.to_string(),
        to: it.to.as_ref().map(ToString::to_string),
        detect_ms: it.detect_ms,
        decide_ms: it.decide_ms,
        start_ms: it.start_ms,
        first_ms: it.first_ms,
        errors: it.errors,
        data_age_ms: it.data_age_ms,
    }
}

/// What would not be met today, one sentence each.
pub(super) fn alarms(world: &World, now: Timestamp) -> Vec<String> {
    let reports = recovery_reports(world, now);
    let missed = reports.iter().flat_map(|report| {
        let service = &report.service;
        let missed = report.missed.iter();
        missed.map(move |why| format!("{service} would miss its target of recovery: {why}; `minato site report` tells more"))
    });
    missed.collect()
}

/// Prometheus text. Of an event that never was there is no figure, rather than zero.
pub(super) fn metrics(world: &World, now: Timestamp) -> String {
    let reports = recovery_reports(world, now);
    let mut text = String::new();
    let mut gauge = |name: &str, help: &str, value: &dyn Fn(&RecoveryReport) -> Option<f64>| {
        let lines: Vec<String> = reports
            .iter()
            .filter_map(|it| {
                let value = value(it)?;
                Some(format!(
                    "minato_recovery_{name}{{service=\"{}\"}} {value}\n",
                    it.service
                ))
            })
            .collect();
        if !lines.is_empty() {
            let _ = write!(
                text,
                "# HELP minato_recovery_{name} {help}\n# TYPE minato_recovery_{name} gauge\n{}",
                lines.concat()
            );
        }
    };
    let of_last = |figure: fn(&Recovery) -> Option<u64>| {
        move |it: &RecoveryReport| figure(it.last.as_ref()?).map(seconds_of)
    };
    gauge(
        "target_seconds",
        "Asked for: until visitors are served again.",
        &|it| Some(it.rto.as_secs_f64()),
    );
    gauge(
        "data_target_seconds",
        "Asked for: how old data may be.",
        &|it| Some(it.rpo.as_secs_f64()),
    );
    gauge(
        "predicted_seconds",
        "To be expected if the first site failed now.",
        &|it| it.predicted.map(|it| it.as_secs_f64()),
    );
    gauge(
        "measured_seconds",
        "The last time: until visitors were served, or sent there where none came.",
        &|it| it.measured().map(|it| it.as_secs_f64()),
    );
    gauge(
        "detect_seconds",
        "The last time: until it was known.",
        &of_last(|it| Some(it.detect_ms)),
    );
    gauge(
        "decide_seconds",
        "The last time: until visitors were sent away for good.",
        &of_last(|it| it.decide_ms),
    );
    gauge(
        "start_seconds",
        "The last time: until another site had an instance.",
        &of_last(|it| it.start_ms),
    );
    gauge(
        "first_success_seconds",
        "The last time: until another site answered a request.",
        &of_last(|it| it.first_ms),
    );
    gauge(
        "errors",
        "The last time: requests that failed.",
        &of_last(|it| Some(it.errors * 1_000)),
    );
    gauge(
        "data_age_seconds",
        "The last time: how old the data was; +Inf if none was ever copied.",
        &|it| {
            let age = it.last.as_ref()?.data_age_ms?;
            Some(if age == NEVER_COPIED {
                f64::INFINITY
            } else {
                seconds_of(age)
            })
        },
    );
    gauge(
        "unproven_seconds",
        "For how long nobody has seen that it works.",
        &|it| Some(now.since(it.unproven_since?).as_secs_f64()),
    );
    gauge(
        "target_met",
        "0 if a target would not be met today.",
        &|it| Some(f64::from(u8::from(it.missed.is_empty()))),
    );
    text
}

fn seconds_of(millis: u64) -> f64 {
    Duration::from_millis(millis).as_secs_f64()
}

fn millis(it: Duration) -> u64 {
    u64::try_from(it.as_millis()).unwrap_or(u64::MAX)
}
