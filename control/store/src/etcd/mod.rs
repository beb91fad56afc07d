//! The etcd backend: one store for many machines.
//!
//! Every call goes to one member at a time and on to the next where that one fails or is silent ([`cluster`]). Reads and
//! lists are linearizable ([`read`]); a commit that was not answered is read back ([`commit`]); watches take up where they
//! were, whatever happens to members ([`watch`]). Nothing is kept on disk, and opening needs no member: what is away at
//! the start is no different from what goes away later.
//! Not here: who may write which key; that is etcd's roles (docs/etcd.md).

mod cluster;
mod commit;
mod entry;
mod fault;
mod lease;
mod member;
mod once;
mod options;
mod read;
mod watch;

pub(crate) use cluster::went_back;
pub use options::{EtcdIdentity, EtcdOptions, EtcdTls, EtcdUser};

use crate::{Commit, Entry, LeaseId, Listing, Revision, Store, StoreError, Watch};
use async_trait::async_trait;
use cluster::Cluster;
use commit::Committer;
use etcd_client::CompactionOptions;
use fault::Fault;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use watch::{Range, Watcher};

/// A store in an etcd cluster. Its calls need a tokio runtime.
#[derive(Debug)]
pub struct Etcd {
    cluster: Arc<Cluster>,
    committer: Arc<Committer>,
    is_closed: AtomicBool,
}

impl Etcd {
    /// Needs no member and asks none. [`StoreError::Invalid`] for an endpoint that is none.
    pub fn new(options: EtcdOptions) -> Result<Self, StoreError> {
        let cluster = Arc::new(Cluster::new(options)?);
        Ok(Self {
            committer: Arc::new(Committer::new(Arc::clone(&cluster))),
            cluster,
            is_closed: AtomicBool::new(false),
        })
    }

    /// `etcd https://10.0.0.2:2379, ...`
    pub fn name(&self) -> &str {
        self.cluster.name()
    }

    /// Calls from now on get [`StoreError::Closed`].
    pub fn close(&self) {
        self.is_closed.store(true, Ordering::Relaxed);
    }

    fn open(&self) -> Result<&Cluster, StoreError> {
        if self.is_closed.load(Ordering::Relaxed) {
            return Err(StoreError::Closed);
        }
        Ok(&self.cluster)
    }
}

#[async_trait]
impl Store for Etcd {
    fn trouble(&self) -> Option<String> {
        self.cluster.trouble().clone()
    }

    fn identity(&self) -> Option<String> {
        match self.cluster.id() {
            0 => None,
            id => Some(format!("{id:x}")),
        }
    }

    async fn begin_anew(&self) {
        if self.cluster.replaced().is_some() {
            self.committer.forget();
        }
        self.cluster.begin_anew().await;
    }

    async fn look_for(&self, identity: &str) {
        let id = u64::from_str_radix(identity, 16).unwrap_or_default();
        self.cluster.look_for(id).await;
    }

    async fn get(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        read::get(self.open()?, key).await
    }

    async fn list(&self, prefix: &str) -> Result<Listing, StoreError> {
        read::list(self.open()?, prefix).await
    }

    async fn watch(&self, prefix: &str, from: Revision) -> Result<Box<dyn Watch>, StoreError> {
        self.open()?;
        let range = Range {
            from: match prefix {
                "" => vec![0],
                prefix => prefix.as_bytes().to_vec(),
            },
            to: entry::end_of(prefix.as_bytes()),
        };
        let cluster = Arc::clone(&self.cluster);
        Ok(Box::new(Watcher::start(cluster, range, from)))
    }

    async fn commit(&self, commit: Commit) -> Result<Revision, StoreError> {
        self.open()?;
        commit.check()?;
        // A task of its own: whoever stops waiting leaves nothing half told.
        let committer = Arc::clone(&self.committer);
        let done = tokio::spawn(async move { committer.commit(&commit).await });
        done.await.unwrap_or(Err(StoreError::Closed))
    }

    async fn grant(&self, ttl: Duration) -> Result<LeaseId, StoreError> {
        lease::grant(self.open()?, ttl).await
    }

    async fn keep_alive(&self, lease: LeaseId) -> Result<(), StoreError> {
        lease::keep_alive(self.open()?, lease).await
    }

    async fn revoke(&self, lease: LeaseId) -> Result<(), StoreError> {
        lease::revoke(self.open()?, lease).await
    }

    async fn compact(&self, before: Revision) -> Result<(), StoreError> {
        let cluster = self.open()?;
        let asking = cluster.asking();
        // The revision that etcd is told loses its deletes, so it is the one before the first that must stay whole.
        let mut last = Revision(before.0.saturating_sub(1));
        loop {
            if last.0 == 0 {
                return Ok(());
            }
            let asked = cluster.call(asking, |client| async move {
                let options = CompactionOptions::new();
                let mut client = client.kv_client();
                let answer = client.compact(entry::signed(last), Some(options)).await?;
                cluster.note(asking, answer.header())
            });
            match asked.await {
                Ok(_) | Err(Fault::Compacted) => return Ok(()),
                // As far as there is anything.
                Err(Fault::Ahead) => {
                    let now = read::list(cluster, &cluster.options.voids).await?.revision;
                    if now >= last {
                        continue;
                    }
                    last = now;
                }
                Err(fault) => return Err(cluster.error(fault)),
            }
        }
    }
}
