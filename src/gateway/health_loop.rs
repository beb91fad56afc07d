//! The one task that decides what this gateway routes to.
//!
//! It follows the store, hears monitors and real traffic, settles standings, swaps the table, and tells the store and
//! the operator. Everything it decides takes effect on requests first and is reported after.

use super::fleet::{Known, Member, Observers, first_verdict};
use super::last_good::{LastEndpoint, LastGood};
use super::reports::Reports;
use super::view::{Seen, Thought};
use super::wanted::{Use, Wanted, wanted};
use crate::clock;
use arc_swap::ArcSwap;
use minato_config::{Service, ServiceName};
use minato_control::{Event, EventKind, World};
use minato_control_store::{Follower, Touched};
use minato_health::{Change, Failure, Layer, Verdict, VerdictReport};
use minato_health_probe::Report;
use minato_proxy::{Endpoint, EndpointId, Intake, ServiceEntry, Shared, Standing, StandingChange, Table};
use minato_proxy_server::{Evidence, Metrics};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, watch};

/// How often draining instances are looked at, and gauges refreshed.
const TICK: Duration = Duration::from_millis(50);
/// Probes in flight at once over all targets.
const PROBES: usize = 256;
/// The saved table is at most this much older than the real one.
const SAVE: Duration = Duration::from_secs(1);

/// What the loop works on.
pub(crate) struct HealthLoopOptions {
    pub(crate) table: Arc<ArcSwap<Table>>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) seen: Seen,
    pub(crate) reports: Reports,
    pub(crate) events: mpsc::Sender<Event>,
    pub(crate) data: PathBuf,
    pub(crate) last_good: LastGood,
}

/// See the module.
pub(crate) struct HealthLoop {
    options: HealthLoopOptions,
    observers: Observers,
    fleet: BTreeMap<ServiceName, Known>,
    earlier: BTreeMap<EndpointId, LastEndpoint>,
    records: BTreeMap<ServiceName, minato_config::ServiceRecord>,
    changes: mpsc::Receiver<Report<EndpointId>>,
    unsaved: Option<std::time::Instant>,
}

impl HealthLoop {
    /// Serves the last good table from disk at once.
    pub(crate) fn new(options: HealthLoopOptions) -> Self {
        let (sender, changes) = mpsc::channel(1024);
        let observers = Observers { permits: Arc::new(Semaphore::new(PROBES)), changes: sender };
        let earlier = options.last_good.endpoints.iter().map(|it| (id_of(it), it.clone())).collect();
        let mut this = Self {
            options,
            observers,
            fleet: BTreeMap::new(),
            earlier,
            records: BTreeMap::new(),
            changes,
            unsaved: None,
        };
        this.resume();
        this
    }

    /// Runs until `stop` says true. `world` is the store as it is followed.
    pub(crate) async fn run(mut self, mut follower: Follower, mut evidence: mpsc::Receiver<Evidence>, mut stop: watch::Receiver<bool>) {
        self.take_world(&follower.observed().world.clone(), None);
        let mut tick = tokio::time::interval(TICK);
        let mut follow = true;
        loop {
            tokio::select! {
                _ = stop.wait_for(|it| *it) => break,
                Some(report) = self.changes.recv() => self.heard(&report),
                Some(evidence) = evidence.recv() => self.witnessed(&evidence),
                touched = follower.next(), if follow => match touched {
                    Ok(Touched::Everything) => self.take_world(&follower.observed().world.clone(), None),
                    Ok(Touched::These(set)) => self.take_world(&follower.observed().world, Some(&set.services)),
                    Err(error) => {
                        follow = false;
                        let event = Event::error(clock::wall(), EventKind::Store, format!("the store cannot be followed any more; serving what is known: {error}"))
                            .hint("minato status; then restart minato");
                        self.tell(event);
                    }
                },
                _ = tick.tick() => self.ticked(),
            }
        }
        save(&self.snapshot(), &self.options.data);
    }

