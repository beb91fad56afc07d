//! The one thread that changes the store: takes what waits, decides it, makes it durable as one, shows it, answers.
//!
//! Nobody sees a change before it is durable. Leases end here too.

use super::Shared;
use super::file::StoreFile;
use super::lease;
use super::stage::{Keep, Stage};
use super::state::Delta;
use crate::{Commit, LeaseId, MAX_STORE_BYTES, Revision, StoreError};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot, watch};

/// Requests that one batch takes.
const MAX_BATCH: usize = 256;
/// Waking up this much later than planned means that this process did not run, and could not keep leases alive.
const STALL: Duration = Duration::from_secs(1);

/// What a caller wants.
#[derive(Debug)]
pub(super) enum Ask {
    Commit(Commit),
    Grant(Duration),
    Revoke(LeaseId),
    Compact(Revision),
    Close,
}

/// The answer, by what was asked.
#[derive(Debug, Clone, Copy)]
pub(super) enum Answer {
    Committed(Revision),
    Granted(LeaseId, Duration),
    Revoked(LeaseId),
    Done,
}

type Reply = oneshot::Sender<Result<Answer, StoreError>>;
type Decided = (Reply, Result<Answer, StoreError>);

#[derive(Debug)]
pub(super) struct Request {
    pub(super) ask: Ask,
    pub(super) reply: Reply,
}

pub(super) struct Writer {
    pub(super) file: StoreFile,
    pub(super) shared: Arc<Shared>,
    pub(super) requests: mpsc::Receiver<Request>,
    pub(super) latest: watch::Sender<Revision>,
    pub(super) keep: Keep,
    /// Pause after a failed write.
    pub(super) retry: Duration,
    /// Ended, and not yet deleted because the disk refused.
    pub(super) ending: Vec<LeaseId>,
    pub(super) refused: Option<Refused>,
}

/// The last failed write.
#[derive(Debug)]
pub(super) struct Refused {
    at: Instant,
    kind: io::ErrorKind,
    text: String,
}

impl Writer {
    /// Runs until it is told to close or nobody is left to ask.
    pub(super) async fn run(mut self) {
        let mut batch = Vec::with_capacity(MAX_BATCH);
        loop {
            let begun = lease::now();
            let wake = self.wake();
            let sleep = async {
                match wake {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                count = self.requests.recv_many(&mut batch, MAX_BATCH) => if count == 0 { return },
                () = sleep => {}
            }
            let now = lease::now();
            if wake.is_some_and(|at| now.saturating_duration_since(at.max(begun)) > STALL) {
                self.shared.deadlines.restart(now);
            }
            self.ending.extend(self.shared.deadlines.take_ended(now));
            let is_close = |it: &mut Request| matches!(it.ask, Ask::Close);
            let closing: Vec<Request> = batch.extract_if(.., is_close).collect();
            self.handle(std::mem::take(&mut batch), now);
            if !closing.is_empty() {
                // The file is closed and the folder free before anyone hears of it.
                drop(self);
                for request in closing {
                    let _ = request.reply.send(Ok(Answer::Done));
                }
                return;
            }
        }
    }

    /// When to wake without a request.
    fn wake(&self) -> Option<Instant> {
        let retry = self.refused.as_ref().map(|it| it.at + self.retry);
        let retry = retry.filter(|_| !self.ending.is_empty());
        retry.into_iter().chain(self.shared.deadlines.next()).min()
    }

    fn handle(&mut self, batch: Vec<Request>, now: Instant) {
        if batch.is_empty() && self.ending.is_empty() {
            return;
        }
        let (delta, decided) = self.decide(batch);
        if let Some(delta) = delta
            && let Err(refused) = self.persist(delta, now)
        {
            // Refusals too were decided on changes that did not happen.
            for (reply, _) in decided {
                let _ = reply.send(Err(refused.error(&self.file.path())));
            }
            self.refused = Some(refused);
            return;
        }
        for lease in self.ending.drain(..) {
            tracing::info!(lease = lease.0, "A lease ended and its keys were deleted");
        }
        for (reply, answer) in decided {
            match answer {
                Ok(Answer::Granted(lease, ttl)) => self.shared.deadlines.start(lease, ttl, now),
                Ok(Answer::Revoked(lease)) => self.shared.deadlines.forget(lease),
                _ => {}
            }
            // A caller that went away reads back what happened.
            let _ = reply.send(answer);
        }
    }

    /// Answers for when the difference is durable.
    fn decide(&self, batch: Vec<Request>) -> (Option<Delta>, Vec<Decided>) {
        let state = self.shared.state();
        let mut stage = Stage::new(&state, MAX_STORE_BYTES);
        for lease in &self.ending {
            // Its holder may have revoked it just before.
            let _ = stage.revoke(*lease);
        }
        let decided = batch.into_iter().map(|Request { ask, reply }| {
            let answer = match ask {
                Ask::Commit(commit) => stage.commit(commit).map(Answer::Committed),
                Ask::Grant(ttl) => Ok(Answer::Granted(stage.grant(ttl), ttl)),
                Ask::Revoke(lease) => stage.revoke(lease).map(|_| Answer::Revoked(lease)),
                Ask::Compact(before) => {
                    stage.compact(before);
                    Ok(Answer::Done)
                }
                Ask::Close => Ok(Answer::Done),
            };
            (reply, answer)
        });
        let decided = decided.collect();
        (stage.finish(self.keep), decided)
    }

    fn persist(&mut self, delta: Delta, now: Instant) -> Result<(), Refused> {
        if let Some(refused) = self.refused.take()
            && now.saturating_duration_since(refused.at) < self.retry
        {
            return Err(refused);
        }
        // Only this thread writes the state, so reading it keeps nobody waiting.
        let written = self.file.write(&self.shared.state(), &delta);
        if let Err(cause) = written {
            let text = cause.to_string();
            if self.shared.trouble().replace(text.clone()).is_none() {
                tracing::error!(path = %self.file.path().display(), %cause, "The store cannot be written; what it holds stays readable");
            }
            let kind = cause.kind();
            return Err(Refused {
                at: now,
                kind,
                text,
            });
        }
        if self.shared.trouble().take().is_some() {
            tracing::info!(path = %self.file.path().display(), "The store can be written again");
        }
        let revision = delta.revision;
        self.shared.state_mut().apply(delta);
        self.latest.send_if_modified(|latest| {
            let moved = *latest != revision;
            *latest = revision;
            moved
        });
        Ok(())
    }
}

impl Refused {
    fn error(&self, path: &Path) -> StoreError {
        StoreError::Disk {
            path: path.to_owned(),
            cause: io::Error::new(self.kind, self.text.clone()),
        }
    }
}
