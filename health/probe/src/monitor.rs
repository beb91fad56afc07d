//! One task per target: probes when due, reports what changed.

use crate::{Ask, Blind, clock};
use minato_config::HealthTiming;
use minato_health::{
    Change, Evidence, Failure, Finding, Layer, Outcome, ProbeNumber, Verdict, Watch,
};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::{AcquireError, Notify, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::{self, JoinHandle, JoinSet};

/// A target and how to watch it. `K` names it in reports; a new run is a new monitor.
#[derive(Debug, Clone)]
pub struct Monitor<K> {
    /// Whose reports these are.
    pub key: K,
    /// What to ask of whom.
    pub ask: Ask,
    /// How often, and how many answers make a verdict.
    pub timing: HealthTiming,
    /// Down for a new run; the last verdict after a gateway's restart, which holds until the first outcome.
    pub start: Verdict,
}

/// A changed verdict of one target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report<K> {
    /// Which target.
    pub key: K,
    /// What changed.
    pub change: Change,
    /// When it changed.
    pub at: Instant,
    /// When the first evidence of the row that led here arrived: of a down, when it was first suspected.
    pub first_detected: Instant,
}

/// Watches while it lives; dropping it ends the task and its probes at once.
#[derive(Debug)]
pub struct MonitorHandle {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

/// What handle and task share. The locks are held for a copy only.
#[derive(Debug)]
struct Shared {
    mailbox: Mutex<Mailbox>,
    arrived: Notify,
    status: Mutex<(Verdict, Option<Failure>)>,
}

/// Evidence not yet taken, at most one of a kind: the latest says all.
#[derive(Debug, Default)]
struct Mailbox {
    connect_failed: Option<Evidence>,
    eject: Option<Evidence>,
    may_be_back: Option<Evidence>,
}

impl MonitorHandle {
    /// Tells what others than probes know; never waits, never loses the latest of a kind.
    pub fn nudge(&self, evidence: Evidence) {
        let mut mailbox = lock(&self.shared.mailbox);
        let place = match evidence {
            Evidence::ConnectFailed(_) => &mut mailbox.connect_failed,
            Evidence::Eject(..) => &mut mailbox.eject,
            Evidence::MayBeBack => &mut mailbox.may_be_back,
        };
        *place = Some(evidence);
        drop(mailbox);
        self.shared.arrived.notify_one();
    }

    /// The verdict now; its report may still be under way.
    pub fn verdict(&self) -> Verdict {
        lock(&self.shared.status).0
    }

    /// The latest failure, while it is not up again.
    pub fn last_failure(&self) -> Option<Failure> {
        lock(&self.shared.status).1.clone()
    }
}

impl Drop for MonitorHandle {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl<K: Clone + Send + Sync + 'static> Monitor<K> {
    /// Starts watching, on the current tokio runtime; the first probe goes out as soon as there is a permit.
    ///
    /// `permits` bounds the probes in flight of all monitors that share it. A probe's time starts when it has its permit,
    /// so waiting for one delays detection but fails nobody. `changes` gets each changed verdict in order; while it is
    /// full the monitor waits, and it ends when the receiver or the semaphore is closed.
    pub fn spawn(self, permits: Arc<Semaphore>, changes: mpsc::Sender<Report<K>>) -> MonitorHandle {
        let shared = Arc::new(Shared {
            mailbox: Mutex::default(),
            arrived: Notify::new(),
            status: Mutex::new((self.start, None)),
        });
        let run = Run {
            watch: Watch::new(&self.timing, self.start),
            probes: JoinSet::new(),
            numbers: BTreeMap::new(),
            blind: false,
            shared: Arc::clone(&shared),
            changes,
            monitor: self,
        };
        MonitorHandle {
            shared,
            task: tokio::spawn(run.watch_on(permits)),
        }
    }
}

/// The task's state.
struct Run<K> {
    monitor: Monitor<K>,
    watch: Watch,
    probes: JoinSet<Result<Outcome, Blind>>,
    /// Which task is which probe. As many as are outstanding.
    numbers: BTreeMap<task::Id, ProbeNumber>,
    /// The last probe could not be sent; said once.
    blind: bool,
    shared: Arc<Shared>,
    changes: mpsc::Sender<Report<K>>,
}

/// Nobody listens any more.
struct Unheard;

impl<K: Clone> Run<K> {
    async fn watch_on(mut self, permits: Arc<Semaphore>) {
        let shared = Arc::clone(&self.shared);
        let mut rng = fastrand::Rng::new();
        // Kept over turns of the loop, so that a queued probe keeps its place.
        let mut queued = None;
        loop {
            let due = self.watch.due(clock());
            if queued.is_none() && due.is_some_and(|it| it <= clock()) {
                queued = Some(Box::pin(Arc::clone(&permits).acquire_owned()));
            }
            let wake = due.filter(|_| queued.is_none());
            let heard = tokio::select! {
                permit = wait(queued.as_mut()) => {
                    queued = None;
                    match permit {
                        Ok(permit) => self.start(permit, rng.f64()),
                        Err(_closed) => return,
                    }
                    Ok(())
                }
                Some(ended) = self.probes.join_next_with_id() => self.ended(ended).await,
                () = shared.arrived.notified() => self.take_evidence().await,
                () = sleep_until(wake) => Ok(()),
                () = self.changes.closed() => Err(Unheard),
            };
            if heard.is_err() {
                return;
            }
        }
    }

