//! What became of a request, told to the metrics, the access log, the endpoint and the health loop.

use crate::access_log;
use crate::answer::Reason;
use crate::clock;
use crate::gateway::{Evidence, Gateway};
use crate::head::Request;
use crate::metrics::Attempted;
use minato_config::Health;
use minato_health::{Failure, Layer};
use minato_proxy::{AttemptEnd, Endpoint, ServiceEntry, classify};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

/// The client left before its answer was whole.
pub(crate) const CLIENT_GONE: &str = "client_gone";
/// The instance broke off within its answer.
pub(crate) const BROKE_OFF: &str = "broke_off";

/// One request.
#[derive(Debug, Default)]
pub(crate) struct Record {
    /// 0 while nothing was answered.
    pub(crate) status: u16,
    pub(crate) service: Option<Arc<ServiceEntry>>,
    pub(crate) instance: Option<u16>,
    pub(crate) retries: u8,
    /// Why minato answered itself, or why the answer was cut; empty otherwise. One of a fixed set.
    pub(crate) note: &'static str,
}

impl Record {
    /// Counts and logs it.
    pub(crate) fn finish(
        &self,
        gateway: &Gateway,
        peer: SocketAddr,
        bytes: u64,
        request: Option<&Request>,
        began: Instant,
    ) {
        let now = clock::now();
        let took = now.saturating_duration_since(began);
        let name = self
            .service
            .as_ref()
            .map_or("", |it| it.service.name.as_str());
        let metrics = &gateway.metrics;
        metrics
            .requests
            .with_label_values(&[name, class(self.status)])
            .inc();
        metrics
            .duration
            .with_label_values(&[name])
            .observe(took.as_secs_f64());
        if !self.note.is_empty() {
            metrics.refused.with_label_values(&[name, self.note]).inc();
        }
        if let Some(entry) = &self.service {
            let counts = metrics.service(&entry.service.name);
            counts.add(took, now);
            if self.status >= 500 && !self.note.is_empty() {
                counts.add_gateway_error();
            }
        }
        let line = access_log::Line {
            peer,
            method: request.map_or("-", |it| it.method.as_str()),
            host: request.map_or("", |it| it.authority.as_str()),
            path: request.map_or("", |it| it.path.as_str()),
            query: request.map_or("", |it| it.query.as_str()),
            status: self.status,
            bytes,
            service: name,
            instance: self.instance,
            retries: self.retries,
            note: self.note,
        };
        gateway.access_log.write(&line, began);
    }
}

/// A request whose head could not be read.
pub(crate) fn unread(gateway: &Gateway, peer: SocketAddr, reason: Reason, began: Instant) {
    let record = Record {
        status: reason.status(),
        note: reason.label(),
        ..Record::default()
    };
    record.finish(gateway, peer, 0, None, began);
}

fn class(status: u16) -> &'static str {
    match status {
        0 => "cut",
        100..=199 => "1xx",
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        _ => "5xx",
    }
}

/// Tells endpoint, counters and the health loop how an attempt ended.
pub(crate) fn judge(
    gateway: &Gateway,
    entry: &ServiceEntry,
    endpoint: &Arc<Endpoint>,
    end: AttemptEnd,
    failure: Option<Failure>,
) {
    let streak = endpoint.record(end, clock::now());
    let failed = classify(end);
    let attempted = if failed {
        Attempted::Failed
    } else {
        Attempted::Well
    };
    gateway.metrics.count_attempt(endpoint, attempted);
    if !failed || entry.service.health == Health::Off {
        return;
    }
    let failure = failure.unwrap_or_else(|| Failure {
        layer: Layer::Traffic,
        detail: describe(end),
    });
    // The health loop hears of it when it has time; a full channel means that it hears enough already.
    if end == AttemptEnd::ConnectFailed {
        endpoint.suspect_now();
        let evidence = Evidence::ConnectFailed(Arc::clone(endpoint), failure.clone());
        let _ = gateway.evidence.try_send(evidence);
    }
    if streak >= minato_health::CONSECUTIVE_FAILURES {
        let evidence = Evidence::Consecutive(Arc::clone(endpoint), streak, failure);
        let _ = gateway.evidence.try_send(evidence);
    }
}

fn describe(end: AttemptEnd) -> String {
    match end {
        AttemptEnd::Answered(status) => status.to_string(),
        AttemptEnd::ConnectFailed => "connect failed".to_owned(),
        AttemptEnd::Reset => "connection broke".to_owned(),
        AttemptEnd::TimedOut => "no answer in time".to_owned(),
        AttemptEnd::Invalid => "answer breaks the rules of HTTP".to_owned(),
        AttemptEnd::Abandoned => "client went away".to_owned(),
    }
}
