//! One attempt at one instance: a connection, the head, both bodies, and what it says about the instance.

use crate::accept::is_shortage;
use crate::answer::Reason;
use crate::exchange::Context;
use crate::head::{self, Peer, Request};
use crate::pool::Need;
use crate::relay::{self, Stop};
use crate::stream::Connection;
use crate::{clock, tunnel};
use minato_config::Service;
use minato_health::{Failure, Layer};
use minato_proxy::{AttemptEnd, Endpoint, Sent};
use pingora_core::protocols::http::v1::client::HttpSession as Upstream;
use pingora_core::protocols::http::v1::server::HttpSession;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// How often a waiting request looks whether its instance was ejected.
const TICK: Duration = Duration::from_millis(100);
/// Between connects while this machine has no descriptor or port for one.
const SHORTAGE: Duration = Duration::from_millis(50);
/// Bytes of a failure's detail.
const DETAIL: usize = 300;

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
    pub(crate) context: Context<'a>,
    pub(crate) request: &'a Request,
    pub(crate) service: &'a Service,
    pub(crate) endpoint: &'a Arc<Endpoint>,
    pub(crate) path: &'a str,
    pub(crate) pooled: Pooled,
}

/// How it ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The answer went to the client whole. `unread`: before the request had ended.
    Answered { status: u16, unread: bool },
    /// Some of the answer went out, then it broke.
    BrokeOff { status: u16, end: AttemptEnd },
    /// Nothing of an answer went to the client.
    Failed(Failed),
    /// The request itself is at fault.
    Refused(Reason),
    /// The client went away.
    ClientGone,
}

/// An attempt that may perhaps be made again.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) end: AttemptEnd,
    pub(crate) sent: Sent,
    /// None of the request's body was taken from the client.
    pub(crate) intact: bool,
    pub(crate) blame: Blame,
    pub(crate) failure: Failure,
}

/// Whose failure it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blame {
    /// The instance's.
    Instance,
    /// No one's: an idle connection turned out to be closed.
    Stale,
    /// This machine's, which is out of descriptors or ports.
    Ours,
}

/// Makes the attempt.
pub(crate) async fn run(attempt: &Attempt<'_>, session: &mut HttpSession) -> Ended {
    let (connection, is_reused) = match connection(attempt, session).await {
        Ok(found) => found,
        Err((blame, failure)) => {
            return Ended::Failed(Failed {
                end: AttemptEnd::ConnectFailed,
                sent: Sent::Nothing,
                intact: true,
                blame,
                failure,
            });
        }
    };
    let context = attempt.context;
    let peer = Peer {
        address: context.client.peer().ip(),
        trusted: &context.gateway.trusted_proxies,
    };
    let head = head::to_upstream(
        session.req_header(),
        attempt.request,
        attempt.path,
        peer,
        connection.peer(),
    );
    let Ok(head) = head else {
        return Ended::Refused(Reason::Malformed);
    };
    let before = connection.written();
    let mut progress = relay::Progress::default();
    let failed = |end, detail: &str, progress: relay::Progress| {
        let was_sent = connection.written() > before;
        let layer = if end == AttemptEnd::TimedOut {
            Layer::NoAnswer
        } else {
            Layer::Traffic
        };
        Ended::Failed(Failed {
            end,
            sent: if was_sent {
                Sent::Something
            } else {
                Sent::Nothing
            },
            intact: !progress.body_taken,
            blame: if is_reused && end == AttemptEnd::Reset {
                Blame::Stale
            } else {
                Blame::Instance
            },
            failure: Failure {
                layer,
                detail: detail.chars().take(DETAIL).collect(),
            },
        })
    };
    let mut upstream = Upstream::new(Box::new(connection.clone()));
    if upstream.write_request_header(Box::new(head)).await.is_err() {
        return failed(
            AttemptEnd::Reset,
            "connection broke before the request was sent",
            progress,
        );
    }
    let waited = tokio::select! {
        waited = relay::until_answer(attempt, session, &mut upstream, &connection, &mut progress) => waited,
        () = until_out(attempt.endpoint) => Err(Stop::Instance(AttemptEnd::TimedOut, "ejected while it was waited for".to_owned())),
    };
    match waited {
        Ok(()) => {}
        Err(Stop::Client) => return Ended::ClientGone,
        Err(Stop::Request(reason)) => return Ended::Refused(reason),
        Err(Stop::Instance(end, detail)) => return failed(end, &detail, progress),
    }
    let to_client = upstream
        .resp_header()
        .and_then(|it| head::to_client(it, attempt.request).ok());
    let Some(to_client) = to_client else {
        return failed(
            AttemptEnd::Invalid,
            "its head cannot be passed on",
            progress,
        );
    };
    if to_client.head.status == 101 {
        return tunnel::run(attempt, session, &mut upstream, &connection, to_client.head).await;
    }
    let (status, until_close, keep_alive) = (
        to_client.head.status.as_u16(),
        to_client.until_close,
        to_client.keep_alive,
    );
    let unread = !session.is_body_done();
    if unread || *context.stop.borrow() {
        session.set_server_keepalive(None);
    }
    let ahead = match relay::first_bytes(&mut upstream).await {
        Ok(ahead) => ahead,
        Err(Stop::Instance(end, detail)) => {
            return match failed(end, &detail, progress) {
                // Its head has come, so it was no stale connection.
                Ended::Failed(failed) => Ended::Failed(Failed {
                    blame: Blame::Instance,
                    ..failed
                }),
                other => other,
            };
        }
        Err(_) => return Ended::ClientGone,
    };
    match relay::answer(attempt, session, &mut upstream, to_client.head, ahead).await {
        Ok(()) => {}
        Err(Stop::Instance(end, _)) => {
            // What came before the break is the client's all the same.
            let _ = context.client.flush(context.gateway.deadlines.linger).await;
            if until_close {
                context.client.reset_on_close();
            }
            return Ended::BrokeOff { status, end };
        }
        Err(_) => return Ended::ClientGone,
    }
    // Only a connection on which both messages ended whole may carry another.
    if !unread && progress.request_sent {
        upstream.respect_keepalive();
        if upstream.reuse().await.is_some() {
            context
                .gateway
                .pool
                .put(attempt.endpoint, connection, keep_alive, clock::now());
        }
    }
    Ended::Answered { status, unread }
}

