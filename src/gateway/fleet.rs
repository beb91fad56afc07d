//! All services and endpoints that this gateway knows, with what it thinks of each.
//!
//! Decides which endpoints live on, which are new and which are gone when the store says something new, and starts and
//! ends their monitors. Not here: the table, events and reports (`health_loop`).

use super::last_good::LastEndpoint;
use super::wanted::{Use, Wanted};
use crate::clock;
use minato_config::{
    Backend, Health, HostPattern, Run, Service, ServiceName, SlotIndex, Timestamp,
};
use minato_health::{Allowance, Ejection, Failure, Layer, Verdict};
use minato_health_probe::{Monitor, MonitorHandle, Report, Target};
use minato_proxy::{Endpoint, EndpointId, Intake, ServiceEntry, Shared, Standing};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::{Semaphore, mpsc};

/// Ticks with nothing in flight after which an endpoint counts as drained: a request may have picked it just before
/// it was told to drain; the second tick sees that one in flight.
const DRAINED_AFTER: u32 = 2;

/// One endpoint and everything about it that is not for the request path.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) verdict: Verdict,
    pub(super) failure: Option<Failure>,
    /// When the verdict began.
    pub(super) since: Timestamp,
    /// It stops, and no request of this gateway is left on it.
    pub(super) drained: bool,
    ejection: Ejection,
    draining_ticks: u32,
    /// `None` with health off, or while it drains.
    monitor: Option<MonitorHandle>,
}

/// One service.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) service: Arc<Service>,
    pub(super) members: BTreeMap<EndpointId, Member>,
    shared: Arc<Shared>,
    intake: Intake,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Fleet {
    services: BTreeMap<ServiceName, Known>,
    /// From before the restart, until the store or a probe says more.
    earlier: BTreeMap<EndpointId, LastEndpoint>,
    /// Told to drain, with requests left.
    draining: BTreeSet<EndpointId>,
    permits: Arc<Semaphore>,
    changes: mpsc::Sender<Report<EndpointId>>,
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
        earlier: &[LastEndpoint],
        probes: usize,
        changes: mpsc::Sender<Report<EndpointId>>,
    ) -> Self {
        Self {
            services: BTreeMap::new(),
            earlier: earlier.iter().map(|it| (it.id(), it.clone())).collect(),
            draining: BTreeSet::new(),
            permits: Arc::new(Semaphore::new(probes)),
            changes,
        }
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
        let ids: Vec<EndpointId> = wanted.iter().map(|it| id_of(&known, it)).collect();
        let same = known.intake == intake
            && *known.service == *service
            && ids.iter().eq(known.members.keys())
            && wanted
                .iter()
                .zip(&ids)
                .all(|(it, id)| it.usage == Use::Serve || known.members[id].endpoint.is_draining());
        if same {
            self.services.insert(service.name.clone(), known);
            return None;
        }
        let watch_anew =
            known.service.health != service.health || known.service.routes != service.routes;
        known.service = Arc::new(service.clone());
        known.intake = intake;
        if watch_anew {
            let old = known.members.values_mut();
            for member in old.filter(|it| !it.endpoint.is_draining()) {
                member.verdict = first_verdict(service, Some(member.verdict));
                member.monitor = self.watch(service, &member.endpoint, member.verdict);
            }
        }
        for (it, id) in wanted.iter().zip(&ids) {
            self.admit(&mut known, id, it);
        }
        let gone: Vec<EndpointId> = known
            .members
            .keys()
            .filter(|id| !ids.contains(id))
            .cloned()
            .collect();
        let gone = gone.into_iter().filter_map(|id| retire(&mut known, id));
        let gone = gone.collect();
        let endpoints = known.members.values().map(|it| Arc::clone(&it.endpoint));
        let entry = ServiceEntry::new(
            Arc::clone(&known.service),
            Arc::clone(&known.shared),
            endpoints.collect(),
            intake,
        );
        self.services.insert(service.name.clone(), known);
        Some(Update { entry, gone })
    }

    /// Tells all of a service's endpoints to drain.
    pub(super) fn drain(&mut self, name: &ServiceName) {
        for (id, member) in self
            .services
            .get_mut(name)
            .into_iter()
            .flat_map(|it| &mut it.members)
        {
            member.start_draining();
            self.draining.insert(id.clone());
        }
    }

    /// Forgets a service; its endpoints are gone.
    pub(super) fn forget(&mut self, name: &ServiceName) -> Vec<EndpointId> {
        let Some(mut known) = self.services.remove(name) else {
            return Vec::new();
        };
        let ids: Vec<EndpointId> = known.members.keys().cloned().collect();
        ids.into_iter()
            .filter_map(|id| retire(&mut known, id))
            .map(|(id, _)| id)
            .collect()
    }

    /// Takes a changed verdict in; false where nobody is interested any more.
    pub(super) fn judge(&mut self, report: &Report<EndpointId>) -> bool {
        let Some(member) = self.member_mut(&report.key) else {
            return false;
        };
        if member.endpoint.is_draining() {
            return false;
        }
        member.verdict = report.change.to;
        member.failure.clone_from(&report.change.cause);
        member.since = clock::wall();
        if report.change.to == Verdict::Up {
            member.ejection.passed(clock::now());
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
        self.services.remove(&service.name).unwrap_or_else(|| {
            let mut unlike = service.clone();
            // Differs from what is wanted, so that a new service is never taken for an unchanged one.
            unlike.replicas = u16::MAX;
            Known {
                service: Arc::new(unlike),
                members: BTreeMap::new(),
                shared: Shared::new(service),
                intake: Intake::Open,
            }
        })
    }

    fn admit(&mut self, known: &mut Known, id: &EndpointId, it: &Wanted) {
        if !known.members.contains_key(id) {
            let member = self.member_for(&known.service, id, it);
            known.members.insert(id.clone(), member);
        }
        if it.usage == Use::Drain
            && let Some(member) = known.members.get_mut(id)
            && !member.endpoint.is_draining()
        {
            member.start_draining();
            self.draining.insert(id.clone());
        }
    }

    fn member_for(&mut self, service: &Service, id: &EndpointId, it: &Wanted) -> Member {
        let earlier = self.earlier.remove(id);
        let earlier = earlier.filter(|was| was.address == it.address);
        let verdict = first_verdict(service, earlier.map(|it| it.verdict));
        let endpoint = Endpoint::new(id.clone(), it.address, 0, verdict);
        Member {
            monitor: self.watch(service, &endpoint, verdict),
            endpoint,
            verdict,
            failure: None,
            since: clock::wall(),
            drained: false,
            ejection: Ejection::default(),
            draining_ticks: 0,
        }
    }

    /// Watches `endpoint` as `service` wants, from `start` on; nothing with health off.
    fn watch(
        &self,
        service: &Service,
        endpoint: &Endpoint,
        start: Verdict,
    ) -> Option<MonitorHandle> {
        let Health::On { probe, timing } = &service.health else {
            return None;
        };
        let monitor = Monitor {
            key: endpoint.id().clone(),
            target: Target {
                address: endpoint.address(),
                host: probe_host(service),
            },
            probe: probe.clone(),
            timing: timing.clone(),
            start,
        };
        Some(monitor.spawn(Arc::clone(&self.permits), self.changes.clone()))
    }
}

