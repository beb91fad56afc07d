//! A watch on a store that may turn out not to be the one of before: where its era changes it has to be listed anew, and judged.

use super::belief::Belief;
use super::lock;
use crate::{Event, Revision, StoreError, Watch, world};
use async_trait::async_trait;
use minato_control::{Meta, StoreState};
use std::sync::{Arc, Mutex};

/// See the module.
pub(super) struct Watched {
    pub(super) inner: Box<dyn Watch>,
    pub(super) belief: Arc<Mutex<Belief>>,
    pub(super) meta: String,
}

#[async_trait]
impl Watch for Watched {
    async fn next(&mut self) -> Result<Vec<Event>, StoreError> {
        let batch = self.inner.next().await?;
        let changed = batch.iter().find_map(|it| match it {
            Event::Put(entry) if entry.key == self.meta => Some(entry),
            _ => None,
        });
        if let Some(entry) = changed
            && let Ok(meta) = world::decode::<Meta>(entry)
        {
            let passed = lock(&self.belief).passed.clone();
            let found = (meta.value.store_id, meta.value.era);
            let doubted = matches!(meta.value.state, StoreState::Doubted(_));
            if doubted || passed.is_some_and(|it| it != found) {
                return Err(StoreError::Compacted {
                    oldest: Revision(entry.modified.0.saturating_add(1)),
                });
            }
        }
        Ok(batch)
    }
}
