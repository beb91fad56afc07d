//! Moves one request and its answer between client and instance, with deadlines; nothing is kept for a retry.

use crate::answer::Reason;
use crate::attempt::{Ended, Job};
use crate::buffer::Buffer;
use crate::channel::Channel;
use crate::connection::write_all;
use crate::deadline::Pace;
use crate::exchange::{Exchange, Outlook};
use crate::flow::{Coding, Fault, Flow, Waits};
use crate::http2::{Follows, NoAnswer, answer_head};
use crate::pool::Upstream;
use crate::tunnel;
use minato_http1::{Framing, HeadScan, Kind, Persistence, RequestHead, ResponseOnward, Version};
use minato_proxy::AttemptEnd;
use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::sleep;

/// How long an answer's head waits for the first bytes of its body.
const HEAD_WAITS: Duration = Duration::from_millis(20);
/// Interim answers of one request at most.
const INTERIM: u8 = 32;

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

fn instance(end: AttemptEnd, detail: &str) -> Stop {
    Stop::Instance(end, detail.to_owned())
}

/// What the request's half is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Waiting for the client's body.
    Taking,
    /// Waiting for the instance to take what came.
    Handing,
    /// All is sent.
    Sent,
    /// It cannot be written to. Only its answer is of interest.
    Deaf,
}

/// A head that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    /// It stands in `exchange.response`.
    Read,
    /// So many bytes at the front of what came are one, unread.
    Whole(usize),
}

/// The wait for an answer's head.
struct Waiting<'a, 'b> {
    exchange: &'a mut Exchange<'b>,
    job: &'a Job<'a>,
    upstream: &'a mut Channel,
    answer: &'a mut Buffer,
    scan: HeadScan,
    phase: Phase,
    steps: u32,
    pace: Pace,
    /// The client may be silent by nature.
    is_silent: bool,
}

/// Sends the request, whose head is gathered already, and waits for the head of the final answer, whichever comes first.
/// That head then stands in `exchange.response`, and what came after it in `answer`.
pub(crate) async fn until_answer(
    exchange: &mut Exchange<'_>,
    job: &Job<'_>,
    upstream: &mut Channel,
    answer: &mut Buffer,
) -> Result<(), Stop> {
    let mut waiting = Waiting {
        phase: Phase::Handing,
        steps: exchange.upload.steps(),
        scan: HeadScan::default(),
        pace: Pace::default(),
        is_silent: is_grpc(exchange.request),
        exchange,
        job,
        upstream,
        answer,
    };
    waiting.exchange.has_answer = false;
    waiting.exchange.timer.watch(job.endpoint);
    waiting.exchange.timer.set(waiting.patience());
    for _ in 0..=INTERIM {
        let seen = poll_fn(|context| waiting.poll(context)).await?;
        waiting.exchange.has_answer = true;
        if waiting.take_head(seen)? {
            waiting.exchange.timer.clear();
            return Ok(());
        }
        waiting.pass_on_interim().await?;
    }
    Err(instance(AttemptEnd::Invalid, "interim answers without end"))
}

