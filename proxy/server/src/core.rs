//! What the connections of one core share. One thread, one runtime: nothing in here is locked or counted atomically.

use crate::access_log::Log;
use crate::clock;
use crate::dial::Dial;
use crate::flow::Means;
use crate::gateway::{Gateway, Phase};
use crate::http2::{Lines, Servers};
use crate::metrics::Counts;
use crate::pool::Pool;
use crate::ticker::{TICK, Ticker};
use minato_http1::{RequestHead, ResponseHead};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Notify, watch};
use tokio::time::MissedTickBehavior;

/// Desks that are kept for the next request.
const SPARE_DESKS: usize = 256;
/// Connections that stay ready for their next request at a time; others shrink at once.
const MOST_READY: usize = 256;
/// Ticks between two times of forgetting the way to counters.
const FORGET: u32 = 600;

/// One core's own state.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) ticker: Rc<Ticker>,
    pub(crate) dial: Dial,
    pub(crate) means: Means,
    pub(crate) pool: Pool,
    pub(crate) lines: Lines,
    /// Tasks that wait for a stream of HTTP/2.
    pub(crate) servers: Servers,
    pub(crate) counts: Counts,
    pub(crate) log: Log,
    #[expect(clippy::vec_box, reason = "a desk changes hands as one word")]
    desks: RefCell<Vec<Box<Desk>>>,
    phase: Cell<Phase>,
    /// Of the last tick.
    now: Cell<Instant>,
    wall_ms: Cell<u64>,
    date: RefCell<String>,
    /// Connections of this core.
    open: Cell<usize>,
    /// Those of them that stay ready for their next request.
    ready: Cell<usize>,
    one_ended: Notify,
}

/// What one exchange writes on; borrowed while a request is in flight.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    pub(crate) request: RequestHead,
    pub(crate) response: ResponseHead,
    /// Bytes that go to the instance before the body.
    pub(crate) to_instance: Vec<u8>,
    /// Bytes that go to the client before the body.
    pub(crate) to_client: Vec<u8>,
}

impl Core {
    pub(crate) fn new(gateway: Arc<Gateway>) -> Rc<Self> {
        Self::with_dial(gateway, Dial::Tcp)
    }

    /// The same, with another way to instances.
    pub(crate) fn with_dial(gateway: Arc<Gateway>, dial: Dial) -> Rc<Self> {
        let core = Self {
            dial,
            ticker: Rc::default(),
            means: Means::default(),
            pool: Pool::default(),
            lines: Lines::default(),
            servers: Servers::default(),
            counts: gateway.metrics.core(),
            log: gateway.access_log.log(),
            desks: RefCell::default(),
            phase: Cell::new(Phase::Serve),
            now: Cell::new(clock::now()),
            wall_ms: Cell::new(0),
            date: RefCell::default(),
            open: Cell::new(0),
            ready: Cell::new(0),
            one_ended: Notify::new(),
            gateway,
        };
        core.read_wall_clock();
        Rc::new(core)
    }

    /// The time of the last tick, for what needs no better.
    pub(crate) fn now(&self) -> Instant {
        self.now.get()
    }

    /// Milliseconds since the Unix epoch at `now`.
    pub(crate) fn wall_ms(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.now.get()).as_millis();
        self.wall_ms.get() + u64::try_from(since).unwrap_or(0)
    }

    /// Hands over what `Date` says now.
    pub(crate) fn with_date<T>(&self, with: impl FnOnce(&[u8]) -> T) -> T {
        with(self.date.borrow().as_bytes())
    }

    pub(crate) fn phase(&self) -> Phase {
        self.phase.get()
    }

    pub(crate) fn take_desk(&self) -> Box<Desk> {
        self.desks.borrow_mut().pop().unwrap_or_default()
    }

    pub(crate) fn give_desk(&self, desk: Box<Desk>) {
        let mut desks = self.desks.borrow_mut();
        if desks.len() < SPARE_DESKS {
            desks.push(desk);
        }
    }

    /// Gives descriptors back: all idle connections to instances, and the oldest idle one of a client.
    pub(crate) fn relieve(&self) {
        self.pool.clear();
        self.means.pipes.clear();
        self.ticker.evict_oldest();
    }

    /// One more connection of this core, until it is dropped.
    pub(crate) fn opened(self: &Rc<Self>) -> Open {
        self.open.set(self.open.get() + 1);
        self.counts.opened();
        Open(Rc::clone(self))
    }

    /// Whether one more connection may stay ready for its next request; until that is dropped.
    pub(crate) fn may_stay_ready(&self) -> Option<Ready<'_>> {
        let ready = self.ready.get();
        (ready < MOST_READY).then(|| {
            self.ready.set(ready + 1);
            Ready(&self.ready)
        })
    }

    pub(crate) fn open(&self) -> usize {
        self.open.get()
    }

    /// Waits until a connection of this core ends.
    pub(crate) async fn one_ends(&self) {
        self.one_ended.notified().await;
    }

    /// Keeps this core's time, for as long as it is polled, and shows the gateway that `worker` turns.
    pub(crate) async fn keep_time(&self, worker: usize) {
        let mut interval = tokio::time::interval(TICK);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut ticks: u32 = 0;
        loop {
            interval.tick().await;
            ticks = ticks.wrapping_add(1);
            self.now.set(clock::now());
            self.read_wall_clock();
            self.pool.tick(self.now.get());
            self.ticker.tick();
            self.gateway.beat(worker);
            self.counts.pool_idle(self.pool.len());
            self.log.flush();
            self.counts.log_dropped(self.log.dropped());
            if ticks.is_multiple_of(FORGET) {
                self.counts.forget();
            }
        }
    }

    /// Follows what the gateway is told, until it is told to stop serving.
    pub(crate) async fn follow(&self, told: &mut watch::Receiver<Phase>) {
        // A sender that is gone can tell no more.
        let ends = told.wait_for(|it| *it != Phase::Serve).await;
        self.phase.set(ends.map_or(Phase::Stop, |it| *it));
        self.ticker.wake_resting();
    }

    /// Goes on following after the first change: a handover may still become a stop.
    pub(crate) async fn follow_to_stop(&self, told: &mut watch::Receiver<Phase>) {
        let ends = told.wait_for(|it| *it == Phase::Stop).await;
        if ends.is_ok() {
            drop(ends);
            self.phase.set(Phase::Stop);
            self.ticker.wake_resting();
        }
        std::future::pending::<()>().await;
    }

    fn read_wall_clock(&self) {
        let wall = clock::wall();
        let since = wall
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        let before = self.wall_ms.get();
        self.wall_ms
            .set(u64::try_from(since.as_millis()).unwrap_or(0));
        if before / 1000 != self.wall_ms.get() / 1000 {
            *self.date.borrow_mut() = httpdate::fmt_http_date(wall);
        }
    }
}

/// A connection that stays ready for its next request.
#[derive(Debug)]
pub(crate) struct Ready<'a>(&'a Cell<usize>);

impl Drop for Ready<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

/// An open connection; its end is told when it is dropped.
#[derive(Debug)]
pub(crate) struct Open(Rc<Core>);

impl Drop for Open {
    fn drop(&mut self) {
        let core = &self.0;
        core.open.set(core.open.get().saturating_sub(1));
        core.counts.closed();
        core.gateway.places.give_back();
        core.one_ended.notify_one();
    }
}
