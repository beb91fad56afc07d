//! The one task that decides what this gateway routes to.
//!
//! It follows the store, hears monitors and real traffic, settles standings, swaps the table, and tells the store and
//! the operator. Everything it decides takes effect on requests first and is reported after.

mod of_sites;

use super::courses::Courses;
use super::fleet::{Fleet, Update};
use super::holding::{Holding, Turn as Hold};
use super::last_good::{LastCourse, LastEndpoint, LastGood};
use super::leading::Leading;
use super::linked::Told;
use super::load::{Loads, Sample};
use super::member::{Member, WatchKey};
use super::news;
use super::orders::Orders;
use super::recoveries::Recoveries;
use super::reports::Reports;
use super::source::{Following, News, Source};
use super::telling::Telling;
use super::view::{Seen, Thought};
use super::visits::Visits;
use super::wanted::{FIXED, Use, Wanted, wanted};
use super::wants::Wants;
use crate::clock;
use crate::link::{Gatherer, LinkNews, LinkView};
use arc_swap::ArcSwap;
use minato_config::{Backend, NodeId, Service, ServiceName, ServiceRecord, SiteId};
use minato_control::{Event, World};
use minato_control_store::Touched;
use minato_health::{Change, Verdict, VerdictReport};
use minato_health_probe::Report;
use minato_proxy::{EndpointId, Intake, Standing, StandingChange, Table};
use minato_proxy_server::{Evidence, Metrics};
use of_sites::Watched;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

/// How often draining instances are looked at.
const TICK: Duration = Duration::from_millis(50);
/// How often those that are down are asked why.
const LOOK: Duration = Duration::from_secs(1);
/// How often it is looked how visitors fare where several sites serve them.
const GLANCE: Duration = Duration::from_millis(250);
/// Probes in flight at once over all targets.
const PROBES: usize = 256;
/// The saved table is at most this much older than the real one.
const SAVE: Duration = Duration::from_millis(250);
/// Changed verdicts that may wait.
const QUEUE: usize = 1024;

/// What the loop works on.
pub(crate) struct HealthLoopOptions {
    pub(crate) table: Arc<ArcSwap<Table>>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) seen: Seen,
    pub(crate) reports: Reports,
    pub(crate) data: PathBuf,
    pub(crate) last_good: LastGood,
    /// This site.
    pub(crate) site: SiteId,
    /// This gateway's name in the store.
    pub(crate) node: NodeId,
    /// What is heard of other sites; nothing where there are none.
    pub(crate) links: mpsc::Receiver<LinkNews>,
    pub(crate) link_view: LinkView,
    /// What peers are told of as well.
    pub(crate) orders: Orders,
    pub(crate) visits: Visits,
    pub(crate) wants: Wants,
    pub(crate) courses: Courses,
    pub(crate) leading: Leading,
    /// Who fetches access logs of other sites; `None` without links.
    pub(crate) gatherer: Option<Gatherer>,
}

/// See the module.
pub(crate) struct HealthLoop {
    options: HealthLoopOptions,
    fleet: Fleet,
    following: Following,
    telling: Telling,
    /// The last good ones.
    records: BTreeMap<ServiceName, ServiceRecord>,
    changes: mpsc::Receiver<Report<WatchKey>>,
    loads: Loads,
    holding: Holding,
    links_told: Told,
    recoveries: Recoveries,
    /// The commit of each release by a person that was carried out.
    released: BTreeMap<(ServiceName, SiteId), u64>,
    unsaved: Option<Instant>,
    /// One at a time: two would write the same file.
    saving: Option<JoinHandle<()>>,
}

impl HealthLoop {
    /// Serves the last good table from disk at once, and until it has a [`Source`].
    pub(crate) fn new(options: HealthLoopOptions) -> Self {
        let (sender, changes) = mpsc::channel(QUEUE);
        let mut this = Self {
            fleet: Fleet::new(options.site.clone(), PROBES, sender),
            options,
            following: Following::Nothing,
            telling: Telling::default(),
            records: BTreeMap::new(),
            changes,
            loads: Loads::default(),
            holding: Holding::default(),
            links_told: Told::default(),
            recoveries: Recoveries::default(),
            released: BTreeMap::new(),
            unsaved: None,
            saving: None,
        };
        let good = std::mem::take(&mut this.options.last_good);
        this.take_saved(good);
        this
    }

