//! Tells the store what this gateway thinks: its own liveness, one verdict for each instance, the load of services
//! that follow it, whose requests wait, and how it sees other sites, all on one lease.

use minato_config::{GatewayId, ServiceName, SiteId, SlotIndex, Timestamp};
use minato_control::hold::HeldReport;
use minato_control_store::keys::{Key, Keys};
use minato_control_store::{Commit, LeaseId, SharedStore, StoreError};
use minato_health::recovery::RecoveryLog;
use minato_health::{GatewayAlive, LinkReport, ServiceLoad, VerdictReport};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// Pause after the store refused.
const RETRY: Duration = Duration::from_secs(1);
/// Writes in one commit.
const BATCH: usize = 100;

/// What a document speaks of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    Verdict(ServiceName, SlotIndex),
    Load(ServiceName),
    Held(ServiceName),
    Link(SiteId),
    Recovery(ServiceName),
}

/// Documents that go in one commit: whatever refuses one kind must not hold another up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Verdict,
    Load,
    Held,
    Link,
    Recovery,
}

impl Subject {
    fn kind(&self) -> Kind {
        match self {
            Self::Verdict(..) => Kind::Verdict,
            Self::Load(_) => Kind::Load,
            Self::Held(_) => Kind::Held,
            Self::Link(_) => Kind::Link,
            Self::Recovery(_) => Kind::Recovery,
        }
    }
}

/// A document.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(untagged)]
enum Said {
    Verdict(VerdictReport),
    Load(ServiceLoad),
    Held(HeldReport),
    Link(LinkReport),
    Recovery(RecoveryLog),
}

impl Said {
    /// What was measured outlives whoever measured it; all else speaks of now.
    fn is_kept(&self) -> bool {
        matches!(self, Self::Recovery(_))
    }
}

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
    current: BTreeMap<Subject, Said>,
    /// What it may not hold yet.
    unsaid: BTreeSet<Subject>,
}

impl Reports {
    /// To be said soon.
    pub(crate) fn set(&self, service: &ServiceName, slot: SlotIndex, report: VerdictReport) {
        let subject = Subject::Verdict(service.clone(), slot);
        if self.state().current.get(&subject) != Some(&Said::Verdict(report.clone())) {
            self.say(subject, Said::Verdict(report));
        }
    }

    /// The instance is gone.
    pub(crate) fn remove(&self, service: &ServiceName, slot: SlotIndex) {
        self.end(Subject::Verdict(service.clone(), slot));
    }

    /// To be said soon, also where it is the same: that it is said shows that it is so still.
    pub(crate) fn set_load(&self, service: &ServiceName, load: ServiceLoad) {
        self.say(Subject::Load(service.clone()), Said::Load(load));
    }

    /// The service does not follow its load any more.
    pub(crate) fn remove_load(&self, service: &ServiceName) {
        self.end(Subject::Load(service.clone()));
    }

    /// To be said soon.
    pub(crate) fn set_held(&self, service: &ServiceName, report: HeldReport) {
        self.say(Subject::Held(service.clone()), Said::Held(report));
    }

    /// They go on.
    pub(crate) fn remove_held(&self, service: &ServiceName) {
        self.end(Subject::Held(service.clone()));
    }

    /// How this gateway sees a site; to be said soon.
    pub(crate) fn set_link(&self, site: &SiteId, report: LinkReport) {
        self.say(Subject::Link(site.clone()), Said::Link(report));
    }

    /// How long visitors were without a service; to be said soon.
    pub(crate) fn set_recoveries(&self, service: &ServiceName, log: RecoveryLog) {
        self.say(Subject::Recovery(service.clone()), Said::Recovery(log));
    }

    /// The service is not served by several sites any more.
    pub(crate) fn remove_recoveries(&self, service: &ServiceName) {
        self.end(Subject::Recovery(service.clone()));
    }

    fn say(&self, subject: Subject, said: Said) {
        let mut state = self.state();
        state.current.insert(subject.clone(), said);
        state.unsaid.insert(subject);
        self.0.changed.notify_one();
    }

    fn end(&self, subject: Subject) {
        let mut state = self.state();
        if state.current.remove(&subject).is_some() {
            state.unsaid.insert(subject);
            self.0.changed.notify_one();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next batch, taken out; what cannot be said goes back with [`Reports::unsaid`].
    fn take(&self) -> Vec<(Subject, Option<Said>)> {
        let mut state = self.state();
        // Verdicts come first and by themselves: whatever refuses a load must not hold them up.
        let first = state.unsaid.first().map(Subject::kind);
        let alike = state.unsaid.iter();
        let alike = alike.take_while(|it| Some(it.kind()) == first);
        let subjects: Vec<Subject> = alike.take(BATCH).cloned().collect();
        subjects
            .into_iter()
            .map(|subject| {
                state.unsaid.remove(&subject);
                let said = state.current.get(&subject).cloned();
                (subject, said)
            })
            .collect()
    }

    fn unsaid(&self, subjects: impl Iterator<Item = Subject>) {
        self.state().unsaid.extend(subjects);
    }

    fn all_unsaid(&self) {
        let mut state = self.state();
        let all: Vec<Subject> = state.current.keys().cloned().collect();
        state.unsaid.extend(all);
    }
}

/// The task's end: the lease and the writes.
pub(crate) struct Reporter {
    pub(crate) store: SharedStore,
    pub(crate) keys: Keys,
    pub(crate) gateway: GatewayId,
    pub(crate) since: Timestamp,
    /// This gateway counts as gone this long after its last word.
    pub(crate) lease: Duration,
    pub(crate) reports: Reports,
}

impl Reporter {
    /// Says everything that changes until `stop` says true, then ends the lease. While the store is away it tries
    /// again each [`RETRY`].
    pub(crate) async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut lease = None;
        let mut beat = tokio::time::interval(self.lease / 4);
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
        let granted = self.store.grant(self.lease).await?;
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
            for (subject, said) in &batch {
                let key = self.keys.text(&self.key(subject));
                commit = match said {
                    Some(said) => commit.and_put(
                        key,
                        serde_json::to_vec(said).map_err(|error| invalid(&error))?,
                        lease.filter(|_| !said.is_kept()),
                    ),
                    None => commit.and_delete(key),
                };
            }
            if let Err(error) = self.store.commit(commit).await {
                self.reports
                    .unsaid(batch.into_iter().map(|(subject, _)| subject));
                if matches!(error, StoreError::LeaseGone { .. }) {
                    *lease = None;
                }
                return Err(error);
            }
        }
    }
}

impl Reporter {
    fn key(&self, subject: &Subject) -> Key {
        let gateway = self.gateway.clone();
        match subject {
            Subject::Verdict(service, slot) => Key::Verdict(gateway, service.clone(), *slot),
            Subject::Load(service) => Key::Load(gateway, service.clone()),
            Subject::Held(service) => Key::Held(gateway, service.clone()),
            Subject::Link(site) => Key::Link(gateway, site.clone()),
            Subject::Recovery(service) => Key::Recovery(gateway, service.clone()),
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
