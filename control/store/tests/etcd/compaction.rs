//! History that is gone: who was away lists again and misses no delete.

use crate::members::{Members, is_here};
use crate::{options, store};
use minato_config::{ServiceName, SiteId};
use minato_control_store::keys::{Key, Keys};
use minato_control_store::{
    Commit, Etcd, EtcdOptions, Event, Revision, Store, StoreError, Touched, follow, read_world,
};
use std::sync::Arc;
use std::time::{Duration, Instant};

fn keys() -> Keys {
    Keys::new(&SiteId::parse("tokyo").unwrap())
}

fn intent(n: u32) -> String {
    let service = ServiceName::parse(&format!("s{n}")).unwrap();
    keys().text(&Key::Intent(service))
}

/// Follows one member alone, which dies; meanwhile the others delete and compact.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_was_cut_off_from_compacted_deletes_sees_what_a_list_sees() {
    if !is_here() {
        return;
    }
    let mut members = Members::start(3);
    let all = store(&members);
    let endpoints = vec![members.endpoints()[0].clone()];
    let one = Arc::new(
        Etcd::new(EtcdOptions {
            endpoints,
            ..options(&members)
        })
        .unwrap(),
    );
    for n in 0..10 {
        all.commit(Commit::put(intent(n), b"{\"v\":1}".into()))
            .await
            .unwrap();
    }
    let mut follower = follow(one.clone(), keys()).await.unwrap();
    assert_eq!(follower.observed().world.intents.len(), 10);
    members.kill(0);
    for n in 0..8 {
        all.commit(Commit::delete(intent(n))).await.unwrap();
    }
    let last = all
        .commit(Commit::put(intent(20), b"{\"v\":1}".into()))
        .await
        .unwrap();
    all.compact(last).await.unwrap();
    members.revive(0);
    members.wait();
    let touched = tokio::time::timeout(Duration::from_secs(20), follower.next()).await;
    assert_eq!(touched.expect("it goes on").unwrap(), Touched::Everything);
    let fresh = read_world(&*all, &keys()).await.unwrap();
    assert_eq!(follower.observed().world, fresh.world);
    assert_eq!(fresh.world.intents.len(), 3);
}

/// etcd drops the deletes of the very revision that it compacts at, and would let a watch begin there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_from_the_compacted_revision_itself_is_told_not_cheated() {
    if !is_here() {
        return;
    }
    let members = Members::start(1);
    let store = store(&members);
    store.commit(Commit::put("/a", vec![])).await.unwrap();
    let both = store
        .commit(Commit::put("/b", vec![]).and_delete("/a"))
        .await
        .unwrap();
    store.commit(Commit::put("/c", vec![])).await.unwrap();
    // By hand, as an operator or etcd itself does it; ours keeps that revision whole.
    members.etcdctl(&["compact", &both.0.to_string()]);
    let first = async |from| store.watch("/", from).await.unwrap().next().await;
    let oldest = match first(both).await {
        Err(StoreError::Compacted { oldest }) => oldest,
        other => panic!("{other:?}"),
    };
    assert_eq!(oldest, Revision(both.0 + 1));
    assert_eq!(first(oldest).await.unwrap()[0].key(), "/c");
    // The same through the trait.
    let both = store
        .commit(Commit::put("/d", vec![]).and_delete("/c"))
        .await
        .unwrap();
    store.compact(both).await.unwrap();
    let mut keys: Vec<String> = (first(both).await.unwrap().iter())
        .map(|it| it.key().to_owned())
        .collect();
    keys.sort();
    assert_eq!(keys, ["/c", "/d"]);
    store.compact(Revision(u64::from(u32::MAX))).await.unwrap();
}

/// The cluster is replaced by an empty one at the same place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_went_back_in_time_is_listed_again_once_its_owner_says_so() {
    if !is_here() {
        return;
    }
    let mut members = Members::start(1);
    let store = store(&members);
    for n in 0..30 {
        store
            .commit(Commit::put(intent(n), b"{\"v\":1}".into()))
            .await
            .unwrap();
    }
    let mut follower = follow(store.clone(), keys()).await.unwrap();
    assert_eq!(follower.observed().world.intents.len(), 30);
    members.kill(0);
    members.forget(0);
    members.wait();
    let began = Instant::now();
    while !matches!(store.get("/k").await, Err(StoreError::Replaced { .. })) {
        assert!(began.elapsed() < Duration::from_secs(30), "not noticed");
    }
    let late = store.commit(Commit::put("/late", vec![])).await;
    assert!(matches!(late, Err(StoreError::Replaced { .. })), "{late:?}");
    store.begin_anew().await;
    let touched = tokio::time::timeout(Duration::from_secs(30), follower.next()).await;
    assert_eq!(
        touched.expect("it is noticed").unwrap(),
        Touched::Everything
    );
    println!("noticed after {:.1?}", began.elapsed());
    assert!(follower.observed().revision < Revision(30));
    assert!(store.get("/late").await.unwrap().is_none());
}

/// More than one answer holds: pages of a list, fragments of a watch.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_and_many_values_come_whole() {
    if !is_here() {
        return;
    }
    let members = Members::start(1);
    let store = store(&members);
    let from = store.commit(Commit::put("/first", vec![])).await.unwrap();
    let mut watch = store.watch("/", Revision(from.0 + 1)).await.unwrap();
    let mut wanted = 1;
    for n in 0..40 {
        let large = Commit::put(format!("/large/{n}"), vec![n; 1 << 20]);
        store.commit(large).await.unwrap();
        wanted += 1;
    }
    for n in 0..30 {
        let many = (0..100).fold(Commit::default(), |it, m| {
            it.and_put(format!("/many/{n}/{m}"), vec![7; 10], None)
        });
        store.commit(many).await.unwrap();
        wanted += 100;
    }
    let began = Instant::now();
    let listing = store.list("/").await.unwrap();
    println!(
        "{} entries listed in {:.0?}",
        listing.entries.len(),
        began.elapsed()
    );
    assert_eq!(listing.entries.len(), wanted);
    assert!(listing.entries.is_sorted_by(|a, b| a.key < b.key));
    // A reader that begins late.
    let began = Instant::now();
    let (mut batches, mut events) = (0, 0);
    while events < wanted - 1 {
        let batch = tokio::time::timeout(Duration::from_secs(20), watch.next()).await;
        let batch = batch.expect("it goes on").unwrap();
        let one = batch.iter().all(|it| it.revision() == batch[0].revision());
        assert!(
            one && batch.len() == if batches < 40 { 1 } else { 100 },
            "{batches}"
        );
        if let Event::Put(entry) = &batch[0]
            && batches < 40
        {
            assert_eq!(entry.value.len(), 1 << 20);
        }
        events += batch.len();
        batches += 1;
    }
    println!("{events} events read in {:.0?}", began.elapsed());
    // The same from the past, on a new stream.
    let mut again = store.watch("/", Revision(from.0 + 1)).await.unwrap();
    for _ in 0..batches {
        let batch = tokio::time::timeout(Duration::from_secs(20), again.next()).await;
        batch.expect("it goes on").unwrap();
    }
}