impl Waiting<'_, '_> {
    /// Ready when a head is there.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Seen, Stop>> {
        self.poll_upload(context)?;
        if let Poll::Ready(end) = self.poll_head(context) {
            return Poll::Ready(end);
        }
        if matches!(self.phase, Phase::Sent | Phase::Deaf) && self.exchange.is_gone(context) {
            return Poll::Ready(Err(Stop::Client));
        }
        if self.job.endpoint.is_out() {
            let why = "ejected while it was waited for";
            return Poll::Ready(Err(instance(AttemptEnd::TimedOut, why)));
        }
        if self.exchange.timer.is_due(context) {
            return Poll::Ready(Err(match self.phase {
                Phase::Taking => Stop::Request(Reason::SlowRequest),
                _ => {
                    let waited = self.patience();
                    Stop::Instance(AttemptEnd::TimedOut, format!("no answer in {waited:?}"))
                }
            }));
        }
        Poll::Pending
    }

    fn poll_upload(&mut self, context: &mut Context<'_>) -> Result<(), Stop> {
        if matches!(self.phase, Phase::Sent | Phase::Deaf) {
            return Ok(());
        }
        let Exchange {
            upload,
            channel,
            core,
            ..
        } = &mut *self.exchange;
        let polled = upload.poll(context, channel, self.upstream, &core.means);
        let (now, grace) = (core.now(), core.gateway.deadlines.slow);
        let phase = match polled {
            Poll::Ready(Ok(())) => Phase::Sent,
            Poll::Ready(Err(Fault::Write)) => Phase::Deaf,
            Poll::Ready(Err(Fault::Body(_))) => return Err(Stop::Request(Reason::Malformed)),
            Poll::Ready(Err(Fault::TooLarge)) => {
                return Err(Stop::Request(Reason::BodyTooLarge));
            }
            Poll::Ready(Err(Fault::Read(_) | Fault::Cut(_))) => return Err(Stop::Client),
            Poll::Pending if upload.waits() == Waits::Sender => Phase::Taking,
            Poll::Pending => Phase::Handing,
        };
        let has_moved = upload.steps() != self.steps;
        if has_moved && !self.is_silent && !self.pace.moved(now, upload.body_bytes(), grace) {
            return Err(Stop::Request(Reason::SlowRequest));
        }
        if phase == Phase::Taking {
            self.pace.waits(now);
        }
        if has_moved || phase != self.phase {
            (self.phase, self.steps) = (phase, upload.steps());
            self.exchange.timer.set(self.patience());
        }
        Ok(())
    }

    fn poll_head(&mut self, context: &mut Context<'_>) -> Poll<Result<Seen, Stop>> {
        let invalid = |why: &str| Poll::Ready(Err(instance(AttemptEnd::Invalid, why)));
        if let Channel::Call(call) = self.upstream {
            let Exchange {
                request, response, ..
            } = &mut *self.exchange;
            return call.poll_answer(context, request.method(), response).map(
                |heard| match heard {
                    Ok(()) => Ok(Seen::Read),
                    Err(NoAnswer::Bad(bad)) => Err(instance(AttemptEnd::Invalid, bad.0)),
                    Err(NoAnswer::Broken(error)) => {
                        let why = format!("its stream broke before its answer: {error}");
                        Err(Stop::Instance(AttemptEnd::Reset, why))
                    }
                },
            );
        }
        let buffers = &self.exchange.core.means.buffers;
        loop {
            if !self.answer.is_empty() {
                match self.scan.look_response(self.answer.data()) {
                    Ok(Some(end)) => return Poll::Ready(Ok(Seen::Whole(end))),
                    Ok(None) => {}
                    Err(bad) => return invalid(bad.0),
                }
            }
            buffers.lend_large(self.answer);
            if self.answer.is_full() {
                return invalid("its head is too large");
            }
            match self.upstream.poll_read(context, self.answer) {
                Poll::Ready(Ok(count @ 1..)) => {
                    // Nearly always it has come whole.
                    let Exchange {
                        request, response, ..
                    } = &mut *self.exchange;
                    if count == self.answer.len()
                        && let Some(end) = response.read_whole(self.answer.data(), request.method())
                    {
                        self.answer.consume(end);
                        return Poll::Ready(Ok(Seen::Read));
                    }
                }
                Poll::Ready(Ok(0)) => {
                    let why = "closed the connection before its answer";
                    return Poll::Ready(Err(instance(AttemptEnd::Reset, why)));
                }
                Poll::Ready(Err(error)) => {
                    let why = format!("the connection broke before its answer: {error}");
                    return Poll::Ready(Err(Stop::Instance(AttemptEnd::Reset, why)));
                }
                Poll::Pending => {
                    buffers.reclaim(self.answer);
                    return Poll::Pending;
                }
            }
        }
    }

    /// Reads the head that was found; whether it ends the waiting.
    fn take_head(&mut self, seen: Seen) -> Result<bool, Stop> {
        let request = self.exchange.request;
        let response = &mut *self.exchange.response;
        if let Seen::Whole(end) = seen {
            let head = self.answer.data().get(..end).unwrap_or_default();
            let read = response.read(head, request.method());
            self.answer.consume(end);
            self.scan = HeadScan::default();
            read.map_err(|bad| instance(AttemptEnd::Invalid, bad.0))?;
        }
        match response.status() {
            // What is left of the head would run into the tunnel.
            101 if !self.exchange.upload.is_done() => Err(instance(
                AttemptEnd::Invalid,
                "101 before it had the request",
            )),
            101 if request.wants_websocket() && response.is_websocket_upgrade() => Ok(true),
            101 => Err(instance(
                AttemptEnd::Invalid,
                "101 that switches to what was not asked for",
            )),
            status => Ok(status >= 200),
        }
    }

    /// 1xx never goes to HTTP/1.0.
    async fn pass_on_interim(&mut self) -> Result<(), Stop> {
        let exchange = &mut *self.exchange;
        if exchange.request.version() == Version::Http10 {
            return Ok(());
        }
        if let Channel::Stream(stream) = exchange.channel {
            return match stream.inform(answer_head(exchange.response)) {
                true => Ok(()),
                false => Err(Stop::Client),
            };
        }
        let out = &mut *exchange.to_client;
        out.clear();
        let onward = ResponseOnward {
            client: exchange.request.version(),
            persistence: Persistence::KeepAlive,
        };
        exchange.response.write(&onward, out);
        let idle = exchange.core.gateway.deadlines.idle;
        if !write_all(exchange.channel, exchange.timer, idle, out).await {
            return Err(Stop::Client);
        }
        exchange.timer.watch(self.job.endpoint);
        self.exchange.timer.set(self.patience());
        Ok(())
    }

    fn patience(&self) -> Duration {
        let timeouts = &self.job.service.timeouts;
        match self.phase {
            Phase::Taking if self.is_silent => timeouts.tunnel,
            Phase::Taking => self.exchange.core.gateway.deadlines.idle,
            Phase::Handing => timeouts.idle,
            Phase::Sent | Phase::Deaf => timeouts.first_byte,
        }
    }
}

