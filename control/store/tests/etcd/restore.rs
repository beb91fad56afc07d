//! A snapshot is restored into a cluster of another id, or of the same: nothing is seen of it before a person has confirmed.

use crate::copying::{keys, meta};
use crate::members::{Members, is_here};
use crate::options;
use minato_config::Timestamp;
use minato_control::StoreState;
use minato_control_store::keys::Key;
use minato_control_store::{
    Commit, Compare, Etcd, EtcdOptions, Guard, Revision, Store, StoreError, make_fit,
};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

fn etcd(members: &Members) -> Arc<Etcd> {
    let options = EtcdOptions {
        voids: keys().voids(),
        attempt: Duration::from_secs(2),
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

/// What a process believed of the store of before: nothing goes through it, whatever it asks first, until it begins anew.
async fn restored_under_a_process(token: &str, words: &str) {
    if !is_here() {
        return;
    }
    let key = |n: u32| format!("{}drains/n{n}", keys().root());
    for first in ["commit", "list", "get", "keep alive", "nothing"] {
        let mut members = Members::start(1);
        let data = tempfile::tempdir().unwrap();
        let running = process(&members, data.path(), "node-1");
        list(&running).await.unwrap();
        make_fit(&running, &keys()).await.unwrap();
        list(&running).await.unwrap();
        let lease = running.grant(Duration::from_secs(60)).await.unwrap();
        let alive = Commit::default().and_put(key(0), b"{}".to_vec(), Some(lease));
        let created = running.commit(alive).await.unwrap();
        let from = Revision(created.0 + 1);
        let mut watch = running.watch(keys().root(), from).await.unwrap();
        members.snapshot();
        // Fewer than the memory of the disk notices by itself.
        for n in 1..4 {
            let put = Commit::put(key(n), b"{}".to_vec());
            running.commit(put).await.unwrap();
            watch.next().await.unwrap();
        }
        members.restore(0, token);

        // The key that fenced it is there, created by the same commit, under the same lease.
        let stale = Commit::put(key(9), b"{}".to_vec()).when(Compare::Created {
            key: key(0),
            revision: created,
        });
        match first {
            "commit" => drop(running.commit(stale.clone()).await.unwrap_err()),
            "list" => doubted(list(&running).await, words),
            "get" => drop(running.get(&key(0)).await.unwrap_err()),
            "keep alive" => drop(running.keep_alive(lease).await.unwrap_err()),
            _ => {}
        }
        let ended = tokio::time::timeout(Duration::from_secs(20), watch.next()).await;
        let ended = ended.unwrap().unwrap_err();
        assert!(
            matches!(
                ended,
                StoreError::Replaced { .. } | StoreError::Compacted { .. }
            ),
            "{first}: {ended}"
        );
        doubted(list(&running).await, words);
        doubted(running.commit(stale.clone()).await, words);
        assert!(running.keep_alive(lease).await.is_err(), "{first}");
        let own = etcd(&members);
        assert!(
            own.get(&key(9)).await.unwrap().is_none(),
            "{first}: written"
        );

        let other = tempfile::tempdir().unwrap();
        let stranger = process(&members, other.path(), "node-2");
        doubted(list(&stranger).await, "node-1 says since");
        stranger.confirm("alice").await.unwrap().unwrap();
        // One that has believed nothing of it goes on, the other begins anew.
        list(&stranger).await.unwrap();
        assert!(list(&running).await.is_err(), "{first}");
        let told = tokio::time::timeout(Duration::from_secs(5), running.renewed());
        told.await.unwrap_or_else(|_| panic!("{first}: not told"));
        assert!(running.commit(stale).await.is_err(), "{first}");
        assert!(
            own.get(&key(9)).await.unwrap().is_none(),
            "{first}: written"
        );
        let anew = process(&members, data.path(), "node-1");
        list(&anew).await.unwrap();
        let put = Commit::put(key(9), b"{}".to_vec());
        anew.commit(put).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_a_running_process_reaches_another_cluster() {
    restored_under_a_process("another", "it is etcd cluster ").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_a_running_process_reaches_a_store_that_went_back() {
    restored_under_a_process("etcd-cluster", "it is at revision ").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_slept_through_restore_and_confirmation_begins_anew() {
    if !is_here() {
        return;
    }
    let mut members = Members::start(1);
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let sleeper = process(&members, one.path(), "node-1");
    make_fit(&sleeper, &keys()).await.unwrap();
    let from = Revision(list(&sleeper).await.unwrap().0 + 1);
    let mut watch = sleeper.watch(keys().root(), from).await.unwrap();
    members.snapshot();
    let awake = process(&members, two.path(), "node-2");
    let put = |n: u32| Commit::put(format!("{}drains/n{n}", keys().root()), b"{}".to_vec());
    for n in 0..200 {
        awake.commit(put(n)).await.unwrap();
    }
    list(&awake).await.unwrap();
    members.restore(0, "etcd-cluster");
    doubted(list(&awake).await, "it is at revision ");
    awake.confirm("alice").await.unwrap().unwrap();
    let later = process(&members, two.path(), "node-2");
    list(&later).await.unwrap();
    for n in 0..300 {
        later.commit(put(n)).await.unwrap();
    }
    // By now it is ahead of all that the sleeper knew.
    while watch.next().await.is_ok() {}
    assert!(list(&sleeper).await.is_err());
    let told = tokio::time::timeout(Duration::from_secs(5), sleeper.renewed());
    told.await.unwrap();
    assert!(sleeper.commit(put(1)).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_cluster_is_listened_to_only_while_none_of_the_known_one_answers() {
    if !is_here() {
        return;
    }
    let (mut known, foreign) = (Members::start(1), Members::start(1));
    let both = [known.endpoints(), foreign.endpoints()].concat();
    let data = tempfile::tempdir().unwrap();
    let store = |endpoints: Vec<String>| {
        let options = EtcdOptions {
            voids: keys().voids(),
            endpoints,
            ..options(&known)
        };
        Arc::new(Etcd::new(options).unwrap())
    };
    // Whose it is shows at the first look.
    let alone = store(known.endpoints());
    let first = Guard::new(alone, keys(), data.path(), "one".to_owned(), || {
        Timestamp(5)
    });
    make_fit(&first, &keys()).await.unwrap();
    list(&first).await.unwrap();
    drop(first);
    let running = Guard::new(store(both), keys(), data.path(), "one".to_owned(), || {
        Timestamp(5)
    });
    // It may begin with either; the known one is found.
    let mut looks = 0;
    while list(&running).await.is_err() {
        looks += 1;
        assert!(looks < 30, "the known cluster is not found");
    }
    let put = |n: u32| Commit::put(format!("{}drains/n{n}", keys().root()), b"{}".to_vec());
    for n in 0..20 {
        running.commit(put(n)).await.unwrap();
    }
    known.kill(0);
    doubted(list(&running).await, "it is etcd cluster ");
    assert!(running.commit(put(21)).await.is_err());
    known.revive(0);
    known.wait();
    let mut looks = 0;
    let told = running.renewed();
    tokio::pin!(told);
    loop {
        let _ = list(&running).await;
        let soon = Duration::from_millis(10);
        if tokio::time::timeout(soon, &mut told).await.is_ok() {
            break;
        }
        looks += 1;
        assert!(looks < 100, "it stays with the foreign cluster");
    }
    let of_foreign = etcd(&foreign).list(keys().root()).await.unwrap();
    assert!(of_foreign.entries.is_empty(), "{of_foreign:?}");
}
