//! One request: admit, route, pick, attempt, perhaps again, record. Decisions are `minato_proxy`'s.

use crate::answer::{self, Reason};
use crate::attempt::{self, Attempt, Ended};
use crate::connection::Next;
use crate::gateway::{Evidence, Gateway};
use crate::head::{self, Peer, Request};
use crate::metrics::Attempted;
use crate::stream::Connection;
use crate::{access_log, clock};
use minato_config::{Health, RouteAction};
use minato_health::{Failure, Layer};
use minato_proxy::{
    Admission, AttemptEnd, Endpoint, Permit, RetryDecision, ServiceEntry, Situation, TableRoute, classify, decide_retry, pick,
};
use pingora_core::protocols::http::v1::server::HttpSession;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::watch;

/// What became of a request, for metrics and log.
#[derive(Debug, Default)]
struct Record {
    status: u16,
    service: Option<Arc<ServiceEntry>>,
    instance: Option<u16>,
    retries: u8,
    note: &'static str,
}

/// How the client's connection stands after the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outlook {
    /// The session decides: keep alive or close.
    Ordinary,
    /// Unread input: linger.
    Unread,
    /// The answer broke off, or the client is gone.
    Cut,
}

/// Serves one request whose head has been read and checked.
pub(crate) async fn run(
    gateway: &Gateway,
    client: &Connection,
    mut session: HttpSession,
    began: Instant,
    stop: &watch::Receiver<bool>,
) -> Next {
    if *stop.borrow() {
        session.set_server_keepalive(None);
    }
    session.set_read_timeout(Some(attempt::CLIENT_IDLE));
    session.set_write_timeout(Some(attempt::CLIENT_IDLE));
    let mut record = Record::default();
    let (outlook, request) = match head::read(&session) {
        Ok(request) => (serve(gateway, client, &mut session, &request, &mut record).await, Some(request)),
        Err(reason) => (refuse(gateway, &mut session, reason, None, &mut record).await, None),
    };
    finish(gateway, client, &session, request.as_ref(), &record, began);
    if outlook == Outlook::Cut {
        return Next::Close;
    }
    if outlook == Outlook::Unread || !session.is_body_done() {
        let _ = client.flush().await;
        return Next::Linger;
    }
    match session.reuse().await {
        Ok(Some(stream)) => Next::Request(stream.into_parts().1),
        Ok(None) | Err(_) => Next::Close,
    }
}

async fn serve(gateway: &Gateway, client: &Connection, session: &mut HttpSession, request: &Request, record: &mut Record) -> Outlook {
    let found = gateway.table.load().find(&request.host, &request.path);
    let Some(found) = found else {
        return refuse(gateway, session, Reason::NoRoute, None, record).await;
    };
    let route = found.route;
    let entry = Arc::clone(&route.service);
    record.service = Some(Arc::clone(&entry));
    let path = match forward_path(&route, request) {
        Forward::Path(path) => path,
        Forward::Location(location) => {
            return refuse(gateway, session, Reason::Redirect, Some(&location), record).await;
        }
    };
    if entry.draining {
        return refuse(gateway, session, Reason::Draining, None, record).await;
    }
    let limit = entry.service.limits.body_bytes;
    if limit > 0 && request.content_length.is_some_and(|it| it > limit) {
        return refuse(gateway, session, Reason::BodyTooLarge, None, record).await;
    }
    let _permit = match admit(&entry, session).await {
        Admitted::Permit(permit) => permit,
        Admitted::Refused => return refuse(gateway, session, Reason::Full, None, record).await,
        Admitted::ClientGone => return Outlook::Cut,
    };
    attempts(gateway, client, session, request, &entry, &path, record).await
}

enum Forward {
    Path(String),
    Location(String),
}