/// Sends the answer whose head stands in `exchange.response` to the client; gives the connection back where it can carry
/// another. An error where nothing of it has gone out yet.
pub(crate) async fn answer(
    exchange: &mut Exchange<'_>,
    job: &Job<'_>,
    mut upstream: Upstream,
    mut answer: Buffer,
) -> Result<Ended, Stop> {
    let framing = exchange.response.framing();
    let has_body = !matches!(framing, Framing::None | Framing::Length(0));
    if has_body && answer.is_empty() {
        first_bytes(exchange, &mut upstream.channel, &mut answer).await?;
    }
    let persistence = exchange.decide_persistence();
    let version = exchange.request.version();
    let is_last =
        version == Version::Http10 && matches!(framing, Framing::Chunked | Framing::UntilClose);
    if is_last {
        exchange.persistence = Persistence::Close;
    }
    let onward = ResponseOnward {
        client: version,
        persistence: if is_last {
            Persistence::Close
        } else {
            persistence
        },
    };
    let mut head = std::mem::take(exchange.to_client);
    head.clear();
    let framed = match exchange.channel {
        Channel::Stream(stream) => {
            stream.prepare(answer_head(exchange.response), Follows::from(framing));
            // The stream frames it.
            Framing::None
        }
        _ => exchange.response.write(&onward, &mut head),
    };
    exchange.record.status = exchange.response.status();
    if exchange.record.status == 101 {
        return Ok(tunnel::run(exchange, job, upstream, answer, head).await);
    }
    let mut download = Flow::new(framing, answer);
    download.begin(head, Coding::of(framed));
    let goes_on = matches!(upstream.channel, Channel::Call(_)) && !exchange.upload.is_done();
    let moved = Answering {
        rest: if goes_on { Rest::GoesOn } else { Rest::Over },
        idle: patience(exchange, job),
        steps: download.steps().wrapping_add(exchange.upload.steps()),
        waits: None,
        pace: Pace::default(),
        download: &mut download,
        upstream: &mut upstream.channel,
        exchange,
    };
    let moved = moved.run().await;
    exchange.timer.clear();
    exchange.record.bytes = download.body_bytes();
    let is_unsent = !download.has_sent();
    let is_spent = !download.input.is_empty() || exchange.response.closes();
    exchange.core.means.buffers.discard(&mut download.input);
    *exchange.to_client = download.release();
    match moved {
        Ok(()) => {}
        // It can still be left for another, or be answered as what it is.
        Err(stop @ Stop::Instance(..)) if is_unsent => return Err(stop),
        Err(stop) => {
            let is_instance = matches!(stop, Stop::Instance(..));
            // Where nothing else says what is whole, an orderly end would.
            if framed == Framing::UntilClose || (is_instance && version == Version::Http2) {
                exchange.channel.reset_on_close();
            }
            return Ok(match stop {
                Stop::Instance(end, _) => Ended::BrokeOff(end),
                Stop::Client | Stop::Request(_) => Ended::ClientGone,
            });
        }
    }
    // Only a connection on which both messages ended whole may carry another.
    if exchange.upload.is_done() && !is_spent && upstream.counted.is_some() {
        let (core, keep) = (exchange.core, exchange.response.keep_alive());
        let idle = job.service.limits.idle;
        core.pool
            .put(job.endpoint, upstream, keep, idle, core.now());
    }
    Ok(Ended::Answered(if exchange.upload.is_read() {
        Outlook::Whole
    } else {
        Outlook::Unread
    }))
}

