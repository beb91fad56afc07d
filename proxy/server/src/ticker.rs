//! Coarse time: one tick every 100 ms wakes whatever waited too long.
//!
//! Deadlines of connections are seconds, so one scan of all of them ten times a second replaces a timer for each wait:
//! setting a deadline writes one word. Also known here is which connections rest between requests, since the oldest of
//! those leaves first when places run out. One ticker per core; nothing here is shared between threads.

use minato_proxy::Endpoint;
use slab::Slab;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

/// How often deadlines are looked at; what a deadline may be late by.
pub(crate) const TICK: Duration = Duration::from_millis(100);
/// Resting connections that one scan finds for eviction.
const OLDEST: usize = 64;

/// All deadlines of one core.
#[derive(Debug, Default)]
pub(crate) struct Ticker {
    now: Cell<u32>,
    /// How many rests have begun.
    rests: Cell<u64>,
    entries: RefCell<Slab<Entry>>,
    /// Keys of the connections that rested longest when last looked, oldest last, each with the number of its rest.
    oldest: RefCell<Vec<(usize, u64)>>,
}

#[derive(Debug, Default)]
struct Entry {
    /// The tick at which it is due; 0: never.
    due: u32,
    /// The number of its rest; 0: it does not rest.
    resting: u64,
    evicted: bool,
    waker: Option<Waker>,
    /// Whose ejection wakes it.
    watched: Option<Arc<Endpoint>>,
}

impl Ticker {
    /// A deadline of one connection, not set.
    pub(crate) fn timer(self: &Rc<Self>) -> Timer {
        let key = self.entries.borrow_mut().insert(Entry::default());
        Timer {
            ticker: Rc::clone(self),
            key,
        }
    }

    /// One tick has passed: wakes what is due, and what watches an endpoint that is out.
    pub(crate) fn tick(&self) {
        let now = self.now.get().wrapping_add(1).max(1);
        self.now.set(now);
        let entries = self.entries.borrow();
        for (_, entry) in entries.iter() {
            let is_due = entry.due != 0 && entry.due <= now;
            let is_out = || entry.watched.as_ref().is_some_and(|it| it.is_out());
            if (is_due || is_out())
                && let Some(waker) = &entry.waker
            {
                waker.wake_by_ref();
            }
        }
    }

    /// Tells the connection that rested longest to close; false where none rests.
    pub(crate) fn evict_oldest(&self) -> bool {
        let mut oldest = self.oldest.borrow_mut();
        loop {
            let Some((key, since)) = oldest.pop() else {
                *oldest = self.longest_resting();
                if oldest.is_empty() {
                    return false;
                }
                continue;
            };
            let mut entries = self.entries.borrow_mut();
            // It may have worked, or ended, since it was found.
            if let Some(entry) = entries.get_mut(key)
                && entry.resting == since
                && !entry.evicted
            {
                entry.evicted = true;
                if let Some(waker) = &entry.waker {
                    waker.wake_by_ref();
                }
                return true;
            }
        }
    }

    fn longest_resting(&self) -> Vec<(usize, u64)> {
        let entries = self.entries.borrow();
        let resting = entries
            .iter()
            .filter(|(_, it)| it.resting != 0 && !it.evicted);
        let mut all: Vec<(usize, u64)> = resting.map(|(key, it)| (key, it.resting)).collect();
        if all.len() > OLDEST {
            all.select_nth_unstable_by_key(OLDEST, |it| it.1);
            all.truncate(OLDEST);
        }
        all.sort_unstable_by_key(|it| std::cmp::Reverse(it.1));
        all
    }

    /// Wakes all that rest, to look at something that has changed.
    pub(crate) fn wake_resting(&self) {
        for (_, entry) in self.entries.borrow().iter() {
            if let (1.., Some(waker)) = (entry.resting, &entry.waker) {
                waker.wake_by_ref();
            }
        }
    }
}

/// One deadline; gone when dropped.
#[derive(Debug)]
pub(crate) struct Timer {
    ticker: Rc<Ticker>,
    key: usize,
}

/// What woke a connection that rests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rest {
    /// Nothing: go on resting.
    On,
    /// Too long, or its place is needed.
    Over,
}

impl Timer {
    /// Due after this time, rounded up to ticks; replaces what was set.
    pub(crate) fn set(&self, after: Duration) {
        let due = self.ticker.now.get().saturating_add(ticks(after));
        self.change(|it| it.due = due);
    }

    /// Never due.
    pub(crate) fn clear(&self) {
        self.change(|it| {
            it.due = 0;
            it.watched = None;
        });
    }

    /// Wakes also when this endpoint is ejected.
    pub(crate) fn watch(&self, endpoint: &Arc<Endpoint>) {
        self.change(|it| it.watched = Some(Arc::clone(endpoint)));
    }

    /// Whether it is due; if not, `context` is woken when it is.
    pub(crate) fn is_due(&self, context: &Context<'_>) -> bool {
        let now = self.ticker.now.get();
        let mut entries = self.ticker.entries.borrow_mut();
        let Some(entry) = entries.get_mut(self.key) else {
            return true;
        };
        if entry.due != 0 && entry.due <= now {
            return true;
        }
        entry.remember(context);
        false
    }

    /// The connection begins to rest for at most this time.
    pub(crate) fn rest(&self, at_most: Duration) {
        self.set(at_most);
        let number = self.ticker.rests.get() + 1;
        self.ticker.rests.set(number);
        self.change(|it| it.resting = number);
    }

    /// Whether the rest is over; if not, `context` is woken when it is.
    pub(crate) fn rests(&self, context: &Context<'_>) -> Rest {
        let is_evicted = self.change(|it| it.evicted);
        if is_evicted || self.is_due(context) {
            Rest::Over
        } else {
            Rest::On
        }
    }

    /// The connection works again.
    pub(crate) fn work(&self) {
        self.change(|it| (it.resting, it.due) = (0, 0));
    }

    fn change<T>(&self, change: impl FnOnce(&mut Entry) -> T) -> T
    where
        T: Default,
    {
        let mut entries = self.ticker.entries.borrow_mut();
        entries.get_mut(self.key).map(change).unwrap_or_default()
    }
}

/// Ticks after which this time has surely passed; without the wide division of `as_millis`, for each request asks several times.
fn ticks(after: Duration) -> u32 {
    const EACH: u32 = TICK.subsec_millis();
    let seconds = u32::try_from(after.as_secs()).unwrap_or(u32::MAX);
    let rest = after.subsec_nanos().div_ceil(1_000_000).div_ceil(EACH);
    let ticks = seconds.saturating_mul(1000 / EACH).saturating_add(rest + 1);
    ticks.min(u32::MAX / 2)
}

impl Entry {
    fn remember(&mut self, context: &Context<'_>) {
        match &self.waker {
            Some(waker) if waker.will_wake(context.waker()) => {}
            _ => self.waker = Some(context.waker().clone()),
        }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        let entry = self.ticker.entries.borrow_mut().try_remove(self.key);
        // A waker may drop a task, and with it another timer: not while the entries are borrowed.
        drop(entry);
    }
}

#[cfg(test)]
mod tests;