    /// The table of before, with the verdicts of before, until the store and the probes say more.
    fn resume(&mut self) {
        for record in self.options.last_good.services.clone() {
            let service = Arc::new(record.service.clone());
            let found: Vec<Wanted> = self
                .earlier
                .values()
                .filter(|it| it.service == service.name)
                .map(|it| Wanted { slot: it.slot, generation: it.generation, run: it.run, address: it.address, usage: Use::Serve })
                .collect();
            self.records.insert(service.name.clone(), record);
            self.rebuild(&service, &found, Intake::Open);
        }
    }

    /// Brings the table in line with the store, for all services or those named.
    fn take_world(&mut self, world: &World, only: Option<&BTreeSet<ServiceName>>) {
        let names: BTreeSet<ServiceName> = match only {
            Some(only) => only.clone(),
            None => world.services.keys().chain(self.fleet.keys()).cloned().collect(),
        };
        for name in names {
            self.take_service(world, &name);
        }
    }

    fn take_service(&mut self, world: &World, name: &ServiceName) {
        let Some(record) = world.services.get(name) else {
            // A record ends with `removed`; one that vanishes otherwise is an accident, and the last good one stays.
            if self.records.get(name).is_some_and(|it| it.removed) {
                self.forget_service(name);
            }
            return;
        };
        self.records.insert(name.clone(), record.value.clone());
        let mut found = wanted(world, name);
        self.keep_vanished(world, name, &mut found);
        if record.value.removed {
            self.unroute(name);
        } else {
            let service = match self.fleet.get(name) {
                Some(known) if *known.service == record.value.service => Arc::clone(&known.service),
                _ => Arc::new(record.value.service.clone()),
            };
            let drained = world.intents.get(name).is_some_and(|it| it.value.drain);
            self.rebuild(&service, &found, if drained { Intake::Drained } else { Intake::Open });
        }
    }

    /// An instance whose document vanished while it ran stays until its slot ends or another takes its place.
    fn keep_vanished(&self, world: &World, name: &ServiceName, found: &mut Vec<Wanted>) {
        let Some(known) = self.fleet.get(name) else { return };
        for (id, member) in &known.members {
            let documented = world
                .instances
                .keys()
                .any(|it| it.service == *name && it.slot == id.slot && it.generation >= id.generation);
            let slot = world.slots.get(&(name.clone(), id.slot));
            let ends = slot.is_none_or(|it| it.value.removed || it.value.generation > id.generation);
            let command = matches!(known.service.backend, minato_config::Backend::Command(_));
            if command && !documented && !ends && !member.endpoint.is_draining() {
                found.push(Wanted {
                    slot: id.slot,
                    generation: id.generation,
                    run: id.run,
                    address: member.endpoint.address(),
                    usage: Use::Serve,
                });
            }
        }
    }

    /// Makes one service's endpoints what they should be and swaps the table.
    fn rebuild(&mut self, service: &Arc<Service>, found: &[Wanted], intake: Intake) {
        let name = service.name.clone();
        let mut known = self.fleet.remove(&name).unwrap_or_else(|| Known {
            service: Arc::clone(service),
            shared: Shared::new(service),
            members: BTreeMap::new(),
            draining: false,
        });
        let rewatch = known.service.health != service.health || known.service.routes != service.routes;
        let routes_before = route_texts(&known.service);
        let is_new = known.members.is_empty() && self.options.table.load().service(&name).is_none();
        known.service = Arc::clone(service);
        known.draining = intake == Intake::Drained;
        let mut kept = BTreeSet::new();
        for it in found {
            kept.insert(self.admit_member(&mut known, it));
        }
        let gone: Vec<EndpointId> = known.members.keys().filter(|id| !kept.contains(*id)).cloned().collect();
        for id in gone {
            self.retire(&mut known, &id);
        }
        if rewatch {
            for member in known.members.values_mut().filter(|it| !it.endpoint.is_draining()) {
                member.verdict = first_verdict(service, Some(member.verdict));
                member.monitor = self.observers.watch(service, &member.endpoint, member.verdict);
            }
        }
        let endpoints = known.members.values().map(|it| Arc::clone(&it.endpoint)).collect();
        let entry = ServiceEntry::new(Arc::clone(service), Arc::clone(&known.shared), endpoints, intake);
        self.fleet.insert(name.clone(), known);
        let changes = entry.settle(&|id| self.opinion(id));
        let routes_now = route_texts(service);
        if is_new || routes_before != routes_now {
            let text = if routes_now.is_empty() { "none".to_owned() } else { routes_now.join(", ") };
            self.tell(Event::info(clock::wall(), EventKind::Routed, format!("routes in effect: {text}")).of(&name));
        }
        // The old table is dropped here, away from the cores that serve.
        self.options.table.store(Arc::new(self.options.table.load().with(entry)));
        self.settled(&changes, None);
        self.report_all(&name);
        self.dirty();
    }

