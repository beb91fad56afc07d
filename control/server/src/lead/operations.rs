//! The runner of waves: one look at each that is open, one fenced transaction for each that moves. Those that move services between
//! sites: `switching`.
//!
//! The document and what its steps order go in one commit, which compares the leader key, the document and everything that the orders
//! rely on. So any leader goes on where the one before stopped, and no order is given twice. Deciding is `control::operation`'s.

use super::transaction::Transaction;
use minato_config::Timestamp;
use minato_control::operation::{MOST_ENDED, Turn, Work, advance, sights};
use minato_control::{Event, Level, News, OperationId, World};
use minato_control_store::keys::{Key, Keys};
use minato_control_store::{Commit, Compare, Revision, StoreError};

/// What to commit now, each by itself: operations that move, then what is forgotten of those that ended.
pub(super) fn work(
    world: &World,
    keys: &Keys,
    now: Timestamp,
) -> Vec<Result<Transaction, StoreError>> {
    let mut work = Vec::new();
    for (id, stored) in &world.operations {
        let operation = &stored.value;
        if !operation.state.is_open() || !matches!(operation.work, Work::Wave(_)) {
            continue;
        }
        let sights = sights(world, *id, operation, now);
        let turn = advance(*id, operation, &sights, now);
        if turn.next != *operation {
            work.push(transaction(*id, stored.modified, &turn, keys, now));
        }
    }
    let ended = world.operations.iter();
    let ended: Vec<_> = ended.filter(|(_, it)| !it.value.state.is_open()).collect();
    let surplus = ended.len().saturating_sub(MOST_ENDED);
    work.extend(ended.iter().take(surplus).map(|(id, stored)| {
        let key = keys.text(&Key::Operation(**id));
        Ok(Transaction {
            commit: Commit::delete(key.clone()).when(unchanged(key, stored.modified)),
            events: Vec::new(),
        })
    }));
    work
}

pub(super) fn unchanged(key: String, modified: u64) -> Compare {
    Compare::Modified {
        key,
        revision: Revision(modified),
    }
}

fn transaction(
    id: OperationId,
    modified: u64,
    turn: &Turn,
    keys: &Keys,
    now: Timestamp,
) -> Result<Transaction, StoreError> {
    let key = keys.text(&Key::Operation(id));
    let mut commit = Commit::default()
        .when(unchanged(key.clone(), modified))
        .and_put(key, crate::document(&turn.next)?, None);
    for order in &turn.orders {
        let record = keys.text(&Key::Service(order.service.clone()));
        let intent = keys.text(&Key::Intent(order.service.clone()));
        let before = match order.before {
            Some(revision) => unchanged(intent.clone(), revision),
            None => Compare::Absent {
                key: intent.clone(),
            },
        };
        commit = commit
            .when(unchanged(record, order.record))
            .when(before)
            .and_put(intent, crate::document(&order.intent)?, None);
    }
    Ok(Transaction {
        commit,
        events: turn.news.iter().map(|it| event(it, now)).collect(),
    })
}

pub(super) fn event(news: &News, now: Timestamp) -> Event {
    let text = news.text.clone();
    let event = match news.level {
        Level::Info => Event::info(now, news.kind, text),
        Level::Warn => Event::warn(now, news.kind, text),
        Level::Error => Event::error(now, news.kind, text),
    };
    match &news.hint {
        Some(hint) => event.hint(hint.clone()),
        None => event,
    }
}
