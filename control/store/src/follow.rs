//! Keeps an [`Observed`] current: lists once, watches, and lists again when the history is gone.
//!
//! While the store is away the last good world stays, and it tries again with backoff, without end: a consumer goes
//! on with what it knows. Only a store that is closed or cannot be used ends it.

use crate::keys::Keys;
use crate::world::{Observed, Touched};
use crate::{Revision, SharedStore, StoreError, Watch};
use std::time::Duration;
use tokio::time::Instant;

/// First pause after a failed call; doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Longest pause between calls to a store that is away.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A world that follows the store. See [`follow`].
pub struct Follower {
    store: SharedStore,
    keys: Keys,
    observed: Observed,
    /// `None` when it has to be listed anew.
    watch: Option<Box<dyn Watch>>,
    pause: Duration,
    /// Not before; kept here so that dropping [`Follower::next`] does not shorten the pause.
    not_before: Option<Instant>,
}

/// Lists the site and begins to watch it. An error is the first list's: nothing is known yet.
pub async fn follow(store: SharedStore, keys: Keys) -> Result<Follower, StoreError> {
    let mut follower = Follower {
        observed: Observed::new(keys.clone()),
        store,
        keys,
        watch: None,
        pause: FIRST_PAUSE,
        not_before: None,
    };
    follower.relist().await?;
    Ok(follower)
}

impl Follower {
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
                    Ok(()) => return Ok(Touched::Everything),
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
        let listing = self.store.list(self.keys.root()).await?;
        let from = Revision(listing.revision.0 + 1);
        let watch = self.store.watch(self.keys.root(), from).await?;
        // Nothing awaits below, so a dropped call has either changed all or nothing.
        self.observed.relist(&listing);
        self.watch = Some(watch);
        Ok(())
    }
}
