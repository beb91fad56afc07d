//! What became of a request, told to the metrics, the access log, the endpoint and the health loop.

use crate::access_log;
use crate::clock;
use crate::core::Core;
use crate::gateway::Evidence;
use crate::metrics::Attempted;
use crate::note::Note;
use minato_config::Health;
use minato_health::{Failure, Layer};
use minato_http1::RequestHead;
use minato_proxy::{AttemptEnd, Endpoint, ServiceEntry, classify};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

/// One request.
#[derive(Debug)]
pub(crate) struct Record {
    peer: SocketAddr,
    began: Instant,
    /// 0 while nothing was answered.
    pub(crate) status: u16,
    /// Of the body that went to the client.
    pub(crate) bytes: u64,
    pub(crate) service: Option<Arc<ServiceEntry>>,
    pub(crate) instance: Option<u16>,
    pub(crate) retries: u8,
    pub(crate) note: Note,
}

impl Record {
    pub(crate) fn new(peer: SocketAddr, began: Instant) -> Self {
        Self {
            peer,
            began,
            status: 0,
            bytes: 0,
            service: None,
            instance: None,
            retries: 0,
            note: Note::None,
        }
    }

    /// Counts and logs it. `request`: where one could be read.
    pub(crate) fn finish(&self, core: &Core, request: Option<&RequestHead>) {
        let now = clock::now();
        let took = now.saturating_duration_since(self.began);
        let entry = self.service.as_deref();
        let age = core.gateway.metrics.age(now);
        core.counts.with_service(entry, |counts| {
            counts.add(self.status, self.note, took, age);
        });
        core.log.write(&access_log::Line {
            peer: self.peer,
            method: request.map_or("-", RequestHead::method_text),
            host: request.map_or("", RequestHead::authority),
            path: request.map_or("", RequestHead::path),
            query: request.map_or("", RequestHead::query),
            status: self.status,
            bytes: self.bytes,
            service: entry.map_or("", |it| it.service.name.as_str()),
            instance: self.instance,
            retries: self.retries,
            note: self.note.label(),
            took,
            wall_ms: core.wall_ms(now),
        });
    }
}

/// Tells endpoint, counters and the health loop how an attempt ended.
pub(crate) fn judge(
    core: &Core,
    entry: &ServiceEntry,
    endpoint: &Arc<Endpoint>,
    end: AttemptEnd,
    failure: Option<Failure>,
) {
    let failed = classify(end);
    let attempted = if failed {
        Attempted::Failed
    } else {
        Attempted::Well
    };
    core.counts.attempt(endpoint, attempted);
    let streak = endpoint.record(end, core.now());
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
        let _ = core.gateway.evidence.try_send(evidence);
    }
    if streak >= minato_health::CONSECUTIVE_FAILURES {
        let evidence = Evidence::Consecutive(Arc::clone(endpoint), streak, failure);
        let _ = core.gateway.evidence.try_send(evidence);
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
