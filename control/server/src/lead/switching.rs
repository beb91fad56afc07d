//! The runner of switches at the site that shall serve: what is seen of the sites that serve now, what is committed, what is ordered.
//!
//! One task asks the sites that matter, for as long as a switch is under way; what it hears last waits in one place. The document is
//! written first, together with the order of sites; then the other orders are carried out, each in a task of its own, and one at a time
//! for each service: an order whose effect is not seen is given again with the next look. Nothing of this is kept over a term but the
//! documents.
//! Not here: what follows from a look (`control::operation::switch`), links (the root package).

use super::doors::{self, Asked, Door, Doors};
use super::moving::{Moved, Moving};
use super::operations::{event, unchanged};
use super::peers::{PeerCall, Peers, States};
use super::transaction::Transaction;
use crate::api::SwitchRequest;
use http::Method;
use minato_config::{OrderRecord, ServiceName, SiteId, Timestamp};
use minato_control::operation::switch::{
    Asking, BackSeen, Cause, Data, Entrance, Facts, Order, Ordered, Peer, Phase, Ready, Sight,
    Source, StepSeen, Switch, SwitchState, SwitchesSeen, SwitchesTurn, checks, remaining, run,
    source, start, up_and_wanted, way_back,
};
use minato_control::operation::{Operation, OperationState, OperationStep, StepState, Work};
use minato_control::sync::SyncRecord;
use minato_control::{Event, OperationId, World};
use minato_control_store::keys::{Key, Keys};
use minato_control_store::{Commit, Compare, StoreError};
use minato_health::LinkState;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// From one question to a site to the next, while a switch is under way.
const EVERY: Duration = Duration::from_millis(150);
/// Without an answer for so long a site is not heard.
const SILENCE: Duration = Duration::from_secs(3);
/// A site that did not take something back is asked again.
const AGAIN: Duration = Duration::from_secs(5);
/// Orders under way at once.
const MOST_ORDERS: usize = 64;

/// What was heard of one site.
#[derive(Debug, Clone)]
struct Heard {
    states: Option<(Vec<LinkState>, Duration)>,
    /// Of the last answer, or of the begin of asking.
    at: Instant,
    why: String,
}

type AllHeard = BTreeMap<SiteId, Heard>;

/// What a site that lies behind is known to be.
enum Known<'a> {
    Heard(&'a [LinkState]),
    Silent,
    /// Nobody can say yet.
    Open,
}

impl Heard {
    fn known(&self) -> Known<'_> {
        match &self.states {
            Some((states, _)) if self.at.elapsed() < SILENCE => Known::Heard(states),
            _ if self.at.elapsed() >= SILENCE => Known::Silent,
            _ => Known::Open,
        }
    }

    fn peer(&self) -> Peer {
        let (states, delay) = match &self.states {
            Some((states, delay)) if self.at.elapsed() < SILENCE => (Ok(states.clone()), *delay),
            _ => (Err(self.why.clone()), Duration::ZERO),
        };
        Peer {
            states,
            delay,
            record: None,
        }
    }
}

/// One commit to make, and what to do once it is made.
pub(super) struct Turned {
    /// `None`: the document stays as it is.
    pub(super) transaction: Option<Result<Transaction, StoreError>>,
    pub(super) then: Then,
}

/// What to do after a commit.
pub(super) enum Then {
    Orders(OperationId, String, Vec<(Ordered, Option<OrderRecord>)>),
    Ask(OperationId, String, Vec<Asking>, Box<Work>),
}

