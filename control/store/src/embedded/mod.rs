//! The embedded backend: one transactional file for one machine.
//!
//! A dedicated thread is the only writer ([`writer`]); reads and watches use the copy in memory ([`state`]).
//! Not here: what the documents mean.

mod backing;
mod file;
mod folder;
mod lease;
mod record;
mod stage;
mod state;
mod tables;
#[cfg(test)]
mod tests;
mod watch;
mod writer;

use crate::{Commit, Entry, LeaseId, Listing, Revision, Store, StoreError, Watch};
use async_trait::async_trait;
use backing::Connect;
use lease::Deadlines;
use stage::Keep;
use state::State;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use writer::{Answer, Ask, Request, Writer};

/// Requests that wait for the writer; callers past it wait their turn.
const QUEUE: usize = 256;
/// After a failed write the disk is asked again no sooner; until then writes are refused at once.
const RETRY: Duration = Duration::from_secs(1);
/// The longest lease.
const MAX_TTL: Duration = Duration::from_secs(24 * 3600);

/// How to open.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Commits that a watch can go back. Default 10,000.
    pub history_commits: usize,
    /// Bytes of history, in memory and in the file; the last commit always stays. Default 32 MiB.
    pub history_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            history_commits: 10_000,
            history_bytes: 32 << 20,
        }
    }
}

/// The opened store. Dropping it waits for the running write, closes the file and lets the folder go.
pub struct Embedded {
    shared: Arc<Shared>,
    requests: Mutex<Option<mpsc::Sender<Request>>>,
    latest: tokio::sync::watch::Receiver<Revision>,
    thread: Option<JoinHandle<()>>,
    identity: tables::Identity,
}

/// What readers, watchers and the writer share. Only the writer changes `state`.
struct Shared {
    state: RwLock<State>,
    deadlines: Deadlines,
    /// What the system said to the last write, if it failed.
    trouble: Mutex<Option<String>>,
}

impl Shared {
    fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn trouble(&self) -> MutexGuard<'_, Option<String>> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state_mut(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Embedded {
    /// Opens or makes the store in the folder `path`, which is made with mode 0700 where it is missing. Blocks while
    /// it reads and checks the whole file: milliseconds for a few megabytes.
    ///
    /// [`StoreError::Held`] while another process has it, [`StoreError::Corrupt`] for a file that is damaged, older
    /// than what was acknowledged, or of a newer format, [`StoreError::Disk`] for what the system refuses.
    pub fn open(path: &Path, options: Options) -> Result<Self, StoreError> {
        Self::connect(path, options, backing::plain(), RETRY)
    }

