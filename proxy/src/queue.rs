//! Admission: a limit on requests in flight, a bounded queue behind it, then shedding. First in, first out.
//!
//! While a service moves to another site its queue is *held*: nobody new gets in, limit or not, and at most [`HELD`] wait. That is
//! one bit of the word that counts, in the half whose being zero lets a request in at once: a service that is not held pays nothing,
//! and from the step that sets the bit on, what is in flight can only become less.
//!
//! Below the limit nothing locks: one compare-and-set to enter, one subtraction and one load to leave. The mutex over
//! the waiting line is only taken where the limit is reached: to wait, to stop waiting, to let the next one in. It
//! is held for a lookup in the line, never while a waker runs.
//!
//! Not here: how long a request waits (the caller drops its [`Ticket`]), what it is answered.

use crate::sync::{AtomicU32, AtomicU64, Mutex, MutexGuard, Ordering};
use minato_config::Limits;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Waker};

/// One service's admission. Cheap when the limit is not reached: one compare-and-set.
///
/// Nothing is lost, because those in flight and those who wait are counted in one word: who leaves learns in the same
/// step whether anyone waits, and who joins the line does so only in a step that finds no room.
#[derive(Debug)]
pub struct Queue {
    counts: Counts,
    /// In flight at most; 0: no limit.
    limit: AtomicU32,
    /// Waiting at most.
    room: AtomicU32,
    line: Mutex<Line>,
}

/// In flight in the lower half, waiting in the upper one, on cache lines of its own. The upper half changes only under the
/// mutex over the line, and is then the line's length.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Counts(AtomicU64);

const IN_FLIGHT: u64 = 1;
const WAITING: u64 = 1 << 32;
/// The highest bit of the upper half.
const HELD_BIT: u64 = 1 << 63;

/// Requests that may wait while a service is held, at one gateway.
pub const HELD: u32 = 1_000;

fn in_flight(word: u64) -> u32 {
    (word % WAITING) as u32
}

fn waiting(word: u64) -> u32 {
    (word % HELD_BIT / WAITING) as u32
}

/// Nobody waits, and nobody has to.
fn is_open(word: u64) -> bool {
    word < WAITING
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
            counts: Counts::default(),
            limit: AtomicU32::new(limits.in_flight),
            room: AtomicU32::new(limits.queue),
            line: Mutex::default(),
        })
    }

    /// New limits for the same queue; those in flight stay, waiting ones are admitted if there is room now.
    ///
    /// A shorter queue turns nobody away who already waits.
    pub fn set_limits(self: &Arc<Self>, limits: &Limits) {
        let mut line = self.line();
        // Under the mutex: whoever joins the line has seen either the old limits and stands in it now, or the new ones.
        self.room.store(limits.queue, Ordering::Relaxed);
        self.limit.store(limits.in_flight, Ordering::Relaxed);
        let ready = self.let_in(&mut line);
        drop(line);
        ready.into_iter().for_each(Waker::wake);
    }

    /// Asks for a place.
    ///
    /// Nobody passes those who wait: while there is a line, a new one joins its end, room or not.
    pub fn admit(self: &Arc<Self>) -> Admission {
        if self.change(|word| self.enter(word)) {
            return Admission::Permit(Permit(Arc::clone(self)));
        }
        let word = self.counts.0.load(Ordering::Relaxed);
        if waiting(word) >= self.room(word) {
            return Admission::Shed;
        }
        let mut line = self.line();
        loop {
            let word = self.counts.0.load(Ordering::Acquire);
            let entered = self.enter(word);
            let joined = (waiting(word) < self.room(word)).then_some(word + WAITING);
            let Some(next) = entered.or(joined) else {
                return Admission::Shed;
            };
            let set =
                self.counts
                    .0
                    .compare_exchange(word, next, Ordering::AcqRel, Ordering::Relaxed);
            match (set, entered) {
                (Err(_), _) => {}
                (Ok(_), Some(_)) => return Admission::Permit(Permit(Arc::clone(self))),
                (Ok(_), None) => break,
            }
        }
        let number = line.next;
        line.next += 1;
        line.waiting.insert(number, None);
        Admission::Ticket(Ticket {
            queue: Arc::clone(self),
            number,
            taken: false,
        })
    }

    /// Lets nobody in from now on; those in flight go on. True where it was not so already.
    pub fn hold(&self) -> bool {
        // Under the mutex, as all that changes the upper half.
        let _line = self.line();
        self.counts.0.fetch_or(HELD_BIT, Ordering::AcqRel) & HELD_BIT == 0
    }

    /// Lets in again, oldest first, as far as there is room. True where it was held.
    pub fn release(&self) -> bool {
        let mut line = self.line();
        let was_held = self.counts.0.fetch_and(!HELD_BIT, Ordering::AcqRel) & HELD_BIT != 0;
        let ready = self.let_in(&mut line);
        drop(line);
        ready.into_iter().for_each(Waker::wake);
        was_held
    }

    /// Whether nobody is let in.
    pub fn is_held(&self) -> bool {
        self.counts.0.load(Ordering::Acquire) & HELD_BIT != 0
    }

    /// Requests in flight, counting those that were let in and have not been polled yet.
    pub fn in_flight(&self) -> u32 {
        in_flight(self.counts.0.load(Ordering::Relaxed))
    }

    /// Requests waiting.
    pub fn waiting(&self) -> u32 {
        waiting(self.counts.0.load(Ordering::Relaxed))
    }

    fn room(&self, word: u64) -> u32 {
        match word & HELD_BIT {
            0 => self.room.load(Ordering::Relaxed),
            _ => HELD,
        }
    }

    fn has_room(&self, word: u64) -> bool {
        let limit = self.limit.load(Ordering::Relaxed);
        limit == 0 || in_flight(word) < limit
    }

    fn enter(&self, word: u64) -> Option<u64> {
        (is_open(word) && self.has_room(word)).then_some(word + IN_FLIGHT)
    }

    /// One step of the counts; false where `to` allows none.
    fn change(&self, to: impl Fn(u64) -> Option<u64>) -> bool {
        self.counts
            .0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, to)
            .is_ok()
    }

    fn give_back(&self) {
        let before = self.counts.0.fetch_sub(IN_FLIGHT, Ordering::AcqRel);
        debug_assert!(in_flight(before) > 0, "more places given back than taken");
        if waiting(before) > 0 {
            let ready = self.let_in(&mut self.line());
            ready.into_iter().for_each(Waker::wake);
        }
    }

    /// Lets in the oldest for as long as there is room; to be woken once the line is unlocked.
    fn let_in(&self, line: &mut Line) -> Vec<Waker> {
        let mut ready = Vec::new();
        let pass = |word| {
            let passes = waiting(word) > 0 && word & HELD_BIT == 0 && self.has_room(word);
            passes.then(|| word - WAITING + IN_FLIGHT)
        };
        while self.change(pass) {
            ready.extend(line.waiting.pop_first().and_then(|(_, waker)| waker));
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
                self.queue.counts.0.fetch_sub(WAITING, Ordering::AcqRel);
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
mod model;
#[cfg(test)]
mod tests;
