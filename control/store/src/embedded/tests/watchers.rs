//! Many watchers, slow watchers, and a short history.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_watchers_see_every_commit() {
    const WATCHERS: usize = 1000;
    const COMMITS: u64 = 50;
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut watchers = tokio::task::JoinSet::new();
    for _ in 0..WATCHERS {
        let mut watch = store.watch("/k", Revision(1)).await.unwrap();
        watchers.spawn(async move {
            for wanted in 1..=COMMITS {
                let batch = watch.next().await.unwrap();
                assert!(matches!(&batch[..], [crate::Event::Put(it)] if it.modified.0 == wanted));
            }
        });
    }
    for n in 0..COMMITS {
        put(&store, "/k", &n.to_string()).await;
    }
    assert_eq!(watchers.join_all().await.len(), WATCHERS);
}

#[tokio::test]
async fn history_keeps_to_its_commits() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        history_commits: 5,
        ..Options::default()
    };
    let store = Embedded::open(folder.path(), options).unwrap();
    let mut slow = store.watch("/", Revision(1)).await.unwrap();
    for n in 0..20 {
        put(&store, "/k", &n.to_string()).await;
    }
    let oldest = Revision(16);
    let behind = slow.next().await.unwrap_err();
    assert!(
        matches!(behind, StoreError::Compacted { oldest: it } if it == oldest),
        "{behind}"
    );
    let mut watch = store.watch("/", oldest).await.unwrap();
    for wanted in 16..=20 {
        let batch = watch.next().await.unwrap();
        assert!(matches!(&batch[..], [crate::Event::Put(it)] if it.modified.0 == wanted));
    }
    let before = seen(&store).await;
    drop(store);
    let store = Embedded::open(folder.path(), options).unwrap();
    assert_eq!(seen(&store).await, before);
}

#[tokio::test]
async fn history_keeps_to_its_bytes_and_always_has_the_last_commit() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        history_bytes: 10_000,
        ..Options::default()
    };
    let store = Embedded::open(folder.path(), options).unwrap();
    for (size, kept) in [(1000, 9), (4000, 2), (9_000, 1), (100_000, 1)] {
        for _ in 0..12 {
            store
                .commit(Commit::put("/k", vec![1; size]))
                .await
                .unwrap();
        }
        let commits = store.shared.state().history.commits.len();
        assert_eq!(commits, kept, "of {size} bytes each");
    }
}

#[tokio::test]
async fn waiting_commits_share_a_write_and_are_answered_one_by_one() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let create = || {
        let key = "/k".to_owned();
        store.commit(Commit::put("/k", vec![]).when(crate::Compare::Absent { key }))
    };
    let other = store.commit(Commit::put("/other", vec![]));
    let (first, second, other) = tokio::join!(create(), create(), other);
    assert_eq!(first.unwrap(), Revision(1));
    assert!(matches!(second, Err(StoreError::Conflict { key }) if key == "/k"));
    assert_eq!(other.unwrap(), Revision(2));
    let sequence = store.shared.state().sequence;
    assert!(sequence <= 2, "{sequence} durable writes for three commits");
}
