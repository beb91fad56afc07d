//! One attempt at one instance: a connection, the head, both bodies, and what it says about the instance.

use crate::answer::Reason;
use crate::gateway::Gateway;
use crate::head::{self, Peer, Request};
use crate::pool::Need;
use crate::relay;
use crate::stream::Connection;
use crate::clock;
use minato_config::Service;
use minato_health::{Failure, Layer};
use minato_proxy::{AttemptEnd, Endpoint, Sent};
use pingora_core::protocols::http::v1::client::HttpSession as Upstream;
use pingora_core::protocols::http::v1::server::HttpSession;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;

/// Between bytes of a client.
pub(crate) const CLIENT_IDLE: Duration = Duration::from_secs(60);
/// How often a waiting request looks whether its instance was ejected.
const TICK: Duration = Duration::from_millis(100);

/// May an idle connection be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pooled {
    /// Yes.
    Allowed,
    /// No: an attempt of this request failed already.
    Avoided,
}

/// All that an attempt needs.
pub(crate) struct Attempt<'a> {
    pub(crate) gateway: &'a Gateway,
    pub(crate) client: &'a Connection,
    pub(crate) request: &'a Request,
    pub(crate) service: &'a Service,
    pub(crate) endpoint: &'a Arc<Endpoint>,
    pub(crate) path: &'a str,
    pub(crate) peer: Peer<'a>,
    pub(crate) pooled: Pooled,
}

/// How it ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The answer went to the client whole. `unread`: before the request had ended.
    Answered { status: u16, unread: bool },
    /// Some of the answer went out, then it broke.
    BrokeOff { status: u16, end: AttemptEnd },
    /// Nothing went to the client.
    Failed {
        end: AttemptEnd,
        sent: Sent,
        /// None of the request's body was taken from the client.
        intact: bool,
        /// It was an idle connection that turned out to be closed.
        stale: bool,
        failure: Failure,
    },
    /// The request itself is at fault.
    Refused(Reason),
    /// The client went away.
    ClientGone,
}

/// Makes the attempt.
pub(crate) async fn run(attempt: &Attempt<'_>, session: &mut HttpSession) -> Ended {
    let need = if attempt.request.idempotent && session.is_body_done() { Need::Any } else { Need::Fresh };
    let idle = match attempt.pooled {
        Pooled::Allowed => attempt.gateway.pool.take(attempt.endpoint, need, clock::now()),
        Pooled::Avoided => None,
    };
    let reused = idle.is_some();
    let connection = match idle {
        Some(connection) => connection,
        None => match connect(attempt).await {
            Ok(connection) => connection,
            Err(failure) => {
                return Ended::Failed { end: AttemptEnd::ConnectFailed, sent: Sent::Nothing, intact: true, stale: false, failure };
            }
        },
    };
    let mut upstream = Upstream::new(Box::new(connection.clone()));
    upstream.write_timeout = Some(attempt.service.timeouts.idle);
    let head = match head::to_upstream(session.req_header(), attempt.request, attempt.path, attempt.peer) {
        Ok(head) => head,
        Err(_) => return Ended::Refused(Reason::Malformed),
    };
    if upstream.write_request_header(Box::new(head)).await.is_err() {
        return failed(AttemptEnd::Reset, reused, relay::Progress::default(), "connection broke while the request was sent");
    }
    let mut progress = relay::Progress::default();
    let waited = tokio::select! {
        waited = relay::until_answer(attempt, session, &mut upstream, &connection, &mut progress) => waited,
        () = until_out(attempt.endpoint) => Err(relay::Stop::Instance(AttemptEnd::TimedOut, "ejected while it was waited for".to_owned())),
    };
    let answer = match waited {
        Ok(answer) => answer,
        Err(relay::Stop::Client) => return Ended::ClientGone,
        Err(relay::Stop::Request(reason)) => return Ended::Refused(reason),
        Err(relay::Stop::Instance(end, detail)) => return failed(end, reused, progress, &detail),
    };
    let status = answer.status.as_u16();
    if status == 101 {
        return relay::tunnel(attempt, session, &mut upstream, &connection, &answer).await;
    }
    let Ok((head, keep_alive)) = head::to_client(&answer, attempt.request) else {
        return failed(AttemptEnd::Invalid, false, progress, "its head cannot be passed on");
    };
    let unread = !session.is_body_done();
    match relay::answer(attempt, session, &mut upstream, head).await {
        Ok(()) => {}
        Err(relay::Stop::Instance(end, _)) => return Ended::BrokeOff { status, end },
        Err(_) => return Ended::ClientGone,
    }
    if !unread {
        upstream.respect_keepalive();
        if upstream.reuse().await.is_some() {
            attempt.gateway.pool.put(attempt.endpoint, connection, keep_alive, clock::now());
        }
    }
    Ended::Answered { status, unread }
}

fn failed(end: AttemptEnd, reused: bool, progress: relay::Progress, detail: &str) -> Ended {
    let layer = if end == AttemptEnd::TimedOut { Layer::NoAnswer } else { Layer::Traffic };
    let stale = reused && end == AttemptEnd::Reset;
    let failure = Failure { layer, detail: detail.chars().take(300).collect() };
    Ended::Failed { end, sent: Sent::Something, intact: !progress.body_taken, stale, failure }
}

async fn connect(attempt: &Attempt<'_>) -> Result<Connection, Failure> {
    let address = attempt.endpoint.address();
    let limit = attempt.service.timeouts.connect;
    let connected = tokio::select! {
        connected = TcpStream::connect(address) => connected,
        () = tokio::time::sleep(limit) => Err(io::ErrorKind::TimedOut.into()),
        () = until_out(attempt.endpoint) => {
            return Err(Failure { layer: Layer::ConnectTimeout, detail: "ejected while connecting".to_owned() });
        }
    };
    match connected {
        Ok(tcp) => Ok(Connection::new(tcp, address)),
        Err(error) => Err(match error.kind() {
            io::ErrorKind::ConnectionRefused => Failure { layer: Layer::ConnectRefused, detail: "connection refused".to_owned() },
            io::ErrorKind::TimedOut => Failure { layer: Layer::ConnectTimeout, detail: format!("no connection in {limit:?}") },
            _ => Failure { layer: Layer::ConnectFailed, detail: error.to_string() },
        }),
    }
}

/// Ends when the endpoint takes no requests any more and those that wait for it should give up.
async fn until_out(endpoint: &Endpoint) {
    let mut tick = tokio::time::interval_at(tokio::time::Instant::now() + TICK, TICK);
    loop {
        tick.tick().await;
        if endpoint.is_out() {
            return;
        }
    }
}
