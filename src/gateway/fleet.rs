//! All services and endpoints that this gateway knows, with what it thinks of each.
//!
//! Decides which endpoints live on, which are new and which are gone when the store says something new, and starts and
//! ends their monitors. Not here: the table, events and reports (`health_loop`).

use super::last_good::LastEndpoint;
use super::member::{Member, Observers, Past, WatchKey, first_verdict, probe_host};
use super::peers::{PeerMember, Peers};
use super::places::places;
use super::sites::{Meant, Routing};
use super::wanted::{FIXED, Use, Wanted};
use crate::clock;
use minato_config::{Service, ServiceName, SiteId, SlotIndex};
use minato_health::{Allowance, Ejection, Failure, Layer, Verdict};
use minato_health_probe::Report;
use minato_proxy::{EndpointId, Intake, ServiceEntry, Shared, Standing};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

mod of_sites;

/// Ticks with nothing in flight after which an endpoint counts as drained: a request may have picked it just before
/// it was told to drain; the second tick sees that one in flight.
const DRAINED_AFTER: u32 = 2;

/// An instance that has not passed its checks so long after its start is told of.
const OVERDUE: Duration = Duration::from_secs(5);

/// One service.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) service: Arc<Service>,
    pub(super) members: BTreeMap<EndpointId, Member>,
    /// Gateways of other sites that serve it too.
    pub(super) peers: BTreeMap<EndpointId, PeerMember>,
    own_tier: u8,
    /// Instances that should run here.
    pub(super) wanted: u32,
    /// Where several sites serve it.
    routing: Option<Routing>,
    /// The same as its file has it.
    meant: Option<Meant>,
    shared: Arc<Shared>,
    intake: Intake,
    /// It is in the table as it stands here.
    routed: bool,
}

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
        let mut known = self.take(service);
        let ids = known.places(wanted);
        let uses = || ids.iter().zip(wanted);
        let as_wanted = |(id, it): (&EndpointId, &Wanted)| match known.members.get(id) {
            Some(member) => match it.usage {
                Use::Serve => !member.leaving && !member.endpoint.is_draining(),
                Use::Leave => member.leaving || member.endpoint.is_draining(),
                Use::Drain => member.endpoint.is_draining(),
            },
            None => false,
        };
        let same = known.routed
            && known.intake == intake
            && *known.service == *service
            && uses().all(as_wanted)
            && known
                .members
                .iter()
                .all(|(id, it)| it.leaving || ids.contains(id));
        if same {
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
        for (id, it) in uses() {
            self.admit(&mut known, id, it);
        }
        let mut gone = self.let_go(&mut known, &ids);
        gone.extend(self.meet(&mut known));
        self.make_room(&mut known);
        let entry = known.entry();
        self.services.insert(service.name.clone(), known);
        Some(Update { entry, gone })
    }

    /// Endpoints that are not wanted any more. Fixed addresses, which nobody stops, make room for those that stay;
    /// instances of which the store says that they do not run are gone at once.
    fn let_go(&self, known: &mut Known, ids: &[EndpointId]) -> Vec<(EndpointId, Standing)> {
        let unwanted = known.members.keys().filter(|id| !ids.contains(id));
        let unwanted: Vec<EndpointId> = unwanted.cloned().collect();
        let mut gone = Vec::new();
        for id in unwanted {
            let fixed = id.generation == FIXED;
            match known.members.get_mut(&id) {
                Some(member) if fixed && !member.drained => member.leaving = true,
                _ => gone.extend(retire(known, id)),
            }
        }
        gone
    }

    /// Drains those that leave, once one that stays is up, or none is to stay.
    fn make_room(&mut self, known: &mut Known) {
        let mut staying = known.members.values().filter(|it| !it.leaving).peekable();
        let room = staying.peek().is_none() || staying.any(|it| it.verdict == Verdict::Up);
        for (id, member) in known
            .members
            .iter_mut()
            .filter(|(_, it)| it.leaving && room)
        {
            if !member.endpoint.is_draining() {
                member.start_draining();
                self.draining.insert(id.clone());
            }
        }
    }

    /// Tells all of a service's endpoints to drain.
    pub(super) fn drain(&mut self, name: &ServiceName) {
        let Some(known) = self.services.get_mut(name) else {
            return;
        };
        known.routed = false;
        for (id, member) in &mut known.members {
            member.start_draining();
            self.draining.insert(id.clone());
        }
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

    /// Takes an endpoint that has made room out of its service; the service's new entry for the table.
    pub(super) fn remove_drained(&mut self, id: &EndpointId) -> Option<ServiceEntry> {
        let known = self.services.get_mut(&id.service)?;
        known
            .members
            .get(id)
            .filter(|it| it.leaving && it.drained)?;
        retire(known, id.clone());
        known.routed.then(|| known.entry())
    }

    /// Takes a changed verdict in; false where nobody is interested any more.
    pub(super) fn judge(&mut self, report: &Report<WatchKey>) -> bool {
        let Some(member) = self.member_mut(&report.key.id) else {
            return false;
        };
        if member.endpoint.is_draining() || !member.is_watched_by(&report.key) {
            return false;
        }
        member.verdict = report.change.to;
        member.failure.clone_from(&report.change.cause);
        member.since = clock::wall();
        if report.change.to == Verdict::Up {
            member.ejection.passed(clock::now());
            if let Some(mut known) = self.services.remove(&report.key.id.service) {
                self.make_room(&mut known);
                self.services.insert(known.service.name.clone(), known);
            }
        }
        true
    }

    /// A connect of real traffic failed.
    pub(super) fn doubt(&mut self, id: &EndpointId, failure: &Failure) {
        let monitor = self.member_mut(id).and_then(|it| it.monitor.as_ref());
        if let Some(monitor) = monitor {
            monitor.nudge(minato_health::Evidence::ConnectFailed(failure.clone()));
        }
    }

    /// Real traffic failed many times in a row: ejected, unless too many are, or it is the last.
    pub(super) fn eject(&mut self, id: &EndpointId, failure: &Failure) {
        let now = clock::now();
        let Some(known) = self.services.get_mut(&id.service) else {
            return;
        };
        let members = || known.members.values();
        let ejected = members().filter(|it| it.ejection.is_ejected(now)).count();
        let serves = |it: &&Member| it.endpoint.standing() <= Standing::Suspect;
        let serving = members().filter(serves).count();
        let allowance = Ejection::allowed(members().count(), ejected, serving);
        let Some(member) = known.members.get_mut(id) else {
            return;
        };
        if let Some(monitor) = &member.monitor
            && member.verdict != Verdict::Down
            && allowance == Allowance::Granted
        {
            let length = member.ejection.begin(now, fastrand::f64());
            let evidence = minato_health::Evidence::Eject(failure.clone(), now + length);
            monitor.nudge(evidence);
        }
    }

    /// Asks the monitors of members that are not up for their latest failures, and returns those that fail in another way
    /// than was known: a verdict that did not change brought no word of it.
    pub(super) fn explained(&mut self) -> Vec<EndpointId> {
        let members = self.services.values_mut().flat_map(|it| &mut it.members);
        let mut found = Vec::new();
        for (id, member) in members.filter(|(_, it)| it.verdict != Verdict::Up) {
            let latest = member.monitor.as_ref().and_then(|it| it.last_failure());
            let is_news = match (&latest, &member.failure) {
                (None, _) => false,
                (Some(_), None) => true,
                // Of a handshake the detail says what to do; elsewhere it may be another each time.
                (Some(now), Some(then)) if now.layer == Layer::Tls => now != then,
                (Some(now), Some(then)) => now.layer != then.layer,
            };
            if is_news {
                member.failure = latest;
                found.push(id.clone());
            }
        }
        found
    }

    /// Members that have not been up since they are watched, and should be by now; each is returned once.
    pub(super) fn overdue(&mut self) -> Vec<EndpointId> {
        let late = clock::wall();
        let members = self.services.values_mut().flat_map(|it| &mut it.members);
        let overdue = members.filter(|(_, it)| {
            let waits = it.verdict == Verdict::Down && it.monitor.is_some();
            waits
                && !it.told_overdue
                && !it.endpoint.has_been_up()
                && late.since(it.since) >= OVERDUE
        });
        overdue
            .map(|(id, member)| {
                member.told_overdue = true;
                id.clone()
            })
            .collect()
    }

    /// Looks at draining endpoints; returns those that have nothing left in flight.
    pub(super) fn drained(&mut self) -> Vec<EndpointId> {
        let mut found = Vec::new();
        for id in self.draining.clone() {
            let Some(member) = self.member_mut(&id) else {
                self.draining.remove(&id);
                continue;
            };
            member.draining_ticks += 1;
            if member.draining_ticks >= DRAINED_AFTER && member.endpoint.in_flight() == 0 {
                member.drained = true;
                member.since = clock::wall();
                self.draining.remove(&id);
                found.push(id);
            }
        }
        found
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

    fn take(&mut self, service: &Service) -> Known {
        self.services
            .remove(&service.name)
            .unwrap_or_else(|| Known {
                service: Arc::new(service.clone()),
                members: BTreeMap::new(),
                peers: BTreeMap::new(),
                own_tier: 0,
                wanted: service.replicas.into(),
                routing: None,
                meant: None,
                shared: Shared::new(service),
                intake: Intake::Open,
                routed: false,
            })
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

impl Known {
    pub(super) fn is_drained(&self) -> bool {
        self.intake == Intake::Drained
    }

    fn places(&self, wanted: &[Wanted]) -> Vec<EndpointId> {
        let fixed = self
            .members
            .iter()
            .filter(|(id, it)| id.generation == FIXED && !it.endpoint.is_draining());
        let fixed = fixed.map(|(id, it)| (it.endpoint.address(), id.slot));
        let taken = self.members.keys().map(|it| it.slot);
        places(
            &self.service.name,
            wanted,
            &fixed.collect(),
            taken.collect(),
        )
    }

    fn entry(&self) -> ServiceEntry {
        let own = self.members.values().map(|it| &it.endpoint);
        let own = own.inspect(|it| it.set_tier(self.own_tier));
        let peers = self.peers.values().map(|it| &it.endpoint);
        ServiceEntry::new(
            Arc::clone(&self.service),
            Arc::clone(&self.shared),
            own.chain(peers).map(Arc::clone).collect(),
            self.intake,
        )
        .spread(self.routing.as_ref().and_then(Routing::spread))
    }
}

fn retire(known: &mut Known, id: EndpointId) -> Option<(EndpointId, Standing)> {
    let member = known.members.remove(&id)?;
    let standing = member.endpoint.standing();
    member.endpoint.retire();
    Some((id, standing))
}

#[cfg(test)]
#[path = "fleet_tests.rs"]
mod tests;
