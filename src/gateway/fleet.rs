//! All services and endpoints that this gateway knows, with what it thinks of each.
//!
//! Decides which endpoints live on, which are new and which are gone when the store says something new, and starts and
//! ends their monitors. Not here: the table, events and reports (`health_loop`).

mod draining;
mod evidence;
mod known;
mod of_sites;

pub(super) use known::Known;

use super::last_good::LastEndpoint;
use super::member::{Member, Observers, Past, WatchKey, first_verdict, probe_host};
use super::peers::Peers;
use super::wanted::{Use, Wanted};
use minato_config::{Service, ServiceName, SiteId, SlotIndex};
use minato_health::{Layer, Verdict};
use minato_health_probe::Report;
use minato_proxy::{EndpointId, Intake, ServiceEntry, Standing};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::mpsc;

/// See the module.
#[derive(Debug)]
pub(super) struct Fleet {
    services: BTreeMap<ServiceName, Known>,
    /// From before the restart, until the store or a probe says more.
    earlier: BTreeMap<EndpointId, LastEndpoint>,
    /// Told to drain, with requests left.
    draining: BTreeSet<EndpointId>,
    observers: Observers,
    peers: Peers,
}

/// What [`Fleet::update`] changed.
#[derive(Debug)]
pub(super) struct Update {
    /// For the table.
    pub(super) entry: ServiceEntry,
    /// No longer there, each with the standing it had.
    pub(super) gone: Vec<(EndpointId, Standing)>,
}

impl Fleet {
    /// `probes`: in flight at once over all targets.
    pub(super) fn new(
        site: SiteId,
        probes: usize,
        changes: mpsc::Sender<Report<WatchKey>>,
    ) -> Self {
        Self {
            peers: Peers::new(site),
            services: BTreeMap::new(),
            earlier: BTreeMap::new(),
            draining: BTreeSet::new(),
            observers: Observers::new(probes, changes),
        }
    }

    /// Takes in what another process thought, of endpoints that are not known here yet.
    pub(super) fn remember(&mut self, earlier: &[LastEndpoint]) {
        let unknown = earlier.iter().filter(|it| self.member(&it.id()).is_none());
        let unknown: Vec<_> = unknown.map(|it| (it.id(), it.clone())).collect();
        self.earlier.extend(unknown);
    }

    pub(super) fn services(&self) -> impl Iterator<Item = (&ServiceName, &Known)> {
        self.services.iter()
    }

    pub(super) fn service(&self, name: &ServiceName) -> Option<&Known> {
        self.services.get(name)
    }

    pub(super) fn member(&self, id: &EndpointId) -> Option<&Member> {
        self.services.get(&id.service)?.members.get(id)
    }

    /// Makes one service's endpoints what they should be; `None` where nothing differs.
    pub(super) fn update(
        &mut self,
        service: &Service,
        wanted: &[Wanted],
        intake: Intake,
    ) -> Option<Update> {
        let known = self.services.remove(&service.name);
        let mut known = known.unwrap_or_else(|| Known::new(service));
        let ids = known.places(wanted);
        if known.is(service, wanted, &ids, intake) {
            self.services.insert(service.name.clone(), known);
            return None;
        }
        let watch_anew = known.service.health != service.health
            || probe_host(&known.service) != probe_host(service)
            || known.service.upstream.tls != service.upstream.tls;
        known.service = Arc::new(service.clone());
        (known.intake, known.routed) = (intake, true);
        if watch_anew {
            for member in known.members.values_mut() {
                if !member.endpoint.is_draining() {
                    member.verdict = first_verdict(service, Some(member.verdict));
                    // What failed before may not fail any more; the new watch says what does.
                    member.failure = None;
                    self.observers.watch(service, member);
                }
            }
        }
        for (id, it) in ids.iter().zip(wanted) {
            self.admit(&mut known, id, it);
        }
        let mut gone = known.let_go(&ids);
        gone.extend(self.meet(&mut known));
        self.make_room(&mut known);
        let entry = known.entry();
        self.services.insert(service.name.clone(), known);
        Some(Update { entry, gone })
    }

    /// Forgets a service that is out of the table. What its endpoints have in flight may end.
    pub(super) fn forget(&mut self, name: &ServiceName) -> Vec<EndpointId> {
        let Some(known) = self.services.remove(name) else {
            return Vec::new();
        };
        known.peers.values().for_each(|it| it.endpoint.retire());
        let peers = known.peers.into_keys();
        known.members.into_keys().chain(peers).collect()
    }

    /// What the table's settling asks: the verdict and the layer of the last failure.
    pub(super) fn opinion(&self, id: &EndpointId) -> (Verdict, Option<Layer>) {
        if let Some(it) = self.peer(id) {
            return (it.verdict, it.failure.as_ref().map(|it| it.layer));
        }
        match self.member(id) {
            Some(it) => (it.verdict, it.failure.as_ref().map(|it| it.layer)),
            None => (Verdict::Down, Some(Layer::NotRunning)),
        }
    }

    /// Whether `id` speaks for its slot: no newer generation or run is known.
    pub(super) fn is_newest(&self, id: &EndpointId) -> bool {
        let known = self.services.get(&id.service);
        let of_slot = known.into_iter().flat_map(|it| it.members.keys());
        let newest = of_slot
            .filter(|it| it.slot == id.slot)
            .max_by_key(|it| (it.generation, it.run));
        newest == Some(id)
    }

    /// Whether anything of the slot is known.
    pub(super) fn has_slot(&self, service: &ServiceName, slot: SlotIndex) -> bool {
        let known = self.services.get(service);
        known.is_some_and(|it| it.members.keys().any(|it| it.slot == slot))
    }

    fn member_mut(&mut self, id: &EndpointId) -> Option<&mut Member> {
        self.services.get_mut(&id.service)?.members.get_mut(id)
    }

    fn admit(&mut self, known: &mut Known, id: &EndpointId, it: &Wanted) {
        let drains = |it: &Member| it.endpoint.is_draining();
        let returned = known.members.get(id).is_some_and(drains) && it.usage == Use::Serve;
        let past = if returned && let Some(old) = known.members.remove(id) {
            // Draining is one way; what it has in flight ends on the old one.
            old.past()
        } else {
            let earlier = self.earlier.remove(id);
            let same = earlier.filter(|was| was.address == it.address);
            same.map_or_else(Past::default, |it| it.past())
        };
        if !known.members.contains_key(id) {
            let mut member = Member::new(&known.service, id.clone(), it.address, past);
            self.observers.watch(&known.service, &mut member);
            known.members.insert(id.clone(), member);
        }
        let Some(member) = known.members.get_mut(id) else {
            return;
        };
        member.leaving = it.usage == Use::Leave;
        if it.usage == Use::Drain && !member.endpoint.is_draining() {
            member.start_draining();
            self.draining.insert(id.clone());
        }
    }
}

#[cfg(test)]
#[path = "fleet_tests.rs"]
mod tests;
