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

mod fit;
mod pass;
mod settle;

pub use settle::{InUse, reclaim};

use crate::keys::Keys;
use crate::meta::{self, Found};
use crate::{Commit, Listing, Revision, Store, StoreError};
use minato_control::{Meta, StoreState};

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

    async fn list(&self, store: &dyn Store) -> Result<Listing, StoreError> {
        let mut listing = store.list(self.keys.root()).await?;
        let voids = self.keys.voids();
        listing.entries.retain(|it| !it.key.starts_with(&voids));
        Ok(listing)
    }

    fn put(&self, meta: &Meta, before: Option<Revision>) -> Result<Commit, CopyError> {
        meta::put(self.keys, meta, before).map_err(CopyError::Target)
    }
}
