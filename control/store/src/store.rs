//! The trait that every backend implements, in etcd's terms.

use crate::StoreError;
use async_trait::async_trait;
use std::sync::Arc;
use std::time::Duration;

/// A store that many tasks share.
pub type SharedStore = Arc<dyn Store>;

/// Number of a commit; 0 is before the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Revision(pub u64);

/// A lease; keys written under it vanish when it expires or is revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseId(pub u64);

/// One key as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Whole key.
    pub key: String,
    /// The document.
    pub value: Vec<u8>,
    /// Commit that created the key.
    pub created: Revision,
    /// Commit that wrote it last.
    pub modified: Revision,
    /// The lease it hangs on.
    pub lease: Option<LeaseId>,
}

/// All keys under a prefix at one revision, sorted by key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// Watch from the next one to miss nothing.
    pub revision: Revision,
    /// Sorted by key.
    pub entries: Vec<Entry>,
}

/// One change of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Written, with its new state.
    Put(Entry),
    /// Deleted, or its lease ended, by commit `revision`.
    Delete {
        /// Whole key.
        key: String,
        /// The commit.
        revision: Revision,
    },
}

impl Event {
    /// The commit that made it.
    pub fn revision(&self) -> Revision {
        match self {
            Self::Put(entry) => entry.modified,
            Self::Delete { revision, .. } => *revision,
        }
    }

    /// The whole key.
    pub fn key(&self) -> &str {
        match self {
            Self::Put(entry) => &entry.key,
            Self::Delete { key, .. } => key,
        }
    }
}

/// A condition of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Compare {
    /// The key was last written by exactly this commit.
    Modified {
        /// Whole key.
        key: String,
        /// The commit.
        revision: Revision,
    },
    /// The key exists and was created by exactly this commit.
    Created {
        /// Whole key.
        key: String,
        /// The commit.
        revision: Revision,
    },
    /// The key does not exist.
    Absent {
        /// Whole key.
        key: String,
    },
}

/// A write of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Sets a key; `lease` binds it.
    Put {
        /// Whole key.
        key: String,
        /// The document.
        value: Vec<u8>,
        /// Lease to hang on.
        lease: Option<LeaseId>,
    },
    /// Removes a key; no error where it does not exist.
    Delete {
        /// Whole key.
        key: String,
    },
}

impl Write {
    /// The whole key.
    pub fn key(&self) -> &str {
        match self {
            Self::Put { key, .. } | Self::Delete { key } => key,
        }
    }
}

/// All of it or nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Commit {
    /// All must hold. At most 127.
    pub compare: Vec<Compare>,
    /// At most 128; a key at most once, of 1 to 512 bytes; a value of at most 1 MiB; 1.25 MiB in all.
    pub write: Vec<Write>,
}

impl Commit {
    /// One unconditional put.
    pub fn put(key: impl Into<String>, value: Vec<u8>) -> Self {
        Self::default().and_put(key, value, None)
    }

    /// One unconditional delete.
    pub fn delete(key: impl Into<String>) -> Self {
        Self::default().and_delete(key)
    }

    /// Adds a condition.
    #[must_use]
    pub fn when(mut self, compare: Compare) -> Self {
        self.compare.push(compare);
        self
    }

    /// Adds a put.
    #[must_use]
    pub fn and_put(
        mut self,
        key: impl Into<String>,
        value: Vec<u8>,
        lease: Option<LeaseId>,
    ) -> Self {
        self.write.push(Write::Put {
            key: key.into(),
            value,
            lease,
        });
        self
    }

    /// Adds a delete.
    #[must_use]
    pub fn and_delete(mut self, key: impl Into<String>) -> Self {
        self.write.push(Write::Delete { key: key.into() });
        self
    }
}

/// The store. All methods may be called by many tasks at once.
///
/// No answer is older than what any earlier call was told. Where that cannot be, because the store was restored, or because another one
/// answers in its place, calls and watches get [`StoreError::Replaced`], before anything of theirs takes effect.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// One key.
    async fn get(&self, key: &str) -> Result<Option<Entry>, StoreError>;

    /// All keys that begin with `prefix`, at one revision.
    async fn list(&self, prefix: &str) -> Result<Listing, StoreError>;

    /// Changes under `prefix` made by commits from `from` on, that one included; one that lies ahead is waited for.
    /// [`StoreError::Compacted`], here or from the first [`Watch::next`], where history no longer goes back so far.
    async fn watch(&self, prefix: &str, from: Revision) -> Result<Box<dyn Watch>, StoreError>;

    /// Applies all writes if all comparisons hold. Durable when it returns. Commits that change nothing (no writes, or
    /// deletes of missing keys) make no revision and return the last one. Dropping the call does not take it back: it
    /// happens or not, read back which.
    async fn commit(&self, commit: Commit) -> Result<Revision, StoreError>;

    /// A new lease that lives for `ttl` unless kept alive; above zero, at most a day, and no backend needs to grant less
    /// than a second. Its id is never given again.
    async fn grant(&self, ttl: Duration) -> Result<LeaseId, StoreError>;

    /// Starts the lease's time anew; [`StoreError::LeaseGone`] when it has ended.
    async fn keep_alive(&self, lease: LeaseId) -> Result<(), StoreError>;

    /// Ends the lease and deletes its keys in one commit.
    async fn revoke(&self, lease: LeaseId) -> Result<(), StoreError>;

    /// Forgets history before `before`: watches from there get [`StoreError::Compacted`].
    async fn compact(&self, before: Revision) -> Result<(), StoreError>;

    /// After [`StoreError::Replaced`]: whoever answers next is the store from now on. Calls and watches of before end.
    async fn begin_anew(&self) {}

    /// Where another cluster is listened to than the one of this [`Store::identity`]: looks whether that one answers, too. Then the next
    /// calls get [`StoreError::Replaced`], and who begins anew hears that one.
    async fn look_for(&self, _identity: &str) {}

    /// What keeps the store from taking writes, as far as the backend knows without trying: `No space left on device`.
    fn trouble(&self) -> Option<String> {
        None
    }

    /// Of a cluster: which one answers; `None` before the first answer, and of a store without a name of its own.
    fn identity(&self) -> Option<String> {
        None
    }
}

/// A running watch. Dropping it ends it. A slow reader costs no memory: it reads history at its own pace.
#[async_trait]
pub trait Watch: Send + Sync {
    /// All changes of the next commit that touches the prefix, in one batch. Cancel-safe.
    /// [`StoreError::Compacted`] when the reader fell behind what is kept: list again.
    async fn next(&mut self) -> Result<Vec<Event>, StoreError>;
}
