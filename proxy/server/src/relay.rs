//! Moves bytes between client and instance with deadlines; nothing is kept for a retry.

use crate::answer::Reason;
use crate::attempt::Attempt;
use crate::clock;
use crate::deadline::SLOWEST;
use crate::head::{self, check_response, is_matching_upgrade};
use crate::stream::Connection;
use bytes::Bytes;
use minato_proxy::AttemptEnd;
use pingora_core::ErrorType;
use pingora_core::protocols::http::v1::client::HttpSession as Upstream;
use pingora_core::protocols::http::v1::server::HttpSession;
use pingora_http::ResponseHeader;
use std::time::Duration;
use tokio::time::{Instant as Deadline, sleep};

/// How long an answer's head waits for the first bytes of its body.
const HEAD_WAITS: Duration = Duration::from_millis(20);
/// Interim answers of one request at most.
const INTERIM: u8 = 32;

/// How far the request got.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Progress {
    /// Some of the body was taken from the client: it cannot be sent again.
    pub(crate) body_taken: bool,
    /// All of it was handed to the kernel.
    pub(crate) request_sent: bool,
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

/// What the request's half is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Waiting for the client's body.
    Taking,
    /// Handing to the kernel what is gathered; `last`: the request ends with it.
    Handing { last: bool },
    /// All is sent.
    Sent,
    /// It cannot be written to. Only its answer is of interest.
    Deaf,
}

/// Sends the request, whose head is gathered already, and waits for the head of the final answer, whichever comes first.
pub(crate) async fn until_answer(
    attempt: &Attempt<'_>,
    session: &mut HttpSession,
    upstream: &mut Upstream,
    connection: &Connection,
    progress: &mut Progress,
) -> Result<(), Stop> {
    let deadlines = attempt.context.gateway.deadlines;
    let timeouts = &attempt.service.timeouts;
    let patience = |phase| match phase {
        Phase::Taking => deadlines.idle,
        Phase::Handing { .. } => timeouts.idle,
        Phase::Sent | Phase::Deaf => timeouts.first_byte,
    };
    let mut upload = Upload::default();
    let mut phase = Phase::Handing {
        last: session.is_body_done(),
    };
    let mut interim = 0;
    let mut handed = connection.written();
    let wait = sleep(patience(phase));
    tokio::pin!(wait);
    loop {
        let before = phase;
        tokio::select! {
            biased;
            read = upstream.read_response() => {
                read.map_err(|error| broken(&error))?;
                if is_final(attempt, upstream)? {
                    return Ok(());
                }
                interim += 1;
                if interim > INTERIM {
                    return Err(Stop::Instance(AttemptEnd::Invalid, "interim answers without end".to_owned()));
                }
                pass_on_interim(attempt, session, upstream).await?;
                continue;
            }
            flushed = connection.flushed(), if matches!(phase, Phase::Handing { .. }) => {
                phase = match (flushed, phase) {
                    (Err(_), _) => Phase::Deaf,
                    (Ok(()), Phase::Handing { last: true }) => Phase::Sent,
                    (Ok(()), _) => Phase::Taking,
                };
                progress.request_sent = phase == Phase::Sent;
            }
            // Once all is sent only a reset ends this; a client that has sent its end still waits for its answer.
            chunk = session.read_body_or_idle(phase == Phase::Sent), if matches!(phase, Phase::Taking | Phase::Sent) => {
                let bytes = chunk.map_err(|error| client_stop(attempt, &error))?.unwrap_or_default();
                if phase == Phase::Sent {
                    continue;
                }
                progress.body_taken = true;
                upload.take(attempt, bytes.len())?;
                let last = session.is_body_done();
                phase = match pass_on(upstream, &bytes, last).await {
                    true => Phase::Handing { last },
                    false => Phase::Deaf,
                };
            }
            () = &mut wait => match phase {
                Phase::Taking => return Err(Stop::Request(Reason::SlowRequest)),
                Phase::Handing { .. } if connection.written() > handed => {}
                _ => {
                    let waited = patience(phase);
                    return Err(Stop::Instance(AttemptEnd::TimedOut, format!("no answer in {waited:?}")));
                }
            },
        }
        if before != Phase::Taking && phase == Phase::Taking {
            upload.wait();
        }
        handed = connection.written();
        wait.as_mut().reset(Deadline::now() + patience(phase));
    }
}

/// How much of a body came, and how long it was waited for.
#[derive(Debug, Default)]
struct Upload {
    taken: u64,
    waited: Duration,
    since: Option<std::time::Instant>,
}

impl Upload {
    fn wait(&mut self) {
        self.since = Some(clock::now());
    }

    /// Holds a piece of `length` bytes against the limit of the service and the slowest rate.
    fn take(&mut self, attempt: &Attempt<'_>, length: usize) -> Result<(), Stop> {
        self.taken += length as u64;
        if let Some(since) = self.since.take() {
            self.waited += clock::now().saturating_duration_since(since);
        }
        let limit = attempt.service.limits.body_bytes;
        if limit > 0 && self.taken > limit {
            return Err(Stop::Request(Reason::BodyTooLarge));
        }
        let slow = attempt.context.gateway.deadlines.slow;
        let wanted = self.waited.as_millis() * u128::from(SLOWEST) / 1000;
        if self.waited > slow && u128::from(self.taken) < wanted {
            return Err(Stop::Request(Reason::SlowRequest));
        }
        Ok(())
    }
}

/// Gathers a piece of the request's body; false if the connection is no good.
async fn pass_on(upstream: &mut Upstream, bytes: &[u8], last: bool) -> bool {
    // An empty chunk would be the last one.
    if !bytes.is_empty() && upstream.write_body(bytes).await.is_err() {
        return false;
    }
    !last || upstream.finish_body().await.is_ok()
}