    fn start(&mut self, permit: OwnedSemaphorePermit, spread: f64) {
        let number = self.watch.started(clock(), spread);
        let ask = self.monitor.ask.clone();
        let timeout = self.monitor.timing.timeout;
        let task = self.probes.spawn(async move {
            let outcome = ask.outcome(timeout).await;
            drop(permit);
            outcome
        });
        self.numbers.insert(task.id(), number);
    }

    async fn ended(
        &mut self,
        ended: Result<(task::Id, Result<Outcome, Blind>), task::JoinError>,
    ) -> Result<(), Unheard> {
        let (id, outcome) = match ended {
            Ok((id, outcome)) => (id, Some(outcome)),
            // A bug of ours must not keep the last verdict for ever.
            Err(error) if error.is_panic() => {
                let detail = "the check itself broke off; minato's log says where";
                let failure = Failure::new(Layer::NoAnswer, detail);
                (error.id(), Some(Ok(Err(failure))))
            }
            Err(error) => (error.id(), None),
        };
        let Some(number) = self.numbers.remove(&id) else {
            return Ok(());
        };
        match outcome {
            Some(Ok(outcome)) => {
                self.blind = false;
                let finding = self.watch.answered(number, &outcome, clock());
                self.tell(finding).await
            }
            Some(Err(blind)) => {
                self.watch.abandoned(number);
                if !std::mem::replace(&mut self.blind, true) {
                    tracing::warn!(
                        of = %self.monitor.ask,
                        error = %blind.cause,
                        "cannot probe; the last verdict holds"
                    );
                }
                Ok(())
            }
            None => {
                self.watch.abandoned(number);
                Ok(())
            }
        }
    }

    async fn take_evidence(&mut self) -> Result<(), Unheard> {
        let mailbox = std::mem::take(&mut *lock(&self.shared.mailbox));
        // Hints last: an ejection in the same moment is the stronger word.
        for evidence in [mailbox.connect_failed, mailbox.eject, mailbox.may_be_back]
            .into_iter()
            .flatten()
        {
            let finding = self.watch.learn(&evidence, clock());
            self.tell(finding).await?;
        }
        Ok(())
    }

    async fn tell(&mut self, finding: Option<Finding>) -> Result<(), Unheard> {
        *lock(&self.shared.status) = (self.watch.verdict(), self.watch.last_failure().cloned());
        let Some(finding) = finding else {
            return Ok(());
        };
        let report = Report {
            key: self.monitor.key.clone(),
            change: finding.change,
            at: clock(),
            first_detected: finding.first_detected,
        };
        self.changes.send(report).await.map_err(|_| Unheard)
    }
}

async fn wait<F>(
    queued: Option<&mut std::pin::Pin<Box<F>>>,
) -> Result<OwnedSemaphorePermit, AcquireError>
where
    F: Future<Output = Result<OwnedSemaphorePermit, AcquireError>>,
{
    match queued {
        Some(permit) => permit.await,
        None => std::future::pending().await,
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

/// A poisoned lock guards a value that is still whole: each holder replaces it in one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
