//! What follows from a copy that ended half way: one of the two stores is in use afterwards.

use super::{CopyError, Copying, PASSES};
use crate::keys::Keys;
use crate::meta::{self, Found};
use crate::{Store, StoreError};
use minato_control::{Meta, StoreState};

/// Which of two stores is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InUse {
    /// The one that was copied from.
    Source,
    /// The one that was copied to.
    Target,
}

impl Copying<'_> {
    /// After whoever copied has ended, at whatever step: nothing of it takes effect any more, and one store is in use. The source is
    /// taken back into use unless the target is.
    pub async fn settle(&self) -> Result<InUse, CopyError> {
        for _ in 0..PASSES {
            let source = meta::read(self.source, self.keys).await;
            let Some(source) = source.map_err(CopyError::Source)? else {
                return Ok(InUse::Source);
            };
            let StoreState::Left { to, .. } = &source.meta.state else {
                return Ok(InUse::Source);
            };
            let target = meta::read(self.target, self.keys).await;
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
}

/// Takes a store back into use that was left, after what it was left for did not come up, whatever that is by now. In an era
/// above the other's. [`Copying::settle`] is surer.
pub async fn reclaim(store: &dyn Store, keys: &Keys) -> Result<(), StoreError> {
    let Some(found) = meta::read(store, keys).await? else {
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
    let put = meta::put(keys, &meta, Some(found.at))?;
    store.commit(put).await.map(drop)
}
