//! What services of this node depend on: each is watched, and where its settings say so connections are passed on to the
//! member that is right.
//!
//! It needs no store and outlives no process: the process that takes over watches anew, and connections stay with the
//! process that has them. What is decided is pure ([`minato_control::relay`]).
//! Not here: the checks themselves (`health/probe`), what waiting means for instances (`minato_control::Node`).

mod before;
mod exposition;
mod flow;
mod herald;
mod lead;
mod passage;
mod view;
mod watcher;

pub use exposition::metrics;
pub use herald::Herald;
pub use view::{DependencyView, MemberView, RelayView};

use crate::clock::now;
use before::Before;
use minato_config::{Dependency, DependencyName};
use minato_control::{Standing, Standings, Usable};
use passage::Passage;
use socket2::{Domain, Protocol, Socket, Type};
use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use view::Shown;
use watcher::Watcher;

/// Checks under way at once.
const CHECKS: usize = 32;
/// Connections that the kernel completes before they are accepted.
const BACKLOG: i32 = 511;

/// Listens where a relay is to accept, also on an address that no interface has yet: that of an engine's bridge, say,
/// which appears when the engine starts.
pub fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv4() {
        socket.set_freebind_v4(true)?;
    } else {
        socket.set_freebind_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// All dependencies of this node, watched while it lives.
#[derive(Debug)]
pub struct Dependencies {
    standings: watch::Receiver<Standings>,
    shown: BTreeMap<DependencyName, Arc<Shown>>,
    herald: Herald,
    /// Ended with it.
    _tasks: JoinSet<()>,
    passages: Vec<Arc<Passage>>,
}

impl Dependencies {
    /// Watches all of `settings` on the current tokio runtime. `listeners`: what relays are to accept on, by their name.
    /// `data`: where `relays.json` says which member was in use.
    pub fn start(
        settings: &BTreeMap<DependencyName, Dependency>,
        listeners: Vec<(DependencyName, TcpListener)>,
        data: &Path,
    ) -> std::io::Result<Self> {
        let herald = Herald::default();
        let permits = Arc::new(Semaphore::new(CHECKS));
        let before = Arc::new(Before::load(data));
        let unknown = settings.iter().map(|(name, it)| {
            let standing = Standing {
                noun: it.check.noun(),
                state: Usable::Unknown,
            };
            (name.clone(), standing)
        });
        let (standings, all) = watch::channel(unknown.collect());
        let standings = Arc::new(standings);
        let mut tasks = JoinSet::new();
        let (mut shown, mut passages) = (BTreeMap::new(), Vec::new());
        let mut listeners = listeners;
        for (name, settings) in settings {
            let own = Arc::new(Shown::new(name, settings, now().wall));
            shown.insert(name.clone(), Arc::clone(&own));
            let passage = match &settings.relay {
                None => None,
                Some(relay) => {
                    let mut passage = Passage::new(name, relay, Arc::clone(&own), &herald);
                    let (mine, rest): (Vec<_>, Vec<_>) =
                        listeners.into_iter().partition(|it| it.0 == *name);
                    listeners = rest;
                    let at = mine.iter().filter_map(|it| it.1.local_addr().ok());
                    let at: Vec<SocketAddr> = at.collect();
                    own.change(|it| {
                        if let Some(relay) = &mut it.relay {
                            relay.listen = at;
                        }
                    });
                    for (_, listener) in mine {
                        listener.set_nonblocking(true)?;
                        passage.hold(tokio::net::TcpListener::from_std(listener)?);
                    }
                    let passage = Arc::new(passage);
                    passages.push(Arc::clone(&passage));
                    Some(passage)
                }
            };
            let watcher = Watcher {
                name: name.clone(),
                settings: settings.clone(),
                standings: Arc::clone(&standings),
                shown: own,
                passage,
                herald: herald.clone(),
                before: Arc::clone(&before),
            };
            tasks.spawn(watcher.run(Arc::clone(&permits)));
        }
        Ok(Self {
            standings: all,
            shown,
            herald,
            _tasks: tasks,
            passages,
        })
    }

    /// How each stands, for the agent.
    pub fn standings(&self) -> watch::Receiver<Standings> {
        self.standings.clone()
    }

    /// What happens to them is told there.
    pub fn herald(&self) -> Herald {
        self.herald.clone()
    }

    /// How each stands, for people and metrics.
    pub fn views(&self) -> Views {
        Views(self.shown.values().cloned().collect())
    }

    /// Accepts from now on; until then connections wait in the kernel, or another process has them.
    pub fn serve(&self) {
        for passage in &self.passages {
            Arc::clone(passage).serve_held();
        }
    }

    /// Accepts no more: another process does. Watching goes on for the connections that are open.
    pub fn hand_over(&self) {
        for passage in &self.passages {
            passage.close();
        }
    }

    /// Waits until no connection is open.
    pub async fn ended(&self) {
        for passage in &self.passages {
            passage.emptied().await;
        }
    }
}

impl Drop for Dependencies {
    fn drop(&mut self) {
        self.hand_over();
    }
}

/// A view of all dependencies that is always current.
#[derive(Debug, Clone, Default)]
pub struct Views(Vec<Arc<Shown>>);

impl Views {
    /// Each as it is now, sorted by name.
    pub fn now(&self) -> Vec<DependencyView> {
        self.0.iter().map(|it| it.view()).collect()
    }
}
