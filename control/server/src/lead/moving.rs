//! What switches of a term hold and copy: the requests of services at all their sites, and the runs of their commands here.
//!
//! The runner of switches gives its orders; each is carried out in a task of its own, one at a time for each service, and what came of
//! it last waits in one place. Nothing is kept over a term: what is held stands in the stores, what is copied with its keeper.
//! Not here: when what is ordered (`control::operation::switch`), gateways, keepers.

use super::peers::{PeerCall, Peers};
use crate::copies::{Copies, Copy};
use crate::holds::{Everywhere, HoldAnswer, HoldAsk, PeerHolds};
use http::Method;
use minato_config::{HookName, ServiceName, SiteId, Timestamp};
use minato_control::hold::HoldSeen;
use minato_control::operation::switch::{Held, Order, Phase, Source, Switch, SwitchState, Sync};
use minato_control::sync::{SyncId, SyncRecord};
use minato_control::{Event, OperationId, World};
use minato_control_store::SharedStore;
use minato_control_store::keys::Keys;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

/// What was seen so long ago is not known any more.
const STALE: Duration = Duration::from_secs(3);
/// How often a command that runs is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// Services that are held at once.
const MOST: usize = 64;

/// See the module.
pub(super) struct Moving {
    site: SiteId,
    store: SharedStore,
    keys: Keys,
    peers: Option<Peers>,
    copies: Option<Copies>,
    shared: Arc<Shared>,
    /// Runs whose end was told.
    told: BTreeSet<(ServiceName, OperationId, u32)>,
    changed: watch::Receiver<u64>,
    tasks: JoinSet<()>,
}