    /// Takes one wanted endpoint in, or updates the one that is there. Returns its id.
    fn admit_member(&mut self, known: &mut Known, it: &Wanted) -> EndpointId {
        let service = &known.service;
        let mut id = EndpointId { service: service.name.clone(), slot: it.slot, generation: it.generation, run: it.run };
        // A fixed endpoint has no run of its own: another address in its place is another endpoint.
        let same_place = known.members.iter().filter(|(at, _)| at.slot == id.slot && at.generation == id.generation).map(|(at, m)| (at.run, m.endpoint.address())).max();
        if let (minato_config::Backend::Endpoints(_), Some((run, address))) = (&service.backend, same_place) {
            id.run = if address == it.address { run } else { minato_config::Run(run.0 + 1) };
        }
        if !known.members.contains_key(&id) {
            let earlier = self.earlier.remove(&id).filter(|was| was.address == it.address).map(|was| was.verdict);
            let verdict = first_verdict(service, earlier);
            let endpoint = Endpoint::new(id.clone(), it.address, 0, verdict);
            if earlier.is_some_and(|it| it != Verdict::Down) {
                endpoint.remember_up();
            }
            let monitor = self.observers.watch(service, &endpoint, verdict);
            let member = Member {
                endpoint,
                verdict,
                failure: None,
                since: clock::wall(),
                ejection: Default::default(),
                draining_ticks: 0,
                drained: false,
                monitor,
            };
            known.members.insert(id.clone(), member);
        }
        if it.usage == Use::Drain
            && let Some(member) = known.members.get_mut(&id)
            && !member.endpoint.is_draining()
        {
            member.endpoint.drain();
            member.monitor = None;
        }
        id
    }

    fn retire(&mut self, known: &mut Known, id: &EndpointId) {
        let Some(member) = known.members.remove(id) else { return };
        let served = member.endpoint.standing() <= Standing::Held;
        member.endpoint.retire();
        self.options.seen.remove(id);
        self.options.metrics.forget_endpoint(id);
        if !known.members.keys().any(|it| it.slot == id.slot) {
            self.options.reports.remove(&id.service, id.slot);
        }
        if served {
            let event = Event::warn(clock::wall(), EventKind::Down, "out of the table: its agent says that it does not run");
            self.tell(event.of(&id.service).instance(id.slot, id.generation, id.run));
        }
    }

    /// New requests find no route; those in flight end.
    fn unroute(&mut self, name: &ServiceName) {
        let table = self.options.table.load();
        if table.service(name).is_some() {
            self.options.table.store(Arc::new(table.without(name)));
            self.tell(Event::info(clock::wall(), EventKind::Routed, "its routes are gone: the service was removed").of(name));
        }
        if let Some(known) = self.fleet.get_mut(name) {
            for member in known.members.values_mut() {
                member.endpoint.drain();
                member.monitor = None;
            }
        }
        self.dirty();
    }

    fn forget_service(&mut self, name: &ServiceName) {
        self.unroute(name);
        self.records.remove(name);
        if let Some(mut known) = self.fleet.remove(name) {
            let ids: Vec<EndpointId> = known.members.keys().cloned().collect();
            for id in ids {
                self.retire(&mut known, &id);
                self.options.metrics.forget_slot(&id.service, id.slot);
            }
        }
        self.dirty();
    }