    fn connect(
        path: &Path,
        options: Options,
        connect: Connect,
        retry: Duration,
    ) -> Result<Self, StoreError> {
        let folder = folder::Folder::hold(path)?;
        let (file, state) = file::StoreFile::open(folder, connect)?;
        let identity = file.identity();
        let deadlines = Deadlines::default();
        for (lease, ttl) in &state.leases {
            deadlines.start(*lease, (*ttl).min(MAX_TTL), lease::now());
        }
        let (latest_tx, latest) = tokio::sync::watch::channel(state.revision);
        let (requests, inbox) = mpsc::channel(QUEUE);
        let shared = Arc::new(Shared {
            state: RwLock::new(state),
            deadlines,
            trouble: Mutex::new(None),
        });
        let disk = |cause| StoreError::Disk {
            path: path.to_owned(),
            cause,
        };
        // A runtime of its own, so that waiting for the disk stops nobody else.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(disk)?;
        let writer = Writer {
            file,
            shared: shared.clone(),
            requests: inbox,
            latest: latest_tx,
            keep: Keep {
                commits: options.history_commits.max(1),
                bytes: options.history_bytes,
            },
            retry,
            ending: Vec::new(),
            refused: None,
        };
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || runtime.block_on(writer.run()))
            .map_err(disk)?;
        Ok(Self {
            shared,
            requests: Mutex::new(Some(requests)),
            latest,
            thread: Some(thread),
            identity,
        })
    }

    /// Random, made with the file: 32 hexadecimal digits. Another one means another store.
    pub fn store_id(&self) -> String {
        format!("{:032x}", self.identity.store_id)
    }

    /// From 1; rises when a store is restored or copied.
    pub fn era(&self) -> u32 {
        self.identity.era
    }

    /// The last commit.
    pub fn revision(&self) -> Revision {
        self.shared.state().revision
    }

    /// Closes the file and lets the folder go, while others may still hold this value: their calls get
    /// [`StoreError::Closed`] from now on.
    pub async fn close(&self) {
        let closed = self.ask(Ask::Close).await;
        self.sender().take();
        drop(closed);
    }

    fn sender(&self) -> MutexGuard<'_, Option<mpsc::Sender<Request>>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open_state(&self) -> Result<RwLockReadGuard<'_, State>, StoreError> {
        if self.sender().as_ref().is_none_or(mpsc::Sender::is_closed) {
            return Err(StoreError::Closed);
        }
        Ok(self.shared.state())
    }

    async fn ask(&self, ask: Ask) -> Result<Answer, StoreError> {
        let sender = self.sender().clone().ok_or(StoreError::Closed)?;
        let (reply, answer) = oneshot::channel();
        let sent = sender.send(Request { ask, reply }).await;
        sent.map_err(|_| StoreError::Closed)?;
        drop(sender);
        answer.await.map_err(|_| StoreError::Closed)?
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.sender().take();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("The store's writer thread panicked");
        }
    }
}

impl std::fmt::Debug for Embedded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Embedded")
            .field("store_id", &self.store_id())
            .field("revision", &self.revision())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Store for Embedded {
    fn trouble(&self) -> Option<String> {
        self.shared.trouble().clone()
    }

    async fn get(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        let found = self.open_state()?.entries.get(key).cloned();
        Ok(found.as_deref().cloned())
    }

    async fn list(&self, prefix: &str) -> Result<Listing, StoreError> {
        // Shared entries under the lock, copies after it: a long list does not keep the writer waiting.
        let (revision, entries) = {
            let state = self.open_state()?;
            let entries: Vec<Arc<Entry>> = state.under(prefix).cloned().collect();
            (state.revision, entries)
        };
        Ok(state::listing(revision, &entries))
    }

    async fn watch(&self, prefix: &str, from: Revision) -> Result<Box<dyn Watch>, StoreError> {
        // Revision 0 is before the first.
        let from = from.max(Revision(1));
        let oldest = self.open_state()?.history.oldest;
        if from < oldest {
            return Err(StoreError::Compacted { oldest });
        }
        Ok(Box::new(watch::Watcher {
            shared: self.shared.clone(),
            prefix: prefix.to_owned(),
            next: from,
            latest: self.latest.clone(),
        }))
    }

    async fn commit(&self, commit: Commit) -> Result<Revision, StoreError> {
        commit.check()?;
        match self.ask(Ask::Commit(commit)).await? {
            Answer::Committed(revision) => Ok(revision),
            _ => Err(StoreError::Closed),
        }
    }

    async fn grant(&self, ttl: Duration) -> Result<LeaseId, StoreError> {
        if ttl.is_zero() || ttl > MAX_TTL {
            return Err(StoreError::Invalid {
                detail: format!("a lease of {ttl:?}; above 0 and at most {MAX_TTL:?} is allowed"),
            });
        }
        match self.ask(Ask::Grant(ttl)).await? {
            Answer::Granted(lease, _) => Ok(lease),
            _ => Err(StoreError::Closed),
        }
    }

    async fn keep_alive(&self, lease: LeaseId) -> Result<(), StoreError> {
        drop(self.open_state()?);
        self.shared.deadlines.keep_alive(lease, lease::now())
    }

    async fn revoke(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.ask(Ask::Revoke(lease)).await.map(drop)
    }

    async fn compact(&self, before: Revision) -> Result<(), StoreError> {
        self.ask(Ask::Compact(before)).await.map(drop)
    }
}