/// The first bytes of the answer's body, if they come soon.
///
/// Until they do, nothing has gone to the client: an instance that dies between head and body can still be left for
/// another. A body that takes its time does not hold its head back for longer than this.
async fn first_bytes(
    exchange: &Exchange<'_>,
    upstream: &mut Channel,
    answer: &mut Buffer,
) -> Result<(), Stop> {
    let buffers = &exchange.core.means.buffers;
    let mut wait = pin!(sleep(HEAD_WAITS));
    let read = poll_fn(|context| {
        buffers.lend_large(answer);
        if let Poll::Ready(read) = upstream.poll_read(context, answer) {
            return Poll::Ready(Some(read));
        }
        buffers.reclaim(answer);
        wait.as_mut().poll(context).map(|()| None)
    })
    .await;
    match read {
        None | Some(Ok(1..)) => Ok(()),
        // An empty body that lasts until the connection's end.
        Some(Ok(0)) if exchange.response.framing() == Framing::UntilClose => Ok(()),
        Some(Ok(0)) => Err(instance(
            AttemptEnd::Reset,
            "closed the connection after the head of its answer",
        )),
        Some(Err(error)) => Err(Stop::Instance(
            AttemptEnd::Reset,
            format!("the connection broke after the head of its answer: {error}"),
        )),
    }
}

/// An answer on its way.
struct Answering<'a, 'b> {
    exchange: &'a mut Exchange<'b>,
    download: &'a mut Flow,
    upstream: &'a mut Channel,
    /// What of the request still goes on, beside its answer.
    rest: Rest,
    /// How long the instance may be silent.
    idle: Duration,
    steps: u32,
    waits: Option<Waits>,
    /// How long the client was waited for.
    pace: Pace,
}

/// Whether an answer that began before its request had ended lets that go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    /// HTTP/2 to the instance: both go on at once, as gRPC has it.
    GoesOn,
    /// It ended, or is not wanted any more.
    Over,
}

