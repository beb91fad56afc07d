//! The request on its way up, until the head of its final answer is there.

use super::{Stop, instance, is_grpc, turn};
use crate::answer::Reason;
use crate::attempt::Job;
use crate::buffer::Buffer;
use crate::channel::Channel;
use crate::connection::write_all;
use crate::deadline::Pace;
use crate::exchange::Exchange;
use crate::flow::{Fault, Waits};
use crate::http2::NoAnswer;
use minato_http1::{HeadScan, Persistence, ResponseOnward, Version};
use minato_proxy::AttemptEnd;
use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

/// Interim answers of one request at most.
const INTERIM: u8 = 32;

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
    if !matches!(waiting.exchange.channel, Channel::Stream(_)) {
        turn().await;
    }
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
            return match stream.inform(exchange.response) {
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
