//! Tasks that serve the streams of clients, one after the other.
//!
//! What serves a request is a large state machine. To make one for each stream costs as much as a fifth of the stream's work;
//! so a task that has served one waits for the next, of whatever connection of its core.

use super::head;
use super::stream::Stream;
use crate::answer::Reason;
use crate::channel::Channel;
use crate::clock;
use crate::core::Core;
use crate::exchange;
use crate::peer::Peer;
use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::Request;
use minato_http1::Method;
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// Tasks of a core that wait for a stream at most.
const SPARE: usize = 256;

/// One request of a stream, and the way for its answer.
pub(super) struct Job {
    pub(super) peer: Peer,
    pub(super) request: Request<RecvStream>,
    pub(super) answer: SendResponse<Bytes>,
    pub(super) open: Open,
}

/// A stream that is served, counted until it is dropped.
pub(super) struct Open(Rc<Cell<u32>>);

impl Open {
    pub(super) fn new(count: &Rc<Cell<u32>>) -> Self {
        count.set(count.get() + 1);
        Self(Rc::clone(count))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

/// Those of one core that wait, used last, last.
#[derive(Default)]
pub(crate) struct Servers(RefCell<Vec<Rc<Seat>>>);

impl std::fmt::Debug for Servers {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} wait", self.0.borrow().len())
    }
}

/// Where one waits.
#[derive(Default)]
struct Seat {
    job: RefCell<Option<Job>>,
    waker: RefCell<Option<Waker>>,
}

impl Seat {
    fn give(&self, job: Job) {
        *self.job.borrow_mut() = Some(job);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn poll(&self, context: &Context<'_>) -> Poll<Job> {
        if let Some(job) = self.job.take() {
            return Poll::Ready(job);
        }
        *self.waker.borrow_mut() = Some(context.waker().clone());
        Poll::Pending
    }
}

/// Serves a stream: by a task that waits, or by a new one.
pub(super) fn serve(core: &Rc<Core>, job: Job) {
    let waiting = core.servers.0.borrow_mut().pop();
    match waiting {
        Some(seat) => seat.give(job),
        None => drop(tokio::task::spawn_local(run(Rc::clone(core), job))),
    }
}

async fn run(core: Rc<Core>, mut job: Job) {
    let seat = Rc::new(Seat::default());
    loop {
        exchange(&core, job).await;
        {
            let mut waiting = core.servers.0.borrow_mut();
            if waiting.len() >= SPARE {
                return;
            }
            waiting.push(Rc::clone(&seat));
        }
        job = poll_fn(|context| seat.poll(context)).await;
    }
}

/// One request, from its head to the end of its answer.
async fn exchange(core: &Rc<Core>, job: Job) {
    let began = clock::now();
    let Job {
        peer,
        request,
        answer,
        open,
    } = job;
    let (parts, body) = request.into_parts();
    let is_bodiless = body.is_end_stream();
    let mut channel = Channel::Stream(Box::new(Stream::new(body, answer)));
    let mut desk = core.take_desk();
    match head::read(&parts, &mut desk.request) {
        Ok(()) => {
            drop(parts);
            if is_bodiless {
                desk.request.set_bodiless();
            }
            exchange::run_stream(core, &mut channel, peer, &mut desk, began).await;
        }
        Err(refusal) => {
            let reason = Reason::from(&refusal);
            let method = match parts.method {
                http::Method::HEAD => Method::Head,
                _ => Method::Other,
            };
            exchange::refuse_stream(core, &mut channel, peer, method, reason, began).await;
        }
    }
    core.give_desk(desk);
    drop(channel);
    drop(open);
}
