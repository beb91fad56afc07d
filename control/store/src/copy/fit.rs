//! Whether two stores are fit for a copy, and its first step: the target says that it is being filled.

use super::pass::copied;
use super::{Copied, CopyError, Copying};
use crate::Listing;
use crate::meta::{self, Found};
use minato_control::{Meta, StoreState};

impl Copying<'_> {
    /// What was copied, where all steps were done before.
    pub(super) async fn done_before(&self, source: &Meta) -> Result<Option<Copied>, CopyError> {
        let StoreState::Left { to, .. } = &source.state else {
            return Ok(None);
        };
        let target = meta::read(self.target, self.keys).await;
        let target = target.map_err(CopyError::Target)?;
        let Some(target) =
            target.filter(|it| it.meta.store_id == *to && it.meta.state == StoreState::Serving)
        else {
            return Ok(None);
        };
        let listing = self.list(self.target).await.map_err(CopyError::Target)?;
        Ok(Some(Copied {
            keys: copied(listing, self.keys).len(),
            changes: 0,
            era: target.meta.era,
        }))
    }

    pub(super) async fn source_meta(&self) -> Result<Found, CopyError> {
        let found = meta::read(self.source, self.keys)
            .await
            .map_err(CopyError::Source)?;
        let Some(found) = found else {
            // Of before there was one.
            let fresh = Meta::new(meta::fresh_id());
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
    pub(super) async fn begin(&self, source: &Meta) -> Result<(Found, Listing), CopyError> {
        let id = source.store_id.clone();
        let target = meta::read(self.target, self.keys)
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
                (Meta::new(meta::fresh_id()), None)
            }
            Some(found) => {
                if let Some(why) = refusal(&found.meta, &id, &listing, self.keys.root()) {
                    return Err(CopyError::Refused(why));
                }
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
}

/// Why a store may not be filled from the store `id`; `root`: what all of its keys begin with.
fn refusal(target: &Meta, id: &str, listing: &Listing, root: &str) -> Option<String> {
    match &target.state {
        StoreState::Filling { from } if from == id => None,
        StoreState::Filling { from } => Some(format!(
            "the store to copy to is being filled from another one ({from}); remove all under {root} first"
        )),
        StoreState::Left { to, .. } if to == id => None,
        StoreState::Left { at, .. } => Some(format!(
            "the store to copy to was left for another one ({at}); remove all under {root} first"
        )),
        StoreState::Serving | StoreState::Doubted(_) => {
            let live = listing.entries.iter().find(|it| it.lease.is_some());
            let why = match live {
                Some(it) => format!("is in use: `{}` is there", it.key),
                None => "holds a site that serves".to_owned(),
            };
            Some(format!(
                "the store to copy to {why}; stop what uses it and remove all under {root} first, if it can be lost"
            ))
        }
    }
}
