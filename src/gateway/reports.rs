//! Tells the store what this gateway thinks: its own liveness and one verdict for each instance, all on one lease.

use minato_config::{GatewayId, ServiceName, SlotIndex, Timestamp};
use minato_control_store::keys::{Key, Keys};
use minato_control_store::{Commit, LeaseId, SharedStore, StoreError};
use minato_health::{GatewayAlive, VerdictReport};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// Life of the lease without keep-alive.
const LEASE: Duration = Duration::from_secs(20);
/// Pause after the store refused.
const RETRY: Duration = Duration::from_secs(1);
/// Writes in one commit.
const BATCH: usize = 100;

type Place = (ServiceName, SlotIndex);

/// What should be said; the health loop's end. Never waits for the store.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reports(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// What the store should hold.
    current: BTreeMap<Place, VerdictReport>,
    /// What it may not hold yet.
    unsaid: BTreeSet<Place>,
}

impl Reports {
    /// To be said soon.
    pub(crate) fn set(&self, service: &ServiceName, slot: SlotIndex, report: VerdictReport) {
        let place = (service.clone(), slot);
        let mut state = self.state();
        if state.current.get(&place) != Some(&report) {
            state.current.insert(place.clone(), report);
            state.unsaid.insert(place);
            self.0.changed.notify_one();
        }
    }

    /// The instance is gone.
    pub(crate) fn remove(&self, service: &ServiceName, slot: SlotIndex) {
        let place = (service.clone(), slot);
        let mut state = self.state();
        if state.current.remove(&place).is_some() {
            state.unsaid.insert(place);
            self.0.changed.notify_one();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next batch, taken out; what cannot be said goes back with [`Reports::unsaid`].
    fn take(&self) -> Vec<(Place, Option<VerdictReport>)> {
        let mut state = self.state();
        let places: Vec<Place> = state.unsaid.iter().take(BATCH).cloned().collect();
        places
            .into_iter()
            .map(|place| {
                state.unsaid.remove(&place);
                let report = state.current.get(&place).cloned();
                (place, report)
            })
            .collect()
    }

    fn unsaid(&self, places: impl Iterator<Item = Place>) {
        self.state().unsaid.extend(places);
    }

    fn all_unsaid(&self) {
        let mut state = self.state();
        let all: Vec<Place> = state.current.keys().cloned().collect();
        state.unsaid.extend(all);
    }
}

/// The task's end: the lease and the writes.
pub(crate) struct Reporter {
    pub(crate) store: SharedStore,
    pub(crate) keys: Keys,
    pub(crate) gateway: GatewayId,
    pub(crate) since: Timestamp,
    pub(crate) reports: Reports,
}

impl Reporter {
    /// Says everything that changes until `stop` says true, then ends the lease. While the store is away it tries
    /// again each [`RETRY`].
    pub(crate) async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut lease = None;
        let mut beat = tokio::time::interval(LEASE / 4);
        let mut away = false;
        loop {
            let kept = tokio::select! {
                () = asked(&mut stop) => break,
                _ = beat.tick() => self.keep(&mut lease).await,
                () = self.reports.0.changed.notified() => Ok(()),
            };
            let said = match kept {
                Ok(()) => self.say(&mut lease).await,
                Err(error) => Err(error),
            };
            match said {
                Ok(()) => away = false,
                Err(error) => {
                    if !away {
                        tracing::warn!(%error, "verdicts cannot be reported; serving goes on, reporting is tried again");
                    }
                    away = true;
                    tokio::select! {
                        () = asked(&mut stop) => break,
                        () = tokio::time::sleep(RETRY) => self.reports.0.changed.notify_one(),
                    }
                }
            }
        }
        if let Some(lease) = lease {
            let _ = self.store.revoke(lease).await;
        }
    }

    /// Starts the lease's time anew. A lease that has ended is replaced, and everything is said again.
    async fn keep(&self, lease: &mut Option<LeaseId>) -> Result<(), StoreError> {
        let key = self.keys.text(&Key::GatewayAlive(self.gateway.clone()));
        if let Some(kept) = *lease {
            match self.store.keep_alive(kept).await {
                // Whoever deletes our keys by accident must not silence us.
                Ok(()) if self.store.get(&key).await?.is_some() => return Ok(()),
                Ok(()) | Err(StoreError::LeaseGone { .. }) => *lease = None,
                Err(error) => return Err(error),
            }
        }
        let granted = self.store.grant(LEASE).await?;
        let alive = serde_json::to_vec(&GatewayAlive {
            v: 1,
            since: self.since,
        })
        .map_err(|error| invalid(&error))?;
        self.store
            .commit(Commit::default().and_put(key, alive, Some(granted)))
            .await?;
        self.reports.all_unsaid();
        *lease = Some(granted);
        Ok(())
    }

    async fn say(&self, lease: &mut Option<LeaseId>) -> Result<(), StoreError> {
        if lease.is_none() {
            self.keep(lease).await?;
        }
        loop {
            let batch = self.reports.take();
            if batch.is_empty() {
                return Ok(());
            }
            let mut commit = Commit::default();
            for (place, report) in &batch {
                let key = self.keys.text(&Key::Verdict(
                    self.gateway.clone(),
                    place.0.clone(),
                    place.1,
                ));
                commit = match report {
                    Some(report) => commit.and_put(
                        key,
                        serde_json::to_vec(report).map_err(|error| invalid(&error))?,
                        *lease,
                    ),
                    None => commit.and_delete(key),
                };
            }
            if let Err(error) = self.store.commit(commit).await {
                self.reports
                    .unsaid(batch.into_iter().map(|(place, _)| place));
                if matches!(error, StoreError::LeaseGone { .. }) {
                    *lease = None;
                }
                return Err(error);
            }
        }
    }
}

/// Ends when `stop` says true, or nobody is left to say it.
async fn asked(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|it| *it).await;
}

fn invalid(error: &serde_json::Error) -> StoreError {
    StoreError::Invalid {
        detail: error.to_string(),
    }
}