    /// Runs until `stop` says true. Without a store it goes on with what it knows.
    pub(crate) async fn run(
        mut self,
        mut sources: mpsc::Receiver<Source>,
        mut evidence: mpsc::Receiver<Evidence>,
        mut stop: watch::Receiver<bool>,
    ) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut glance = tokio::time::interval(GLANCE);
        glance.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = stop.wait_for(|it| *it) => break,
                Some(report) = self.changes.recv() => self.heard(&report),
                Some(evidence) = evidence.recv() => self.witnessed(&evidence),
                Some(news) = self.options.links.recv() => self.told(news),
                Some(source) = sources.recv() => self.turn_to(source),
                news = self.following.next() => self.learned(news),
                _ = tick.tick() => self.ticked(),
                _ = glance.tick() => self.watch_recoveries(Watched::Close),
                _ = look.tick() => self.looked(),
            }
        }
        if let Some(saving) = self.saving.take() {
            let _ = saving.await;
        }
        if self.following.is_ours_to_save() {
            save(&self.snapshot(), &self.options.data);
        }
    }

    /// Learns from another source from now on.
    fn turn_to(&mut self, source: Source) {
        match source {
            Source::Site {
                follower,
                events,
                saved,
                taken,
            } => {
                self.telling.begin_journal(events);
                self.take_saved(saved);
                self.take_all(&follower.observed().world);
                self.following = Following::Site(follower);
                let _ = taken.send(());
            }
            Source::Saved { left } => {
                if self.following.is_ours_to_save() {
                    save(&self.snapshot(), &self.options.data);
                }
                self.unsaved = None;
                self.telling = Telling::Silent;
                self.following = Following::saved(&self.options.data);
                let _ = left.send(());
            }
        }
    }

    fn learned(&mut self, news: News) {
        match news {
            News::Store(Ok(touched)) => {
                // Borrowed apart from the rest of this task's state for the time of one change.
                let following = std::mem::replace(&mut self.following, Following::Nothing);
                if let Some(observed) = following.observed() {
                    match touched {
                        Touched::Everything => self.take_all(&observed.world),
                        Touched::These(set) => {
                            for name in &set.services {
                                self.take_service(&observed.world, name);
                            }
                            if !set.sites.is_empty() {
                                self.take_links(&observed.world);
                            }
                        }
                    }
                }
                self.following = following;
            }
            News::Store(Err(error)) => {
                self.following = Following::Lost;
                self.tell(news::store_lost(&error, clock::wall()));
            }
            // Empty where the last was not: damaged, or about to be written anew.
            News::Saved(good) if good.services.is_empty() => {}
            News::Saved(good) => {
                let named =
                    |name: &ServiceName| good.services.iter().any(|it| it.service.name == *name);
                let gone: Vec<ServiceName> = self
                    .records
                    .keys()
                    .filter(|it| !named(it))
                    .cloned()
                    .collect();
                self.take_saved(good);
                gone.iter().for_each(|it| self.forget(it));
            }
        }
    }

    /// The table of before, with the verdicts of before, until the store and the probes say more.
    fn take_saved(&mut self, good: LastGood) {
        self.fleet.remember(&good.endpoints);
        for (name, order) in &good.orders {
            self.options.orders.take(name, order);
        }
        for record in good.services {
            let of_service = good.endpoints.iter();
            let wanted: Vec<Wanted> = of_service
                .filter(|it| it.service == record.service.name)
                .map(LastEndpoint::wanted)
                .collect();
            let drained = good.drained.contains(&record.service.name);
            self.update(&record.service, &wanted, intake(drained));
            self.records.insert(record.service.name.clone(), record);
        }
        let (now, wall) = (clock::now(), clock::wall());
        for it in good.courses {
            self.fleet
                .recall(&it.service, &it.site, &it.memory, now, wall);
            self.released.insert((it.service, it.site), it.released);
        }
    }

    fn take_all(&mut self, world: &World) {
        let known = self.fleet.services().map(|(name, _)| name);
        let names: BTreeSet<ServiceName> = world.services.keys().chain(known).cloned().collect();
        for name in names {
            self.take_service(world, &name);
        }
        self.take_links(world);
    }

    /// Brings one service in line with the store.
    fn take_service(&mut self, world: &World, name: &ServiceName) {
        let Some(record) = world.services.get(name) else {
            // A record ends with `removed`; one that vanishes otherwise is an accident, and the last good one stays.
            if self.records.get(name).is_some_and(|it| it.removed) {
                self.forget(name);
            }
            return;
        };
        let record = &record.value;
        self.records.insert(name.clone(), record.clone());
        if let Some(order) = world.orders.get(name) {
            self.decided(name, &order.value);
        }
        if record.removed {
            self.unroute(name);
            return;
        }
        let mut wanted = wanted(world, name);
        wanted.extend(self.vanished(world, name));
        wanted.sort_by_key(|it| (it.slot, it.generation, it.run));
        let by_hand = world.intents.get(name);
        let drained = by_hand.is_some_and(|it| it.value.drain);
        self.update(&record.service, &wanted, intake(drained));
        let should_run = minato_control::wanted(world, name).into();
        self.options.wants.set(name, should_run);
        if self.fleet.want(name, should_run) {
            self.share_out(name);
        }
        self.take_releases(world, name);
        self.take_recoveries(world, name);
        // After the order of sites: who goes on goes where it is served now.
        self.follow_hold(world, name);
    }

    /// Whether requests of a service wait, as the store says.
    fn follow_hold(&mut self, world: &World, name: &ServiceName) {
        let record = world.holds.get(name).map(|it| &it.value);
        let turn = (self.holding).turn(name, record, clock::now(), clock::wall());
        self.hold(name, &turn);
    }

    fn hold(&mut self, name: &ServiceName, turn: &Hold) {
        let table = self.options.table.load();
        let Some(entry) = table.service(name) else {
            return;
        };
        let queue = &entry.shared.queue;
        let waiting = queue.waiting();
        match turn {
            Hold::Stays => return,
            Hold::Hold(_) => {
                queue.hold();
                self.tell_held(name);
            }
            Hold::Release(..) => {
                queue.release();
                self.options.reports.remove_held(name);
            }
        }
        if let Some(event) = news::held(name, turn, waiting, clock::wall()) {
            self.tell(event);
        }
    }

    /// Tells the store how many requests are being served of a service whose others wait.
    fn tell_held(&mut self, name: &ServiceName) {
        let table = self.options.table.load();
        let in_flight = table.service(name);
        let in_flight = in_flight.map_or(0, |it| it.shared.queue.in_flight());
        if let Some(report) = self.holding.report(name, in_flight) {
            self.options.reports.set_held(name, report);
        }
    }

    /// Instances whose documents vanished while they ran stay until their slot ends or another takes their place.
    fn vanished(&self, world: &World, name: &ServiceName) -> Vec<Wanted> {
        let Some(known) = self.fleet.service(name) else {
            return Vec::new();
        };
        if !matches!(known.service.backend, Backend::Command(_)) {
            return Vec::new();
        }
        let lives = |id: &EndpointId| {
            let mut documents = world.instances.keys().filter(|it| it.service == *name);
            let documented =
                documents.any(|it| it.slot == id.slot && it.generation >= id.generation);
            let slot = world.slots.get(&(name.clone(), id.slot));
            !documented
                && slot.is_none_or(|it| !it.value.removed && it.value.generation <= id.generation)
        };
        // What no longer answers either is let go.
        let serves = |it: &Member| !it.endpoint.is_draining() && it.verdict != Verdict::Down;
        let members = known
            .members
            .iter()
            .filter(|(id, _)| id.generation != FIXED);
        let stay = members.filter(|(id, it)| serves(it) && lives(id));
        stay.map(|(id, it)| Wanted {
            slot: id.slot,
            generation: id.generation,
            run: id.run,
            address: it.endpoint.address(),
            usage: Use::Serve,
        })
        .collect()
    }

    /// Makes one service what it should be, in the fleet and then in the table.
    fn update(&mut self, file: &Service, wanted: &[Wanted], intake: Intake) {
        let service = &self.options.orders.applied(file);
        let name = &service.name;
        let routes_before = self.fleet.service(name).map(|it| route_texts(&it.service));
        let update = self.fleet.update(service, wanted, intake);
        self.fleet.mean(file);
        let Some(Update { entry, gone }) = update else {
            return;
        };
        let changes = entry.settle(&|id| self.fleet.opinion(id));
        // The old table is dropped here, away from the cores that serve.
        let table = self.options.table.load().with(entry);
        self.options.table.store(Arc::new(table));
        let routes = route_texts(service);
        if routes_before.as_ref() != Some(&routes) {
            self.tell(news::routed(name, &routes, clock::wall()));
        }
        for (id, standing) in gone {
            self.gone(&id);
            if standing <= Standing::Held {
                self.tell(news::gone(&id, clock::wall()));
            }
        }
        self.settled(&changes, None);
        let known = self.fleet.service(name);
        let ids: Vec<EndpointId> = known
            .into_iter()
            .flat_map(|it| it.members.keys().cloned())
            .collect();
        ids.iter().for_each(|id| self.report(id));
        self.dirty();
    }

    fn gone(&mut self, id: &EndpointId) {
        self.options.seen.remove(id);
        self.options.metrics.forget_endpoint(id);
        if !self.fleet.has_slot(&id.service, id.slot) {
            self.options.reports.remove(&id.service, id.slot);
        }
    }

    /// New requests find no route; those in flight end.
    fn unroute(&mut self, name: &ServiceName) {
        let table = self.options.table.load();
        if table.service(name).is_some() {
            self.options.table.store(Arc::new(table.without(name)));
            self.tell(news::unrouted(name, clock::wall()));
            self.fleet.drain(name);
            self.dirty();
        }
    }

    fn forget(&mut self, name: &ServiceName) {
        if let Some(entry) = self.options.table.load().service(name) {
            entry.shared.queue.release();
        }
        self.holding.forget(name);
        self.options.reports.remove_held(name);
        self.unroute(name);
        self.records.remove(name);
        self.options.orders.forget(name);
        self.options.visits.forget(name);
        self.options.wants.forget(name);
        self.released.retain(|(service, _), _| service != name);
        self.recoveries.forget(name);
        self.options.reports.remove_recoveries(name);
        for id in self.fleet.forget(name) {
            self.gone(&id);
            self.options.metrics.forget_slot(&id.service, id.slot);
        }
    }

    /// A monitor changed its verdict.
    fn heard(&mut self, report: &Report<WatchKey>) {
        let id = &report.key.id;
        if !self.fleet.judge(report) {
            return;
        }
        let entry = self.options.table.load().service(&id.service).cloned();
        if let Some(entry) = entry {
            let changes = entry.settle(&|id| self.fleet.opinion(id));
            self.settled(&changes, Some((id, &report.change)));
        }
        self.share_out(&id.service);
        self.report(id);
        self.dirty();
    }

    /// Real requests failed.
    fn witnessed(&mut self, evidence: &Evidence) {
        match evidence {
            // The next answer of that gateway decides, in half a second.
            Evidence::ConnectFailed(endpoint, _) | Evidence::Consecutive(endpoint, ..)
                if endpoint.site().is_some() => {}
            Evidence::ConnectFailed(endpoint, failure) => self.fleet.doubt(endpoint.id(), failure),
            Evidence::Consecutive(endpoint, _, failure) => self.fleet.eject(endpoint.id(), failure),
        }
    }

    /// Tells people what changed.
    fn settled(&mut self, changes: &[StandingChange], cause: Option<(&EndpointId, &Change)>) {
        // A verdict may change where the standing does not: real traffic made it suspect before we heard of it.
        if let Some((id, change)) = cause
            && !changes.iter().any(|it| it.endpoint.id() == id)
            && change.to == Verdict::Suspect
        {
            self.tell(news::suspect(id, change.cause.as_ref(), clock::wall()));
        }
        for change in changes {
            if let Some(peer) = self.fleet.peer(change.endpoint.id()) {
                if let Some(event) = news::of_peer(change, peer.failure.as_ref(), clock::wall()) {
                    self.tell(event);
                }
                continue;
            }
            let member = self.fleet.member(change.endpoint.id());
            let failure = member.and_then(|it| it.failure.as_ref());
            if let Some(event) = news::of(change, failure, clock::wall()) {
                self.tell(event);
            }
        }
    }

    /// Puts one verdict where status and the store find it. One verdict for each slot: the newest run's.
    fn report(&mut self, id: &EndpointId) {
        let Some(member) = self.fleet.member(id) else {
            return;
        };
        let reason = member.failure.as_ref().map(ToString::to_string);
        let reason = reason.unwrap_or_default();
        let thought = Thought {
            verdict: member.verdict,
            reason: reason.clone(),
            since: member.since,
        };
        self.options.seen.set(id, thought);
        if !self.fleet.is_newest(id) {
            return;
        }
        let is_draining = member.endpoint.is_draining();
        if member.verdict == Verdict::Down && member.failure.is_none() && !is_draining {
            // Down as every run begins, not because of anything that was seen: that is no vote.
            return;
        }
        let report = VerdictReport {
            v: 1,
            generation: id.generation,
            run: id.run,
            verdict: if is_draining {
                Verdict::Down
            } else {
                member.verdict
            },
            reason,
            since: member.since,
            drained: member.drained,
        };
        self.options.reports.set(&id.service, id.slot, report);
    }

    fn ticked(&mut self) {
        for id in self.fleet.drained() {
            self.report(&id);
            if let Some(entry) = self.fleet.remove_drained(&id) {
                let table = self.options.table.load().with(entry);
                self.options.table.store(Arc::new(table));
                self.gone(&id);
                self.dirty();
            }
        }
        for (name, turn) in self.holding.overdue(clock::now()) {
            self.hold(&name, &turn);
        }
        for name in self.holding.held() {
            self.tell_held(&name);
        }
        if !self.following.is_ours_to_save() {
            return;
        }
        let saving = self.saving.as_ref().is_some_and(|it| !it.is_finished());
        if !saving && self.unsaved.is_some_and(|at| clock::now() >= at + SAVE) {
            self.unsaved = None;
            let (good, data) = (self.snapshot(), self.options.data.clone());
            // Off this task: a disk that hangs must not hold verdicts up.
            let saving = tokio::task::spawn_blocking(move || save(&good, &data));
            self.saving = Some(saving);
        }
    }

    /// What no changed verdict tells: why something is still down.
    fn looked(&mut self) {
        for id in self.fleet.explained() {
            self.report(&id);
        }
        for id in self.fleet.overdue() {
            let member = self.fleet.member(&id);
            let failure = member.and_then(|it| it.failure.as_ref());
            self.tell(news::overdue(&id, failure, clock::wall()));
        }
        for name in self.fleet.of_several_sites() {
            self.share_out(&name);
            self.count_visits(&name);
        }
        self.lead_names();
        self.options.courses.set(self.fleet.courses(clock::now()));
        self.tell_links();
        self.watch_recoveries(Watched::All);
        self.measure();
    }

    /// Looks whether somebody comes to this gateway for a service that other sites serve too.
    fn count_visits(&self, name: &ServiceName) {
        let table = self.options.table.load();
        let Some(entry) = table.service(name) else {
            return self.options.visits.forget(name);
        };
        let queue = &entry.shared.queue;
        let begun = queue.in_flight().saturating_add(queue.waiting());
        let ended = self.options.metrics.traffic(name).requests;
        self.options
            .visits
            .count(name, begun.into(), ended, clock::wall());
    }

    /// Tells the load of services that follow it.
    fn measure(&mut self) {
        let (table, now) = (self.options.table.load(), clock::now());
        let reports = &self.options.reports;
        let mut followed = BTreeSet::new();
        for (name, _) in self
            .fleet
            .services()
            .filter(|(_, it)| it.service.scale.is_some())
        {
            let Some(entry) = table.service(name) else {
                continue;
            };
            let queue = &entry.shared.queue;
            let sample = Sample {
                in_flight: queue.in_flight().saturating_add(queue.waiting()),
                p95: self.options.metrics.traffic(name).p95,
                called: self.fleet.called(name),
            };
            if let Some(load) = self.loads.sample(name, sample, now) {
                reports.set_load(name, load);
            }
            followed.insert(name);
        }
        for gone in self.loads.retain(|it| followed.contains(it)) {
            reports.remove_load(&gone);
        }
    }

    fn dirty(&mut self) {
        self.unsaved.get_or_insert_with(clock::now);
    }

    fn snapshot(&self) -> LastGood {
        let members = self.fleet.services().flat_map(|(_, known)| &known.members);
        let stay = members.filter(|(_, it)| !it.endpoint.is_draining());
        let endpoints = stay.map(|(_, it)| LastEndpoint::new(&it.endpoint, it.verdict));
        let services = self.records.values().filter(|it| !it.removed).cloned();
        let drained = self.fleet.services().filter(|(_, it)| it.is_drained());
        let drained = drained.map(|(name, _)| name.clone());
        LastGood::new(
            services.collect(),
            endpoints.collect(),
            drained.collect(),
            self.courses(),
        )
        .led(self.options.orders.saved())
    }

    fn courses(&self) -> Vec<LastCourse> {
        let memories = self.fleet.memories(clock::now(), clock::wall());
        let courses = memories.into_iter().map(|(service, site, memory)| {
            let released = self.released.get(&(service.clone(), site.clone()));
            LastCourse {
                released: released.copied().unwrap_or(0),
                service,
                site,
                memory,
            }
        });
        courses.collect()
    }

    fn tell(&mut self, event: Event) {
        self.telling.tell(event);
    }
}

fn intake(drained: bool) -> Intake {
    if drained {
        Intake::Drained
    } else {
        Intake::Open
    }
}

fn save(good: &LastGood, data: &Path) {
    if let Err(error) = good.save(data) {
        let error = format!("{error:#}");
        tracing::warn!(
            error,
            "the table is not saved; a restart would begin with an older one"
        );
    }
}

fn route_texts(service: &Service) -> Vec<String> {
    let routes = service.routes.iter();
    routes.map(|it| it.pattern.to_string()).collect()
}
