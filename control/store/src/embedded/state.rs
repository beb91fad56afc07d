//! What the store holds now, in memory: every entry, every lease, and the last commits.
//!
//! The file has the same; reads and watches never touch it, so they cost microseconds and go on while the disk fails.
//! Every consumer keeps its own decoded copy of all of it anyway, so a store that does not fit into memory is no case.
//! Not here: deciding (`stage`), keeping (`file`), the time of leases (`lease`).

use crate::{Entry, Event, LeaseId, Listing, Revision};
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

/// One change of one key, shared by the history and all that read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    Put(Arc<Entry>),
    Delete(String),
}

impl Change {
    pub(super) fn key(&self) -> &str {
        match self {
            Self::Put(entry) => &entry.key,
            Self::Delete(key) => key,
        }
    }

    pub(super) fn event(&self, revision: Revision) -> Event {
        match self {
            Self::Put(entry) => Event::Put(Entry::clone(entry)),
            Self::Delete(key) => Event::Delete {
                key: key.clone(),
                revision,
            },
        }
    }

    /// About what it takes in memory and in the file.
    pub(super) fn bytes(&self) -> usize {
        const OVERHEAD: usize = 64;
        OVERHEAD
            + match self {
                Self::Put(entry) => entry.bytes(),
                Self::Delete(key) => key.len(),
            }
    }
}

impl Entry {
    /// Bytes of key and value.
    pub(super) fn bytes(&self) -> usize {
        self.key.len() + self.value.len()
    }
}

/// The last commits, without a gap: the commit at index 0 has the revision `oldest`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct History {
    pub(super) oldest: Revision,
    pub(super) commits: VecDeque<Arc<[Change]>>,
    pub(super) bytes: usize,
}

impl Default for History {
    fn default() -> Self {
        Self {
            oldest: Revision(1),
            commits: VecDeque::new(),
            bytes: 0,
        }
    }
}

impl History {
    pub(super) fn push(&mut self, changes: Arc<[Change]>) {
        self.bytes += size(&changes);
        self.commits.push_back(changes);
    }

    /// Drops commits before `oldest`.
    pub(super) fn forget(&mut self, oldest: Revision) {
        while self.oldest < oldest {
            if let Some(gone) = self.commits.pop_front() {
                self.bytes -= size(&gone);
            }
            self.oldest.0 += 1;
        }
    }

    /// Commits from `from` on, oldest first; empty where `from` lies ahead.
    pub(super) fn since(&self, from: Revision) -> impl Iterator<Item = (Revision, &Arc<[Change]>)> {
        let skip = from.0.saturating_sub(self.oldest.0);
        (self.oldest.0..)
            .map(Revision)
            .zip(&self.commits)
            .skip(usize::try_from(skip).unwrap_or(usize::MAX))
    }
}

pub(super) fn size(changes: &[Change]) -> usize {
    changes.iter().map(Change::bytes).sum()
}

/// All of it at one revision.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct State {
    /// The last commit.
    pub(super) revision: Revision,
    /// Counts everything that was made durable, leases and compactions too.
    pub(super) sequence: u64,
    /// The last lease id given out.
    pub(super) last_lease: u64,
    pub(super) entries: BTreeMap<String, Arc<Entry>>,
    /// Bytes of the keys and values in `entries`.
    pub(super) bytes: usize,
    pub(super) leases: BTreeMap<LeaseId, Duration>,
    pub(super) history: History,
}

/// The difference between two states, decided and not yet durable.
#[derive(Debug, Default)]
pub(super) struct Delta {
    pub(super) revision: Revision,
    pub(super) sequence: u64,
    pub(super) last_lease: u64,
    /// `None` deletes.
    pub(super) entries: BTreeMap<String, Option<Arc<Entry>>>,
    /// `None` ends the lease.
    pub(super) leases: BTreeMap<LeaseId, Option<Duration>>,
    /// In order; the last has `revision`.
    pub(super) commits: Vec<Arc<[Change]>>,
    /// History begins here afterwards.
    pub(super) oldest: Revision,
}

impl State {
    /// Entries under `prefix`, shared, so that whoever holds a lock may copy them after letting go.
    pub(super) fn under<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a Arc<Entry>> {
        self.entries
            .range::<str, _>((Bound::Included(prefix), Bound::Unbounded))
            .map(|(_, entry)| entry)
            .take_while(move |entry| entry.key.starts_with(prefix))
    }

    pub(super) fn insert(&mut self, entry: Arc<Entry>) {
        self.bytes += entry.bytes();
        let before = self.entries.insert(entry.key.clone(), entry);
        self.bytes -= before.map_or(0, |it| it.bytes());
    }

    fn remove(&mut self, key: &str) {
        let before = self.entries.remove(key);
        self.bytes -= before.map_or(0, |it| it.bytes());
    }

    /// Takes a durable difference over.
    pub(super) fn apply(&mut self, delta: Delta) {
        for (key, entry) in delta.entries {
            match entry {
                Some(entry) => self.insert(entry),
                None => self.remove(&key),
            }
        }
        for (lease, ttl) in delta.leases {
            match ttl {
                Some(ttl) => self.leases.insert(lease, ttl),
                None => self.leases.remove(&lease),
            };
        }
        delta
            .commits
            .into_iter()
            .for_each(|it| self.history.push(it));
        self.history.forget(delta.oldest);
        self.revision = delta.revision;
        self.sequence = delta.sequence;
        self.last_lease = delta.last_lease;
    }
}

/// Copies what was read under a lock.
pub(super) fn listing(revision: Revision, entries: &[Arc<Entry>]) -> Listing {
    Listing {
        revision,
        entries: entries.iter().map(|it| Entry::clone(it)).collect(),
    }
}
