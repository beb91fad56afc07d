//! Comparisons: all must hold, or nothing happens.

use super::{Outcome, after, is_conflict, list, present, promises, refused, same, works};
use crate::{Commit, Compare, Revision, SharedStore};

promises![
    modified_holds_for_the_last_write_only,
    created_holds_until_the_key_is_deleted,
    absent_holds_for_a_missing_key_only,
    one_that_fails_leaves_nothing,
    counting_by_comparison_loses_no_step,
    of_many_that_create_one_key_one_wins,
];

fn modified(key: &str, revision: Revision) -> Compare {
    let key = key.to_owned();
    Compare::Modified { key, revision }
}

fn created(key: &str, revision: Revision) -> Compare {
    let key = key.to_owned();
    Compare::Created { key, revision }
}

fn absent(key: &str) -> Compare {
    let key = key.to_owned();
    Compare::Absent { key }
}

async fn put(store: &SharedStore, key: &str, compare: Option<Compare>) -> Result<Revision, String> {
    let commit = Commit::put(key, vec![]);
    let commit = match compare {
        Some(compare) => commit.when(compare),
        None => commit,
    };
    works("put", store.commit(commit).await)
}

async fn conflict(store: &SharedStore, what: &str, compare: Compare) -> Outcome {
    let commit = Commit::put("/written", vec![]).when(compare);
    refused(what, store.commit(commit).await, is_conflict)?;
    same("written", &super::get(&**store, "/written").await?, &None)
}

async fn modified_holds_for_the_last_write_only(store: SharedStore) -> Outcome {
    conflict(&store, "missing, as 0", modified("/k", Revision(0))).await?;
    let first = put(&store, "/k", None).await?;
    let second = put(&store, "/k", Some(modified("/k", first))).await?;
    conflict(&store, "an older write", modified("/k", first)).await?;
    conflict(&store, "a write to come", modified("/k", after(second))).await?;
    put(&store, "/other", Some(modified("/k", second))).await?;
    works("delete", store.commit(Commit::delete("/k")).await)?;
    conflict(&store, "deleted", modified("/k", second)).await
}

async fn created_holds_until_the_key_is_deleted(store: SharedStore) -> Outcome {
    conflict(&store, "missing, as 0", created("/k", Revision(0))).await?;
    let first = put(&store, "/k", None).await?;
    let second = put(&store, "/k", Some(created("/k", first))).await?;
    put(&store, "/other", Some(created("/k", first))).await?;
    conflict(&store, "a later write", created("/k", second)).await?;
    works("delete", store.commit(Commit::delete("/k")).await)?;
    conflict(&store, "deleted", created("/k", first)).await?;
    put(&store, "/k", None).await?;
    conflict(&store, "created again", created("/k", first)).await
}

async fn absent_holds_for_a_missing_key_only(store: SharedStore) -> Outcome {
    put(&store, "/k", Some(absent("/k"))).await?;
    conflict(&store, "present", absent("/k")).await?;
    works("delete", store.commit(Commit::delete("/k")).await)?;
    put(&store, "/k", Some(absent("/k"))).await.map(drop)
}

async fn one_that_fails_leaves_nothing(store: SharedStore) -> Outcome {
    let first = put(&store, "/a", None).await?;
    let before = list(&*store, "/").await?;
    let commit = Commit::put("/a", b"new".into())
        .and_put("/b", vec![], None)
        .and_delete("/a2")
        .when(modified("/a", first))
        .when(absent("/b"))
        .when(created("/a", after(first)));
    refused("commit", store.commit(commit).await, is_conflict)?;
    same("the store", &list(&*store, "/").await?, &before)
}

async fn counting_by_comparison_loses_no_step(store: SharedStore) -> Outcome {
    const WRITERS: usize = 4;
    const EACH: usize = 20;
    works("put", store.commit(Commit::put("/n", b"0".into())).await)?;
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..WRITERS {
        let store = store.clone();
        writers.spawn(async move {
            let mut done = 0;
            while done < EACH {
                let entry = present(&*store, "/n").await?;
                let text = String::from_utf8_lossy(&entry.value).into_owned();
                let count: usize = text.parse().map_err(|_| format!("`{text}` is no count"))?;
                let next = Commit::put("/n", (count + 1).to_string().into())
                    .when(modified("/n", entry.modified));
                match store.commit(next).await {
                    Ok(_) => done += 1,
                    Err(error) if is_conflict(&error) => {}
                    Err(error) => return Err(error.to_string()),
                }
            }
            Ok(())
        });
    }
    writers.join_all().await.into_iter().collect::<Outcome>()?;
    let found = present(&*store, "/n").await?.value;
    same("count", &found, &(WRITERS * EACH).to_string().into_bytes())
}

async fn of_many_that_create_one_key_one_wins(store: SharedStore) -> Outcome {
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..16_u8 {
        let store = store.clone();
        writers.spawn(async move {
            let commit = Commit::put("/leader", vec![writer]).when(absent("/leader"));
            (writer, store.commit(commit).await)
        });
    }
    let mut winners = Vec::new();
    for (writer, result) in writers.join_all().await {
        match result {
            Ok(_) => winners.push(writer),
            Err(error) if is_conflict(&error) => {}
            Err(error) => return Err(error.to_string()),
        }
    }
    same(
        "winners",
        &winners,
        &present(&*store, "/leader").await?.value,
    )
}
