//! How a dependency stands, for people and for metrics.

use minato_config::{Dependency, DependencyCheck, DependencyName, MemberProbe, Relay, Timestamp};
use minato_control::Usable;
use minato_health::Verdict;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One dependency as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DependencyView {
    /// Its name.
    pub name: DependencyName,
    /// `database`, `server`, `mount`.
    pub noun: &'static str,
    /// What it must be: `primary`, `replica`, `tcp`, `http`, `mount`.
    pub wants: &'static str,
    /// Whether it can be used, and why not.
    pub state: Usable,
    /// Since when.
    pub since: Timestamp,
    /// More than one member is primary; empty where that is not so.
    pub alarm: String,
    /// Who is asked; of a mount its path.
    pub members: Vec<MemberView>,
    /// Where it has one.
    pub relay: Option<RelayView>,
}

/// One member as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberView {
    /// Address or path.
    pub name: String,
    /// Whether it passes.
    pub verdict: Verdict,
    /// Why not; empty while it is up.
    pub reason: String,
    /// Whether it is what the dependency means now: of several that pass the relay may use one, or all.
    pub in_use: bool,
    /// Connections that the relay has to it now.
    pub connections: u64,
}

/// One relay as it is now, with what it counted since this process began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayView {
    /// Where it listens.
    pub listen: Vec<SocketAddr>,
    /// Which member new connections go to; of several the first.
    pub current: Option<SocketAddr>,
    /// How often that was exchanged for another; of several how often one was left.
    pub switches: u64,
    /// Connections now, those that wait included.
    pub open: u64,
    /// At most so many.
    pub most: usize,
    /// Connections so far.
    pub connections: u64,
    /// Of these refused: too many, or no member in time.
    pub refused: u64,
    /// Of these cut because another member took over, or their member lost its role.
    pub cut: u64,
    /// From clients to members.
    pub bytes_in: u64,
    /// From members to clients.
    pub bytes_out: u64,
}

/// Shared between whoever watches or carries and whoever looks.
#[derive(Debug)]
pub(super) struct Shown {
    seen: Mutex<DependencyView>,
    pub(super) counts: Counts,
    /// Connections to each member, those that are being made included.
    places: Mutex<BTreeMap<SocketAddr, u64>>,
}

/// One connection's place at a member, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    shown: Arc<Shown>,
    member: SocketAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(count) = lock(&self.shown.places).get_mut(&self.member) {
            *count = count.saturating_sub(1);
        }
    }
}

/// Every holder leaves a whole value.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) open: AtomicU64,
    pub(super) connections: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) cut: AtomicU64,
    pub(super) bytes_in: AtomicU64,
    pub(super) bytes_out: AtomicU64,
}

impl Shown {
    pub(super) fn new(name: &DependencyName, settings: &Dependency, since: Timestamp) -> Self {
        let relay = |relay: &Relay| RelayView {
            listen: relay.listen.clone(),
            current: None,
            switches: 0,
            open: 0,
            most: relay.connections,
            connections: 0,
            refused: 0,
            cut: 0,
            bytes_in: 0,
            bytes_out: 0,
        };
        Self {
            seen: Mutex::new(DependencyView {
                name: name.clone(),
                noun: settings.check.noun(),
                wants: wants(&settings.check),
                state: Usable::Unknown,
                since,
                alarm: String::new(),
                members: Vec::new(),
                relay: settings.relay.as_ref().map(relay),
            }),
            counts: Counts::default(),
            places: Mutex::default(),
        }
    }

    /// A place at the member, of these, that has the fewest connections; the first of several. `None` where there is none.
    pub(super) fn place<T>(
        self: &Arc<Self>,
        among: impl IntoIterator<Item = T>,
        member: impl Fn(&T) -> SocketAddr,
    ) -> Option<(T, Place)> {
        let mut places = lock(&self.places);
        let count = |it: &T| places.get(&member(it)).copied().unwrap_or(0);
        let best = among.into_iter().min_by_key(count)?;
        let member = member(&best);
        *places.entry(member).or_default() += 1;
        let shown = Arc::clone(self);
        Some((best, Place { shown, member }))
    }

    pub(super) fn view(&self) -> DependencyView {
        let mut view = lock(&self.seen).clone();
        let places = lock(&self.places);
        for it in &mut view.members {
            let address: Option<SocketAddr> = it.name.parse().ok();
            let count = address.and_then(|it| places.get(&it));
            it.connections = count.copied().unwrap_or(0);
        }
        drop(places);
        if let Some(relay) = &mut view.relay {
            let load = |it: &AtomicU64| it.load(Ordering::Relaxed);
            let counts = &self.counts;
            relay.open = load(&counts.open);
            relay.connections = load(&counts.connections);
            relay.refused = load(&counts.refused);
            relay.cut = load(&counts.cut);
            relay.bytes_in = load(&counts.bytes_in);
            relay.bytes_out = load(&counts.bytes_out);
        }
        view
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut DependencyView)) {
        change(&mut lock(&self.seen));
    }
}

fn wants(check: &DependencyCheck) -> &'static str {
    match check {
        DependencyCheck::Mount(_) => "mount",
        DependencyCheck::Members { probe, .. } => match probe {
            MemberProbe::Tcp => "tcp",
            MemberProbe::Http(_) => "http",
            MemberProbe::Database(it) => match it.role {
                minato_config::DatabaseRole::Primary => "primary",
                minato_config::DatabaseRole::Replica => "replica",
            },
        },
    }
}
