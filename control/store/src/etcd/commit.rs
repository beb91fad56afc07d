//! Commits, and what became of one that nobody answered.
//!
//! Each request of a commit compares that a key of its own, its *void*, does not exist. Where no answer came, the void
//! is written: from then on that request can no longer take effect, however late a frozen member thaws or a packet
//! arrives; and whether it took effect before is read from history. So a commit that was not answered is never taken
//! for one that failed, nor sent again while it may still happen. On the good way this costs one comparison and no write.
//!
//! Where no member can be asked for the void either, the caller gets [`StoreError::Unreachable`], and the void is written
//! before the next commit of this process: no commit ever takes effect after a later one.

use super::cluster::{Asking, Cluster};
use super::entry::{absent, compare, holds, lease, look, never, write};
use super::fault::Fault;
use super::watch::{Range, Watcher};
use crate::{Commit, Event, LeaseId, Revision, StoreError, Watch as _, Write};
use etcd_client::proto::PbTxnOpResponse;
use etcd_client::{Client, LeaseGrantOptions, PutOptions, Txn, TxnOp, TxnResponse};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Commits of one process under way at once; more wait.
const AT_ONCE: usize = 64;
/// How long a void stays, in seconds: a request that was frozen for longer has lost its connection long ago.
const VOID_SECONDS: i64 = 24 * 3600;
/// Voids written in one transaction.
const VOIDS_AT_ONCE: usize = 100;

/// See the module.
#[derive(Debug)]
pub(super) struct Committer {
    cluster: Arc<Cluster>,
    at_once: Semaphore,
    /// Requests of which nobody knows whether they will still take effect. At most as many as commits at once, since
    /// each commit first makes them void.
    open: Mutex<BTreeSet<u64>>,
}

/// What a request came to.
enum Sent {
    Done(Revision),
    Conflict(String),
    /// It may have taken effect, or may still.
    Unknown(Fault),
    /// It did not take effect and will not.
    Failed(Fault),
}

impl Committer {
    pub(super) fn new(cluster: Arc<Cluster>) -> Self {
        Self {
            cluster,
            at_once: Semaphore::new(AT_ONCE),
            open: Mutex::default(),
        }
    }

    /// See [`crate::Store::commit`]. To be run to its end.
    pub(super) async fn commit(&self, commit: &Commit) -> Result<Revision, StoreError> {
        if let Some(it) = never(commit) {
            return Err(StoreError::Conflict {
                key: it.key().to_owned(),
            });
        }
        let Ok(_permit) = self.at_once.acquire().await else {
            return Err(StoreError::Closed);
        };
        // From its beginning to its end it is about one store: what it finds in another says nothing of it.
        let asking = self.cluster.asking();
        self.close_open(asking).await?;
        let before = self.revision_before(asking).await?;
        let mut turns = self.cluster.turns();
        loop {
            let number = fastrand::u64(..);
            let fault = match self.send(commit, number, asking).await {
                Sent::Done(revision) => return Ok(revision),
                Sent::Conflict(key) => return Err(StoreError::Conflict { key }),
                Sent::Failed(fault @ Fault::Away { .. }) => fault,
                Sent::Failed(fault) => return Err(self.error(commit, fault)),
                // Comparing twice does no harm.
                Sent::Unknown(fault) if commit.write.is_empty() => fault,
                Sent::Unknown(fault) => {
                    tracing::debug!(?fault, "A commit was not answered; reading back");
                    let voided = self.void(&[number], asking).await.inspect_err(|_| {
                        self.open().insert(number);
                    })?;
                    match self.find(commit, number, before, voided).await? {
                        Some(revision) => return Ok(revision),
                        None => fault,
                    }
                }
            };
            if let Err(fault) = turns.next(fault).await {
                return Err(self.error(commit, fault));
            }
        }
    }

    /// Requests that another store than the one that answers from now on may have got.
    pub(super) fn forget(&self) {
        self.open().clear();
    }

