//! A world kept current. Stands in for the store's own follower until that lands.

use minato_control_store::keys::Keys;
use minato_control_store::{Observed, Revision, SharedStore, StoreError, Watch, read_world};

pub(crate) struct Follower {
    store: SharedStore,
    keys: Keys,
    observed: Option<Observed>,
    watch: Option<Box<dyn Watch>>,
}

impl Follower {
    pub(crate) fn new(store: SharedStore, keys: Keys) -> Self {
        Self {
            store,
            keys,
            observed: None,
            watch: None,
        }
    }

    pub(crate) fn observed(&self) -> Option<&Observed> {
        self.observed.as_ref()
    }

    pub(crate) async fn next(&mut self) -> Result<(), StoreError> {
        if let (Some(observed), Some(watch)) = (&mut self.observed, &mut self.watch) {
            match watch.next().await {
                Ok(batch) => {
                    batch.iter().for_each(|it| observed.apply(it));
                    return Ok(());
                }
                Err(_) => self.watch = None,
            }
        }
        let observed = read_world(self.store.as_ref(), &self.keys).await?;
        let from = Revision(observed.revision.0 + 1);
        self.watch = Some(self.store.watch(self.keys.root(), from).await?);
        self.observed = Some(observed);
        Ok(())
    }
}
