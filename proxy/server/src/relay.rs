//! Moves bytes between client and instance with deadlines; nothing is kept for a retry.

use crate::answer::Reason;
use crate::attempt::{Attempt, CLIENT_IDLE, Ended};
use crate::clock;
use crate::head;
use crate::stream::Connection;
use minato_proxy::AttemptEnd;
use pingora_core::ErrorType;
use pingora_core::protocols::http::v1::client::HttpSession as Upstream;
use pingora_core::protocols::http::v1::server::HttpSession;
use pingora_http::ResponseHeader;
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// How long a blocked write goes on after the instance has begun to answer.
const EARLY: Duration = Duration::from_secs(1);
/// A body slower than this many bytes a second, after [`SLOW_AFTER`], is cut off.
const SLOWEST: u64 = 240;
const SLOW_AFTER: Duration = Duration::from_secs(10);

/// How far the request got.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Progress {
    /// Some of the body was taken from the client: it cannot be sent again.
    pub(crate) body_taken: bool,
}

/// Why bytes stopped.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The instance is at fault, and how.
    Instance(AttemptEnd, String),
    /// The client went away or stalls.
    Client,
    /// The request must be refused.
    Request(Reason),
}

/// Sends the request's body and waits for the head of the final answer, whichever comes first.
pub(crate) async fn until_answer(
    attempt: &Attempt<'_>,
    session: &mut HttpSession,
    upstream: &mut Upstream,
    connection: &Connection,
    progress: &mut Progress,
) -> Result<Box<ResponseHeader>, Stop> {
    let limit = attempt.service.limits.body_bytes;
    let (began, mut taken) = (clock::now(), 0_u64);
    let mut sending = !session.is_body_done();
    let mut writing = true;
    if !sending {
        finish_request(upstream, &mut writing).await;
    }
    let first_byte = tokio::time::sleep(attempt.service.timeouts.first_byte);
    tokio::pin!(first_byte);
    loop {
        tokio::select! {
            biased;
            head = upstream.read_resp_header_parts() => {
                let head = head.map_err(|error| broken(&error))?;
                if head.status == 101 && attempt.request.websocket || !head.status.is_informational() {
                    return Ok(head);
                }
                pass_on_interim(attempt, session, &head).await?;
            }
            chunk = session.read_body_or_idle(!sending) => match chunk {
                Err(error) => return Err(client_stop(&error)),
                Ok(None) => {
                    sending = false;
                    finish_request(upstream, &mut writing).await;
                    first_byte.as_mut().reset(tokio::time::Instant::now() + attempt.service.timeouts.first_byte);
                }
                Ok(Some(bytes)) => {
                    progress.body_taken = true;
                    taken += bytes.len() as u64;
                    if limit > 0 && taken > limit {
                        return Err(Stop::Request(Reason::BodyTooLarge));
                    }
                    if too_slow(taken, began) {
                        return Err(Stop::Request(Reason::SlowRequest));
                    }
                    // A piece may be empty where a chunk's end arrives apart; written on, it would end the body.
                    if writing && !bytes.is_empty() {
                        writing = write(attempt, upstream, connection, &bytes).await;
                    }
                    if session.is_body_done() {
                        sending = false;
                        finish_request(upstream, &mut writing).await;
                    }
                    first_byte.as_mut().reset(tokio::time::Instant::now() + attempt.service.timeouts.first_byte);
                }
            },
            // While the client still sends, its own idle time bounds the wait.
            () = &mut first_byte, if !sending => {
                let waited = attempt.service.timeouts.first_byte;
                return Err(Stop::Instance(AttemptEnd::TimedOut, format!("no answer in {waited:?}")));
            }
        }
    }
}

/// Whether the request can still be written to. After a failed write only its answer is of interest.
async fn write(attempt: &Attempt<'_>, upstream: &mut Upstream, connection: &Connection, bytes: &[u8]) -> bool {
    let answers = async {
        if connection.readable().await.is_ok() {
            tokio::time::sleep(EARLY).await;
        }
    };
    tokio::select! {
        written = async { upstream.write_body(bytes).await.is_ok() && connection.flush().await.is_ok() } => written,
        () = answers => false,
        () = tokio::time::sleep(attempt.service.timeouts.idle) => false,
    }
}

async fn finish_request(upstream: &mut Upstream, writing: &mut bool) {
    if *writing && upstream.finish_body().await.is_err() {
        *writing = false;
    }
}

fn too_slow(taken: u64, began: Instant) -> bool {
    let took = clock::now().saturating_duration_since(began);
    took > SLOW_AFTER && taken < took.as_secs().saturating_mul(SLOWEST)
}

