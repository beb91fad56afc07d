//! One leader per site: whoever creates the key `leader`, for as long as its lease lives.
//!
//! The key's create revision names the term. Every write of a leader compares it, so that one who slept past its lease
//! is refused, however late it wakes.

use super::LeadOptions;
use crate::clock;
use minato_config::{NodeId, Timestamp};
use minato_control_store::keys::Key;
use minato_control_store::{Commit, Compare, Entry, LeaseId, Revision, SharedStore, StoreError};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How long a candidate waits for the key to go before it looks again.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// The document at `leader`, under the leader's lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaderRecord {
    /// Format version, 1.
    pub v: u32,
    /// Who leads.
    pub node: NodeId,
    /// Process id.
    pub pid: u32,
    /// Since when.
    pub since: Timestamp,
}

/// A time in office.
#[derive(Debug)]
pub(super) struct Term {
    /// The whole key `leader`.
    pub(super) key: String,
    /// What the key hangs on.
    pub(super) lease: LeaseId,
    created: Revision,
    record: Vec<u8>,
}

impl Term {
    /// Adds the fence: refused unless this term still stands.
    pub(super) fn fence(&self, commit: Commit) -> Commit {
        let mut fenced = Commit::default().when(Compare::Created {
            key: self.key.clone(),
            revision: self.created,
        });
        fenced.compare.extend(commit.compare);
        fenced.write = commit.write;
        fenced
    }

    /// Writes the leader's record again: shows whether the store takes writes.
    pub(super) fn renew(&self) -> Commit {
        let put = Commit::default().and_put(&self.key, self.record.clone(), Some(self.lease));
        self.fence(put)
    }
}

/// Runs for election.
pub(super) struct Candidate {
    options: LeadOptions,
    store: SharedStore,
    key: String,
    /// This process has not been elected yet: a record of its own node is its dead predecessor's.
    fresh: bool,
}

impl Candidate {
    pub(super) fn new(options: LeadOptions, store: SharedStore) -> Self {
        let key = options.keys.text(&Key::Leader);
        Self {
            options,
            store,
            key,
            fresh: true,
        }
    }

    /// Waits until the lead is free and takes it.
    pub(super) async fn campaign(&mut self) -> Result<Term, StoreError> {
        loop {
            let listing = self.store.list(&self.key).await?;
            match listing.entries.into_iter().find(|it| it.key == self.key) {
                None => match self.stand_where_it_is_fit().await {
                    Err(StoreError::Conflict { .. }) => {}
                    elected => return elected,
                },
                Some(entry) if self.fresh && self.is_own(&entry) => self.bury(&entry).await?,
                Some(_) => {
                    let from = Revision(listing.revision.0 + 1);
                    let mut watch = self.store.watch(&self.key, from).await?;
                    if let Ok(Err(error)) = tokio::time::timeout(LOOK_AGAIN, watch.next()).await {
                        return Err(error);
                    }
                }
            }
        }
    }

    /// Gives up what may be left of a lead that was lost: nobody should wait for its lease.
    pub(super) async fn resign_quietly(&self, term: &Term) {
        let _ = self.store.revoke(term.lease).await;
    }

    /// Gives the lead up, so that another need not wait for the lease.
    pub(super) async fn resign(&self, term: &Term) {
        if let Err(error) = self.store.revoke(term.lease).await {
            tracing::warn!(%error, "the lead could not be given up; it ends with its lease");
        }
    }

    /// Refuses stores of a newer format and those that are not in use.
    async fn stand_where_it_is_fit(&mut self) -> Result<Term, StoreError> {
        minato_control_store::make_fit(&*self.store, &self.options.keys).await?;
        self.stand().await
    }

    async fn stand(&mut self) -> Result<Term, StoreError> {
        let record = LeaderRecord {
            v: 1,
            node: self.options.node.clone(),
            pid: std::process::id(),
            since: clock::wall(),
        };
        let record = crate::document(&record)?;
        let lease = self.store.grant(self.options.lease).await?;
        let key = self.key.clone();
        let commit = Commit::default()
            .when(Compare::Absent { key: key.clone() })
            .and_put(&key, record.clone(), Some(lease));
        match self.store.commit(commit).await {
            Ok(created) => {
                self.fresh = false;
                Ok(Term {
                    key,
                    lease,
                    created,
                    record,
                })
            }
            Err(error) => {
                // Left alone it would only end by itself.
                let _ = self.store.revoke(lease).await;
                Err(error)
            }
        }
    }

    fn is_own(&self, entry: &Entry) -> bool {
        serde_json::from_slice::<LeaderRecord>(&entry.value)
            .is_ok_and(|it| it.node == self.options.node)
    }

    /// Ends the term of a process of this node that was killed. The fence makes it safe: if that process lives after
    /// all, its writes are refused from here on. Only ever done before the first election of this process, so that two
    /// processes with one name do not take the lead from each other in turns.
    async fn bury(&mut self, entry: &Entry) -> Result<(), StoreError> {
        self.fresh = false;
        let commit = Commit::delete(&self.key).when(Compare::Created {
            key: self.key.clone(),
            revision: entry.created,
        });
        match self.store.commit(commit).await {
            Ok(_) | Err(StoreError::Conflict { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
