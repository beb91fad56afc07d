//! Judges a listing against what is believed, and makes a doubt known through the store itself.
//!
//! Not here: what is suspect (`memory`, `belief`), and what does not go through meanwhile (`guard`).

use super::Guard;
use super::belief::File;
use super::memory::Memory;
use crate::{Listing, Revision, StoreError, meta};
use minato_control::{Doubt, Meta, StoreState};

impl Guard {
    /// Lets a whole listing through, or says why not. `before`: what was known when it was asked for, since others write and list
    /// at the same time.
    pub(super) async fn judge(
        &self,
        listing: Listing,
        before: Option<Memory>,
    ) -> Result<Listing, StoreError> {
        let cluster = self.inner.identity();
        let found = self.meta_of(&listing);
        if let Some(StoreState::Left { .. } | StoreState::Filling { .. }) =
            found.as_ref().map(|it| &it.state)
        {
            // It says itself that it is not the one in use.
            return Ok(listing);
        }
        let doubt = before.and_then(|it| {
            let belief = self.belief();
            belief.suspicion(&it, found.as_ref(), cluster.as_deref(), listing.revision)
        });
        let doubt = match (found, doubt) {
            (
                Some(Meta {
                    state: StoreState::Doubted(doubt),
                    ..
                }),
                _,
            ) => doubt,
            (found, Some(why)) => self.raise(found.as_ref(), why).await,
            (found, None) => {
                self.believe(found, cluster, listing.revision)?;
                return Ok(listing);
            }
        };
        {
            let mut belief = self.belief();
            belief.doubted(doubt);
            self.save(&mut belief);
        }
        self.refuse().map(|()| listing)
    }

    /// Goes on with a store that nobody doubts, unless another one was let through before.
    fn believe(
        &self,
        found: Option<Meta>,
        cluster: Option<String>,
        revision: Revision,
    ) -> Result<(), StoreError> {
        let is_over = {
            let mut belief = self.belief();
            let is_over = belief.is_over_with(found.as_ref());
            match belief.remember(found, cluster, revision) {
                File::Stays => {}
                File::Write => self.save(&mut belief),
                File::Remove => {
                    let _ = std::fs::remove_file(&self.path);
                }
            }
            is_over
        };
        if is_over {
            self.renewed.send_replace(true);
            return Err(self.over());
        }
        Ok(())
    }

    /// Makes the doubt known, so that everybody waits, where this is the same store as before. A store that is simply another
    /// one may be somebody else's: then only this process waits.
    async fn raise(&self, found: Option<&Meta>, why: String) -> Doubt {
        let known = self.belief().doubt.clone();
        let doubt = known.filter(|it| it.why == why).unwrap_or(Doubt {
            by: self.who.clone(),
            why,
            since: (self.wall)(),
        });
        let same = {
            let belief = self.belief();
            let memory = belief.memory.as_ref();
            found.filter(|it| memory.is_some_and(|memory| memory.store_id == it.store_id))
        };
        let Some(same) = same else { return doubt };
        let doubted = Meta {
            state: StoreState::Doubted(doubt.clone()),
            ..same.clone()
        };
        if let Err(error) = self.write_down(&doubted).await {
            tracing::warn!(%error, "The store was restored, and other machines cannot be told: they may go on with it");
        }
        doubt
    }

    async fn write_down(&self, doubted: &Meta) -> Result<(), StoreError> {
        let at = match meta::read(&*self.inner, &self.keys).await? {
            Some(it) if matches!(it.meta.state, StoreState::Doubted(_)) => return Ok(()),
            stored => stored.map(|it| it.at),
        };
        let commit = meta::put(&self.keys, doubted, at)?;
        match self.inner.commit(commit).await {
            // Another machine was faster.
            Ok(_) | Err(StoreError::Conflict { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