/// What the runner knows in one term.
pub(super) struct Switching {
    site: SiteId,
    peers: Option<Peers>,
    doors: Option<Arc<dyn Doors>>,
    certificates: Option<Arc<dyn Certificates>>,
    wanted: watch::Sender<BTreeSet<SiteId>>,
    heard: watch::Receiver<AllHeard>,
    asked: Asked,
    /// What sites answered that were asked to take something back, and when.
    backs: Arc<Mutex<BTreeMap<OperationId, BTreeMap<SiteId, Back>>>>,
    under_way: Arc<Mutex<BTreeSet<(ServiceName, &'static str)>>>,
    tasks: JoinSet<()>,
    /// What is held and copied for them.
    moving: Moving,
}

/// When the certificates of this process end, by what they are for.
pub trait Certificates: Send + Sync + std::fmt::Debug {
    /// In no order.
    fn ends(&self) -> Vec<(String, Timestamp)>;
}

/// What one site was asked, and said.
#[derive(Debug, Clone)]
struct Back {
    at: Instant,
    /// It has not answered yet.
    is_asked: bool,
    answer: Option<Result<String, String>>,
}

impl Switching {
    /// Asks nobody yet.
    pub(super) fn begin(
        site: &SiteId,
        peers: Option<&Peers>,
        doors: Option<Arc<dyn Doors>>,
        certificates: Option<Arc<dyn Certificates>>,
        moving: Moving,
    ) -> Self {
        let (wanted, wishes) = watch::channel(BTreeSet::new());
        let (told, heard) = watch::channel(AllHeard::new());
        let mut tasks = JoinSet::new();
        if let Some(peers) = peers {
            tasks.spawn(look(peers.clone(), wishes, told));
        }
        Self {
            site: site.clone(),
            peers: peers.cloned(),
            doors,
            certificates,
            wanted,
            heard,
            asked: Asked::default(),
            backs: Arc::default(),
            under_way: Arc::default(),
            tasks,
            moving,
        }
    }

    /// Waits until a site has said something; for ever while none matters.
    pub(super) async fn heard(&mut self) {
        tokio::select! {
            changed = self.heard.changed() => {
                if changed.is_err() {
                    self.moving.heard().await;
                }
            }
            () = self.moving.heard() => {}
        }
    }

    /// One look at every switch and return of this site.
    pub(super) fn turn(&mut self, world: &World, keys: &Keys, now: Timestamp) -> Vec<Turned> {
        while self.tasks.try_join_next().is_some() {}
        let is_open = |id: &OperationId| {
            let operation = world.operations.get(id);
            operation.is_some_and(|it| it.value.state.is_open())
        };
        let mut backs = self.backs.lock().unwrap_or_else(PoisonError::into_inner);
        backs.retain(|id, _| is_open(id));
        drop(backs);
        self.moving.turn(is_open);
        let heard = self.heard.borrow_and_update().clone();
        let left = remaining(world, &self.site);
        let doors = self.doors.as_ref().map(|it| it.doors()).unwrap_or_default();
        let mut wanted = BTreeSet::new();
        let mut turned = Vec::new();
        for (id, stored) in &world.operations {
            let operation = &stored.value;
            if !operation.state.is_open() {
                continue;
            }
            match &operation.work {
                Work::Wave(_) => {}
                Work::Switch(_) => {
                    let scene = Scene {
                        world,
                        heard: &heard,
                        left: &left,
                        doors: &doors,
                        now,
                    };
                    let seen = self.seen(&scene, *id, operation, &mut wanted);
                    let mut turn = run(*id, operation, &seen, &left, now);
                    let copies = self.copied(world, *id, &mut turn, now);
                    turned.extend(switch_turned(
                        world,
                        keys,
                        *id,
                        stored.modified,
                        turn,
                        copies,
                        now,
                    ));
                }
                Work::Return(_) => {
                    let seen = self.back_seen(*id);
                    let turn = way_back(*id, operation, world, &seen, now);
                    let changed = turn.next != *operation;
                    let transaction = changed.then(|| {
                        let key = keys.text(&Key::Operation(*id));
                        let commit = Commit::default()
                            .when(unchanged(key.clone(), stored.modified))
                            .and_put(key, crate::document(&turn.next)?, None);
                        let events = turn.news.iter().map(|it| event(it, now)).collect();
                        Ok(Transaction { commit, events })
                    });
                    let who = operation.who.clone();
                    let work = Box::new(operation.work.clone());
                    turned.push(Turned {
                        transaction,
                        then: Then::Ask(*id, who, turn.ask, work),
                    });
                }
            }
        }
        self.wanted.send_if_modified(|it| {
            let differs = *it != wanted;
            *it = wanted;
            differs
        });
        turned
    }

