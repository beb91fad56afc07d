//! From decisions about numbers of instances to commits: one service each. Pure.

use super::transaction::{Transaction, unchanged};
use minato_config::Timestamp;
use minato_control::{Event, EventKind, ScaleStep};
use minato_control_store::StoreError;
use minato_control_store::keys::{Key, Keys};

/// The step as a commit that holds only while everything that it relies on is so.
pub(super) fn transaction(
    step: &ScaleStep,
    keys: &Keys,
    now: Timestamp,
) -> Result<Transaction, StoreError> {
    let key = keys.text(&Key::Scale(step.service.clone()));
    let commit = unchanged(&step.relies_on, &key, step.modified, keys);
    let commit = match &step.record {
        Some(record) => commit.and_put(key, crate::document(record)?, None),
        None => commit.and_delete(key),
    };
    Ok(Transaction {
        commit,
        events: event(step, now)
            .into_iter()
            .chain(given(step, now))
            .collect(),
    })
}

fn event(step: &ScaleStep, now: Timestamp) -> Option<Event> {
    let record = step.record.as_ref().filter(|_| step.is_news)?;
    let (service, before, after) = (&step.service, step.before, record.replicas);
    let text = format!(
        "{service}: {after} instances in place of {before}: {}",
        record.reason
    );
    Some(Event::info(now, EventKind::Scaled, text).of(service))
}

fn given(step: &ScaleStep, now: Timestamp) -> Option<Event> {
    let text = format!("{}: {}", step.service, step.given.as_ref()?);
    Some(Event::info(now, EventKind::Scaled, text).of(&step.service))
}
