//! Copies a site from one store to another, and makes the other one the store that is in use.
//!
//! The steps, each of which may be the last before a crash:
//! 1. the target's `meta` says that it is being filled, and from where: nobody leads on it;
//! 2. what differs is written to it, in commits that compare that `meta`;
//!    these two also ahead of time, while the source is in use ([`Copying::ahead`]), so that little is left for then;
//! 3. the source's `meta` says that it was left: nobody leads on it any more;
//! 4. what changed in the source since is written to the target;
//! 5. the target's `meta` says that it serves, in an era above both.
//!
//! Whoever copies again after a crash begins with what is there; where step 5 was done nothing is left to do. Keys on leases are not copied: who holds them writes
//! them again under leases of the new store. Who still writes to the source after step 3 loses it; whoever calls makes sure
//! that nobody does.

use crate::keys::{Key, Keys};
use crate::{Commit, Compare, Entry, Listing, Revision, Store, StoreError};
use minato_control::{FORMAT, Meta, StoreState};
use std::collections::BTreeMap;

/// Writes and bytes of one commit, below what a store takes.
const WRITES: usize = 100;
const BYTES: usize = 1 << 20;
/// How often the source may change while it is copied after it was left.
const PASSES: usize = 10;
/// Passes ahead of time at most; fewer where one finds no more than so many changes: the last pass takes those in one commit.
const PASSES_AHEAD: usize = 5;
const FEW: usize = WRITES;

/// Why a copy did not come about.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The source failed. Copy again when it is well.
    #[error("the store to copy from: {0}")]
    Source(#[source] StoreError),
    /// The target failed. Copy again when it is well.
    #[error("the store to copy to: {0}")]
    Target(#[source] StoreError),
    /// Not these two, not now. A person decides.
    #[error("{0}")]
    Refused(String),
}

/// What was copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// Keys that the target holds of the source.
    pub keys: usize,
    /// Writes and deletes that it took.
    pub changes: usize,
    /// The target's era.
    pub era: u32,
}

/// What was copied while the source was in use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ahead {
    /// Keys that the source had at the last look.
    pub keys: usize,
    /// Writes and deletes that the target took.
    pub changes: usize,
}

/// Which of two stores is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InUse {
    /// The one that was copied from.
    Source,
    /// The one that was copied to.
    Target,
}

/// Two stores of one site.
pub struct Copying<'a> {
    /// Where it is now.
    pub source: &'a dyn Store,
    /// Where it goes.
    pub target: &'a dyn Store,
    /// Which site.
    pub keys: &'a Keys,
    /// Where the target is, as an operator knows it.
    pub target_name: &'a str,
}

/// A store's `meta` and the commit that wrote it.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) meta: Meta,
    pub(crate) at: Revision,
}

