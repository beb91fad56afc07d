//! A site moves from a file to etcd and back.

use crate::copying::{copy, keys, meta};
use crate::members::{Members, is_here};
use crate::options;
use minato_control::StoreState;
use minato_control_store::keys::Key;
use minato_control_store::{Commit, Embedded, Etcd, EtcdOptions, Options, Store, make_fit};
use std::time::{Duration, Instant};

async fn contents(store: &dyn Store) -> Vec<(String, Vec<u8>)> {
    let listing = store.list(keys().root()).await.unwrap();
    let own = keys().text(&Key::Meta);
    let entries = listing.entries.into_iter();
    entries
        .filter(|it| it.lease.is_none() && it.key != own)
        .map(|it| (it.key, it.value))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_a_file_to_etcd_and_back() {
    if !is_here() {
        return;
    }
    let members = Members::start(3);
    let folder = tempfile::tempdir().unwrap();
    let file = Embedded::open(folder.path(), Options::default()).unwrap();
    let etcd = Etcd::new(EtcdOptions {
        voids: keys().voids(),
        // Nothing fails here, and what is sent is large.
        attempt: Duration::from_secs(5),
        patience: Duration::from_secs(30),
        ..options(&members)
    })
    .unwrap();
    make_fit(&file, &keys()).await.unwrap();
    for n in 0..50 {
        let many = (0..100).fold(Commit::default(), |it, m| {
            it.and_put(
                format!("{}services/s{n}-{m}", keys().root()),
                vec![n; 200],
                None,
            )
        });
        file.commit(many).await.unwrap();
    }
    for n in 0..5 {
        let large = format!("{}intents/s{n}", keys().root());
        file.commit(Commit::put(large, vec![n; 1 << 20]))
            .await
            .unwrap();
    }
    let lease = file.grant(Duration::from_secs(60)).await.unwrap();
    let alive = format!("{}gateways/g/alive", keys().root());
    let put = Commit::default().and_put(&alive, vec![], Some(lease));
    file.commit(put).await.unwrap();

    let began = Instant::now();
    let copied = copy(&file, &etcd).await.unwrap();
    println!("{copied:?} in {:.1?}", began.elapsed());
    assert_eq!((copied.keys, copied.changes, copied.era), (5_005, 5_005, 1));
    assert_eq!(contents(&etcd).await, contents(&file).await);
    assert!(etcd.get(&alive).await.unwrap().is_none(), "on a lease");
    let (left, serving) = (meta(&file).await.unwrap(), meta(&etcd).await.unwrap());
    let at = "there".to_owned();
    let to = serving.store_id.clone();
    assert_eq!((left.era, left.state), (0, StoreState::Left { to, at }));
    assert_eq!((serving.era, serving.state), (1, StoreState::Serving));
    assert!(make_fit(&file, &keys()).await.is_err());
    make_fit(&etcd, &keys()).await.unwrap();

    // Not a second time: what has been left is old by now.
    etcd.commit(Commit::delete(format!("{}intents/s0", keys().root())))
        .await
        .unwrap();
    let again = copy(&file, &etcd).await.unwrap();
    assert_eq!((again.keys, again.changes, again.era), (5_004, 0, 1));
    file.revoke(lease).await.unwrap();
    let copied = copy(&etcd, &file).await.unwrap();
    assert_eq!((copied.keys, copied.changes, copied.era), (5_004, 1, 2));
    assert_eq!(contents(&etcd).await, contents(&file).await);
    let copied = copy(&file, &etcd).await.unwrap();
    assert_eq!((copied.changes, copied.era), (0, 3));
}
