//! Idle connections to instances. The key is the endpoint (service, slot, generation, run), never the address alone.

use crate::stream::Connection;
use minato_proxy::{Endpoint, EndpointId};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Idle connections are kept this long at most; Apache and Node close theirs after 5 s.
const IDLE: Duration = Duration::from_secs(4);
/// A request that may not be retried takes only one that was used within this time.
const FRESH: Duration = Duration::from_secs(1);
/// Idle connections of one endpoint.
const MOST: usize = 32;

/// What a request needs of a pooled connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// May be retried when the connection turns out to be closed.
    Any,
    /// May not: only one used a moment ago.
    Fresh,
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    since: Instant,
    /// The peer's `Keep-Alive: timeout` less 1 s, or [`IDLE`].
    until: Instant,
}

/// Idle connections of all endpoints.
#[derive(Debug, Default)]
pub(crate) struct Pool(Mutex<HashMap<EndpointId, Vec<Idle>>>);

impl Pool {
    /// The one used last that is still open and silent.
    pub(crate) fn take(
        &self,
        endpoint: &Arc<Endpoint>,
        need: Need,
        now: Instant,
    ) -> Option<Connection> {
        loop {
            let idle = {
                let mut all = self.idle();
                let idle = all.get_mut(endpoint.id())?;
                // All others are older still; they stay for requests that may be retried.
                idle.pop_if(|it| need == Need::Any || now < it.since + FRESH)?
            };
            if now < idle.until && idle.connection.is_quiet() {
                return Some(idle.connection);
            }
        }
    }

    /// Gives back a connection whose last exchange ended whole. `keep_alive`: the peer's own limit.
    pub(crate) fn put(
        &self,
        endpoint: &Arc<Endpoint>,
        connection: Connection,
        keep_alive: Option<Duration>,
        now: Instant,
    ) {
        let keep = keep_alive.map_or(IDLE, |it| {
            it.saturating_sub(Duration::from_secs(1)).min(IDLE)
        });
        if keep.is_zero() || endpoint.is_out() {
            return;
        }
        let mut all = self.idle();
        let idle = all.entry(endpoint.id().clone()).or_default();
        if idle.len() >= MOST {
            idle.remove(0);
        }
        idle.push(Idle {
            connection,
            since: now,
            until: now + keep,
        });
    }

    /// Closes what is too old. Call it each second.
    pub(crate) fn sweep(&self, now: Instant) {
        self.idle().retain(|_, idle| {
            idle.retain(|it| now < it.until);
            !idle.is_empty()
        });
    }

    /// Closes all.
    pub(crate) fn clear(&self) {
        let all = std::mem::take(&mut *self.idle());
        drop(all);
    }

    /// Idle connections now.
    pub(crate) fn len(&self) -> usize {
        self.idle().values().map(Vec::len).sum()
    }

    fn idle(&self) -> MutexGuard<'_, HashMap<EndpointId, Vec<Idle>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
