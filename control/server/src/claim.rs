//! The folder as a source of services: makes `services/<service>` agree with the files.
//!
//! What a folder claims is decided in [`decide`], which is pure; this file waits, commits and tells. Each record is
//! compared with what the decision saw, so that a conflict only means to look again.
//! Not here: reading files and what is wrong with them (`config/files`).

mod decide;
mod gone;
mod summary;

use crate::clock;
use crate::follow::Follower;
use crate::journal::emit;
use crate::stop::stopped;
use crate::trouble::Trouble;
pub(crate) use gone::Gone;

use decide::{Claim, ClaimWrite, Seen};
use minato_config_files::Folder;
use minato_control::Event;
use minato_control_store::keys::{Key, Keys};
use minato_control_store::{Commit, Compare, Revision, SharedStore, StoreError};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};

/// Records in one transaction; etcd takes 128 comparisons.
const AT_ONCE: usize = 64;

/// Times of the claim.
#[derive(Debug, Clone)]
pub struct ClaimOptions {
    /// Of which site.
    pub keys: Keys,
    /// How long a file must be gone before its service ends. Default 30 s.
    pub gone: Duration,
}

impl ClaimOptions {
    /// Default times.
    pub fn new(keys: Keys) -> Self {
        Self {
            keys,
            gone: Duration::from_secs(30),
        }
    }
}

/// Makes `services/<service>` agree with the folder until `stop` is true.
///
/// A changed file is stored and told at once; a broken one is told with all its problems, once; a deleted one ends its
/// service after [`ClaimOptions::gone`], unless more than half of all services would go at once: that is refused.
pub async fn claim_folder(
    options: ClaimOptions,
    store: SharedStore,
    mut folder: watch::Receiver<Arc<Folder>>,
    events: mpsc::Sender<Event>,
    mut stop: watch::Receiver<bool>,
) {
    let mut trouble = Trouble::new("the folder of services", events.clone());
    let mut follower = Follower::new(store.clone(), options.keys.clone());
    let mut claim = Claim::new(options.gone);
    let (mut committed, mut last) = (Revision(0), Revision(0));
    let mut wake: Option<Instant> = None;
    loop {
        let seen = tokio::select! {
            () = stopped(&mut stop) => return,
            seen = follower.next() => seen,
            () = changed(&mut folder) => Ok(()),
            () = until(wake) => Ok(()),
        };
        wake = None;
        if let Err(error) = seen {
            let pause = trouble.failed(&error);
            tokio::select! {
                () = tokio::time::sleep(pause) => continue,
                () = stopped(&mut stop) => return,
            }
        }
        if let Some(observed) = follower.observed() {
            if observed.revision < last {
                // It was restored: our commit never comes.
                committed = Revision(0);
            }
            last = observed.revision;
        }
        let Some(observed) = follower.observed().filter(|it| it.revision >= committed) else {
            continue;
        };
        let now = clock::monotonic();
        let current = Arc::clone(&folder.borrow_and_update());
        let decision = claim.decide(&Seen {
            folder: &current,
            records: &observed.world.services,
            is_readable: &|service| {
                let key = options.keys.text(&Key::Service(service.clone()));
                !observed.undecodable.contains_key(&key)
            },
            now,
            wall: clock::wall(),
        });
        decision.events.into_iter().for_each(|it| emit(&events, it));
        wake = decision.wake;
        let mut writes = decision.writes;
        while !writes.is_empty() {
            let rest = writes.split_off(writes.len().min(AT_ONCE));
            let (written, result) = commit_all(&store, &options.keys, writes).await;
            for (revision, write) in written {
                committed = revision;
                emit(&events, write.event);
            }
            match result {
                Ok(()) => trouble.recovered(),
                Err(error) => {
                    wake = Some(now + trouble.failed(&error));
                    break;
                }
            }
            writes = rest;
        }
    }
}

/// In one transaction, so that a folder of thousands waits for the disk a few times and not once for each. Where that is
/// refused each goes by itself: one that somebody else changed, or that is too long with the others, must hold back no other.
/// What was changed meanwhile is left for another look. Returns what was written.
async fn commit_all(
    store: &SharedStore,
    keys: &Keys,
    writes: Vec<ClaimWrite>,
) -> (Vec<(Revision, ClaimWrite)>, Result<(), StoreError>) {
    match commit(store, keys, &writes).await {
        Ok(revision) => (
            writes.into_iter().map(|it| (revision, it)).collect(),
            Ok(()),
        ),
        Err(StoreError::Conflict { .. } | StoreError::Invalid { .. }) if writes.len() > 1 => {
            let mut written = Vec::new();
            for write in writes {
                match commit(store, keys, std::slice::from_ref(&write)).await {
                    Ok(revision) => written.push((revision, write)),
                    Err(StoreError::Conflict { .. }) => {}
                    Err(error) => return (written, Err(error)),
                }
            }
            (written, Ok(()))
        }
        Err(StoreError::Conflict { .. }) => (Vec::new(), Ok(())),
        Err(error) => (Vec::new(), Err(error)),
    }
}

async fn commit(
    store: &SharedStore,
    keys: &Keys,
    writes: &[ClaimWrite],
) -> Result<Revision, StoreError> {
    let mut commit = Commit::default();
    for write in writes {
        let key = keys.text(&Key::Service(write.record.service.name.clone()));
        let compare = match write.expected {
            Some(revision) => Compare::Modified {
                key: key.clone(),
                revision: Revision(revision),
            },
            None => Compare::Absent { key: key.clone() },
        };
        let value = crate::document(&write.record)?;
        commit = commit.when(compare).and_put(key, value, None);
    }
    store.commit(commit).await
}

/// Waits for another reading of the folder; for ever once its watcher has ended.
async fn changed(folder: &mut watch::Receiver<Arc<Folder>>) {
    if folder.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn until(wake: Option<Instant>) {
    match wake {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
