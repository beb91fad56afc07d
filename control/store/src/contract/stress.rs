//! Many writers, many watchers, one order.

use super::{Outcome, holds, list, next, promises, revision_of, same, watch_on, works};
use crate::{Commit, Entry, Event, Revision, SharedStore};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const WRITERS: usize = 4;
const WATCHERS: usize = 8;
const EACH: usize = 100;

promises![
    every_watcher_sees_every_commit_in_order_once,
    no_answer_is_older_than_what_was_told_before,
    beginning_anew_with_the_same_store_changes_nothing,
];

async fn no_answer_is_older_than_what_was_told_before(store: SharedStore) -> Outcome {
    let told = Arc::new(AtomicU64::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..WRITERS {
        let (store, told) = (store.clone(), Arc::clone(&told));
        tasks.spawn(async move {
            for n in 0..EACH / 4 {
                let before = told.load(Ordering::SeqCst);
                let put = Commit::put(format!("/{task}"), n.to_string().into());
                let made = works("commit", store.commit(put).await)?;
                holds(made.0 > before, || format!("{made:?} after {before}"))?;
                told.fetch_max(made.0, Ordering::SeqCst);
                let before = told.load(Ordering::SeqCst);
                let listed = list(&*store, "/").await?.revision;
                holds(listed.0 >= before, || format!("{listed:?} after {before}"))?;
                told.fetch_max(listed.0, Ordering::SeqCst);
            }
            Ok::<_, String>(())
        });
    }
    tasks.join_all().await.into_iter().collect()
}

/// Who takes a store for another one by mistake, or too late, has lost nothing by it.
async fn beginning_anew_with_the_same_store_changes_nothing(store: SharedStore) -> Outcome {
    let made = works("put", store.commit(Commit::put("/k", b"1".into())).await)?;
    let mut watch = watch_on(&*store, "/").await?;
    store.begin_anew().await;
    store.look_for("5").await;
    let after = works("put", store.commit(Commit::put("/k", b"2".into())).await)?;
    holds(after > made, || format!("{after:?} after {made:?}"))?;
    same("seen", &revision_of(&next(&mut watch).await?[0]), &after)
}

async fn every_watcher_sees_every_commit_in_order_once(store: SharedStore) -> Outcome {
    let mut watchers = tokio::task::JoinSet::new();
    for _ in 0..WATCHERS {
        let mut watch = watch_on(&*store, "/").await?;
        watchers.spawn(async move {
            let mut seen = Vec::new();
            while seen.len() < WRITERS * EACH {
                seen.push(next(&mut watch).await?);
            }
            Ok::<_, String>(seen)
        });
    }
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let store = store.clone();
        writers.spawn(async move {
            let mut made = Vec::new();
            for n in 0..EACH {
                // A pair that must stay together, and a key that every writer fights for.
                let commit = Commit::put(format!("/{writer}/{}", n % 7), n.to_string().into())
                    .and_put(format!("/{writer}/pair"), n.to_string().into(), None)
                    .and_put("/all", writer.to_string().into(), None);
                let commit = if n % 5 == 4 {
                    commit.and_delete(format!("/{writer}/{}", (n + 1) % 7))
                } else {
                    commit
                };
                made.push(works("commit", store.commit(commit).await)?);
            }
            Ok::<_, String>(made)
        });
    }
    let mut made: Vec<Revision> = Vec::new();
    for revisions in writers.join_all().await {
        made.extend(revisions?);
    }
    made.sort();
    let listed = list(&*store, "/").await?.entries;
    for seen in watchers.join_all().await {
        let seen = seen?;
        let order: Vec<Revision> = seen.iter().map(|batch| revision_of(&batch[0])).collect();
        same("order of commits", &order, &made)?;
        same("the world after them", &replay(&seen), &listed)?;
    }
    Ok(())
}

fn replay(seen: &[Vec<Event>]) -> Vec<Entry> {
    let mut entries = BTreeMap::new();
    for event in seen.iter().flatten() {
        match event {
            Event::Put(entry) => entries.insert(entry.key.clone(), entry.clone()),
            Event::Delete { key, .. } => entries.remove(key),
        };
    }
    entries.into_values().collect()
}