    /// A monitor changed its verdict.
    fn heard(&mut self, report: &Report<EndpointId>) {
        let id = &report.key;
        let Some(member) = self.fleet.get_mut(&id.service).and_then(|it| it.members.get_mut(id)) else { return };
        if member.endpoint.is_draining() {
            return;
        }
        member.verdict = report.change.to;
        member.failure = report.change.cause.clone();
        member.since = clock::wall();
        if report.change.to == Verdict::Up {
            member.ejection.passed(clock::now());
        }
        self.settle(&id.service, Some((id, &report.change)));
        self.report(id);
        self.dirty();
    }

    /// Real requests failed.
    fn witnessed(&mut self, evidence: &Evidence) {
        let (Evidence::ConnectFailed(endpoint, failure) | Evidence::Consecutive(endpoint, _, failure)) = evidence;
        let id = endpoint.id();
        let Some(known) = self.fleet.get_mut(&id.service) else { return };
        let total = known.members.len();
        let now = clock::now();
        let ejected = known.members.values().filter(|it| it.ejection.is_ejected(now)).count();
        let serving = known.members.values().filter(|it| it.endpoint.standing() <= Standing::Suspect).count();
        let Some(member) = known.members.get_mut(id) else { return };
        let Some(monitor) = &member.monitor else { return };
        match evidence {
            Evidence::ConnectFailed(..) => monitor.nudge(minato_health::Evidence::ConnectFailed(failure.clone())),
            Evidence::Consecutive(..) => {
                let may = minato_health::Ejection::allowed(total, ejected, serving);
                if member.verdict != Verdict::Down && may == minato_health::Allowance::Granted {
                    let length = member.ejection.begin(now, fastrand::f64());
                    monitor.nudge(minato_health::Evidence::Eject(failure.clone(), now + length));
                }
            }
        }
    }

    fn opinion(&self, id: &EndpointId) -> (Verdict, Option<Layer>) {
        let member = self.fleet.get(&id.service).and_then(|it| it.members.get(id));
        member.map_or((Verdict::Down, Some(Layer::NotRunning)), |it| (it.verdict, it.failure.as_ref().map(|it| it.layer)))
    }

    fn settle(&mut self, name: &ServiceName, cause: Option<(&EndpointId, &Change)>) {
        let Some(entry) = self.options.table.load().service(name).cloned() else { return };
        let changes = entry.settle(&|id| self.opinion(id));
        self.settled(&changes, cause);
    }

    /// Tells people what changed.
    fn settled(&mut self, changes: &[StandingChange], cause: Option<(&EndpointId, &Change)>) {
        // A verdict may change where the standing does not: real traffic made it suspect before we heard of it.
        if let Some((id, change)) = cause
            && !changes.iter().any(|it| it.endpoint.id() == id)
            && change.to == Verdict::Suspect
        {
            self.tell(suspect_event(id, change.cause.as_ref()));
        }
        for change in changes {
            let id = change.endpoint.id();
            let failure = self.fleet.get(&id.service).and_then(|it| it.members.get(id)).and_then(|it| it.failure.clone());
            let why = failure.as_ref().map_or_else(String::new, ToString::to_string);
            let at = clock::wall();
            let event = match change.to {
                Standing::Up => Event::info(at, EventKind::Up, "takes requests"),
                Standing::Suspect => suspect_event(id, failure.as_ref()),
                Standing::Held => Event::error(at, EventKind::Held, format!("down ({why}), but the last instance: still takes requests"))
                    .hint(format!("minato logs {}", id.service)),
                Standing::Out if change.from == Standing::Out => continue,
                Standing::Out => Event::warn(at, EventKind::Down, format!("ejected: {why}")),
                Standing::Draining => continue,
            };
            self.tell(event.of(&id.service).instance(id.slot, id.generation, id.run));
        }
    }