impl Answering<'_, '_> {
    async fn run(mut self) -> Result<(), Stop> {
        poll_fn(|context| self.poll(context)).await
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Stop>> {
        let core = self.exchange.core;
        self.poll_rest(context)?;
        let channel = &mut *self.exchange.channel;
        let moved = self
            .download
            .poll(context, self.upstream, channel, &core.means);
        if let Poll::Ready(moved) = moved {
            return Poll::Ready(moved.map_err(|fault| self.stop(&fault)));
        }
        // Once the request has come whole only a reset ends this; else what still comes is not looked at.
        let is_heard = matches!(self.exchange.channel, Channel::Stream(_));
        if (is_heard || self.exchange.upload.is_read()) && self.exchange.is_gone(context) {
            return Poll::Ready(Err(Stop::Client));
        }
        let waits = self.download.waits();
        let steps = self.steps();
        let has_moved = steps != self.steps;
        let deadlines = &core.gateway.deadlines;
        let bytes = self.download.body_bytes();
        if has_moved && !self.pace.moved(core.now(), bytes, deadlines.slow) {
            return Poll::Ready(Err(Stop::Client));
        }
        if waits == Waits::Receiver {
            self.pace.waits(core.now());
        }
        if has_moved || self.waits != Some(waits) {
            (self.steps, self.waits) = (steps, Some(waits));
            self.exchange.timer.set(match waits {
                Waits::Sender => self.idle,
                Waits::Receiver => deadlines.idle,
            });
        }
        if !self.exchange.timer.is_due(context) {
            return Poll::Pending;
        }
        Poll::Ready(Err(match waits {
            Waits::Receiver => Stop::Client,
            Waits::Sender => Stop::Instance(
                AttemptEnd::TimedOut,
                format!("silent for {:?} within its answer", self.idle),
            ),
        }))
    }

    /// Of both directions.
    fn steps(&self) -> u32 {
        let upload = self.exchange.upload.steps();
        self.download.steps().wrapping_add(upload)
    }

    /// Moves what still comes of the request.
    fn poll_rest(&mut self, context: &mut Context<'_>) -> Result<(), Stop> {
        if self.rest == Rest::Over {
            return Ok(());
        }
        let Exchange {
            upload,
            channel,
            core,
            ..
        } = &mut *self.exchange;
        match upload.poll(context, channel, self.upstream, &core.means) {
            Poll::Pending => {}
            // An instance that has heard enough says so by a reset of this side.
            Poll::Ready(Ok(()) | Err(Fault::Write)) => self.rest = Rest::Over,
            Poll::Ready(Err(_)) => return Err(Stop::Client),
        }
        Ok(())
    }

    fn stop(&self, fault: &Fault) -> Stop {
        match fault {
            Fault::Write => Stop::Client,
            Fault::Body(bad) => instance(AttemptEnd::Invalid, bad.0),
            Fault::Cut(bad) => instance(AttemptEnd::Reset, bad.0),
            Fault::Read(error) => Stop::Instance(
                AttemptEnd::Reset,
                format!("the connection broke within its answer: {error}"),
            ),
            Fault::TooLarge => instance(AttemptEnd::Invalid, "its answer is too large"),
        }
    }
}

/// How long the instance may be silent within its answer. Event streams and gRPC are silent by nature.
fn patience(exchange: &Exchange<'_>, job: &Job<'_>) -> Duration {
    if exchange.response.is_event_stream() || is_grpc(exchange.request) {
        job.service.timeouts.tunnel
    } else {
        job.service.timeouts.idle
    }
}

/// Whether messages go both ways, each when there is one.
fn is_grpc(request: &RequestHead) -> bool {
    const KIND: &[u8] = b"application/grpc";
    let kind = request.field(Kind::ContentType).unwrap_or_default();
    let kind = kind.get(..KIND.len());
    kind.is_some_and(|it| it.eq_ignore_ascii_case(KIND))
}
