//! A member that is frozen or dead is left for another; what lasts goes on.

use crate::members::{Members, is_here};
use crate::{options, store};
use minato_control_store::{Commit, Etcd, EtcdOptions, Revision, Store, StoreError, Watch};
use std::time::{Duration, Instant};

/// A frozen member costs one attempt of 500 ms; if it led, an election of 100 to 200 ms as well.
const SOON: Duration = Duration::from_secs(4);

/// One of everything, and that the watch sees it.
async fn works(store: &Etcd, watch: &mut Box<dyn Watch>, what: &str) {
    let began = Instant::now();
    let revision = store
        .commit(Commit::put("/k", what.into()))
        .await
        .unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(
        store.get("/k").await.unwrap().unwrap().value,
        what.as_bytes()
    );
    assert_eq!(store.list("/").await.unwrap().entries.len(), 1, "{what}");
    let took = began.elapsed();
    assert!(took < SOON, "{what}: {took:?}");
    let batch = tokio::time::timeout(Duration::from_secs(10), watch.next()).await;
    let batch = batch
        .unwrap_or_else(|_| panic!("{what}: no event"))
        .unwrap();
    assert_eq!(batch[0].revision(), revision, "{what}");
    eprintln!("{what}: calls {took:.0?}, event {:.0?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_member_is_left_and_a_dead_one() {
    if !is_here() {
        return;
    }
    let mut members = Members::start(3);
    let store = store(&members);
    let mut watch = store.watch("/", Revision(1)).await.unwrap();
    works(&store, &mut watch, "all members").await;
    for index in [0, 1, 2, members.leader()] {
        members.freeze(index);
        works(&store, &mut watch, &format!("member {index} frozen")).await;
        members.thaw(index);
        works(&store, &mut watch, &format!("member {index} thawed")).await;
        members.wait();
    }
    for index in 0..3 {
        members.kill(index);
        works(&store, &mut watch, &format!("member {index} killed")).await;
        members.revive(index);
        members.wait();
    }
    works(&store, &mut watch, "all members again").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_that_is_kept_alive_outlives_every_frozen_member() {
    if !is_here() {
        return;
    }
    let members = Members::start(3);
    let store = store(&members);
    let lease = store.grant(Duration::from_secs(4)).await.unwrap();
    let put = Commit::default().and_put("/alive", vec![], Some(lease));
    store.commit(put).await.unwrap();
    for index in [members.leader(), 0, 1, 2] {
        members.freeze(index);
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(1500) {
            store.keep_alive(lease).await.unwrap();
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        members.thaw(index);
    }
    assert!(store.get("/alive").await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_majority_calls_say_so_in_time_and_work_again_by_themselves() {
    if !is_here() {
        return;
    }
    let members = Members::start(3);
    let options = EtcdOptions {
        patience: Duration::from_secs(2),
        ..options(&members)
    };
    let store = Etcd::new(options).unwrap();
    let mut watch = store.watch("/", Revision(1)).await.unwrap();
    works(&store, &mut watch, "all members").await;
    members.freeze(0);
    members.freeze(1);
    for _ in 0..2 {
        let began = Instant::now();
        let error = store.commit(Commit::put("/k", b"lost".into())).await;
        let Err(StoreError::Unreachable { .. }) = error else {
            panic!("{error:?}")
        };
        let text = error.unwrap_err().to_string();
        for part in ["etcd http://127.0.0.1:", "majority", "tries again"] {
            assert!(text.contains(part), "{text}");
        }
        assert_eq!(store.trouble(), Some(text));
        // What is in doubt is read back, which takes as long as a call.
        assert!(
            began.elapsed() < Duration::from_secs(7),
            "{:?}",
            began.elapsed()
        );
        assert!(store.get("/k").await.is_err());
    }
    members.thaw(0);
    members.thaw(1);
    let began = Instant::now();
    while let Err(error) = store.commit(Commit::put("/k", b"again".into())).await {
        assert!(began.elapsed() < Duration::from_secs(10), "{error}");
    }
    assert_eq!(store.trouble(), None);
    // Whatever became of those in doubt, they came before.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(store.get("/k").await.unwrap().unwrap().value, b"again");
    loop {
        let batch = tokio::time::timeout(Duration::from_secs(10), watch.next()).await;
        let batch = batch.expect("the watch goes on").unwrap();
        if store.get("/k").await.unwrap().unwrap().modified == batch[0].revision() {
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_is_none_and_a_server_that_is_no_etcd_are_named() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("http://{}", nobody.local_addr().unwrap());
    let closed = "http://127.0.0.1:1".to_owned();
    for endpoint in [silent, closed] {
        let store = Etcd::new(EtcdOptions {
            attempt: Duration::from_millis(100),
            patience: Duration::from_millis(300),
            ..EtcdOptions::new(vec![endpoint.clone()], "void/")
        })
        .unwrap();
        let error = store.get("/k").await.unwrap_err().to_string();
        assert!(
            error.contains(&endpoint) && error.contains("check"),
            "{error}"
        );
    }
    drop(nobody);
}
