//! One core's idle connections to instances. The key is the endpoint (service, slot, generation, run), never the address
//! alone.
//!
//! How many are idle is one count per instance over all cores (`Endpoint`). What is above the limit and was not needed for a
//! whole tick is closed; a burst that takes them all again within a tick finds them open.

use crate::channel::Channel;
use minato_proxy::{Connection, Endpoint, Serial};
use rustc_hash::FxHashMap;
use std::cell::RefCell;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Idle connections are kept this long at most; Apache and Node close theirs after 5 s.
const IDLE: Duration = Duration::from_secs(4);
/// A request that may not be retried takes only one that was used within this time.
const FRESH: Duration = Duration::from_secs(1);
/// Idle connections of one endpoint on one core, whatever the limit of its service and the burst.
const MOST: usize = 1024;

/// What a request needs of a pooled connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// May be retried when the connection turns out to be closed.
    Any,
    /// May not: only one used a moment ago, that looks open to the kernel.
    Fresh,
}

/// A connection to an instance.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) channel: Channel,
    /// Of a stream, the connection that it shares is counted instead.
    /// How it is encrypted, as a number.
    pub(crate) identity: u64,
    pub(crate) counted: Option<Connection>,
}

#[derive(Debug)]
struct Idle {
    upstream: Upstream,
    since: Instant,
    /// The peer's `Keep-Alive: timeout` less 1 s, or [`IDLE`].
    until: Instant,
}

#[derive(Debug)]
struct Shelf {
    endpoint: Arc<Endpoint>,
    /// Used last, last.
    idle: Vec<Idle>,
    /// The fewest there were since the last tick.
    fewest: usize,
    most: u32,
}

/// Idle connections of all endpoints.
#[derive(Debug, Default)]
pub(crate) struct Pool(RefCell<FxHashMap<Serial, Shelf>>);

impl Pool {
    /// The one used last that is still open and silent.
    pub(crate) fn take(
        &self,
        endpoint: &Endpoint,
        need: Need,
        identity: u64,
        now: Instant,
    ) -> Option<Upstream> {
        let mut all = self.0.borrow_mut();
        let shelf = all.get_mut(&endpoint.serial())?;
        loop {
            // All others are older still; they stay for requests that may be retried.
            let mut idle = shelf
                .idle
                .pop_if(|it| need == Need::Any || now < it.since + FRESH)?;
            shelf.fewest = shelf.fewest.min(shelf.idle.len());
            let is_quiet = match need {
                Need::Any => idle.upstream.channel.seems_quiet(),
                Need::Fresh => idle.upstream.channel.is_quiet(),
            };
            if now < idle.until && is_quiet && idle.upstream.identity == identity {
                if let Some(counted) = &mut idle.upstream.counted {
                    counted.work();
                }
                return Some(idle.upstream);
            }
        }
    }

    /// Gives back a connection whose last exchange ended whole. `keep_alive`: the peer's own limit; `most`: idle ones of the
    /// instance.
    pub(crate) fn put(
        &self,
        endpoint: &Arc<Endpoint>,
        mut upstream: Upstream,
        keep_alive: Option<Duration>,
        most: u32,
        now: Instant,
    ) {
        let keep = keep_alive.map_or(IDLE, |it| {
            it.saturating_sub(Duration::from_secs(1)).min(IDLE)
        });
        if keep.is_zero() || most == 0 || endpoint.is_out() {
            return;
        }
        let mut all = self.0.borrow_mut();
        let shelf = all.entry(endpoint.serial()).or_insert_with(|| Shelf {
            endpoint: Arc::clone(endpoint),
            idle: Vec::new(),
            fewest: 0,
            most,
        });
        shelf.most = most;
        if shelf.idle.len() >= MOST {
            return;
        }
        if let Some(counted) = &mut upstream.counted {
            counted.rest();
        }
        shelf.idle.push(Idle {
            upstream,
            since: now,
            until: now + keep,
        });
    }

    /// Closes what is too old, of an instance that is out, or more than is needed. Call it each tick.
    pub(crate) fn tick(&self, now: Instant) {
        self.0.borrow_mut().retain(|_, shelf| {
            if shelf.endpoint.is_out() {
                return false;
            }
            shelf.idle.retain(|it| now < it.until);
            let above = shelf.endpoint.idle_connections().saturating_sub(shelf.most);
            let spare = shelf.fewest.min(above as usize).min(shelf.idle.len());
            shelf.idle.drain(..spare);
            shelf.fewest = shelf.idle.len();
            !shelf.idle.is_empty()
        });
    }

    /// Closes all.
    pub(crate) fn clear(&self) {
        let all = self.0.take();
        drop(all);
    }

    /// Idle connections now.
    pub(crate) fn len(&self) -> usize {
        self.0.borrow().values().map(|it| it.idle.len()).sum()
    }
}
