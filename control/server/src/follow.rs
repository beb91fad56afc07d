//! The store's follower, opened when it is first waited for: an unreachable store is then an error like any other.

use minato_control_store::keys::Keys;
use minato_control_store::{self as store, Observed, SharedStore, StoreError};

pub(crate) struct Follower {
    store: SharedStore,
    keys: Keys,
    inner: Option<store::Follower>,
}

impl Follower {
    pub(crate) fn new(store: SharedStore, keys: Keys) -> Self {
        Self {
            store,
            keys,
            inner: None,
        }
    }

    /// What is known; `None` before the first list.
    pub(crate) fn observed(&self) -> Option<&Observed> {
        self.inner.as_ref().map(store::Follower::observed)
    }

    /// Waits for the next change, or for the first list. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Result<(), StoreError> {
        match &mut self.inner {
            Some(inner) => inner.next().await.map(drop),
            None => {
                self.inner = Some(store::follow(self.store.clone(), self.keys.clone()).await?);
                Ok(())
            }
        }
    }
}
