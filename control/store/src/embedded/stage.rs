//! Decides a batch of requests, one after the other, against the state and what the batch changed so far.
//!
//! Pure: nothing happened yet. Each commit has its own revision and its own answer; the batch becomes durable as one.

use super::state::{Change, Delta, State, size};
use crate::{Commit, Compare, Entry, LeaseId, Revision, StoreError, Write};
use std::sync::Arc;
use std::time::Duration;

/// How much history stays.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keep {
    pub(super) commits: usize,
    pub(super) bytes: usize,
}

pub(super) struct Stage<'a> {
    base: &'a State,
    delta: Delta,
    /// Bytes of all entries with the batch's changes.
    bytes: usize,
    most_bytes: usize,
}

impl<'a> Stage<'a> {
    pub(super) fn new(base: &'a State, most_bytes: usize) -> Self {
        let delta = Delta {
            revision: base.revision,
            sequence: base.sequence,
            last_lease: base.last_lease,
            oldest: base.history.oldest,
            ..Delta::default()
        };
        Self {
            base,
            delta,
            bytes: base.bytes,
            most_bytes,
        }
    }

    /// All writes, or the reason why none.
    pub(super) fn commit(&mut self, commit: Commit) -> Result<Revision, StoreError> {
        if let Some(failed) = commit.compare.iter().find(|it| !self.holds(it)) {
            return Err(StoreError::Conflict {
                key: failed.key().to_owned(),
            });
        }
        for write in &commit.write {
            if let Write::Put {
                lease: Some(lease), ..
            } = write
            {
                self.ttl(*lease)?;
            }
        }
        self.check_room(&commit)?;
        let next = Revision(self.delta.revision.0 + 1);
        let changes: Vec<Change> = commit
            .write
            .into_iter()
            .filter_map(|write| match write {
                Write::Put { key, value, lease } => {
                    let created = self.entry(&key).map_or(next, |it| it.created);
                    Some(Change::Put(Arc::new(Entry {
                        key,
                        value,
                        created,
                        modified: next,
                        lease,
                    })))
                }
                Write::Delete { key } => self.entry(&key).is_some().then_some(Change::Delete(key)),
            })
            .collect();
        Ok(self.record(changes))
    }

    pub(super) fn grant(&mut self, ttl: Duration) -> LeaseId {
        self.delta.last_lease += 1;
        let lease = LeaseId(self.delta.last_lease);
        self.delta.leases.insert(lease, Some(ttl));
        lease
    }

    /// Ends a lease; its keys go in one commit.
    pub(super) fn revoke(&mut self, lease: LeaseId) -> Result<Revision, StoreError> {
        self.ttl(lease)?;
        self.delta.leases.insert(lease, None);
        let on_lease = |entry: &&Arc<Entry>| entry.lease == Some(lease);
        // Leases end seldom, so looking at every entry is cheaper than an index kept at every write.
        let before = (self.base.entries.values().filter(on_lease))
            .filter(|entry| !self.delta.entries.contains_key(&entry.key));
        let staged = self.delta.entries.values().flatten().filter(on_lease);
        let mut keys: Vec<String> = before.chain(staged).map(|it| it.key.clone()).collect();
        keys.sort();
        Ok(self.record(keys.into_iter().map(Change::Delete).collect()))
    }

    /// Forgets history before `before`, at most all of it.
    pub(super) fn compact(&mut self, before: Revision) {
        let end = Revision(self.delta.revision.0 + 1);
        self.delta.oldest = self.delta.oldest.max(before.min(end));
    }

    /// The whole difference; `None` when nothing has to be made durable.
    pub(super) fn finish(mut self, keep: Keep) -> Option<Delta> {
        self.trim(keep);
        let changed = self.delta.revision != self.base.revision
            || self.delta.oldest != self.base.history.oldest
            || !self.delta.leases.is_empty();
        self.delta.sequence += 1;
        changed.then_some(self.delta)
    }

    fn record(&mut self, changes: Vec<Change>) -> Revision {
        if changes.is_empty() {
            return self.delta.revision;
        }
        self.delta.revision.0 += 1;
        for change in &changes {
            let (key, entry) = match change {
                Change::Put(entry) => (entry.key.clone(), Some(entry.clone())),
                Change::Delete(key) => (key.clone(), None),
            };
            self.bytes += entry.as_ref().map_or(0, |it| it.bytes());
            self.bytes -= self.entry(&key).map_or(0, |it| it.bytes());
            self.delta.entries.insert(key, entry);
        }
        self.delta.commits.push(changes.into());
        self.delta.revision
    }

    fn check_room(&self, commit: &Commit) -> Result<(), StoreError> {
        let (mut added, mut freed) = (0, 0);
        for write in &commit.write {
            let key = match write {
                Write::Put { key, value, .. } => {
                    added += key.len() + value.len();
                    key
                }
                Write::Delete { key } => key,
            };
            freed += self.entry(key).map_or(0, |it| it.bytes());
        }
        if added <= freed || self.bytes + added - freed <= self.most_bytes {
            return Ok(());
        }
        Err(StoreError::Invalid {
            detail: format!(
                "the store holds {} bytes and at most {}; {} more do not fit",
                self.bytes,
                self.most_bytes,
                added - freed
            ),
        })
    }

    fn trim(&mut self, keep: Keep) {
        let base = &self.base.history;
        let added = self.delta.commits.iter();
        let mut count = base.commits.len() + added.len();
        let mut bytes = base.bytes + added.clone().map(|it| size(it)).sum::<usize>();
        let mut oldest = base.oldest;
        for changes in base.commits.iter().chain(added) {
            let over = count > keep.commits || bytes > keep.bytes;
            if oldest >= self.delta.oldest && !(over && count > 1) {
                break;
            }
            count -= 1;
            bytes -= size(changes);
            oldest.0 += 1;
        }
        self.delta.oldest = oldest.max(self.delta.oldest);
    }

    fn entry(&self, key: &str) -> Option<&Arc<Entry>> {
        match self.delta.entries.get(key) {
            Some(staged) => staged.as_ref(),
            None => self.base.entries.get(key),
        }
    }

    fn ttl(&self, lease: LeaseId) -> Result<Duration, StoreError> {
        let staged = self.delta.leases.get(&lease).copied();
        staged
            .unwrap_or_else(|| self.base.leases.get(&lease).copied())
            .ok_or(StoreError::LeaseGone { lease })
    }

    fn holds(&self, compare: &Compare) -> bool {
        let entry = self.entry(compare.key());
        match compare {
            Compare::Modified { revision, .. } => entry.is_some_and(|it| it.modified == *revision),
            Compare::Created { revision, .. } => entry.is_some_and(|it| it.created == *revision),
            Compare::Absent { .. } => entry.is_none(),
        }
    }
}