    fn open(&self) -> MutexGuard<'_, BTreeSet<u64>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn error(&self, commit: &Commit, fault: Fault) -> StoreError {
        if fault == Fault::LeaseGone {
            let mut leases = commit.write.iter().filter_map(|it| match it {
                Write::Put { lease, .. } => *lease,
                Write::Delete { .. } => None,
            });
            let lease = leases.next_back().unwrap_or(LeaseId(0));
            return StoreError::LeaseGone { lease };
        }
        self.cluster.error(fault)
    }

    /// A revision that is surely not above what the commit may get.
    async fn revision_before(&self, asking: Asking) -> Result<Revision, StoreError> {
        if let Some(known) = self.cluster.revision() {
            return Ok(known);
        }
        let cluster = &self.cluster;
        let asked = cluster.call(asking, |client| async move {
            let key = cluster.options.voids.as_str();
            let answer = client.kv_client().get(key, None).await?;
            cluster.note(asking, answer.header())
        });
        asked.await.map_err(|fault| cluster.error(fault))
    }

    async fn send(&self, commit: &Commit, number: u64, asking: Asking) -> Sent {
        let cluster = &self.cluster;
        let mut compares: Vec<_> = commit.compare.iter().map(compare).collect();
        compares.push(absent(&self.key(number)));
        let transaction = Txn::new()
            .when(compares)
            .and_then(commit.write.iter().map(write).collect::<Vec<TxnOp>>())
            .or_else(commit.compare.iter().map(look).collect::<Vec<TxnOp>>());
        let attempt = cluster.attempt(asking, |client: Client| async move {
            let answer = client.kv_client().txn(transaction).await?;
            let revision = cluster.note(asking, answer.header())?;
            Ok((revision, answer))
        });
        let attempt = attempt.await;
        match attempt.outcome {
            Ok((revision, answer)) if answer.succeeded() => Sent::Done(revision),
            Ok((_, answer)) => Sent::Conflict(failed(commit, &answer)),
            Err(fault @ Fault::Away { .. }) if attempt.was_sent => Sent::Unknown(fault),
            Err(fault) => Sent::Failed(fault),
        }
    }

    fn key(&self, number: u64) -> String {
        format!("{}{number:016x}", self.cluster.options.voids)
    }

    /// Makes void what may still happen of earlier commits.
    async fn close_open(&self, asking: Asking) -> Result<(), StoreError> {
        loop {
            let some: Vec<u64> = self.open().iter().take(VOIDS_AT_ONCE).copied().collect();
            if some.is_empty() {
                return Ok(());
            }
            self.void(&some, asking).await?;
            let mut open = self.open();
            open.retain(|it| !some.contains(it));
        }
    }

    /// From the returned revision on those requests cannot take effect.
    async fn void(&self, numbers: &[u64], asking: Asking) -> Result<Revision, StoreError> {
        let cluster = &self.cluster;
        let id = lease(super::lease::fresh());
        let granted = cluster.call(asking, |client| async move {
            let options = LeaseGrantOptions::new().with_id(id);
            client
                .lease_client()
                .grant(VOID_SECONDS, Some(options))
                .await
        });
        match granted.await {
            Ok(_) | Err(Fault::LeaseExists) => {}
            Err(fault) => return Err(cluster.error(fault)),
        }
        let voided = cluster.call(asking, |client| {
            let put = |number: &u64| {
                let options = PutOptions::new().with_lease(id);
                TxnOp::put(self.key(*number), "", Some(options))
            };
            let transaction = Txn::new().and_then(numbers.iter().map(put).collect::<Vec<TxnOp>>());
            async move {
                let answer = client.kv_client().txn(transaction).await?;
                cluster.note(asking, answer.header())
            }
        });
        voided.await.map_err(|fault| cluster.error(fault))
    }

    /// The revision at which the commit took effect, if it did after `before` and until `until`, where its void was
    /// written. History tells; where that is compacted already, what the keys hold now.
    async fn find(
        &self,
        commit: &Commit,
        number: u64,
        before: Revision,
        until: Revision,
    ) -> Result<Option<Revision>, StoreError> {
        let void = self.key(number);
        let keys = commit.write.iter().map(Write::key).chain([void.as_str()]);
        let (first, last) = keys.fold((void.as_str(), void.as_str()), |(first, last), it| {
            (first.min(it), last.max(it))
        });
        let range = Range {
            from: first.as_bytes().to_vec(),
            to: [last.as_bytes(), b"\0"].concat(),
        };
        let from = Revision(before.0 + 1);
        let mut watch = Watcher::start(Arc::clone(&self.cluster), range, from);
        loop {
            // As patient as any call: history is read where the void was just written.
            let patience = self.cluster.options.patience;
            let batch = match timeout(patience, watch.next()).await {
                Ok(Ok(batch)) => batch,
                Ok(Err(StoreError::Compacted { .. })) => {
                    return self.find_now(commit, before).await;
                }
                Ok(Err(error)) => return Err(error),
                Err(_) => return Err(self.cluster.error(Fault::silent(patience))),
            };
            let Some(revision) = batch.first().map(Event::revision) else {
                continue;
            };
            if is_made_by(commit, &batch) {
                return Ok(Some(revision));
            }
            if revision >= until {
                return Ok(None);
            }
        }
    }

    /// The same by what is there now: sure only where all keys are as the commit left them, or none is.
    async fn find_now(
        &self,
        commit: &Commit,
        before: Revision,
    ) -> Result<Option<Revision>, StoreError> {
        let cluster = &self.cluster;
        let mut found = BTreeMap::new();
        for write in &commit.write {
            let entry = super::read::get(cluster, write.key()).await?;
            found.insert(write.key(), entry);
        }
        let newest = found.values().flatten().map(|it| it.modified).max();
        let is_ours = commit.write.iter().all(|it| match (it, &found[it.key()]) {
            (Write::Put { value, lease, .. }, Some(entry)) => {
                Some(entry.modified) == newest && entry.value == *value && entry.lease == *lease
            }
            (Write::Delete { .. }, None) => true,
            _ => false,
        });
        match newest {
            Some(revision) if is_ours && revision > before => Ok(Some(revision)),
            Some(revision) if revision > before => Err(cluster.error(Fault::away(
                "whether the last change took effect cannot be told, because history was compacted at once",
            ))),
            _ => Ok(None),
        }
    }
}

