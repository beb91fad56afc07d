//! A watch: a place in the history and a wake-up. It holds no events, so a slow reader costs nothing.

use super::Shared;
use crate::{Event, Revision, StoreError, Watch};
use async_trait::async_trait;
use std::ops::ControlFlow;
use std::sync::Arc;
use tokio::sync::watch;

/// Commits that are looked at under one lock; between two lots the writer gets its turn.
const LOT: usize = 256;

pub(super) struct Watcher {
    pub(super) shared: Arc<Shared>,
    pub(super) prefix: String,
    /// The next commit to look at.
    pub(super) next: Revision,
    pub(super) latest: watch::Receiver<Revision>,
}

impl Watcher {
    /// Looks at the next lot; breaks with the first commit that touches the prefix.
    fn look(&mut self) -> Result<ControlFlow<Vec<Event>>, StoreError> {
        let state = self.shared.state();
        if self.next < state.history.oldest {
            return Err(StoreError::Compacted {
                oldest: state.history.oldest,
            });
        }
        for (revision, changes) in state.history.since(self.next).take(LOT) {
            self.next = Revision(revision.0 + 1);
            let events: Vec<Event> = changes
                .iter()
                .filter(|it| it.key().starts_with(&self.prefix))
                .map(|it| it.event(revision))
                .collect();
            if !events.is_empty() {
                return Ok(ControlFlow::Break(events));
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

#[async_trait]
impl Watch for Watcher {
    async fn next(&mut self) -> Result<Vec<Event>, StoreError> {
        loop {
            // Nothing awaits between taking events and returning them, so dropping this future loses none.
            let seen = *self.latest.borrow_and_update();
            if let ControlFlow::Break(events) = self.look()? {
                return Ok(events);
            }
            if self.next > seen {
                self.latest
                    .changed()
                    .await
                    .map_err(|_| StoreError::Closed)?;
            }
        }
    }
}