    /// What is seen of each step that matters now.
    fn seen(
        &mut self,
        scene: &Scene<'_>,
        id: OperationId,
        operation: &Operation,
        wanted: &mut BTreeSet<SiteId>,
    ) -> SwitchesSeen {
        let Work::Switch(work) = &operation.work else {
            return SwitchesSeen::new();
        };
        if operation.state == OperationState::Scheduled {
            // Its time may come with this look; what it needs is asked for then.
            return SwitchesSeen::new();
        }
        let is_checking = |it: &&OperationStep| {
            let switch = it.switch.as_ref();
            switch.is_some_and(|it| it.phase == Phase::Check && it.state == SwitchState::Running)
        };
        let mut to_check = operation.steps.iter().filter(is_checking).peekable();
        let ready = to_check.peek().is_some().then(|| {
            let services: Vec<_> = to_check.map(|it| &it.service).collect();
            Ready::of(scene.world, &work.to, services, scene.now)
        });
        let ends = self.certificates.as_ref().map(|it| it.ends());
        let ends = ends.unwrap_or_default();
        let mut seen = SwitchesSeen::new();
        for (n, step) in operation.steps.iter().enumerate() {
            match (step.state, &step.switch) {
                (StepState::Waiting, _) => {
                    let found = match start(scene.world, &work.to, &step.service) {
                        Ok(it) => StepSeen::Start(it),
                        Err(why) => StepSeen::Needless(why),
                    };
                    seen.insert(n, found);
                }
                (StepState::Running, Some(switch)) => {
                    wanted.insert(switch.from.clone());
                    let heard = scene.heard.get(&switch.from);
                    let moved = Moved {
                        id,
                        service: &step.service,
                        switch,
                    };
                    let copy = match (switch.data, switch.phase) {
                        (Data::Hook, Phase::Check) => match self.moving.foresee(scene.world, moved)
                        {
                            None => continue,
                            found => found,
                        },
                        _ => None,
                    };
                    let problems = match (&ready, heard) {
                        (Some(ready), Some(heard)) if switch.phase == Phase::Check => {
                            let facts = Facts {
                                world: scene.world,
                                ready,
                                to: &work.to,
                                peer: &heard.peer(),
                                certificates: &ends,
                                copy: copy.as_ref(),
                                schedule: &operation.schedule,
                                cause: switch.cause,
                                accepted: work.accepted,
                                own: id,
                                now: scene.now,
                            };
                            problems(&facts, &step.service, switch)
                        }
                        _ => Vec::new(),
                    };
                    let known = heard.map_or(Known::Open, Heard::known);
                    if let Some(sight) = self.sight(scene, moved, &known, problems) {
                        let order = scene.world.orders.get(&step.service);
                        seen.insert(
                            n,
                            StepSeen::Under {
                                sight: Box::new(sight),
                                order: order.map(|it| it.value.clone()),
                            },
                        );
                    }
                }
                _ => {}
            }
        }
        seen
    }

    /// `None` while nobody can say how the old site does.
    fn sight(
        &mut self,
        scene: &Scene<'_>,
        moved: Moved<'_>,
        known: &Known<'_>,
        problems: Vec<String>,
    ) -> Option<Sight> {
        let source: Option<Source> = match known {
            Known::Open => return None,
            Known::Silent => None,
            Known::Heard(states) => source(states, moved.service),
        };
        let source = source.map(|it| self.moving.source(scene.world, moved, it));
        let Moved {
            service, switch, ..
        } = moved;
        let order = scene.world.orders.get(service).map(|it| &it.value);
        let (up, wanted) = up_and_wanted(scene.world, service);
        let comes_first = order.is_some_and(|it| it.first == switch.to);
        let doors = self.doors_of(scene, service, switch);
        if switch.phase < Phase::Move {
            self.asked.forget(&doors);
        }
        Some(Sight {
            problems,
            up: (up, wanted),
            epoch: order.map_or(0, |it| it.epoch),
            answers: comes_first && up > 0,
            source,
            sync: self.moving.sync(scene.world, moved, scene.now).0,
            entrance: if doors.is_empty() {
                Entrance::None
            } else {
                self.asked.seen(&doors)
            },
        })
    }

