//! What the leader writes for people, of no service: which nodes are gone, and how far a rebalance is. Pure.

use super::transaction::{Transaction, unchanged};
use minato_config::Timestamp;
use minato_control::{
    AbsenceRecord, Balancing, BalancingNext, Event, EventKind, Rebalance, Stored, World,
};
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

/// The end of a rebalance, or of a round of it; `None` where it goes on. Another request that came meanwhile is left as it is.
pub(super) fn rebalance(
    asked: &Stored<Rebalance>,
    standing: &Balancing,
    keys: &Keys,
    now: Timestamp,
) -> Option<Result<Transaction, StoreError>> {
    let mut word = asked.value.clone();
    let mut events = Vec::new();
    match &standing.next {
        BalancingNext::GoOn => return None,
        BalancingNext::Round => word.round += 1,
        BalancingNext::End(why) => {
            let mut text = format!("the rebalance that {} asked for is over: {why}", word.who);
            if !standing.waiting.is_empty() {
                text.push_str("; left where it is: ");
                text.push_str(&standing.waiting.join("; "));
            }
            word.ended = Some(why.clone());
            events.push(Event::info(now, EventKind::Node, text));
        }
    }
    let key = keys.text(&Key::Rebalance);
    let commit = unchanged(&[], &key, Some(asked.modified), keys);
    Some(crate::document(&word).map(|document| Transaction {
        commit: commit.and_put(key, document, None),
        events,
    }))
}