fn forward_path(route: &TableRoute, request: &Request) -> Forward {
    let prefix = route.pattern.path.0.as_str();
    let rest = || if prefix == "/" { request.path.as_str() } else { request.path.strip_prefix(prefix).unwrap_or(&request.path) };
    match &route.action {
        RouteAction::Forward { strip: false } => Forward::Path(request.path.clone()),
        RouteAction::Forward { strip: true } => {
            let rest = rest();
            Forward::Path(if rest.starts_with('/') { rest.to_owned() } else { format!("/{rest}") })
        }
        RouteAction::Redirect { to } => Forward::Location(format!("{to}{}{}", rest(), request.query)),
    }
}

enum Admitted {
    Permit(Permit),
    Refused,
    ClientGone,
}

async fn admit(entry: &ServiceEntry, session: &mut HttpSession) -> Admitted {
    let ticket = match entry.shared.queue.admit() {
        Admission::Permit(permit) => return Admitted::Permit(permit),
        Admission::Shed => return Admitted::Refused,
        Admission::Ticket(ticket) => ticket,
    };
    // A client that hangs up while it waits leaves the queue; one with a body cannot be watched without reading it.
    let watch = session.is_body_done();
    session.set_abort_on_close(true);
    let admitted = tokio::select! {
        biased;
        permit = ticket => Admitted::Permit(permit),
        () = tokio::time::sleep(entry.service.limits.queue_timeout) => Admitted::Refused,
        Err(_) = session.read_body_or_idle(true), if watch => Admitted::ClientGone,
    };
    session.set_abort_on_close(false);
    admitted
}

async fn attempts(
    gateway: &Gateway,
    client: &Connection,
    session: &mut HttpSession,
    request: &Request,
    entry: &Arc<ServiceEntry>,
    path: &str,
    record: &mut Record,
) -> Outlook {
    let peer = Peer { address: client.peer().ip(), trusted: &gateway.trusted_proxies };
    let mut avoid: Option<Arc<Endpoint>> = None;
    let mut pooled = attempt::Pooled::Allowed;
    let mut reason = Reason::NoInstance;
    let mut budget = None;
    loop {
        let Some(endpoint) = pick(entry, avoid.as_ref(), clock::now(), &mut |n| fastrand::usize(..n)) else {
            return refuse(gateway, session, reason, None, record).await;
        };
        record.instance = Some(endpoint.id().slot.0);
        let in_flight = endpoint.begin();
        let attempt = Attempt { gateway, client, request, service: &entry.service, endpoint: &endpoint, path, peer, pooled };
        let ended = attempt::run(&attempt, session).await;
        drop(in_flight);
        let (end, sent, intact, stale) = match ended {
            Ended::Answered { status, unread } => {
                record.status = status;
                judge(gateway, entry, &endpoint, AttemptEnd::Answered(status), None);
                return if unread { Outlook::Unread } else { Outlook::Ordinary };
            }
            Ended::BrokeOff { status, end } => {
                record.status = status;
                record.note = "broke_off";
                judge(gateway, entry, &endpoint, end, None);
                return Outlook::Cut;
            }
            Ended::ClientGone => {
                record.note = "client_gone";
                judge(gateway, entry, &endpoint, AttemptEnd::Abandoned, None);
                return Outlook::Cut;
            }
            Ended::Refused(reason) => {
                judge(gateway, entry, &endpoint, AttemptEnd::Abandoned, None);
                let _ = refuse(gateway, session, reason, None, record).await;
                return Outlook::Unread;
            }
            Ended::Failed { end, sent, intact, stale, failure } => {
                if !stale {
                    judge(gateway, entry, &endpoint, end, Some(failure));
                }
                (end, sent, intact, stale)
            }
        };
        reason = match end {
            AttemptEnd::ConnectFailed => Reason::NoInstance,
            AttemptEnd::TimedOut => Reason::Timeout,
            _ => Reason::BadAnswer,
        };
        let situation = Situation {
            idempotent: request.idempotent,
            body_intact: intact,
            sent,
            made: record.retries,
            allowed: entry.service.retries,
            leaves_bad_instance: endpoint.standing() != minato_proxy::Standing::Up,
        };
        // A pooled connection that the instance had closed already says nothing about it and costs no retry, but
        // only requests that may be sent twice were put on one that could be stale.
        let again = if stale && request.idempotent && intact {
            true
        } else {
            let again = match decide_retry(&situation) {
                RetryDecision::Free => true,
                RetryDecision::Budgeted => {
                    budget = entry.shared.budget.take(entry.shared.queue.in_flight());
                    budget.is_some()
                }
                RetryDecision::No => false,
            };
            record.retries += u8::from(again);
            again
        };
        if !again {
            return refuse(gateway, session, reason, None, record).await;
        }
        gateway.metrics.retries.with_label_values(&[entry.service.name.as_str()]).inc();
        pooled = attempt::Pooled::Avoided;
        avoid = Some(endpoint);
        let _ = &budget;
    }
}

