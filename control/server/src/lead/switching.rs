//! The runner of switches at the site that shall serve: what is seen of the sites that serve now, what is committed, what is ordered.
//!
//! One task asks the sites that matter, for as long as a switch is under way; what it hears last waits in one place. The document is
//! written first, together with the order of sites; then the other orders are carried out, each in a task of its own, and one at a time
//! for each service: an order whose effect is not seen is given again with the next look. Nothing of this is kept over a term but the
//! documents.
//! One module each: what is heard of those sites (`hearing`), what is seen of each step (`sights`), one look as one commit (`commit`),
//! carrying orders out (`orders`).
//! Not here: what follows from a look (`control::operation::switch`), links (the root package).

mod commit;
mod hearing;
mod orders;
mod sights;

use super::doors::{Asked, Doors};
use super::moving::{Moved, Moving};
use super::operations::{event, unchanged};
use super::peers::Peers;
use super::transaction::Transaction;
use commit::switch_turned;
use hearing::{AllHeard, look};
use minato_config::{OrderRecord, ServiceName, SiteId, Timestamp};
use minato_control::operation::switch::{
    Asking, BackSeen, Order, Ordered, SwitchesTurn, remaining, return_of, run, way_back,
};
use minato_control::operation::{StepState, Work};
use minato_control::sync::SyncRecord;
use minato_control::{Event, OperationId, World};
use minato_control_store::keys::{Key, Keys};
use minato_control_store::{Commit, StoreError};
use orders::Back;
use sights::Scene;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;
use tokio::task::JoinSet;

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
                    let back = return_of(world, *id);
                    let mut turn = run(*id, operation, back, &seen, &left, now);
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

    fn back_seen(&self, id: OperationId) -> BackSeen {
        let backs = self.backs.lock().unwrap_or_else(PoisonError::into_inner);
        let of_it = backs.get(&id).into_iter().flatten();
        of_it
            .filter_map(|(site, it)| Some((site.clone(), it.answer.clone()?)))
            .collect()
    }
}

/// What copies need and tell.
#[derive(Default)]
struct Copied {
    /// To stand in the store before one begins.
    records: BTreeMap<ServiceName, SyncRecord>,
    events: Vec<Event>,
}
