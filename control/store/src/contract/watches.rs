//! Watches: every commit from a revision on, in order, exactly once.

use super::{
    Outcome, after, holds, key_of, list, next, present, promises, refused, revision_of, same,
    watch_on, works,
};
use crate::{Commit, Event, Revision, SharedStore, StoreError};
use std::time::Duration;

promises![
    it_replays_from_a_revision_of_the_past,
    it_waits_for_a_revision_to_come,
    a_batch_is_a_commit,
    a_put_shows_the_entry_and_a_delete_the_key,
    it_sees_its_prefix_only,
    watches_do_not_disturb_each_other,
    dropping_next_loses_nothing,
    compacted_history_is_told,
    a_reader_behind_compaction_is_told_or_served_whole,
    compaction_leaves_entries_alone,
];

async fn puts(store: &SharedStore, prefix: &str, count: u32) -> Result<Vec<Revision>, String> {
    let mut revisions = Vec::new();
    for n in 0..count {
        let put = Commit::put(format!("{prefix}{n}"), vec![]);
        revisions.push(works("put", store.commit(put).await)?);
    }
    Ok(revisions)
}

async fn it_replays_from_a_revision_of_the_past(store: SharedStore) -> Outcome {
    let revisions = puts(&store, "/k", 5).await?;
    for (skipped, from) in revisions.iter().enumerate() {
        let mut watch = works("watch", store.watch("/k", *from).await)?;
        for wanted in &revisions[skipped..] {
            let batch = next(&mut watch).await?;
            let found: Vec<Revision> = batch.iter().map(revision_of).collect();
            same("revisions", &found, &vec![*wanted])?;
        }
    }
    Ok(())
}

async fn it_waits_for_a_revision_to_come(store: SharedStore) -> Outcome {
    let now = puts(&store, "/k", 1).await?[0];
    let from = Revision(now.0 + 3);
    let mut watch = works("watch", store.watch("/k", from).await)?;
    let early = tokio::time::timeout(Duration::from_millis(20), watch.next()).await;
    holds(early.is_err(), || {
        format!("an event before its time: {early:?}")
    })?;
    let revisions = puts(&store, "/k", 3).await?;
    let batch = next(&mut watch).await?;
    same("revision", &revision_of(&batch[0]), &revisions[2])
}

async fn a_batch_is_a_commit(store: SharedStore) -> Outcome {
    let mut watch = watch_on(&*store, "/").await?;
    let commit = Commit::put("/a", vec![])
        .and_put("/b", vec![], None)
        .and_put("/c", vec![], None);
    let first = works("commit", store.commit(commit).await)?;
    let second = works("commit", store.commit(Commit::put("/d", vec![])).await)?;
    let batch = next(&mut watch).await?;
    let mut keys: Vec<&str> = batch.iter().map(key_of).collect();
    keys.sort_unstable();
    same("keys", &keys, &vec!["/a", "/b", "/c"])?;
    let one = batch.iter().all(|it| revision_of(it) == first);
    holds(one, || format!("another revision in {batch:?}"))?;
    let batch = next(&mut watch).await?;
    same("the next", &revision_of(&batch[0]), &second)
}

async fn a_put_shows_the_entry_and_a_delete_the_key(store: SharedStore) -> Outcome {
    let mut watch = watch_on(&*store, "/").await?;
    works("put", store.commit(Commit::put("/k", b"1".into())).await)?;
    let entry = present(&*store, "/k").await?;
    same("put", &next(&mut watch).await?, &vec![Event::Put(entry)])?;
    let revision = works("delete", store.commit(Commit::delete("/k")).await)?;
    let key = "/k".to_owned();
    let wanted = vec![Event::Delete { key, revision }];
    same("delete", &next(&mut watch).await?, &wanted)
}

async fn it_sees_its_prefix_only(store: SharedStore) -> Outcome {
    let mut watch = watch_on(&*store, "/a/").await?;
    let mixed = Commit::put("/b", vec![])
        .and_put("/a/1", vec![], None)
        .and_put("/ab", vec![], None);
    works("put", store.commit(Commit::put("/a", vec![])).await)?;
    works("put", store.commit(mixed).await)?;
    puts(&store, "/b", 400).await?;
    works("delete", store.commit(Commit::delete("/b")).await)?;
    works("put", store.commit(Commit::put("/a/2", vec![])).await)?;
    for wanted in ["/a/1", "/a/2"] {
        let batch = next(&mut watch).await?;
        let keys: Vec<&str> = batch.iter().map(key_of).collect();
        same("keys", &keys, &vec![wanted])?;
    }
    Ok(())
}