impl Copying<'_> {
    /// Steps 1 and 2, while the source is in use: [`Copying::run`] is left with what changes from here on. Whatever comes
    /// of it, the source is as it was, and in use.
    pub async fn ahead(&self) -> Result<Ahead, CopyError> {
        let source = self.source_meta().await?;
        let (filling, mut target) = self.begin(&source.meta).await?;
        let mut ahead = Ahead::default();
        for _ in 0..PASSES_AHEAD {
            let (keys, changes) = self.pass(&filling, target).await?;
            ahead.keys = keys;
            ahead.changes += changes;
            if changes <= FEW {
                break;
            }
            target = self.list(self.target).await.map_err(CopyError::Target)?;
        }
        Ok(ahead)
    }

    /// All steps. Nobody but the caller may write to either store.
    pub async fn run(&self) -> Result<Copied, CopyError> {
        let source = self.source_meta().await?;
        if let Some(copied) = self.done_before(&source.meta).await? {
            return Ok(copied);
        }
        let (mut filling, target) = self.begin(&source.meta).await?;
        let mut changes = self.pass(&filling, target).await?.1;
        self.leave(source, &filling.meta).await?;
        let mut keys = 0;
        for pass in 0..PASSES {
            let target = self.list(self.target).await.map_err(CopyError::Target)?;
            let (listed, written) = self.pass(&filling, target).await?;
            changes += written;
            keys = listed;
            if written == 0 {
                break;
            }
            if pass + 1 == PASSES {
                return Err(CopyError::Refused(
                    "somebody goes on writing to the store that was left; stop every minato that uses it, and copy again".to_owned(),
                ));
            }
        }
        filling.meta.era += 1;
        filling.meta.state = StoreState::Serving;
        let put = self.put(&filling.meta, Some(filling.at))?;
        self.target.commit(put).await.map_err(CopyError::Target)?;
        Ok(Copied {
            keys,
            changes,
            era: filling.meta.era,
        })
    }

    /// After whoever copied has ended, at whatever step: nothing of it takes effect any more, and one store is in use. The source is
    /// taken back into use unless the target is.
    pub async fn settle(&self) -> Result<InUse, CopyError> {
        for _ in 0..PASSES {
            let source = meta(self.source, self.keys).await;
            let Some(source) = source.map_err(CopyError::Source)? else {
                return Ok(InUse::Source);
            };
            let StoreState::Left { to, .. } = &source.meta.state else {
                return Ok(InUse::Source);
            };
            let target = meta(self.target, self.keys).await;
            let target = target.map_err(CopyError::Target)?;
            let mut above = source.meta.era;
            if let Some(target) = target.filter(|it| it.meta.store_id == *to) {
                if !matches!(target.meta.state, StoreState::Filling { .. }) {
                    return Ok(InUse::Target);
                }
                above = above.max(target.meta.era);
                // Step 5 may be on its way still: it compares what is written anew here.
                let again = self.put(&target.meta, Some(target.at))?;
                match self.target.commit(again).await {
                    Ok(_) => {}
                    Err(StoreError::Conflict { .. }) => continue,
                    Err(error) => return Err(CopyError::Target(error)),
                }
            }
            take_back(self.source, self.keys, source, above)
                .await
                .map_err(CopyError::Source)?;
            return Ok(InUse::Source);
        }
        Err(CopyError::Refused(
            "somebody goes on copying: stop every minato that uses either store".to_owned(),
        ))
    }

    /// What was copied, where all steps were done before.
    async fn done_before(&self, source: &Meta) -> Result<Option<Copied>, CopyError> {
        let StoreState::Left { to, .. } = &source.state else {
            return Ok(None);
        };
        let target = meta(self.target, self.keys).await;
        let target = target.map_err(CopyError::Target)?;
        let Some(target) =
            target.filter(|it| it.meta.store_id == *to && it.meta.state == StoreState::Serving)
        else {
            return Ok(None);
        };
        let listing = self.list(self.target).await.map_err(CopyError::Target)?;
        Ok(Some(Copied {
            keys: self.copied(listing).len(),
            changes: 0,
            era: target.meta.era,
        }))
    }

    async fn source_meta(&self) -> Result<Found, CopyError> {
        let found = meta(self.source, self.keys)
            .await
            .map_err(CopyError::Source)?;
        let Some(found) = found else {
            // Of before there was one.
            let fresh = Meta::new(fresh_id());
            let at = self.source.commit(self.put(&fresh, None)?).await;
            let at = at.map_err(CopyError::Source)?;
            return Ok(Found { meta: fresh, at });
        };
        match &found.meta.state {
            StoreState::Serving | StoreState::Left { .. } => Ok(found),
            StoreState::Doubted(_) => Err(CopyError::Refused(
                "the store to copy from was restored, and nobody has confirmed it: minato store confirm"
                    .to_owned(),
            )),
            StoreState::Filling { from } => Err(CopyError::Refused(format!(
                "the store to copy from is itself being filled, from {from}: end that copy first"
            ))),
        }
    }

    /// Step 1, where source and target are fit for each other; and what the target holds.
    async fn begin(&self, source: &Meta) -> Result<(Found, Listing), CopyError> {
        let id = source.store_id.clone();
        let target = meta(self.target, self.keys)
            .await
            .map_err(CopyError::Target)?;
        let listing = self.list(self.target).await.map_err(CopyError::Target)?;
        if let (StoreState::Left { to, at }, own) = (&source.state, target.as_ref())
            && own.is_none_or(|it| it.meta.store_id != *to)
        {
            return Err(CopyError::Refused(format!(
                "the store to copy from was left for {at}: copy from there, where it goes on"
            )));
        }
        let (mut filling, before) = match target {
            None => {
                if let Some(key) = listing.entries.first().map(|it| &it.key) {
                    return Err(CopyError::Refused(format!(
                        "the store to copy to is not empty: it holds {} keys like `{key}` and does not say whose; remove all under {} first",
                        listing.entries.len(),
                        self.keys.root()
                    )));
                }
                (Meta::new(fresh_id()), None)
            }
            Some(found) => {
                self.may_be_filled(&found.meta, &id, &listing)?;
                (found.meta, Some(found.at))
            }
        };
        if filling.store_id == id {
            return Err(CopyError::Refused(
                "both settings name the same store".to_owned(),
            ));
        }
        filling.era = filling.era.max(source.era);
        filling.format = source.format;
        filling.state = StoreState::Filling { from: id };
        let put = self.put(&filling, before)?;
        let at = self.target.commit(put).await.map_err(CopyError::Target)?;
        Ok((Found { meta: filling, at }, listing))
    }

    fn may_be_filled(&self, target: &Meta, id: &str, listing: &Listing) -> Result<(), CopyError> {
        let refused = |why: String| Err(CopyError::Refused(why));
        match &target.state {
            StoreState::Filling { from } if from == id => Ok(()),
            StoreState::Filling { from } => refused(format!(
                "the store to copy to is being filled from another one ({from}); remove all under {} first",
                self.keys.root()
            )),
            StoreState::Left { to, .. } if to == id => Ok(()),
            StoreState::Left { at, .. } => refused(format!(
                "the store to copy to was left for another one ({at}); remove all under {} first",
                self.keys.root()
            )),
            StoreState::Serving | StoreState::Doubted(_) => {
                let live = listing.entries.iter().find(|it| it.lease.is_some());
                let why = match live {
                    Some(it) => format!("is in use: `{}` is there", it.key),
                    None => "holds a site that serves".to_owned(),
                };
                refused(format!(
                    "the store to copy to {why}; stop what uses it and remove all under {} first, if it can be lost",
                    self.keys.root()
                ))
            }
        }
    }

    /// Step 3.
    async fn leave(&self, source: Found, target: &Meta) -> Result<(), CopyError> {
        let left = Meta {
            state: StoreState::Left {
                to: target.store_id.clone(),
                at: self.target_name.to_owned(),
            },
            ..source.meta
        };
        let put = self.put(&left, Some(source.at))?;
        self.source.commit(put).await.map_err(CopyError::Source)?;
        Ok(())
    }

    /// Steps 2 and 4: writes what differs from what the target holds. How many keys there are, and how many differed.
    async fn pass(&self, filling: &Found, target: Listing) -> Result<(usize, usize), CopyError> {
        let source = self.list(self.source).await.map_err(CopyError::Source)?;
        let wanted = self.copied(source);
        let mut present = self.copied(target);
        let count = wanted.len();
        let (mut commit, mut bytes, mut changes) = (self.fence(filling), 0, 0);
        let gone: Vec<String> = (present.keys())
            .filter(|key| !wanted.contains_key(*key))
            .cloned()
            .collect();
        let deletes = gone.into_iter().map(|key| (key, None));
        let puts = wanted.into_iter().map(|(key, value)| (key, Some(value)));
        for (key, value) in deletes.chain(puts) {
            if value.is_some() && present.remove(&key) == value {
                continue;
            }
            let size = key.len() + value.as_ref().map_or(0, Vec::len);
            if commit.write.len() == WRITES || bytes + size > BYTES {
                let full = std::mem::replace(&mut commit, self.fence(filling));
                self.target.commit(full).await.map_err(CopyError::Target)?;
                bytes = 0;
            }
            commit = match value {
                Some(value) => commit.and_put(key, value, None),
                None => commit.and_delete(key),
            };
            bytes += size;
            changes += 1;
        }
        if !commit.write.is_empty() {
            self.target
                .commit(commit)
                .await
                .map_err(CopyError::Target)?;
        }
        Ok((count, changes))
    }

    fn fence(&self, filling: &Found) -> Commit {
        Commit::default().when(Compare::Modified {
            key: self.keys.text(&Key::Meta),
            revision: filling.at,
        })
    }

    async fn list(&self, store: &dyn Store) -> Result<Listing, StoreError> {
        let mut listing = store.list(self.keys.root()).await?;
        let voids = self.keys.voids();
        listing.entries.retain(|it| !it.key.starts_with(&voids));
        Ok(listing)
    }

    /// What goes from store to store.
    fn copied(&self, listing: Listing) -> BTreeMap<String, Vec<u8>> {
        let own = [Key::Meta, Key::Leader].map(|it| self.keys.text(&it));
        let goes = |it: &Entry| it.lease.is_none() && !own.contains(&it.key);
        let entries = listing.entries.into_iter().filter(goes);
        entries.map(|it| (it.key, it.value)).collect()
    }

    fn put(&self, meta: &Meta, before: Option<Revision>) -> Result<Commit, CopyError> {
        put(self.keys, meta, before).map_err(CopyError::Target)
    }
}