    /// What the copies of a turn need to begin, and how those stand that run: in words with their steps. Those that cannot begin now
    /// are not ordered.
    fn copied(
        &mut self,
        world: &World,
        id: OperationId,
        turn: &mut SwitchesTurn,
        now: Timestamp,
    ) -> Copied {
        let mut copied = Copied::default();
        turn.orders.retain(|it| {
            if !matches!(it.order, Order::Sync(_)) {
                return true;
            }
            let moved = Moved {
                id,
                service: &it.service,
                switch: &it.switch,
            };
            match self.moving.record(world, moved, now) {
                Ok(Some(record)) => drop(copied.records.insert(it.service.clone(), record)),
                Ok(None) => {}
                Err(why) => {
                    tracing::warn!(service = %it.service, why, "a copy does not begin yet");
                    return false;
                }
            }
            true
        });
        for step in &mut turn.next.steps {
            let (StepState::Running, Some(switch)) = (step.state, &step.switch) else {
                continue;
            };
            let moved = Moved {
                id,
                service: &step.service,
                switch,
            };
            copied.events.extend(self.moving.news(moved, now));
            let (_, text) = self.moving.sync(world, moved, now);
            if !text.is_empty() {
                step.detail = format!("sync: {text}");
            }
        }
        copied
    }

    fn doors_of(&self, scene: &Scene<'_>, service: &ServiceName, switch: &Switch) -> Vec<Door> {
        doors::of_service(scene.doors, scene.world, service, &switch.from, scene.left)
    }

    fn back_seen(&self, id: OperationId) -> BackSeen {
        let backs = self.backs.lock().unwrap_or_else(PoisonError::into_inner);
        let of_it = backs.get(&id).into_iter().flatten();
        of_it
            .filter_map(|(site, it)| Some((site.clone(), it.answer.clone()?)))
            .collect()
    }

    /// Does what is ordered, beside everything else.
    pub(super) fn carry_out(&mut self, world: &World, then: Then) {
        match then {
            Then::Orders(id, who, orders) => {
                let left = remaining(world, &self.site);
                for (ordered, record) in orders {
                    self.order(world, id, &who, &ordered, record, &left);
                }
            }
            Then::Ask(id, who, asking, work) => {
                for it in asking {
                    self.ask_back(id, &who, &it, &work);
                }
            }
        }
    }

    fn order(
        &mut self,
        world: &World,
        id: OperationId,
        who: &str,
        ordered: &Ordered,
        record: Option<OrderRecord>,
        left: &BTreeMap<SiteId, Vec<ServiceName>>,
    ) {
        let Ordered {
            service,
            switch,
            order,
        } = ordered;
        match order {
            // Both are in the document's commit.
            Order::Warm | Order::First(_) => {}
            Order::Tell(_) => {
                let Some(record) = record else { return };
                let told = serde_json::json!({ "service": service, "order": record });
                let body = serde_json::to_vec(&told).unwrap_or_default();
                self.tell(&switch.from, service, "/v1/orders", body);
            }
            Order::Publish => {
                let Some(all) = self.doors.clone() else {
                    return;
                };
                let doors = all.doors();
                let doors = doors::of_service(&doors, world, service, &switch.from, left);
                let who = format!("operation {id} of {who}");
                self.asked.ask(all.as_ref(), &doors, &who);
            }
            Order::Hold(..) | Order::Release | Order::Sync(_) => {
                let moved = Moved {
                    id,
                    service,
                    switch,
                };
                self.moving.carry_out(world, moved, order);
            }
        }
    }