async fn watches_do_not_disturb_each_other(store: SharedStore) -> Outcome {
    let mut slow = watch_on(&*store, "/").await?;
    let dropped = watch_on(&*store, "/").await?;
    let mut quick = watch_on(&*store, "/").await?;
    drop(dropped);
    let revisions = puts(&store, "/k", 20).await?;
    for watch in [&mut quick, &mut slow] {
        for wanted in &revisions {
            same("revision", &revision_of(&next(watch).await?[0]), wanted)?;
        }
    }
    Ok(())
}

async fn dropping_next_loses_nothing(store: SharedStore) -> Outcome {
    const COMMITS: u32 = 200;
    let mut watch = watch_on(&*store, "/").await?;
    let writer = tokio::spawn({
        let store = store.clone();
        async move { puts(&store, "/k", COMMITS).await }
    });
    let mut seen = Vec::new();
    let mut dropped = 0_u32;
    while seen.len() < COMMITS as usize {
        // Dropped after the first poll, or after a moment: at every place where it can wait.
        let patience = Duration::from_micros(u64::from(dropped % 3) * 300);
        match tokio::time::timeout(patience, watch.next()).await {
            Ok(batch) => seen.extend(works("next", batch)?.iter().map(revision_of)),
            Err(_) => dropped += 1,
        }
    }
    let wanted = writer.await.map_err(|cause| cause.to_string())??;
    same("revisions", &seen, &wanted)
}

async fn compacted_history_is_told(store: SharedStore) -> Outcome {
    let revisions = puts(&store, "/k", 10).await?;
    works("compact", store.compact(revisions[6]).await)?;
    refused("an old watch", first_of(&store, revisions[2]).await, |it| {
        matches!(it, StoreError::Compacted { .. })
    })?;
    let Err(StoreError::Compacted { oldest }) = first_of(&store, revisions[2]).await else {
        return Err("compacted history came back".to_owned());
    };
    holds(oldest > revisions[2] && oldest <= revisions[6], || {
        format!("{oldest:?} is offered, {:?} was kept", revisions[6])
    })?;
    for from in [oldest, revisions[6]] {
        let first = works("a kept revision", first_of(&store, from).await)?;
        same("first", &revision_of(&first[0]), &from)?;
    }
    // Compacting the same again, or less, is no error and brings nothing back.
    works("compact", store.compact(revisions[3]).await)?;
    refused("an old watch", first_of(&store, revisions[4]).await, |it| {
        matches!(it, StoreError::Compacted { .. })
    })
}

async fn first_of(store: &SharedStore, from: Revision) -> Result<Vec<Event>, StoreError> {
    store.watch("/k", from).await?.next().await
}

async fn a_reader_behind_compaction_is_told_or_served_whole(store: SharedStore) -> Outcome {
    let mut watch = watch_on(&*store, "/").await?;
    let revisions = puts(&store, "/k", 10).await?;
    let last = revisions[9];
    works("compact", store.compact(last).await)?;
    for wanted in &revisions {
        match watch.next().await {
            // Events that were on their way already may still arrive, but none may be left out.
            Ok(batch) => same("revision", &revision_of(&batch[0]), wanted)?,
            Err(StoreError::Compacted { .. }) => return Ok(()),
            Err(other) => return Err(other.to_string()),
        }
    }
    Ok(())
}

async fn compaction_leaves_entries_alone(store: SharedStore) -> Outcome {
    puts(&store, "/k", 10).await?;
    let before = list(&*store, "/").await?;
    works("compact", store.compact(before.revision).await)?;
    same("the store", &list(&*store, "/").await?, &before)?;
    let mut watch = works("watch", store.watch("/", after(before.revision)).await)?;
    let revision = puts(&store, "/new", 1).await?[0];
    same("next", &revision_of(&next(&mut watch).await?[0]), &revision)
}
