//! The answer on its way down, and what then becomes of both connections.

use super::{Stop, instance, is_grpc, turn};
use crate::attempt::{Ended, Job};
use crate::buffer::Buffer;
use crate::channel::Channel;
use crate::deadline::Pace;
use crate::exchange::{Exchange, Outlook};
use crate::flow::{Coding, Fault, Flow, Waits};
use crate::http2::Follows;
use crate::pool::Upstream;
use crate::tunnel;
use minato_http1::{Framing, Persistence, ResponseOnward, Version};
use minato_proxy::AttemptEnd;
use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::sleep;

/// How long an answer's head waits for the first bytes of its body.
const HEAD_WAITS: Duration = Duration::from_millis(20);

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
            stream.prepare(exchange.response, Follows::from(framing));
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
    if !matches!(moved.exchange.channel, Channel::Stream(_)) {
        turn().await;
    }
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
