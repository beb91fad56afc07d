//! The store's follower, opened when it is first waited for: an unreachable store is then an error like any other.

use minato_control_store::keys::Keys;
use minato_control_store::{self as store, Observed, SharedStore, StoreError};
use tokio::task::JoinSet;

pub(crate) struct Follower {
    store: SharedStore,
    keys: Keys,
    inner: Option<store::Follower>,
    /// The first list, at most one: a task, so that dropping [`Follower::next`] does not begin it anew.
    opening: JoinSet<Result<store::Follower, StoreError>>,
}

impl Follower {
    pub(crate) fn new(store: SharedStore, keys: Keys) -> Self {
        Self {
            store,
            keys,
            inner: None,
            opening: JoinSet::new(),
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
                if self.opening.is_empty() {
                    let (store, keys) = (self.store.clone(), self.keys.clone());
                    self.opening.spawn(store::follow(store, keys));
                }
                match self.opening.join_next().await {
                    Some(Ok(opened)) => self.inner = Some(opened?),
                    _ => return Err(StoreError::Closed),
                }
                Ok(())
            }
        }
    }
}
