//! Tasks that serve the streams of clients, one after the other.
//!
//! What serves a request is a large state machine. To make one for each stream costs as much as a fifth of the stream's work;
//! so a task that has served one waits for the next, of whatever connection of its core.

use super::stream::Stream;
use crate::answer::Reason;
use crate::channel::Channel;
use crate::clock;
use crate::core::{Core, Desk};
use crate::exchange;
use crate::peer::Peer;
use minato_http1::{Method, Refusal};
use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// Tasks of a core that wait for a stream at most.
const SPARE: usize = 256;

/// One request of a stream, and the way for its answer.
pub(super) struct Job {
    pub(super) peer: Peer,
    pub(super) stream: Stream,
    /// Where its head stands.
    pub(super) desk: Box<Desk>,
    /// Whether that is one; if not, how its method was read.
    pub(super) read: Result<(), (Refusal, Method)>,
}

/// Those of one core that wait, used last, last.
#[derive(Default)]
pub(crate) struct Servers {
    waiting: RefCell<Vec<Rc<Seat>>>,
    /// Memory for heads of answers.
    pub(super) spare: RefCell<Vec<Vec<u8>>>,
}

impl std::fmt::Debug for Servers {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} wait", self.waiting.borrow().len())
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
    let waiting = core.servers.waiting.borrow_mut().pop();
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
            let mut waiting = core.servers.waiting.borrow_mut();
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
        stream,
        mut desk,
        read,
    } = job;
    let mut channel = Channel::Stream(Box::new(stream));
    match read {
        Ok(()) => exchange::run_stream(core, &mut channel, peer, &mut desk, began).await,
        Err((refusal, method)) => {
            let reason = Reason::from(&refusal);
            exchange::refuse_stream(core, &mut channel, peer, method, reason, began).await;
        }
    }
    core.give_desk(desk);
}