/// Whether a commit's events are exactly what `commit` would make. Deletes of missing keys make no event.
fn is_made_by(commit: &Commit, batch: &[Event]) -> bool {
    let of = |key: &str| batch.iter().find(|it| it.key() == key);
    let mut any = false;
    let all = commit
        .write
        .iter()
        .all(|write| match (write, of(write.key())) {
            (Write::Put { value, lease, .. }, Some(Event::Put(entry))) => {
                any = true;
                entry.value == *value && entry.lease == *lease
            }
            (Write::Delete { .. }, Some(Event::Delete { .. })) => {
                any = true;
                true
            }
            (Write::Delete { .. }, None) => true,
            _ => false,
        });
    all && any
}

/// The first comparison that did not hold, by what was found in the same transaction.
fn failed(commit: &Commit, answer: &TxnResponse) -> String {
    let mut found = BTreeMap::new();
    for response in &answer.0.responses {
        if let Some(PbTxnOpResponse::ResponseRange(range)) = &response.response {
            for pair in &range.kvs {
                let entry = super::entry::entry(pair.clone());
                found.insert(entry.key.clone(), entry);
            }
        }
    }
    let compares = &commit.compare;
    let failed = (compares.iter()).find(|it| !holds(it, found.get(it.key())));
    let failed = failed.or(compares.first());
    failed.map_or_else(String::new, |it| it.key().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Entry;

    fn put(key: &str, value: &str) -> Event {
        Event::Put(Entry {
            key: key.to_owned(),
            value: value.into(),
            created: Revision(3),
            modified: Revision(9),
            lease: None,
        })
    }

    fn delete(key: &str) -> Event {
        Event::Delete {
            key: key.to_owned(),
            revision: Revision(9),
        }
    }

    #[test]
    fn a_commit_is_known_by_all_that_it_wrote() {
        let commit = Commit::put("/a", b"1".into())
            .and_put("/b", b"2".into(), None)
            .and_delete("/c");
        for (batch, expected) in [
            (vec![put("/a", "1"), put("/b", "2"), delete("/c")], true),
            // `/c` was not there.
            (vec![put("/b", "2"), put("/a", "1")], true),
            (vec![put("/a", "1")], false),
            (vec![put("/a", "1"), put("/b", "other")], false),
            (vec![put("/a", "1"), put("/b", "2"), put("/c", "")], false),
            (vec![delete("/a"), put("/b", "2")], false),
            (vec![put("/x", "1")], false),
        ] {
            assert_eq!(is_made_by(&commit, &batch), expected, "{batch:?}");
        }
        assert!(!is_made_by(&Commit::delete("/c"), &[put("/x", "1")]));
        assert!(is_made_by(&Commit::delete("/c"), &[delete("/c")]));
        let leased = Commit::default().and_put("/a", b"1".into(), Some(LeaseId(4)));
        assert!(!is_made_by(&leased, &[put("/a", "1")]));
    }
}
