//! What the leader writes for people, of no service: which nodes are gone, and that a rebalance is over. Pure.

use super::transaction::{Transaction, unchanged};
use minato_config::Timestamp;
use minato_control::{AbsenceRecord, Balancing, Event, EventKind, Rebalance, Stored, World};
use minato_control_store::StoreError;
use minato_control_store::keys::{Key, Keys};

/// Nodes that are gone, over what stands there.
pub(super) fn absences(
    world: &World,
    record: &AbsenceRecord,
    keys: &Keys,
) -> Result<Transaction, StoreError> {
    let key = keys.text(&Key::Absences);
    let modified = world.absences.as_ref().map(|it| it.modified);
    let commit = unchanged(&[], &key, modified, keys);
    Ok(Transaction {
        commit: commit.and_put(key, crate::document(record)?, None),
        events: Vec::new(),
    })
}

/// The end of a rebalance; `None` where it goes on. Another request that came meanwhile is left as it is.
pub(super) fn rebalance_over(
    asked: &Stored<Rebalance>,
    standing: &Balancing,
    keys: &Keys,
    now: Timestamp,
) -> Option<Result<Transaction, StoreError>> {
    let why = standing.over.as_ref()?;
    let ended = Rebalance {
        ended: Some(why.clone()),
        ..asked.value.clone()
    };
    let key = keys.text(&Key::Rebalance);
    let commit = unchanged(&[], &key, Some(asked.modified), keys);
    let mut text = format!("the rebalance that {} asked for is over: {why}", ended.who);
    if !standing.waiting.is_empty() {
        text.push_str("; left where it is: ");
        text.push_str(&standing.waiting.join("; "));
    }
    let event = Event::info(now, EventKind::Node, text);
    Some(crate::document(&ended).map(|document| Transaction {
        commit: commit.and_put(key, document, None),
        events: vec![event],
    }))
}
