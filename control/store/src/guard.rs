//! Notices a store that was restored: another one than before, or one that went back in time. Until a person confirms it,
//! this process sees nothing of it and writes nothing to it, as if it were away: all goes on with what is known.
//!
//! What the store was is remembered in the data folder. Who notices writes it into the store's `meta`, so that machines
//! hold that have never seen it before. A later era is not doubted: a copy, or a person's confirmation, began it.
//!
//! What a running process believes of a store (what it has written, which lease it holds, at which revision) is worth nothing
//! once that store was restored. So nothing goes through it any more from then on, also when the store is confirmed: then
//! [`Guard::renewed`] says so, and its owner begins everything anew with another guard, which needs no other process.
//! Here: what goes through and what does not. In the folder: what the store was (`memory`), what is believed of it (`belief`), how that
//! is judged (`judge`), watches (`watched`).
//! Not here: who may confirm (`control/server`), copying (`copy`).

mod belief;
mod judge;
mod memory;
mod watched;

use crate::keys::{Key, Keys};
use crate::{
    Commit, Entry, LeaseId, Listing, Revision, SharedStore, Store, StoreError, Watch, meta, world,
};
use async_trait::async_trait;
use belief::Belief;
use memory::Memory;
use minato_config::Timestamp;
use minato_control::{Confirmation, Doubt, Meta, StoreState, clock_text};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use watched::Watched;

const FILE: &str = "store-seen.json";

/// A store that is looked at before it is believed. See the module.
pub struct Guard {
    inner: SharedStore,
    keys: Keys,
    path: PathBuf,
    who: String,
    wall: fn() -> Timestamp,
    belief: Arc<Mutex<Belief>>,
    renewed: watch::Sender<bool>,
}

/// A restored store, before and after a person has confirmed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// Who noticed what, and when; `None` where nothing waits for a person.
    pub doubt: Option<Doubt>,
    /// What the store holds.
    pub listing: Listing,
}

impl Guard {
    /// `data`: where is remembered what the store was. `who`: this machine. A memory that cannot be read counts as none.
    pub fn new(
        inner: SharedStore,
        keys: Keys,
        data: &Path,
        who: String,
        wall: fn() -> Timestamp,
    ) -> Self {
        let path = data.join(FILE);
        let belief = Belief::new(Memory::read(&path));
        Self {
            inner,
            keys,
            path,
            who,
            wall,
            belief: Arc::new(Mutex::new(belief)),
            renewed: watch::Sender::new(false),
        }
    }

    /// Waits until the store is good that is not the one which was let through. Its owner begins anew then: nothing goes through this
    /// guard any more. Cancel-safe.
    pub async fn renewed(&self) {
        let mut renewed = self.renewed.subscribe();
        // The sender lives as long as this.
        let _ = renewed.wait_for(|it| *it).await;
    }

    /// The store as it is, believed or not.
    pub async fn look(&self) -> Result<Restored, StoreError> {
        let listing = self.inner.list(self.keys.root()).await?;
        let doubt = match self.meta_of(&listing).map(|it| it.state) {
            Some(StoreState::Doubted(doubt)) => Some(doubt),
            _ => self.belief().doubt.clone(),
        };
        Ok(Restored { doubt, listing })
    }

    /// A person says that this store is right: a new era begins, and everybody goes on with it. `None` where nobody doubts it.
    pub async fn confirm(&self, by: &str) -> Result<Option<Meta>, StoreError> {
        let found = meta::read(&*self.inner, &self.keys).await?;
        let (old, at) = match found {
            Some(it) => (it.meta, Some(it.at)),
            None => (Meta::new(meta::fresh_id()), None),
        };
        // Above the era of before as well, where the store comes from an older one.
        let (known, waits) = {
            let belief = self.belief();
            let known = belief.memory.as_ref().map_or(0, |it| it.era);
            (known, belief.doubt.is_some())
        };
        if !waits && !matches!(old.state, StoreState::Doubted(_)) {
            return Ok(None);
        }
        let confirmed = Meta {
            era: old.era.max(known).saturating_add(1),
            state: StoreState::Serving,
            confirmed: Some(Confirmation {
                by: by.to_owned(),
                at: (self.wall)(),
            }),
            ..old
        };
        let commit = meta::put(&self.keys, &confirmed, at)?;
        self.inner.commit(commit).await?;
        Ok(Some(confirmed))
    }