struct Shared {
    state: Mutex<State>,
    change: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    /// How requests are held, when that was seen, and for which switch.
    seen: BTreeMap<ServiceName, (OperationId, HoldSeen, Instant)>,
    /// Whether copies fit: the figure, or why not.
    foreseen: BTreeMap<(OperationId, ServiceName), Result<String, String>>,
    under_way: BTreeSet<(ServiceName, &'static str)>,
}

impl Shared {
    fn change(&self, how: impl FnOnce(&mut State)) {
        how(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.change.send_modify(|it| *it += 1);
    }

    fn read<T>(&self, what: impl FnOnce(&State) -> T) -> T {
        what(&self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// One service of one switch.
#[derive(Clone, Copy)]
pub(super) struct Moved<'a> {
    pub(super) id: OperationId,
    pub(super) service: &'a ServiceName,
    pub(super) switch: &'a Switch,
}

impl Moved<'_> {
    fn sync(&self) -> SyncId {
        SyncId {
            operation: self.id,
            run: self.switch.tries,
        }
    }

    /// Whether anything may be held for it.
    fn may_hold(&self) -> bool {
        let held = self.switch.phase >= Phase::Hold && self.switch.phase <= Phase::Verify;
        held && matches!(
            self.switch.state,
            SwitchState::Running | SwitchState::Aborting | SwitchState::Stuck
        )
    }
}

impl Moving {
    pub(super) fn begin(
        site: &SiteId,
        store: &SharedStore,
        keys: &Keys,
        peers: Option<&Peers>,
        copies: Option<&Copies>,
    ) -> Self {
        let (change, changed) = watch::channel(0);
        Self {
            site: site.clone(),
            store: store.clone(),
            keys: keys.clone(),
            peers: peers.cloned(),
            copies: copies.cloned(),
            shared: Arc::new(Shared {
                state: Mutex::default(),
                change,
            }),
            told: BTreeSet::new(),
            changed,
            tasks: JoinSet::new(),
        }
    }

    /// Waits until something came of an order.
    pub(super) async fn heard(&mut self) {
        if self.changed.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Before each look.
    pub(super) fn turn(&mut self, is_open: impl Fn(&OperationId) -> bool) {
        while self.tasks.try_join_next().is_some() {}
        self.changed.borrow_and_update();
        let mut state = self
            .shared
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        state.foreseen.retain(|(id, _), _| is_open(id));
        state.seen.retain(|_, (id, ..)| is_open(id));
        drop(state);
        self.told.retain(|(_, id, _)| is_open(id));
    }

    /// What the old site says, with what is seen of its hold.
    pub(super) fn source(&mut self, world: &World, it: Moved<'_>, mut source: Source) -> Source {
        if !it.may_hold() {
            return source;
        }
        let seen = self
            .shared
            .read(|state| state.seen.get(it.service).cloned());
        let seen = seen.filter(|(id, _, at)| *id == it.id && at.elapsed() < STALE);
        match seen {
            Some((_, seen, _)) => {
                (source.held, source.in_flight) = (seen.held, seen.in_flight);
            }
            // Nobody may say of what may be held that it is not.
            None => source.held = Held::Partly(it.switch.tries),
        }
        // In the first phase the order itself says how it is.
        if it.switch.phase > Phase::Hold || it.switch.state != SwitchState::Running {
            self.ask(world, it, Word::Look);
        }
        source
    }

    /// How the copy does, and in words.
    pub(super) fn sync(&self, world: &World, it: Moved<'_>, now: Timestamp) -> (Sync, String) {
        let Some(copies) = self
            .copies
            .as_ref()
            .filter(|_| it.switch.phase == Phase::Sync)
        else {
            return (Sync::None, String::new());
        };
        let record = world.syncs.get(it.service).map(|it| &it.value);
        copies.look(it.service, it.sync(), record, now)
    }

    /// Whether the copy fits into the hold; `None`: that is being found out.
    pub(super) fn foresee(
        &mut self,
        world: &World,
        it: Moved<'_>,
    ) -> Option<Result<String, String>> {
        let Some((copies, hook)) = self.copies.clone().zip(hook(world, it.service)) else {
            return Some(Err("nobody here may run its command".to_owned()));
        };
        let key = (it.id, it.service.clone());
        if let Some(found) = self.shared.read(|state| state.foreseen.get(&key).cloned()) {
            return Some(found);
        }
        if self.takes_up(it.service, "foresee") {
            let (shared, hook) = (Arc::clone(&self.shared), hook.clone());
            let (from, hold) = (it.switch.from.clone(), hold_of(it.switch));
            self.tasks.spawn(async move {
                let found = copies.foresee(&key.1, &hook, &from, hold).await;
                shared.change(|state| {
                    state.under_way.remove(&(key.1.clone(), "foresee"));
                    state.foreseen.insert(key, found);
                });
            });
        }
        None
    }

    /// What must stand in the store for a copy to begin; the error: it cannot begin now.
    pub(super) fn record(
        &self,
        world: &World,
        it: Moved<'_>,
        now: Timestamp,
    ) -> Result<Option<SyncRecord>, String> {
        let hook = hook(world, it.service).ok_or("its file names no command any more")?;
        let copies = self
            .copies
            .as_ref()
            .ok_or("nobody here may run its command")?;
        let record = world.syncs.get(it.service).map(|it| &it.value);
        copies.record(&copy(it, hook), record, now)
    }

    /// Carries an order out, once its record stands.
    pub(super) fn carry_out(&mut self, world: &World, it: Moved<'_>, order: &Order) {
        match order {
            Order::Hold(run, limit) => self.ask(world, it, Word::Hold(*run, *limit)),
            Order::Release => {
                if it.switch.state == SwitchState::Aborting
                    && let Some(copies) = &self.copies
                {
                    // What it copies is of no use any more.
                    copies.stop(it.service);
                }
                self.ask(world, it, Word::Release);
            }
            Order::Sync(_) => self.copy(world, it),
            Order::Warm | Order::First(_) | Order::Tell(_) | Order::Publish => {}
        }
    }

    /// How copies ended, once each.
    pub(super) fn news(&mut self, it: Moved<'_>, now: Timestamp) -> Option<Event> {
        let copies = self.copies.as_ref()?;
        let key = (it.service.clone(), it.id, it.switch.tries);
        if it.switch.phase < Phase::Sync || self.told.contains(&key) {
            return None;
        }
        let event = copies.news(it.service, it.sync(), now)?;
        self.told.insert(key);
        Some(event)
    }

    fn copy(&mut self, world: &World, it: Moved<'_>) {
        let Some((copies, hook)) = self.copies.clone().zip(hook(world, it.service)) else {
            return;
        };
        if let Err(why) = copies.begin(&copy(it, hook)) {
            tracing::warn!(service = %it.service, why, "a copy does not begin; it is tried again");
        }
        // Its end wakes the runner.
        if self.takes_up(it.service, "copy") {
            let (shared, service, id) = (Arc::clone(&self.shared), it.service.clone(), it.sync());
            self.tasks.spawn(async move {
                loop {
                    sleep(LOOK).await;
                    let (sync, _) = copies.look(&service, id, None, crate::clock::wall());
                    if !matches!(sync, Sync::Running(_)) {
                        break;
                    }
                }
                shared.change(|state| {
                    state.under_way.remove(&(service, "copy"));
                });
            });
        }
    }

    fn takes_up(&self, service: &ServiceName, what: &'static str) -> bool {
        let mut state = self
            .shared
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        state.under_way.len() < MOST && state.under_way.insert((service.clone(), what))
    }

    fn ask(&mut self, world: &World, it: Moved<'_>, word: Word) {
        let record = world.services.get(it.service).map(|it| &it.value.service);
        let sites = record.and_then(|it| it.sites.as_ref());
        let (Some(peers), Some(sites)) = (self.peers.clone(), sites) else {
            return;
        };
        let what = match word {
            Word::Look => "look",
            Word::Hold(..) => "hold",
            Word::Release => "release",
        };
        if !self.takes_up(it.service, what) {
            return;
        }
        let (store, keys, own) = (self.store.clone(), self.keys.clone(), self.site.clone());
        let (sites, service) = (sites.order.clone(), it.service.clone());
        let (from, id, shared) = (it.switch.from.clone(), it.id, Arc::clone(&self.shared));
        self.tasks.spawn(async move {
            let way = Way(peers);
            let everywhere = Everywhere {
                store: &store,
                keys: &keys,
                own: &own,
                from: &from,
                sites: &sites,
                way: &way,
                service: &service,
                operation: id,
            };
            let seen = match word {
                Word::Look => everywhere.look().await,
                Word::Hold(run, limit) => everywhere.hold(run, limit).await,
                Word::Release => everywhere.release().await,
            };
            shared.change(|state| {
                state.under_way.remove(&(service.clone(), what));
                match seen {
                    Ok(seen) => drop(state.seen.insert(service, (id, seen, Instant::now()))),
                    Err(why) => {
                        tracing::warn!(%service, why, "how its requests are held is not known; it is asked again");
                    }
                }
            });
        });
    }
}

#[derive(Clone, Copy)]
enum Word {
    Look,
    Hold(u32, Duration),
    Release,
}

/// The control of other sites, asked to hold.
struct Way(Peers);

impl PeerHolds for Way {
    fn ask<'a>(&'a self, site: &'a SiteId, ask: &'a HoldAsk) -> HoldAnswer<'a> {
        Box::pin(async move {
            let call = PeerCall {
                method: Method::POST,
                path: "holds".to_owned(),
                body: serde_json::to_vec(ask).unwrap_or_default(),
            };
            let answer = self.0.way.call(site, &call).await?;
            if answer.status.is_success() {
                return serde_json::from_slice(&answer.body)
                    .map_err(|it| format!("an answer that is not understood: {it}"));
            }
            let error: crate::api::ApiError =
                serde_json::from_slice(&answer.body).unwrap_or_default();
            Err(error.error)
        })
    }
}

fn copy<'a>(it: Moved<'a>, hook: &'a HookName) -> Copy<'a> {
    Copy {
        service: it.service,
        hook,
        from: &it.switch.from,
        id: it.sync(),
    }
}

/// The command that a service's file names.
pub(super) fn hook<'a>(world: &'a World, service: &ServiceName) -> Option<&'a HookName> {
    let record = &world.services.get(service)?.value;
    record.service.sites.as_ref()?.sync.as_ref()
}

fn hold_of(switch: &Switch) -> Duration {
    Duration::from_millis(switch.timing.hold_ms)
}