/// Whether the head just read ends the waiting; an error where it breaks the rules.
fn is_final(attempt: &Attempt<'_>, upstream: &Upstream) -> Result<bool, Stop> {
    let invalid = |detail: String| Stop::Instance(AttemptEnd::Invalid, detail);
    check_response(&upstream.get_headers_raw_bytes(), &attempt.request.method).map_err(invalid)?;
    let Some(head) = upstream.resp_header() else {
        return Ok(false);
    };
    if head.status != 101 {
        return Ok(!head.status.is_informational());
    }
    if attempt.request.websocket && is_matching_upgrade(head) {
        return Ok(true);
    }
    Err(invalid(
        "101 that switches to what was not asked for".to_owned(),
    ))
}

/// 1xx never goes to HTTP/1.0.
async fn pass_on_interim(
    attempt: &Attempt<'_>,
    session: &mut HttpSession,
    upstream: &Upstream,
) -> Result<(), Stop> {
    let Some(from) = upstream.resp_header() else {
        return Ok(());
    };
    if attempt.request.http10 {
        return Ok(());
    }
    let passed = head::to_client(from, attempt.request).map_err(|_| Stop::Client)?;
    session
        .write_response_header(Box::new(passed.head))
        .await
        .map_err(|_| Stop::Client)?;
    let context = attempt.context;
    context
        .client
        .flush(context.gateway.deadlines.idle)
        .await
        .map_err(|_| Stop::Client)
}

/// The first bytes of the answer's body, if they come soon.
///
/// Until they do, nothing has gone to the client: an instance that dies between head and body can still be left for
/// another. A body that takes its time does not hold its head back for longer than this.
pub(crate) async fn first_bytes(upstream: &mut Upstream) -> Result<Option<Bytes>, Stop> {
    if upstream.is_body_done() {
        return Ok(None);
    }
    tokio::select! {
        biased;
        read = upstream.read_body_bytes() => read.map_err(|error| broken(&error)),
        () = sleep(HEAD_WAITS) => Ok(None),
    }
}

/// Sends the answer to the client: the head, then what of the body was read ahead, then the rest.
pub(crate) async fn answer(
    attempt: &Attempt<'_>,
    session: &mut HttpSession,
    upstream: &mut Upstream,
    head: ResponseHeader,
    ahead: Option<Bytes>,
) -> Result<(), Stop> {
    let idle = patience(attempt, &head);
    let client = attempt.context.client;
    let client_idle = attempt.context.gateway.deadlines.idle;
    session
        .write_response_header(Box::new(head))
        .await
        .map_err(|_| Stop::Client)?;
    // An empty chunk would be the last one.
    if let Some(bytes) = ahead.filter(|it| !it.is_empty()) {
        session.write_body(&bytes).await.map_err(|_| Stop::Client)?;
    }
    let watches = session.is_body_done();
    let mut is_gathered = true;
    loop {
        let read = tokio::select! {
            // What is gathered waits for what is here already, not for what is not.
            biased;
            read = upstream.read_body_ref() => read,
            flushed = client.flush(client_idle), if is_gathered => {
                flushed.map_err(|_| Stop::Client)?;
                is_gathered = false;
                continue;
            }
            gone = session.read_body_or_idle(true), if watches => match gone {
                Err(_) => return Err(Stop::Client),
                Ok(_) => continue,
            },
            () = sleep(idle) => {
                return Err(Stop::Instance(AttemptEnd::TimedOut, format!("silent for {idle:?} within its answer")));
            }
        };
        let Some(bytes) = read.map_err(|error| broken(&error))? else {
            break;
        };
        // An empty chunk would be the last one.
        if !bytes.is_empty() {
            session.write_body(bytes).await.map_err(|_| Stop::Client)?;
            is_gathered = true;
        }
        if client.is_full() {
            client.flush(client_idle).await.map_err(|_| Stop::Client)?;
            is_gathered = false;
        }
    }
    session.finish_body().await.map_err(|_| Stop::Client)?;
    client.flush(client_idle).await.map_err(|_| Stop::Client)
}

/// How long the instance may be silent within its answer. Event streams are silent by nature.
fn patience(attempt: &Attempt<'_>, head: &ResponseHeader) -> Duration {
    let kind = head
        .headers
        .get(http::header::CONTENT_TYPE)
        .map_or(&b""[..], |it| it.as_bytes());
    let is_stream = kind
        .get(..17)
        .is_some_and(|it| it.eq_ignore_ascii_case(b"text/event-stream"));
    let timeouts = &attempt.service.timeouts;
    if is_stream {
        timeouts.tunnel
    } else {
        timeouts.idle
    }
}

fn client_stop(attempt: &Attempt<'_>, error: &pingora_core::Error) -> Stop {
    if attempt.context.client.is_malformed() || is_against_the_rules(error.etype()) {
        Stop::Request(Reason::Malformed)
    } else {
        Stop::Client
    }
}

fn broken(error: &pingora_core::Error) -> Stop {
    let end = if is_against_the_rules(error.etype()) {
        AttemptEnd::Invalid
    } else {
        AttemptEnd::Reset
    };
    Stop::Instance(end, error.etype().as_str().to_owned())
}

/// What pingora calls a chunk, a trailer or a head that breaks the rules.
fn is_against_the_rules(kind: &ErrorType) -> bool {
    matches!(
        kind,
        ErrorType::InvalidHTTPHeader | ErrorType::Custom("InvalidChunk" | "InvalidTrailerEnd")
    )
}
