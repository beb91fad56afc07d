//! From a plan to commits: one service each, with a comparison for everything that its steps rely on. Pure.

use minato_config::{Run, ServiceName, Slot, SlotIndex, Timestamp};
use minato_control::{Action, Event, EventKind, Object, Plan, Relied, Step, World};
use minato_control_store::keys::{Key, Keys};
use minato_control_store::{Commit, Compare, MAX_COMPARES, Revision, StoreError};
use std::collections::BTreeSet;

/// Comparisons of one commit beside the fence. See [`comparisons`].
const COMPARISONS: usize = MAX_COMPARES - 1;

/// One commit, not yet fenced, and what to tell once it is done.
#[derive(Debug)]
pub(super) struct Transaction {
    pub(super) commit: Commit,
    pub(super) events: Vec<Event>,
}

/// The plan as commits, in order: one for each service, or why it has none.
pub(super) fn transactions(
    plan: &Plan,
    world: &World,
    keys: &Keys,
    now: Timestamp,
) -> Vec<Result<Transaction, StoreError>> {
    plan.steps
        .chunk_by(|a, b| a.service == b.service)
        .map(|steps| transaction(steps, world, keys, now))
        .collect()
}

fn transaction(
    steps: &[Step],
    world: &World,
    keys: &Keys,
    now: Timestamp,
) -> Result<Transaction, StoreError> {
    let mut commit = Commit {
        compare: comparisons(steps, keys),
        write: Vec::new(),
    };
    let mut events = Vec::new();
    for step in steps {
        let service = &step.service;
        let slot = |n: &SlotIndex| keys.text(&Key::Slot(service.clone(), *n));
        commit = match &step.action {
            Action::Assign(n, it) => commit.and_put(slot(n), crate::document(it)?, None),
            Action::Remove(n) => match ending(world, service, *n) {
                Some(it) => commit.and_put(slot(n), crate::document(&it)?, None),
                None => commit,
            },
            Action::Forget(n) => commit.and_delete(slot(n)),
            Action::ForgetService => commit
                .and_delete(keys.text(&Key::Service(service.clone())))
                .and_delete(keys.text(&Key::Intent(service.clone())))
                .and_delete(keys.text(&Key::Scale(service.clone())))
                .and_delete(keys.text(&Key::Rollout(service.clone()))),
        };
        events.extend(event(step, world, now));
    }
    Ok(Transaction { commit, events })
}

/// Everything that the steps rely on, what they write first.
///
/// A service with more slots than a commit has comparisons relies on all of them. Those past the bound are left out:
/// slots have one writer, this leader; the fence refuses any other, and it plans only after it saw its own last commit.
fn comparisons(steps: &[Step], keys: &Keys) -> Vec<Compare> {
    let written = |it: &Relied| match &it.object {
        Object::Service(_) | Object::Intent(_) | Object::Rollout(_) => true,
        Object::Slot(_, n) => steps.iter().any(|step| slot_of(&step.action) == Some(*n)),
    };
    let relied: BTreeSet<&Relied> = steps.iter().flat_map(|it| &it.relies_on).collect();
    let (first, rest): (Vec<&Relied>, Vec<&Relied>) =
        relied.into_iter().partition(|it| written(it));
    let all = first.into_iter().chain(rest).take(COMPARISONS);
    all.map(|it| comparison(it, keys)).collect()
}

fn slot_of(action: &Action) -> Option<SlotIndex> {
    match action {
        Action::Assign(n, _) | Action::Remove(n) | Action::Forget(n) => Some(*n),
        Action::ForgetService => None,
    }
}

/// A commit without a write yet, which holds only while what a decision relies on, and the document at `key` that it is
/// about, are as they were.
pub(super) fn unchanged(
    relied: &[Relied],
    key: &str,
    modified: Option<u64>,
    keys: &Keys,
) -> Commit {
    let mut compare: Vec<Compare> = relied.iter().map(|it| comparison(it, keys)).collect();
    compare.push(as_seen(key.to_owned(), modified));
    Commit {
        compare,
        ..Commit::default()
    }
}

fn comparison(relied: &Relied, keys: &Keys) -> Compare {
    let key = keys.text(&Key::from(&relied.object));
    as_seen(key, relied.modified)
}

fn as_seen(key: String, modified: Option<u64>) -> Compare {
    match modified {
        Some(revision) => Compare::Modified {
            key,
            revision: Revision(revision),
        },
        None => Compare::Absent { key },
    }
}

fn ending(world: &World, service: &ServiceName, n: SlotIndex) -> Option<Slot> {
    let slot = world.slots.get(&(service.clone(), n))?;
    Some(Slot {
        removed: true,
        ..slot.value.clone()
    })
}

fn event(step: &Step, world: &World, now: Timestamp) -> Option<Event> {
    let Step {
        service, reason, ..
    } = step;
    let before = |n: &SlotIndex| world.slots.get(&(service.clone(), *n)).map(|it| &it.value);
    let event = match &step.action {
        Action::Assign(n, slot) => {
            let (node, generation) = (&slot.node, slot.generation);
            let what = match before(n) {
                Some(old) if old.node != slot.node => {
                    format!(
                        "moves from {} to {node} (generation {generation})",
                        old.node
                    )
                }
                Some(_) => format!("is replaced on {node} (generation {generation})"),
                None => format!("is assigned to {node}"),
            };
            Event::info(
                now,
                EventKind::Assigned,
                format!("{service}/{n} {what}: {reason}"),
            )
            .instance(*n, generation, Run(0))
        }
        Action::Remove(n) => {
            let text = format!("{service}/{n} is to end: {reason}");
            let event = Event::info(now, EventKind::Removed, text);
            match before(n) {
                Some(slot) => event.instance(*n, slot.generation, Run(0)),
                None => event,
            }
        }
        Action::Forget(_) => return None,
        Action::ForgetService => Event::info(
            now,
            EventKind::Removed,
            format!("{service} has ended: {reason}"),
        ),
    };
    Some(event.of(service))
}
