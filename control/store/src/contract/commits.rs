//! Puts, deletes, lists and the bounds of a commit.

use super::{Outcome, get, holds, is_invalid, list, present, promises, refused, same, works};
use crate::{
    Commit, Compare, MAX_COMMIT_BYTES, MAX_COMPARES, MAX_KEY_BYTES, MAX_VALUE_BYTES, MAX_WRITES,
    Revision, SharedStore, StoreError, Write,
};

promises![
    a_put_is_read_back,
    a_value_is_any_bytes,
    a_list_is_sorted_and_keeps_to_its_prefix,
    a_commit_is_one_revision_for_all_its_keys,
    a_delete_removes_and_a_new_put_creates_again,
    deleting_nothing_changes_nothing,
    a_commit_without_writes_only_compares,
    revisions_rise_strictly_over_many_writers,
    a_commit_outside_the_bounds_is_invalid_and_leaves_nothing,
    a_commit_at_the_bounds_works,
];

async fn a_put_is_read_back(store: SharedStore) -> Outcome {
    same("before", &get(&*store, "/k").await?, &None)?;
    let first = works("put", store.commit(Commit::put("/k", b"1".into())).await)?;
    let entry = present(&*store, "/k").await?;
    same("value", &entry.value, &b"1".to_vec())?;
    same("created", &entry.created, &first)?;
    same("modified", &entry.modified, &first)?;
    same("lease", &entry.lease, &None)?;
    let second = works("put", store.commit(Commit::put("/k", b"2".into())).await)?;
    let entry = present(&*store, "/k").await?;
    same("value", &entry.value, &b"2".to_vec())?;
    same("created", &entry.created, &first)?;
    same("modified", &entry.modified, &second)
}

async fn a_value_is_any_bytes(store: SharedStore) -> Outcome {
    for value in [vec![], (0..=255).collect::<Vec<u8>>(), vec![0; 1000]] {
        works("put", store.commit(Commit::put("/k", value.clone())).await)?;
        same("value", &present(&*store, "/k").await?.value, &value)?;
    }
    Ok(())
}

async fn a_list_is_sorted_and_keeps_to_its_prefix(store: SharedStore) -> Outcome {
    let keys = ["/b", "/a/10", "/a/é", "/a/2", "/a", "/ab", "/a0", "/a/"];
    let mut last = Revision(0);
    for key in keys {
        last = works("put", store.commit(Commit::put(key, key.into())).await)?;
    }
    for (prefix, wanted) in [
        ("/a/", vec!["/a/", "/a/10", "/a/2", "/a/é"]),
        (
            "/a",
            vec!["/a", "/a/", "/a/10", "/a/2", "/a/é", "/a0", "/ab"],
        ),
        ("/c", vec![]),
        ("/b", vec!["/b"]),
    ] {
        let found = list(&*store, prefix).await?;
        let keys: Vec<&str> = found.entries.iter().map(|it| it.key.as_str()).collect();
        same(prefix, &keys, &wanted)?;
        same("revision", &found.revision, &last)?;
        let own = found.entries.iter().all(|it| it.value == it.key.as_bytes());
        holds(own, || "a value of another key".to_owned())?;
    }
    Ok(())
}

async fn a_commit_is_one_revision_for_all_its_keys(store: SharedStore) -> Outcome {
    works("put", store.commit(Commit::put("/b", vec![])).await)?;
    let commit = Commit::put("/a", vec![])
        .and_delete("/b")
        .and_put("/c", vec![], None);
    let revision = works("commit", store.commit(commit).await)?;
    let found = list(&*store, "/").await?;
    let keys: Vec<(&str, Revision)> = (found.entries.iter())
        .map(|it| (it.key.as_str(), it.modified))
        .collect();
    same("entries", &keys, &vec![("/a", revision), ("/c", revision)])?;
    same("revision", &found.revision, &revision)
}

async fn a_delete_removes_and_a_new_put_creates_again(store: SharedStore) -> Outcome {
    let first = works("put", store.commit(Commit::put("/k", vec![])).await)?;
    let gone = works("delete", store.commit(Commit::delete("/k")).await)?;
    holds(gone > first, || format!("{gone:?} after {first:?}"))?;
    same("deleted", &get(&*store, "/k").await?, &None)?;
    let again = works("put", store.commit(Commit::put("/k", vec![])).await)?;
    same("created", &present(&*store, "/k").await?.created, &again)
}

async fn deleting_nothing_changes_nothing(store: SharedStore) -> Outcome {
    let put = works("put", store.commit(Commit::put("/k", vec![])).await)?;
    let answer = works("delete", store.commit(Commit::delete("/other")).await)?;
    same("revision", &answer, &put)?;
    same("revision", &list(&*store, "/").await?.revision, &put)
}

