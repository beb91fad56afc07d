//! Keeps an [`Observed`] current: lists once, watches, and lists again when the history is gone.
//!
//! While the store is away the last good world stays, and it tries again with backoff, without end: a consumer goes
//! on with what it knows. Only a store that is closed or cannot be used ends it.

use crate::keys::Keys;
use crate::world::{Observed, Touched};
use crate::{Listing, Revision, SharedStore, StoreError, Watch};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// First pause after a failed call; doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Longest pause between calls to a store that is away.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A list, and a watch on what comes after it.
type Listed = (Listing, Box<dyn Watch>);

/// A world that follows the store. See [`follow`].
pub struct Follower {
    store: SharedStore,
    keys: Keys,
    observed: Observed,
    is_listed: bool,
    /// `None` when it has to be listed anew.
    watch: Option<Box<dyn Watch>>,
    /// The list that is under way, at most one: a task, so that dropping [`Follower::next`] does not begin it anew.
    listing: JoinSet<Result<Listed, StoreError>>,
    pause: Duration,
    /// Not before; kept here so that dropping [`Follower::next`] does not shorten the pause.
    not_before: Option<Instant>,
}

/// Lists the site and begins to watch it. An error is the first list's: nothing is known yet.
pub async fn follow(store: SharedStore, keys: Keys) -> Result<Follower, StoreError> {
    let mut follower = Follower::begin(store, keys);
    follower.relist().await?;
    Ok(follower)
}

impl Follower {
    /// Knows nothing yet; the first [`Follower::next`] lists, however long the store is away.
    pub fn begin(store: SharedStore, keys: Keys) -> Self {
        Self {
            observed: Observed::new(keys.clone()),
            store,
            keys,
            is_listed: false,
            watch: None,
            listing: JoinSet::new(),
            pause: FIRST_PAUSE,
            not_before: None,
        }
    }

    /// Whether the store was ever listed: otherwise what is observed is empty because nothing is known.
    pub fn is_listed(&self) -> bool {
        self.is_listed
    }

    /// What is known now.
    pub fn observed(&self) -> &Observed {
        &self.observed
    }

    /// Waits for the next change, takes it in and tells what it touched: one commit, or a whole list. Cancel-safe.
    ///
    /// An error is final: the store is closed, or a person is needed.
    pub async fn next(&mut self) -> Result<Touched, StoreError> {
        loop {
            if let Some(at) = self.not_before {
                tokio::time::sleep_until(at).await;
                self.not_before = None;
            }
            let failed = match &mut self.watch {
                Some(watch) => match watch.next().await {
                    Ok(events) => {
                        self.pause = FIRST_PAUSE;
                        return Ok(Touched::These(self.observed.apply_batch(&events)));
                    }
                    Err(failed) => failed,
                },
                None => match self.relist().await {
                    Ok(()) => {
                        self.pause = FIRST_PAUSE;
                        return Ok(Touched::Everything);
                    }
                    Err(failed) => failed,
                },
            };
            self.watch = None;
            match failed {
                // Nothing is wrong: this reader was slow, or away. The first new list needs no pause.
                StoreError::Compacted { .. } if self.pause == FIRST_PAUSE => {}
                StoreError::Closed
                | StoreError::Corrupt { .. }
                | StoreError::Invalid { .. }
                | StoreError::Held { .. } => return Err(failed),
                _ => {
                    tracing::warn!(cause = %failed, pause = ?self.pause, "The store cannot be followed; going on with what is known");
                    let pause = self.pause.mul_f64(0.5 + fastrand::f64() / 2.0);
                    self.not_before = Some(Instant::now() + pause);
                }
            }
            self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn relist(&mut self) -> Result<(), StoreError> {
        if self.listing.is_empty() {
            let (store, root) = (self.store.clone(), self.keys.root().to_owned());
            self.listing.spawn(async move {
                let listing = store.list(&root).await?;
                let from = Revision(listing.revision.0 + 1);
                let watch = store.watch(&root, from).await?;
                Ok((listing, watch))
            });
        }
        let listed = self.listing.join_next().await;
        // Nothing awaits below, so a dropped call has either changed all or nothing.
        let Some(Ok(listed)) = listed else {
            return Err(StoreError::Closed);
        };
        let (listing, watch) = listed?;
        self.observed.relist(&listing);
        self.watch = Some(watch);
        self.is_listed = true;
        Ok(())
    }
}