    /// One at a time for each service: what is slow is not asked for again and again.
    fn tell(&mut self, site: &SiteId, service: &ServiceName, path: &'static str, body: Vec<u8>) {
        let Some(peers) = &self.peers else { return };
        let key = (service.clone(), path);
        {
            let mut under_way = self.lock_under_way();
            if under_way.len() >= MOST_ORDERS || !under_way.insert(key.clone()) {
                return;
            }
        }
        let (way, site) = (Arc::clone(&peers.way), site.clone());
        let under_way = Arc::clone(&self.under_way);
        self.tasks.spawn(async move {
            if let Err(why) = way.tell(&site, path, body).await {
                tracing::warn!(%site, service = %key.0, why, "an order was not taken; it is given again");
            }
            let mut under_way = under_way.lock().unwrap_or_else(PoisonError::into_inner);
            under_way.remove(&key);
        });
    }

    fn lock_under_way(&self) -> std::sync::MutexGuard<'_, BTreeSet<(ServiceName, &'static str)>> {
        let lock = self.under_way.lock();
        lock.unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks a site to take back what it served. It knows the request by its name where it was asked before.
    fn ask_back(&mut self, id: OperationId, who: &str, asking: &Asking, work: &Work) {
        let (Some(peers), Work::Return(work)) = (&self.peers, work) else {
            return;
        };
        {
            let mut backs = self.backs.lock().unwrap_or_else(PoisonError::into_inner);
            let known = backs.entry(id).or_default();
            let before = known.get(&asking.site);
            let is_due = before.is_none_or(|it| !it.is_asked && it.at.elapsed() >= AGAIN);
            if !is_due {
                return;
            }
            let back = Back {
                at: Instant::now(),
                // While it is asked again what it said before stands.
                answer: before.and_then(|it| it.answer.clone()),
                is_asked: true,
            };
            known.insert(asking.site.clone(), back);
        }
        let request = SwitchRequest {
            to: asking.site.to_string(),
            services: asking.services.iter().map(ToString::to_string).collect(),
            kind: "switch".to_owned(),
            size: Some(work.size),
            quiet_ms: Some(work.timing.quiet_ms),
            asked_by: format!("{}/{id}", self.site),
            who: who.to_owned(),
            why: format!("return of operation {} of {}", work.of, self.site),
            ..SwitchRequest::default()
        };
        let (way, site) = (Arc::clone(&peers.way), asking.site.clone());
        let backs = Arc::clone(&self.backs);
        self.tasks.spawn(async move {
            let call = PeerCall {
                method: Method::POST,
                path: "switches".to_owned(),
                body: serde_json::to_vec(&request).unwrap_or_default(),
            };
            let answer = way.call(&site, &call).await;
            let answer = answer.and_then(|it| understood(&site, &it));
            let mut backs = backs.lock().unwrap_or_else(PoisonError::into_inner);
            let back = Back {
                at: Instant::now(),
                is_asked: false,
                answer: Some(answer),
            };
            backs.entry(id).or_default().insert(site, back);
        });
    }
}

/// What copies need and tell.
#[derive(Default)]
struct Copied {
    /// To stand in the store before one begins.
    records: BTreeMap<ServiceName, SyncRecord>,
    events: Vec<Event>,
}

/// What a look is made from.
struct Scene<'a> {
    world: &'a World,
    heard: &'a AllHeard,
    left: &'a BTreeMap<SiteId, Vec<ServiceName>>,
    doors: &'a [Door],
    now: Timestamp,
}

fn problems(facts: &Facts<'_>, service: &ServiceName, switch: &Switch) -> Vec<String> {
    let start = minato_control::operation::switch::Start {
        from: switch.from.clone(),
        epoch: switch.epoch,
        data: switch.data,
    };
    let unmet = checks(facts, service, &start).into_iter();
    let unmet = unmet.filter(|it| !it.is_met);
    // What the machine itself says of a site that is (not) heard is said by it.
    let unmet = unmet.filter(|it| switch.cause == Cause::Planned || it.name != "link");
    unmet
        .map(|it| format!("{}: {}", it.name, it.figure))
        .collect()
}

