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
    let mut committed = Revision(0);
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
        for write in decision.writes {
            match commit(&store, &options.keys, &write).await {
                Ok(revision) => {
                    committed = revision;
                    trouble.recovered();
                    emit(&events, write.event);
                }
                Err(StoreError::Conflict { .. }) => {}
                Err(error) => {
                    wake = Some(now + trouble.failed(&error));
                    break;
                }
            }
        }
    }
}

async fn commit(
    store: &SharedStore,
    keys: &Keys,
    write: &ClaimWrite,
) -> Result<Revision, StoreError> {
    let key = keys.text(&Key::Service(write.record.service.name.clone()));
    let compare = match write.expected {
        Some(revision) => Compare::Modified {
            key: key.clone(),
            revision: Revision(revision),
        },
        None => Compare::Absent { key: key.clone() },
    };
    let value = crate::document(&write.record)?;
    store
        .commit(Commit::default().when(compare).and_put(key, value, None))
        .await
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