impl Member {
    /// No new requests, no probes; those in flight end.
    fn start_draining(&mut self) {
        self.endpoint.drain();
        self.monitor = None;
    }
}

/// The id under which `wanted` is or will be known. A fixed endpoint has no run of its own, so another address in
/// its place counts as another run.
fn id_of(known: &Known, wanted: &Wanted) -> EndpointId {
    let mut id = EndpointId {
        service: known.service.name.clone(),
        slot: wanted.slot,
        generation: wanted.generation,
        run: wanted.run,
    };
    let same_place = |at: &&EndpointId| at.slot == id.slot && at.generation == id.generation;
    if matches!(known.service.backend, Backend::Endpoints(_))
        && let Some(last) = known.members.keys().filter(same_place).max()
    {
        let same_address = known.members[last].endpoint.address() == wanted.address;
        id.run = if same_address {
            last.run
        } else {
            Run(last.run.0 + 1)
        };
    }
    id
}

fn retire(known: &mut Known, id: EndpointId) -> Option<(EndpointId, Standing)> {
    let member = known.members.remove(&id)?;
    let standing = member.endpoint.standing();
    member.endpoint.retire();
    Some((id, standing))
}

/// The first exact host among the routes: applications that serve by name answer it.
fn probe_host(service: &Service) -> Option<String> {
    service
        .routes
        .iter()
        .find_map(|route| match &route.pattern.host {
            HostPattern::Exact(host) => Some(host.clone()),
            HostPattern::Wildcard(_) | HostPattern::Any => None,
        })
}

/// The verdict a new endpoint starts with: up with health off, else `earlier` (from disk), else down.
fn first_verdict(service: &Service, earlier: Option<Verdict>) -> Verdict {
    match service.health {
        Health::Off => Verdict::Up,
        Health::On { .. } => earlier.unwrap_or(Verdict::Down),
    }
}
