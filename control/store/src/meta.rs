//! A store's own document `meta`: which store it is, in which era, and whether it is the one in use.
//!
//! Not here: what it may become by copying (`copy`) or by a restore (`guard`).

use crate::guard::{CONFIRM, restored};
use crate::keys::{Key, Keys};
use crate::{Commit, Compare, Revision, Store, StoreError};
use minato_control::{FORMAT, Meta, StoreState};

/// A store's `meta` and the commit that wrote it.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) meta: Meta,
    pub(crate) at: Revision,
}

/// Makes sure that control may lead on this store, and that it has a `meta`. [`StoreError::Unfit`] where it may not.
pub async fn make_fit(store: &dyn Store, keys: &Keys) -> Result<(), StoreError> {
    match read(store, keys).await? {
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
        StoreState::Doubted(it) => unfit(restored(it), CONFIRM),
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

/// `None`: the store has none yet.
pub(crate) async fn read(store: &dyn Store, keys: &Keys) -> Result<Option<Found>, StoreError> {
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

/// Refused where it is not the one that was written at `before`.
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

/// Of a store that begins.
pub(crate) fn fresh_id() -> String {
    format!("{:032x}", fastrand::u128(..))
}