/// Tells endpoint, counters and the health loop how an attempt ended.
fn judge(gateway: &Gateway, entry: &ServiceEntry, endpoint: &Arc<Endpoint>, end: AttemptEnd, failure: Option<Failure>) {
    let streak = endpoint.record(end, clock::now());
    let name = entry.service.name.as_str();
    let slot = endpoint.id().slot.to_string();
    gateway.metrics.upstream_requests.with_label_values(&[name, &slot]).inc();
    let failed = classify(end);
    if failed {
        gateway.metrics.upstream_failures.with_label_values(&[name, &slot]).inc();
    }
    gateway.metrics.counts_of(endpoint.id()).add(if failed { Attempted::Failed } else { Attempted::Well });
    if !failed || entry.service.health == Health::Off {
        return;
    }
    let failure = failure.unwrap_or_else(|| Failure { layer: Layer::Traffic, detail: describe(end) });
    // The health loop hears of it when it has time; a full channel means that it hears enough already.
    if end == AttemptEnd::ConnectFailed {
        endpoint.suspect_now();
        let _ = gateway.evidence.try_send(Evidence::ConnectFailed(Arc::clone(endpoint), failure.clone()));
    }
    if streak >= minato_health::CONSECUTIVE_FAILURES {
        let _ = gateway.evidence.try_send(Evidence::Consecutive(Arc::clone(endpoint), streak, failure));
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

async fn refuse(gateway: &Gateway, session: &mut HttpSession, reason: Reason, location: Option<&str>, record: &mut Record) -> Outlook {
    record.status = reason.status();
    record.note = reason.label();
    match answer::send(session, reason, location, &gateway.sorry).await {
        Ok(()) if session.is_body_done() => Outlook::Ordinary,
        Ok(()) => Outlook::Unread,
        Err(_) => Outlook::Cut,
    }
}

fn finish(gateway: &Gateway, client: &Connection, session: &HttpSession, request: Option<&Request>, record: &Record, began: Instant) {
    let now = clock::now();
    let took = now.saturating_duration_since(began);
    let name = record.service.as_ref().map_or("", |it| it.service.name.as_str());
    let class = match record.status {
        0 => "cut",
        100..=199 => "1xx",
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        _ => "5xx",
    };
    gateway.metrics.requests.with_label_values(&[name, class]).inc();
    gateway.metrics.duration.with_label_values(&[name]).observe(took.as_secs_f64());
    if !record.note.is_empty() {
        gateway.metrics.refused.with_label_values(&[name, record.note]).inc();
    }
    if let Some(entry) = &record.service {
        let counts = gateway.metrics.service(&entry.service.name);
        counts.add(took, now);
        if record.status >= 500 && !record.note.is_empty() {
            counts.add_gateway_error();
        }
    }
    let target = request.map_or_else(String::new, |it| format!("{}{}", it.path, it.query));
    let line = access_log::Line {
        peer: client.peer(),
        method: request.map_or("-", |it| it.method.as_str()),
        host: request.map_or("", |it| it.authority.as_str()),
        target: &target,
        status: record.status,
        bytes: session.body_bytes_sent() as u64,
        service: name,
        instance: record.instance,
        retries: record.retries,
        note: record.note,
    };
    access_log::write(gateway, &line, began);
}