/// Takes a store back into use that was left, after what it was left for did not come up, whatever that is by now. In an era
/// above the other's. [`Copying::settle`] is surer.
pub async fn reclaim(store: &dyn Store, keys: &Keys) -> Result<(), StoreError> {
    let Some(found) = meta(store, keys).await? else {
        return Ok(());
    };
    if !matches!(found.meta.state, StoreState::Left { .. }) {
        return Ok(());
    }
    let above = found.meta.era;
    take_back(store, keys, found, above).await
}

/// In an era above what a copy into a store of era `above` would begin.
async fn take_back(
    store: &dyn Store,
    keys: &Keys,
    found: Found,
    above: u32,
) -> Result<(), StoreError> {
    let meta = Meta {
        era: above.saturating_add(2),
        state: StoreState::Serving,
        ..found.meta
    };
    let put = put(keys, &meta, Some(found.at))?;
    store.commit(put).await.map(drop)
}

/// Makes sure that control may lead on this store, and that it has a `meta`. [`StoreError::Unfit`] where it may not.
pub async fn make_fit(store: &dyn Store, keys: &Keys) -> Result<(), StoreError> {
    match meta(store, keys).await? {
        Some(found) => is_fit(keys, &found.meta),
        None => {
            let fresh = put(keys, &Meta::new(fresh_id()), None)?;
            store.commit(fresh).await.map(drop)
        }
    }
}

