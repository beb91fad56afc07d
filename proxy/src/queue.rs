//! Admission: a limit on requests in flight, a bounded queue behind it, then shedding. First in, first out.
//!
//! Below the limit nothing locks: one compare-and-set to enter, one subtraction and one load to leave. The mutex over
//! the waiting line is only taken where the limit is reached: to wait, to stop waiting, to let the next one in. It
//! is held for a lookup in the line, never while a waker runs.
//!
//! Not here: how long a request waits (the caller drops its [`Ticket`]), what it is answered.

use crate::endpoint::Padded;
use minato_config::Limits;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// One service's admission. Cheap when the limit is not reached: one compare-and-set.
///
/// Nothing is lost: who enters the line counts itself in `waiting` and then looks for room; who leaves gives its place
/// back and then looks at `waiting`. All of these are sequentially consistent, so at least one of the two sees the other.
#[derive(Debug)]
pub struct Queue {
    in_flight: Padded,
    /// How many stand in `line`; changed only under its mutex.
    waiting: AtomicU32,
    /// 0: no limit.
    limit: AtomicU32,
    room: AtomicU32,
    line: Mutex<Line>,
}

/// Those who wait, by number, oldest first. A ticket that is not in here and was not taken owns a place in flight.
#[derive(Debug, Default)]
struct Line {
    next: u64,
    waiting: BTreeMap<u64, Option<Waker>>,
}

/// What admission said.
#[derive(Debug)]
pub enum Admission {
    /// Go on.
    Permit(Permit),
    /// Await it; drop it to leave the queue. The caller bounds the time.
    Ticket(Ticket),
    /// Limit and queue are full: the sorry page.
    Shed,
}

/// The right to be in flight; passes to the oldest ticket when dropped.
#[derive(Debug)]
pub struct Permit(Arc<Queue>);

/// A place in the queue. A future of the permit; once it was ready it must not be polled again.
#[derive(Debug)]
pub struct Ticket {
    queue: Arc<Queue>,
    number: u64,
    taken: bool,
}

impl Queue {
    /// With the limits of a service.
    pub fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            in_flight: Padded::default(),
            waiting: AtomicU32::new(0),
            limit: AtomicU32::new(limits.in_flight),
            room: AtomicU32::new(limits.queue),
            line: Mutex::default(),
        })
    }

    /// New limits for the same queue; those in flight stay, waiting ones are admitted if there is room now.
    ///
    /// A shorter queue turns nobody away who already waits.
    pub fn set_limits(self: &Arc<Self>, limits: &Limits) {
        self.room.store(limits.queue, Ordering::SeqCst);
        self.limit.store(limits.in_flight, Ordering::SeqCst);
        self.let_in();
    }

    /// Asks for a place.
    ///
    /// Nobody passes those who wait: while there is a line, a new one joins its end, room or not.
    pub fn admit(self: &Arc<Self>) -> Admission {
        if self.waiting.load(Ordering::SeqCst) == 0 && self.take() {
            return Admission::Permit(Permit(Arc::clone(self)));
        }
        if self.waiting.load(Ordering::SeqCst) >= self.room.load(Ordering::SeqCst) {
            return Admission::Shed;
        }
        let mut line = self.line();
        if line.waiting.is_empty() && self.take() {
            return Admission::Permit(Permit(Arc::clone(self)));
        }
        if line.waiting.len() >= self.room.load(Ordering::SeqCst) as usize {
            return Admission::Shed;
        }
        let number = line.next;
        line.next += 1;
        line.waiting.insert(number, None);
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let ready = self.admit_first(&mut line);
        drop(line);
        ready.into_iter().for_each(Waker::wake);
        Admission::Ticket(Ticket {
            queue: Arc::clone(self),
            number,
            taken: false,
        })
    }

    /// Requests in flight, counting those that were let in and have not been polled yet.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.0.load(Ordering::Relaxed)
    }

    /// Requests waiting.
    pub fn waiting(&self) -> u32 {
        self.waiting.load(Ordering::Relaxed)
    }

    /// One more in flight, if the limit allows it.
    fn take(&self) -> bool {
        let more = |now: u32| {
            let limit = self.limit.load(Ordering::SeqCst);
            (limit == 0 || now < limit).then_some(now + 1)
        };
        self.in_flight
            .0
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, more)
            .is_ok()
    }

    fn give_back(&self) {
        let before = self.in_flight.0.fetch_sub(1, Ordering::SeqCst);
        debug_assert!(before > 0, "more places given back than taken");
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.let_in();
        }
    }

    fn let_in(&self) {
        let ready = self.admit_first(&mut self.line());
        ready.into_iter().for_each(Waker::wake);
    }

    /// Lets in the oldest for as long as there is room; to be woken once the line is unlocked.
    fn admit_first(&self, line: &mut Line) -> Vec<Waker> {
        let mut ready = Vec::new();
        while !line.waiting.is_empty() && self.take() {
            if let Some((_, waker)) = line.waiting.pop_first() {
                self.waiting.fetch_sub(1, Ordering::SeqCst);
                ready.extend(waker);
            }
        }
        ready
    }

    /// No code of ours panics under this lock, so a poisoned line is whole.
    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.give_back();
    }
}

impl Future for Ticket {
    type Output = Permit;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Permit> {
        debug_assert!(!self.taken, "a ticket gives one permit");
        let stale = {
            let mut line = self.queue.line();
            match line.waiting.get_mut(&self.number) {
                Some(Some(waker)) if waker.will_wake(context.waker()) => return Poll::Pending,
                Some(waker) => Some(waker.replace(context.waker().clone())),
                None => None,
            }
        };
        if stale.is_some() {
            return Poll::Pending;
        }
        self.taken = true;
        Poll::Ready(Permit(Arc::clone(&self.queue)))
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.taken {
            return;
        }
        let left = {
            let mut line = self.queue.line();
            let left = line.waiting.remove(&self.number);
            if left.is_some() {
                self.queue.waiting.fetch_sub(1, Ordering::SeqCst);
            }
            left
        };
        // Let in but never polled: the place goes on to the next.
        if left.is_none() {
            self.queue.give_back();
        }
    }
}

#[cfg(test)]
mod tests;
