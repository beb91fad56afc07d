//! Leases: their keys vanish with them, and only then.

use super::{
    Outcome, get, holds, is_lease_gone, key_of, list, next, present, promises, refused,
    revision_of, same, watch_on, works,
};
use crate::{Commit, Event, LeaseId, SharedStore};
use std::collections::BTreeSet;
use std::time::Duration;

/// The shortest lease that every backend grants.
const TTL: Duration = Duration::from_secs(1);
/// A lease that does not end by itself in a case.
const LONG: Duration = Duration::from_secs(600);

promises![
    an_ended_lease_takes_its_keys_in_one_commit,
    an_ended_lease_is_gone_for_good,
    keeping_alive_keeps_and_stopping_ends,
    revoking_deletes_at_once,
    a_key_moved_to_another_lease_outlives_the_first,
    a_key_written_without_a_lease_is_set_free,
    a_key_deleted_and_made_again_is_free,
    a_commit_on_an_unknown_lease_leaves_nothing,
    lease_ids_are_never_given_twice,
];

async fn put(store: &SharedStore, key: &str, lease: Option<LeaseId>) -> Outcome {
    let commit = Commit::default().and_put(key, vec![], lease);
    works("put", store.commit(commit).await).map(drop)
}

async fn grant(store: &SharedStore, ttl: Duration) -> Result<LeaseId, String> {
    works("grant", store.grant(ttl).await)
}

async fn an_ended_lease_takes_its_keys_in_one_commit(store: SharedStore) -> Outcome {
    let lease = grant(&store, TTL).await?;
    put(&store, "/stays", None).await?;
    for key in ["/a", "/b", "/c"] {
        put(&store, key, Some(lease)).await?;
    }
    same("lease", &present(&*store, "/a").await?.lease, &Some(lease))?;
    let mut watch = watch_on(&*store, "/").await?;
    let batch = next(&mut watch).await?;
    let mut keys: Vec<&str> = batch.iter().map(key_of).collect();
    keys.sort_unstable();
    same("deleted", &keys, &vec!["/a", "/b", "/c"])?;
    let revision = revision_of(&batch[0]);
    let one =
        (batch.iter()).all(|it| matches!(it, Event::Delete { .. }) && revision_of(it) == revision);
    holds(one, || format!("not deletes of one commit: {batch:?}"))?;
    let left = list(&*store, "/").await?;
    same("left", &left.entries.len(), &1)?;
    same("revision", &left.revision, &revision)
}

async fn an_ended_lease_is_gone_for_good(store: SharedStore) -> Outcome {
    let lease = grant(&store, TTL).await?;
    put(&store, "/k", Some(lease)).await?;
    let mut watch = watch_on(&*store, "/").await?;
    next(&mut watch).await?;
    refused("keep_alive", store.keep_alive(lease).await, is_lease_gone)?;
    refused("revoke", store.revoke(lease).await, is_lease_gone)?;
    let commit = Commit::default().and_put("/k", vec![], Some(lease));
    refused("put", store.commit(commit).await, is_lease_gone)?;
    same("the key", &get(&*store, "/k").await?, &None)
}

async fn keeping_alive_keeps_and_stopping_ends(store: SharedStore) -> Outcome {
    let lease = grant(&store, TTL).await?;
    put(&store, "/k", Some(lease)).await?;
    let mut watch = watch_on(&*store, "/").await?;
    let keep = async {
        let mut pace = tokio::time::interval(TTL / 5);
        for _ in 0..15 {
            pace.tick().await;
            works("keep_alive", store.keep_alive(lease).await)?;
        }
        Ok::<(), String>(())
    };
    tokio::select! {
        kept = keep => kept?,
        batch = watch.next() => return Err(format!("gone while it was kept alive: {batch:?}")),
    }
    present(&*store, "/k").await?;
    same("deleted", &key_of(&next(&mut watch).await?[0]), &"/k")
}

async fn revoking_deletes_at_once(store: SharedStore) -> Outcome {
    let lease = grant(&store, LONG).await?;
    let other = grant(&store, LONG).await?;
    put(&store, "/a", Some(lease)).await?;
    put(&store, "/b", Some(other)).await?;
    let mut watch = watch_on(&*store, "/").await?;
    works("revoke", store.revoke(lease).await)?;
    same("deleted", &get(&*store, "/a").await?, &None)?;
    present(&*store, "/b").await?;
    same("event", &key_of(&next(&mut watch).await?[0]), &"/a")?;
    refused("keep_alive", store.keep_alive(lease).await, is_lease_gone)?;
    works("keep_alive", store.keep_alive(other).await)
}

async fn a_key_moved_to_another_lease_outlives_the_first(store: SharedStore) -> Outcome {
    let first = grant(&store, LONG).await?;
    let second = grant(&store, LONG).await?;
    put(&store, "/k", Some(first)).await?;
    put(&store, "/k", Some(second)).await?;
    works("revoke", store.revoke(first).await)?;
    same("lease", &present(&*store, "/k").await?.lease, &Some(second))?;
    works("revoke", store.revoke(second).await)?;
    same("the key", &get(&*store, "/k").await?, &None)
}

async fn a_key_written_without_a_lease_is_set_free(store: SharedStore) -> Outcome {
    let lease = grant(&store, LONG).await?;
    put(&store, "/k", Some(lease)).await?;
    put(&store, "/k", None).await?;
    works("revoke", store.revoke(lease).await)?;
    same("lease", &present(&*store, "/k").await?.lease, &None)
}

async fn a_key_deleted_and_made_again_is_free(store: SharedStore) -> Outcome {
    let lease = grant(&store, LONG).await?;
    put(&store, "/k", Some(lease)).await?;
    works("delete", store.commit(Commit::delete("/k")).await)?;
    put(&store, "/k", None).await?;
    works("revoke", store.revoke(lease).await)?;
    present(&*store, "/k").await.map(drop)
}

async fn a_commit_on_an_unknown_lease_leaves_nothing(store: SharedStore) -> Outcome {
    let known = grant(&store, LONG).await?;
    let unknown = LeaseId(known.0.wrapping_add(1000));
    let before = list(&*store, "/").await?;
    let commit = Commit::put("/a", vec![]).and_put("/b", vec![], Some(unknown));
    refused("commit", store.commit(commit).await, is_lease_gone)?;
    same("the store", &list(&*store, "/").await?, &before)
}

async fn lease_ids_are_never_given_twice(store: SharedStore) -> Outcome {
    let mut seen = BTreeSet::new();
    for n in 0..20 {
        let lease = grant(&store, LONG).await?;
        holds(seen.insert(lease), || format!("{lease:?} came twice"))?;
        if n % 2 == 0 {
            works("revoke", store.revoke(lease).await)?;
        }
    }
    Ok(())
}