/// Whether control may lead on a store with this `meta`.
pub fn is_fit(keys: &Keys, meta: &Meta) -> Result<(), StoreError> {
    let unfit = |detail: String, remedy| {
        Err(StoreError::Unfit {
            key: keys.text(&Key::Meta),
            detail,
            remedy,
        })
    };
    match &meta.state {
        _ if meta.format > FORMAT => unfit(
            format!(
                "the store has format {} and this minato writes {FORMAT}",
                meta.format
            ),
            "a newer minato wrote it: upgrade this one",
        ),
        StoreState::Serving => Ok(()),
        StoreState::Doubted(it) => unfit(crate::guard::restored(it), crate::guard::CONFIRM),
        StoreState::Filling { from } => unfit(
            format!("a copy from store {from} was begun and has not ended"),
            "end it with `minato store copy`, or go back to the settings of before",
        ),
        StoreState::Left { at, .. } => unfit(
            format!("this store was left for {at}"),
            "use settings that name that one, or copy it back with `minato store copy`",
        ),
    }
}

pub(crate) async fn meta(store: &dyn Store, keys: &Keys) -> Result<Option<Found>, StoreError> {
    let key = keys.text(&Key::Meta);
    let Some(entry) = store.get(&key).await? else {
        return Ok(None);
    };
    match crate::world::decode::<Meta>(&entry) {
        Ok(it) => Ok(Some(Found {
            meta: it.value,
            at: entry.modified,
        })),
        Err(detail) => Err(StoreError::Unfit {
            key,
            detail,
            remedy: "upgrade this minato, or mend that key by hand",
        }),
    }
}

pub(crate) fn put(
    keys: &Keys,
    meta: &Meta,
    before: Option<Revision>,
) -> Result<Commit, StoreError> {
    let key = keys.text(&Key::Meta);
    let value = serde_json::to_vec(meta).map_err(|error| StoreError::Invalid {
        detail: error.to_string(),
    })?;
    let compare = match before {
        Some(revision) => Compare::Modified {
            key: key.clone(),
            revision,
        },
        None => Compare::Absent { key: key.clone() },
    };
    Ok(Commit::default().when(compare).and_put(key, value, None))
}

pub(crate) fn fresh_id() -> String {
    format!("{:032x}", fastrand::u128(..))
}
