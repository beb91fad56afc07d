//! From decisions about versions to commits: one service each. Pure.

use super::transaction::{Transaction, unchanged};
use minato_config::Timestamp;
use minato_control::{Event, Level, RolloutStep};
use minato_control_store::StoreError;
use minato_control_store::keys::{Key, Keys};

/// The step as a commit that holds only while everything that it relies on is so.
pub(super) fn transaction(
    step: &RolloutStep,
    keys: &Keys,
    now: Timestamp,
) -> Result<Transaction, StoreError> {
    let key = keys.text(&Key::Rollout(step.service.clone()));
    let commit = unchanged(&step.relies_on, &key, step.modified, keys);
    let news = step.news.iter().map(|it| {
        let event = match it.level {
            Level::Info => Event::info(now, it.kind, it.text.clone()),
            Level::Warn => Event::warn(now, it.kind, it.text.clone()),
            Level::Error => Event::error(now, it.kind, it.text.clone()),
        };
        let event = event.of(&step.service);
        match &it.hint {
            Some(hint) => event.hint(hint.clone()),
            None => event,
        }
    });
    Ok(Transaction {
        events: news.collect(),
        commit: commit.and_put(key, crate::document(&step.record)?, None),
    })
}