async fn pass_on_interim(attempt: &Attempt<'_>, session: &mut HttpSession, head: &ResponseHeader) -> Result<(), Stop> {
    // 1xx never goes to HTTP/1.0, and an upgrade that nobody asked for breaks the rules.
    if head.status == 101 {
        return Err(Stop::Instance(AttemptEnd::Invalid, "101 without an Upgrade".to_owned()));
    }
    if attempt.request.http10 {
        return Ok(());
    }
    let (head, _) = head::to_client(head, attempt.request).map_err(|_| Stop::Client)?;
    session.write_response_header(Box::new(head)).await.map_err(|_| Stop::Client)?;
    attempt.client.flush().await.map_err(|_| Stop::Client)
}

/// Sends the answer to the client.
pub(crate) async fn answer(
    attempt: &Attempt<'_>,
    session: &mut HttpSession,
    upstream: &mut Upstream,
    head: ResponseHeader,
) -> Result<(), Stop> {
    let idle = attempt.service.timeouts.idle;
    session.write_response_header(Box::new(head)).await.map_err(|_| Stop::Client)?;
    loop {
        let bytes = match timeout(idle, upstream.read_body_bytes()).await {
            Err(_) => return Err(Stop::Instance(AttemptEnd::TimedOut, format!("silent for {idle:?} within its answer"))),
            Ok(Err(error)) => return Err(broken(&error)),
            Ok(Ok(None)) => break,
            // A chunk's end that arrives apart; written on, an empty piece would end the body.
            Ok(Ok(Some(bytes))) if bytes.is_empty() => continue,
            Ok(Ok(Some(bytes))) => bytes,
        };
        let more = !upstream.is_body_done();
        let passed_on = async {
            session.write_body(&bytes).await.is_ok() && (!more || attempt.client.flush().await.is_ok())
        };
        if !timeout(CLIENT_IDLE, passed_on).await.unwrap_or(false) {
            return Err(Stop::Client);
        }
    }
    match timeout(CLIENT_IDLE, session.finish_body()).await {
        Ok(Ok(_)) => Ok(()),
        _ => Err(Stop::Client),
    }
}

/// After a matching 101: bytes both ways until one side ends.
pub(crate) async fn tunnel(
    attempt: &Attempt<'_>,
    session: &mut HttpSession,
    upstream: &mut Upstream,
    connection: &Connection,
    head: &ResponseHeader,
) -> Ended {
    let Ok((head, _)) = head::to_client(head, attempt.request) else {
        return Ended::BrokeOff { status: 101, end: AttemptEnd::Invalid };
    };
    if session.write_response_header(Box::new(head)).await.is_err() || attempt.client.flush().await.is_err() {
        return Ended::ClientGone;
    }
    upstream.maybe_upgrade_body_writer();
    session.set_read_timeout(None);
    let idle = attempt.service.timeouts.tunnel;
    loop {
        let moved = tokio::select! {
            bytes = session.read_body_bytes() => match bytes {
                Ok(Some(bytes)) => upstream.write_body(&bytes).await.is_ok() && connection.flush().await.is_ok(),
                _ => false,
            },
            bytes = upstream.read_body_bytes() => match bytes {
                Ok(Some(bytes)) => session.write_body(&bytes).await.is_ok() && attempt.client.flush().await.is_ok(),
                _ => false,
            },
            () = tokio::time::sleep(idle) => false,
        };
        if !moved {
            connection.shutdown_write().await;
            return Ended::Answered { status: 101, unread: true };
        }
    }
}

/// What pingora calls a chunk that breaks the rules.
const INVALID_CHUNK: ErrorType = ErrorType::Custom("InvalidChunk");
const INVALID_TRAILER: ErrorType = ErrorType::Custom("InvalidTrailerEnd");

fn client_stop(error: &pingora_core::Error) -> Stop {
    let kind = error.etype();
    if *kind == ErrorType::ReadTimedout {
        Stop::Request(Reason::SlowRequest)
    } else if [INVALID_CHUNK, INVALID_TRAILER, ErrorType::InvalidHTTPHeader].contains(kind) {
        Stop::Request(Reason::Malformed)
    } else {
        Stop::Client
    }
}

fn broken(error: &pingora_core::Error) -> Stop {
    let kind = error.etype();
    let end = if matches!(kind, ErrorType::ReadTimedout | ErrorType::WriteTimedout) {
        AttemptEnd::TimedOut
    } else if [INVALID_CHUNK, INVALID_TRAILER, ErrorType::InvalidHTTPHeader].contains(kind) {
        AttemptEnd::Invalid
    } else {
        AttemptEnd::Reset
    };
    Stop::Instance(end, kind.as_str().to_owned())
}
