//! A snapshot is restored into a cluster of another id, or of the same: nothing is seen of it before a person has confirmed.

use crate::copying::{keys, meta};
use crate::members::{Members, is_here};
use crate::options;
use minato_config::Timestamp;
use minato_control::StoreState;
use minato_control_store::keys::Key;
use minato_control_store::{
    Commit, Etcd, EtcdOptions, Guard, Revision, Store, StoreError, make_fit,
};
use std::path::Path;
use std::sync::Arc;

fn etcd(members: &Members) -> Arc<Etcd> {
    let options = EtcdOptions {
        voids: keys().voids(),
        ..options(members)
    };
    Arc::new(Etcd::new(options).unwrap())
}

/// A process on a machine whose data folder is `data`.
fn process(members: &Members, data: &Path, who: &str) -> Guard {
    Guard::new(etcd(members), keys(), data, who.to_owned(), || Timestamp(5))
}

async fn list(guard: &Guard) -> Result<Revision, StoreError> {
    let listing = guard.list(keys().root()).await?;
    Ok(listing.revision)
}

#[track_caller]
fn doubted(answer: Result<Revision, StoreError>, words: &str) {
    match answer {
        Err(error @ StoreError::Unfit { .. }) => {
            let text = error.to_string();
            assert!(
                text.contains(words) && text.contains("minato store confirm"),
                "{text}"
            );
        }
        other => panic!("{words}: {other:?}"),
    }
}

async fn restored_into(token: &str, words: &str) {
    if !is_here() {
        return;
    }
    let mut members = Members::start(1);
    let (old, young) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let first = process(&members, old.path(), "node-1");
    make_fit(&first, &keys()).await.unwrap();
    let key = |n: u32| format!("{}drains/n{n}", keys().root());
    first
        .commit(Commit::put(key(0), b"{}".to_vec()))
        .await
        .unwrap();
    list(&first).await.unwrap();
    members.snapshot();
    for n in 1..200 {
        first
            .commit(Commit::put(key(n), b"{}".to_vec()))
            .await
            .unwrap();
    }
    list(&first).await.unwrap();
    drop(first);
    members.restore(0, token);

    // The machine that knew it.
    let again = process(&members, old.path(), "node-1");
    doubted(list(&again).await, words);
    let refused = again.commit(Commit::put(key(7), b"{}".to_vec())).await;
    doubted(refused, words);
    assert!(again.trouble().unwrap().contains(words));
    // One that never saw it hears of it.
    let stranger = process(&members, young.path(), "node-2");
    doubted(list(&stranger).await, "node-1 says since");
    let found = stranger.look().await.unwrap();
    let doubt = found.doubt.unwrap();
    assert_eq!((doubt.by.as_str(), doubt.since), ("node-1", Timestamp(5)));
    let own = etcd(&members);
    assert!(
        own.get(&key(7)).await.unwrap().is_none(),
        "written all the same"
    );
    assert!(matches!(
        meta(&*own).await.unwrap().state,
        StoreState::Doubted(_)
    ));
    // Nobody can lead meanwhile.
    assert!(matches!(
        make_fit(&again, &keys()).await,
        Err(StoreError::Unfit { .. })
    ));

    let confirmed = stranger.confirm("alice").await.unwrap().unwrap();
    assert_eq!((confirmed.era, confirmed.state), (1, StoreState::Serving));
    assert_eq!(confirmed.confirmed.unwrap().by, "alice");
    list(&stranger).await.unwrap();
    list(&again).await.unwrap();
    again
        .commit(Commit::put(key(7), b"{}".to_vec()))
        .await
        .unwrap();
    make_fit(&again, &keys()).await.unwrap();
    assert_eq!(again.confirm("bob").await.unwrap(), None);
    // And what comes after is as ever.
    drop(again);
    list(&process(&members, old.path(), "node-1"))
        .await
        .unwrap();
    let key = keys().text(&Key::Meta);
    assert!(own.get(&key).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_in_a_cluster_of_its_own_waits_for_a_person() {
    restored_into("another", "it is etcd cluster ").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_in_a_cluster_of_the_same_id_waits_for_a_person() {
    restored_into("etcd-cluster", "it is at revision ").await;
}