    fn report_all(&mut self, name: &ServiceName) {
        let ids: Vec<EndpointId> = self.fleet.get(name).into_iter().flat_map(|it| it.members.keys().cloned()).collect();
        ids.iter().for_each(|id| self.report(id));
    }

    /// Puts one verdict where status and the store find it.
    fn report(&mut self, id: &EndpointId) {
        let Some(known) = self.fleet.get(&id.service) else { return };
        let Some(member) = known.members.get(id) else { return };
        let reason = member.failure.as_ref().map_or_else(String::new, ToString::to_string);
        let thought = Thought { verdict: member.verdict, reason: reason.clone(), since: member.since };
        self.options.seen.set(id, thought);
        // One verdict for each slot: the newest generation's, unless an older one still drains and nobody else speaks.
        let newest = known.members.keys().filter(|it| it.slot == id.slot).max_by_key(|it| (it.generation, it.run));
        if newest != Some(id) && !member.endpoint.is_draining() {
            return;
        }
        let report = VerdictReport {
            v: 1,
            generation: id.generation,
            run: id.run,
            verdict: if member.endpoint.is_draining() { Verdict::Down } else { member.verdict },
            reason,
            since: member.since,
            drained: member.drained,
        };
        if newest == Some(id) {
            self.options.reports.set(&id.service, id.slot, report);
        }
    }

    fn ticked(&mut self) {
        let mut drained = Vec::new();
        for known in self.fleet.values_mut() {
            for (id, member) in &mut known.members {
                if !member.endpoint.is_draining() || member.drained {
                    continue;
                }
                member.draining_ticks += 1;
                // A request may have picked it just before; the second tick sees it in flight.
                if member.draining_ticks >= 2 && member.endpoint.in_flight() == 0 {
                    member.drained = true;
                    member.since = clock::wall();
                    drained.push(id.clone());
                }
            }
        }
        drained.iter().for_each(|id| self.report(id));
        if self.unsaved.is_some_and(|since| clock::now() >= since + SAVE) {
            self.save();
        }
    }

    fn dirty(&mut self) {
        self.unsaved.get_or_insert_with(clock::now);
    }

    /// Off this task: a disk that hangs must not hold verdicts up.
    fn save(&mut self) {
        self.unsaved = None;
        let (good, data) = (self.snapshot(), self.options.data.clone());
        tokio::task::spawn_blocking(move || save(&good, &data));
    }

    fn snapshot(&self) -> LastGood {
        let endpoints = self.fleet.values().flat_map(|known| known.members.iter()).filter(|(_, it)| !it.endpoint.is_draining());
        let endpoints = endpoints.map(|(id, it)| LastEndpoint {
            service: id.service.clone(),
            slot: id.slot,
            generation: id.generation,
            run: id.run,
            address: it.endpoint.address(),
            verdict: it.verdict,
        });
        let services = self.records.values().filter(|it| !it.removed).cloned().collect();
        LastGood::new(services, endpoints.collect())
    }

    /// A full journal loses an event rather than holding verdicts up.
    fn tell(&self, event: Event) {
        if self.options.events.try_send(event).is_err() {
            tracing::warn!("the journal is full; an event was dropped");
        }
    }
}

fn save(good: &LastGood, data: &Path) {
    if let Err(error) = good.save(data) {
        tracing::warn!(error = format!("{error:#}"), "the table is not saved; a restart would begin with an older one");
    }
}

fn suspect_event(id: &EndpointId, failure: Option<&Failure>) -> Event {
    let why = failure.map_or_else(|| "a connect failed".to_owned(), ToString::to_string);
    Event::warn(clock::wall(), EventKind::Suspect, why).of(&id.service).instance(id.slot, id.generation, id.run)
}

fn route_texts(service: &Service) -> Vec<String> {
    service.routes.iter().map(|it| it.pattern.to_string()).collect()
}

fn id_of(it: &LastEndpoint) -> EndpointId {
    EndpointId { service: it.service.clone(), slot: it.slot, generation: it.generation, run: it.run }
}