async fn a_commit_without_writes_only_compares(store: SharedStore) -> Outcome {
    let put = works("put", store.commit(Commit::put("/k", vec![])).await)?;
    let absent = |key: &str| {
        Commit::default().when(Compare::Absent {
            key: key.to_owned(),
        })
    };
    let answer = works("compare", store.commit(absent("/other")).await)?;
    same("revision", &answer, &put)?;
    refused(
        "compare",
        store.commit(absent("/k")).await,
        super::is_conflict,
    )?;
    same("revision", &list(&*store, "/").await?.revision, &put)
}

async fn revisions_rise_strictly_over_many_writers(store: SharedStore) -> Outcome {
    const WRITERS: usize = 8;
    const EACH: usize = 25;
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let store = store.clone();
        writers.spawn(async move {
            let mut seen = Vec::new();
            for _ in 0..EACH {
                let put = Commit::put(format!("/k{writer}"), vec![]);
                seen.push(works("put", store.commit(put).await)?);
            }
            holds(seen.is_sorted_by(|a, b| a < b), || {
                format!("one writer saw {seen:?}")
            })?;
            Ok::<_, String>(seen)
        });
    }
    let mut all = Vec::new();
    for seen in writers.join_all().await {
        all.extend(seen?);
    }
    all.sort();
    all.dedup();
    same("different revisions", &all.len(), &(WRITERS * EACH))
}

async fn a_commit_outside_the_bounds_is_invalid_and_leaves_nothing(store: SharedStore) -> Outcome {
    let before = list(&*store, "/").await?;
    let many = |count| {
        (0..count).fold(Commit::default(), |it, n| {
            it.and_put(format!("/{n}"), vec![], None)
        })
    };
    let compares = (0..=MAX_COMPARES).fold(Commit::put("/k", vec![]), |it, n| {
        it.when(Compare::Absent {
            key: format!("/{n}"),
        })
    });
    let big = (0..=MAX_COMMIT_BYTES / MAX_VALUE_BYTES).fold(Commit::default(), |it, n| {
        it.and_put(format!("/{n}"), vec![0; MAX_VALUE_BYTES], None)
    });
    for (what, commit) in [
        ("too many writes", many(MAX_WRITES + 1)),
        ("too many comparisons", compares),
        (
            "a key twice",
            Commit::put("/k", vec![]).and_put("/k", vec![], None),
        ),
        (
            "put and deleted",
            Commit::put("/k", vec![]).and_delete("/k"),
        ),
        ("an empty key", Commit::put("", vec![])),
        (
            "a long key",
            Commit::put("k".repeat(MAX_KEY_BYTES + 1), vec![]),
        ),
        (
            "a long value",
            Commit::put("/k", vec![0; MAX_VALUE_BYTES + 1]),
        ),
        ("too much in all", big),
    ] {
        refused(what, store.commit(commit).await, is_invalid)?;
    }
    same("the store", &list(&*store, "/").await?, &before)
}

async fn a_commit_at_the_bounds_works(store: SharedStore) -> Outcome {
    let key = format!("/{}", "k".repeat(MAX_KEY_BYTES - 1));
    let value = vec![7; MAX_VALUE_BYTES];
    works("put", store.commit(Commit::put(&*key, value.clone())).await)?;
    let found = present(&*store, &key).await?.value;
    holds(found == value, || "another value".to_owned())?;
    let many = (0..MAX_WRITES).fold(Commit::default(), |it, n| {
        it.and_put(format!("/many/{n}"), vec![], None)
    });
    // Every bound at once.
    let long = |n: usize| format!("/{n}/{}", "k".repeat(MAX_KEY_BYTES - 5));
    let compared = (0..MAX_COMPARES).fold(many, |it, n| it.when(Compare::Absent { key: long(n) }));
    let keys: usize = (compared.write.iter()).map(|it| it.key().len()).sum();
    let rest = (MAX_COMMIT_BYTES - keys) / MAX_WRITES;
    let full = Commit {
        write: (compared.write.into_iter())
            .map(|it| Write::Put {
                key: it.key().to_owned(),
                value: vec![7; rest],
                lease: None,
            })
            .collect(),
        compare: compared.compare,
    };
    works("many", store.commit(full.clone()).await)?;
    let found = list(&*store, "/many/").await?.entries;
    same("entries", &found.len(), &MAX_WRITES)?;
    let whole = found.iter().all(|it| it.value.len() == rest);
    holds(whole, || "a value of another length".to_owned())?;
    // The last of many comparisons is as good as the first.
    let last = long(MAX_COMPARES - 1);
    works("put", store.commit(Commit::put(&*last, vec![])).await)?;
    match store.commit(full).await {
        Err(StoreError::Conflict { key }) => same("the key", &key, &last),
        other => Err(format!("should be a conflict, got {other:?}")),
    }
}