fn understood(site: &SiteId, answer: &super::peers::PeerAnswer) -> Result<String, String> {
    if answer.status.is_success() {
        let answer: crate::api::SwitchAnswer = serde_json::from_slice(&answer.body)
            .map_err(|it| format!("{site} answers what is not understood: {it}"))?;
        return Ok(format!(
            "operation {} of {site} leads back",
            answer.operation.id
        ));
    }
    let error: crate::api::ApiError = serde_json::from_slice(&answer.body).unwrap_or_default();
    Err(format!("{site} refuses: {}", error.error))
}

fn switch_turned(
    world: &World,
    keys: &Keys,
    id: OperationId,
    modified: u64,
    turn: SwitchesTurn,
    copies: Copied,
    now: Timestamp,
) -> Option<Turned> {
    let before = world.operations.get(&id).map(|it| &it.value)?;
    let who = turn.next.who.clone();
    let mut firsts: BTreeMap<ServiceName, OrderRecord> = BTreeMap::new();
    for it in &turn.orders {
        if let Order::First(epoch) = it.order {
            let record = OrderRecord {
                v: 1,
                first: it.switch.to.clone(),
                epoch,
                who: who.clone(),
                why: format!("operation {id}"),
                since: now,
            };
            firsts.insert(it.service.clone(), record);
        }
    }
    let is_due = turn.next != *before || !copies.records.is_empty();
    let transaction = is_due.then(|| {
        let key = keys.text(&Key::Operation(id));
        let mut commit = Commit::default()
            .when(unchanged(key.clone(), modified))
            .and_put(key, crate::document(&turn.next)?, None);
        for (service, record) in &firsts {
            let key = keys.text(&Key::Order(service.clone()));
            let as_seen = match world.orders.get(service) {
                Some(it) => unchanged(key.clone(), it.modified),
                None => Compare::Absent { key: key.clone() },
            };
            commit = commit
                .when(as_seen)
                .and_put(key, crate::document(record)?, None);
        }
        for (service, record) in &copies.records {
            let key = keys.text(&Key::Sync(service.clone()));
            let as_seen = match world.syncs.get(service) {
                Some(it) => unchanged(key.clone(), it.modified),
                None => Compare::Absent { key: key.clone() },
            };
            commit = commit
                .when(as_seen)
                .and_put(key, crate::document(record)?, None);
        }
        let events = turn.news.iter().map(|it| event(it, now));
        let events = copies.events.into_iter().chain(events).collect();
        Ok(Transaction { commit, events })
    });
    let orders = turn.orders.into_iter().map(|it| {
        let record = firsts.get(&it.service).cloned();
        let known = || world.orders.get(&it.service).map(|it| it.value.clone());
        let record = record.or_else(known);
        (it, record)
    });
    Some(Turned {
        transaction,
        then: Then::Orders(id, who, orders.collect()),
    })
}

/// Asks those that are wanted, all at once, again and again.
async fn look(
    peers: Peers,
    mut wishes: watch::Receiver<BTreeSet<SiteId>>,
    told: watch::Sender<AllHeard>,
) {
    let mut every = interval(EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let wanted = wishes.borrow_and_update().clone();
        let wanted: Vec<SiteId> = wanted.into_iter().collect();
        if wanted.is_empty() {
            told.send_modify(BTreeMap::clear);
            if wishes.changed().await.is_err() {
                return;
            }
            continue;
        }
        every.tick().await;
        let asked = wanted.iter().map(|site| peers.way.states(site));
        let states: Vec<States> = futures_util::future::join_all(asked).await;
        told.send_modify(|known| {
            known.retain(|site, _| wanted.contains(site));
            for (site, states) in wanted.iter().zip(states) {
                let heard = known.entry(site.clone()).or_insert_with(|| Heard {
                    states: None,
                    at: Instant::now(),
                    why: "it was not heard yet".to_owned(),
                });
                match states {
                    Ok(it) => (heard.states, heard.at) = (Some(it), Instant::now()),
                    Err(why) => heard.why = why,
                }
            }
        });
    }
}