    fn belief(&self) -> MutexGuard<'_, Belief> {
        lock(&self.belief)
    }

    /// What the store below answered. Where it is not the one of before, all that this process believes of it is over.
    async fn heard<T>(&self, answer: Result<T, StoreError>) -> Result<T, StoreError> {
        if let Err(StoreError::Replaced { detail, known, .. }) = &answer {
            {
                let mut belief = self.belief();
                belief.replaced(detail, *known);
                self.save(&mut belief);
            }
            self.inner.begin_anew().await;
        }
        answer
    }

    /// While another cluster answers than the one of before, that one may come back: it is looked for now and then.
    async fn look_elsewhere(&self) {
        let answers = self.inner.identity();
        let wanted = self.belief().look_elsewhere(answers.as_deref());
        if let Some(cluster) = wanted {
            self.inner.look_for(&cluster).await;
        }
    }

    fn meta_of(&self, listing: &Listing) -> Option<Meta> {
        let key = self.keys.text(&Key::Meta);
        let entry = listing.entries.iter().find(|it| it.key == key)?;
        Some(world::decode(entry).ok()?.value)
    }

    fn over(&self) -> StoreError {
        StoreError::Unfit {
            key: self.keys.text(&Key::Meta),
            detail: "this store is not the one that this process began with".to_owned(),
            remedy: "minato begins anew with it by itself",
        }
    }

    /// Writes down what is known, as it is.
    fn save(&self, belief: &mut Belief) {
        let Some(memory) = &belief.memory else { return };
        match memory.write(&self.path) {
            Ok(()) => belief.mark_saved(),
            Err(error) => {
                tracing::warn!(%error, path = %self.path.display(), "What the store was is not remembered; a restore may go unnoticed here");
            }
        }
    }

    fn refuse(&self) -> Result<(), StoreError> {
        let belief = self.belief();
        match &belief.doubt {
            None if belief.over => {
                drop(belief);
                Err(self.over())
            }
            None => Ok(()),
            Some(doubt) => Err(StoreError::Unfit {
                key: self.keys.text(&Key::Meta),
                detail: restored(doubt),
                remedy: CONFIRM,
            }),
        }
    }
}

pub(crate) const CONFIRM: &str = "nothing is stopped until a person has looked: minato store confirm --dry-run, then minato store confirm";

pub(crate) fn restored(doubt: &Doubt) -> String {
    let since = clock_text(doubt.since);
    format!(
        "this store was restored, or is another one, {} says since {since}: {}",
        doubt.by, doubt.why
    )
}

fn lock(belief: &Mutex<Belief>) -> MutexGuard<'_, Belief> {
    belief.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl Store for Guard {
    fn trouble(&self) -> Option<String> {
        let doubt = || {
            let belief = self.belief();
            let doubt = belief.doubt.as_ref()?;
            Some(format!("{}; {CONFIRM}", restored(doubt)))
        };
        self.inner.trouble().or_else(doubt)
    }

    fn identity(&self) -> Option<String> {
        self.inner.identity()
    }

    async fn begin_anew(&self) {
        self.inner.begin_anew().await;
    }

    async fn look_for(&self, identity: &str) {
        self.inner.look_for(identity).await;
    }

    async fn get(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        self.heard(self.inner.get(key).await).await
    }

    async fn list(&self, prefix: &str) -> Result<Listing, StoreError> {
        if prefix != self.keys.root() {
            return self.heard(self.inner.list(prefix).await).await;
        }
        self.look_elsewhere().await;
        let mut before = self.belief().memory.clone();
        let mut listing = self.heard(self.inner.list(prefix).await).await;
        if let Err(StoreError::Replaced { .. }) = &listing {
            // The store of before is gone; this is the first look at the one that is there.
            before = self.belief().memory.clone();
            listing = self.heard(self.inner.list(prefix).await).await;
        }
        self.judge(listing?, before).await
    }

    async fn watch(&self, prefix: &str, from: Revision) -> Result<Box<dyn Watch>, StoreError> {
        let inner = self.heard(self.inner.watch(prefix, from).await).await?;
        if prefix != self.keys.root() {
            return Ok(inner);
        }
        Ok(Box::new(Watched {
            inner,
            belief: Arc::clone(&self.belief),
            meta: self.keys.text(&Key::Meta),
        }))
    }

    async fn commit(&self, commit: Commit) -> Result<Revision, StoreError> {
        self.refuse()?;
        let revision = self.heard(self.inner.commit(commit).await).await?;
        self.belief().advance(revision);
        Ok(revision)
    }

    async fn grant(&self, ttl: Duration) -> Result<LeaseId, StoreError> {
        self.refuse()?;
        self.heard(self.inner.grant(ttl).await).await
    }

    async fn keep_alive(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.refuse()?;
        self.heard(self.inner.keep_alive(lease).await).await
    }

    async fn revoke(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.refuse()?;
        self.heard(self.inner.revoke(lease).await).await
    }

    async fn compact(&self, before: Revision) -> Result<(), StoreError> {
        self.refuse()?;
        self.heard(self.inner.compact(before).await).await
    }
}

#[cfg(test)]
#[path = "guard_tests.rs"]
mod tests;