/// An idle connection that this request may use, or a new one; and which it is.
async fn connection(
    attempt: &Attempt<'_>,
    session: &mut HttpSession,
) -> Result<(Connection, bool), (Blame, Failure)> {
    let may_retry = attempt.request.idempotent && session.is_body_done();
    let need = if may_retry { Need::Any } else { Need::Fresh };
    let idle = match attempt.pooled {
        Pooled::Allowed => attempt
            .context
            .gateway
            .pool
            .take(attempt.endpoint, need, clock::now()),
        Pooled::Avoided => None,
    };
    match idle {
        Some(idle) => Ok((idle, true)),
        None => connect(attempt).await.map(|it| (it, false)),
    }
}

async fn connect(attempt: &Attempt<'_>) -> Result<Connection, (Blame, Failure)> {
    let address = attempt.endpoint.address();
    let limit = attempt.service.timeouts.connect;
    let mut blame = Blame::Instance;
    let connecting = async {
        loop {
            match TcpStream::connect(address).await {
                Err(error) if is_shortage(&error) => {
                    blame = Blame::Ours;
                    attempt.context.gateway.relieve();
                    sleep(SHORTAGE).await;
                }
                connected => {
                    blame = Blame::Instance;
                    return connected;
                }
            }
        }
    };
    let connected = tokio::select! {
        connected = timeout(limit, connecting) => connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())),
        () = until_out(attempt.endpoint) => Err(io::Error::other("ejected while connecting")),
    };
    let (layer, detail) = match connected {
        Ok(tcp) => return Ok(Connection::new(tcp, address)),
        Err(_) if blame == Blame::Ours => (
            Layer::ConnectFailed,
            "no free descriptor or port here; raise the limit of open files".to_owned(),
        ),
        Err(error) => match error.kind() {
            io::ErrorKind::ConnectionRefused => {
                (Layer::ConnectRefused, "connection refused".to_owned())
            }
            io::ErrorKind::TimedOut => {
                (Layer::ConnectTimeout, format!("no connection in {limit:?}"))
            }
            _ => (Layer::ConnectFailed, error.to_string()),
        },
    };
    Err((blame, Failure { layer, detail }))
}

/// Ends when the endpoint takes no requests any more and those that wait for it should give up.
async fn until_out(endpoint: &Endpoint) {
    loop {
        sleep(TICK).await;
        if endpoint.is_out() {
            return;
        }
    }
}
