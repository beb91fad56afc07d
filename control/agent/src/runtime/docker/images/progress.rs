//! How far a fetch has come, from what the engine tells of each layer. Pure.

use bollard::models::CreateImageInfo;
use std::collections::BTreeMap;

/// Layers that are followed at most.
const MOST_LAYERS: usize = 1_000;

/// Bytes of each layer, as far as they are told.
#[derive(Debug, Default)]
pub(super) struct Progress {
    layers: BTreeMap<String, (u64, u64)>,
}

impl Progress {
    pub(super) fn add(&mut self, heard: CreateImageInfo) {
        let downloading = heard.status.as_deref() == Some("Downloading");
        let (Some(id), Some(detail)) = (heard.id, heard.progress_detail) else {
            return;
        };
        let bytes = |it: Option<i64>| it.and_then(|it| u64::try_from(it).ok()).unwrap_or(0);
        if downloading && (self.layers.len() < MOST_LAYERS || self.layers.contains_key(&id)) {
            self.layers
                .insert(id, (bytes(detail.current), bytes(detail.total)));
        } else if let Some((current, total)) = self.layers.get_mut(&id) {
            // It is being unpacked.
            *current = *total;
        }
    }
}

impl std::fmt::Display for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sum = |pick: fn(&(u64, u64)) -> u64| {
            self.layers.values().map(pick).fold(0, u64::saturating_add)
        };
        write!(
            f,
            "{} of {} MiB so far",
            sum(|it| it.0) >> 20,
            sum(|it| it.1) >> 20
        )
    }
}
