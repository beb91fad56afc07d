//! From what follows from a look at a switch to one commit: the document, the orders of sites, what copies need.

use super::{Copied, Then, Turned};
use crate::lead::operations::{event, unchanged};
use crate::lead::transaction::Transaction;
use minato_config::{OrderRecord, ServiceName, Timestamp};
use minato_control::operation::switch::{Order, Phase, SwitchesTurn, moved};
use minato_control::operation::{Operation, Work};
use minato_control::sync::SyncRecord;
use minato_control::{OperationId, World};
use minato_control_store::keys::{Key, Keys};
use minato_control_store::{Commit, Compare};
use std::collections::BTreeMap;

pub(super) fn switch_turned(
    world: &World,
    keys: &Keys,
    id: OperationId,
    modified: u64,
    turn: SwitchesTurn,
    copies: Copied,
    now: Timestamp,
) -> Option<Turned> {
    let before = world.operations.get(&id).map(|it| &it.value)?;
    let who = turn.next.who.clone();
    let mut firsts: BTreeMap<ServiceName, OrderRecord> = BTreeMap::new();
    for it in &turn.orders {
        if let Order::First(epoch) = it.order {
            let record = OrderRecord {
                v: 1,
                first: it.switch.to.clone(),
                epoch,
                who: who.clone(),
                why: format!("operation {id}"),
                since: now,
                moved: match &turn.next.work {
                    Work::Switch(work) => Some(moved(world, work, &it.service, &it.switch, now)),
                    Work::Wave(_) | Work::Return(_) => None,
                },
            };
            firsts.insert(it.service.clone(), record);
        }
    }
    let mut copies = copies;
    copies
        .records
        .extend(copied_well(world, before, &turn.next));
    let is_due = turn.next != *before || !copies.records.is_empty();
    let transaction = is_due.then(|| {
        let key = keys.text(&Key::Operation(id));
        let mut commit = Commit::default()
            .when(unchanged(key.clone(), modified))
            .and_put(key, crate::document(&turn.next)?, None);
        for (service, record) in &firsts {
            let key = keys.text(&Key::Order(service.clone()));
            let as_seen = match world.orders.get(service) {
                Some(it) => unchanged(key.clone(), it.modified),
                None => Compare::Absent { key: key.clone() },
            };
            commit = commit
                .when(as_seen)
                .and_put(key, crate::document(record)?, None);
        }
        for (service, record) in &copies.records {
            let key = keys.text(&Key::Sync(service.clone()));
            let as_seen = match world.syncs.get(service) {
                Some(it) => unchanged(key.clone(), it.modified),
                None => Compare::Absent { key: key.clone() },
            };
            commit = commit
                .when(as_seen)
                .and_put(key, crate::document(record)?, None);
        }
        let events = turn.news.iter().map(|it| event(it, now));
        let events = copies.events.into_iter().chain(events).collect();
        Ok(Transaction { commit, events })
    });
    let orders = turn.orders.into_iter().map(|it| {
        let record = firsts.get(&it.service).cloned();
        let known = || world.orders.get(&it.service).map(|it| it.value.clone());
        let record = record.or_else(known);
        (it, record)
    });
    Some(Turned {
        transaction,
        then: Then::Orders(id, who, orders.collect()),
    })
}

/// Of services whose command has just ended well.
fn copied_well(
    world: &World,
    before: &Operation,
    next: &Operation,
) -> BTreeMap<ServiceName, SyncRecord> {
    let phase = |it: &Operation, n: usize| {
        let switch = it.steps.get(n).and_then(|it| it.switch.as_ref());
        switch.map(|it| it.phase)
    };
    let steps = next.steps.iter().enumerate();
    let ended = steps.filter(|(n, _)| {
        phase(before, *n) == Some(Phase::Sync) && phase(next, *n) == Some(Phase::Move)
    });
    let records = ended.filter_map(|(_, step)| {
        let record = &world.syncs.get(&step.service)?.value;
        Some((step.service.clone(), record.ended_well()))
    });
    records.collect()
}
