//! A follower's world equals a fresh list, whatever the store went through.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests, outside their functions"
)]

use async_trait::async_trait;
use minato_config::{GatewayId, NodeId, ServiceName, SiteId, SlotIndex};
use minato_control_store::keys::{Key, Keys};
use minato_control_store::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

fn keys() -> Keys {
    Keys::new(&SiteId::parse("tokyo").unwrap())
}

fn service(n: u32) -> ServiceName {
    ServiceName::parse(&format!("s{n}")).unwrap()
}

async fn put(store: &dyn Store, key: Key, value: &str) {
    let commit = Commit::put(keys().text(&key), value.into());
    store.commit(commit).await.unwrap();
}

async fn intent(store: &dyn Store, n: u32, replicas: u32) {
    let value = format!("{{\"v\":1,\"replicas\":{replicas}}}");
    put(store, Key::Intent(service(n)), &value).await;
}

async fn delete(store: &dyn Store, n: u32) {
    let key = keys().text(&Key::Intent(service(n)));
    store.commit(Commit::delete(key)).await.unwrap();
}

/// Follows until the world is what a list says.
async fn catch_up(follower: &mut Follower, store: &dyn Store) {
    let wanted = read_world(store, &keys()).await.unwrap();
    while follower.observed().revision < wanted.revision {
        follower.next().await.unwrap();
    }
    assert_eq!(follower.observed().world, wanted.world);
}

fn embedded(folder: &tempfile::TempDir, history_commits: usize) -> Arc<Embedded> {
    let options = Options {
        history_commits,
        ..Options::default()
    };
    Arc::new(Embedded::open(folder.path(), options).unwrap())
}

#[tokio::test]
async fn it_begins_with_a_list_and_tells_what_each_commit_touched() {
    let folder = tempfile::tempdir().unwrap();
    let store = embedded(&folder, 100);
    intent(&*store, 1, 1).await;
    let mut follower = follow(store.clone(), keys()).await.unwrap();
    assert_eq!(follower.observed().world.intents.len(), 1);

    let commit = Commit::put(keys().text(&Key::Intent(service(2))), b"{\"v\":1}".into())
        .and_put(
            keys().text(&Key::Slot(service(3), SlotIndex(0))),
            b"bad".into(),
            None,
        )
        .and_delete(keys().text(&Key::Intent(service(1))))
        .and_put("/minato/v1/osaka/leader", vec![], None);
    store.commit(commit).await.unwrap();
    let wanted = TouchedSet {
        services: [service(1), service(2), service(3)].into(),
        ..TouchedSet::default()
    };
    assert_eq!(follower.next().await.unwrap(), Touched::These(wanted));
    assert_eq!(follower.observed().undecodable.len(), 1);

    let (node, gateway) = (NodeId::parse("n").unwrap(), GatewayId::parse("g").unwrap());
    put(
        &*store,
        Key::NodeAlive(node.clone()),
        "{\"v\":1,\"since\":1}",
    )
    .await;
    put(
        &*store,
        Key::GatewayAlive(gateway.clone()),
        "{\"v\":1,\"since\":1}",
    )
    .await;
    let Touched::These(touched) = follower.next().await.unwrap() else {
        panic!("no list was needed");
    };
    assert_eq!(touched.nodes, [node].into());
    let Touched::These(touched) = follower.next().await.unwrap() else {
        panic!("no list was needed");
    };
    assert_eq!(touched.gateways, [gateway].into());
    catch_up(&mut follower, &*store).await;
}

#[tokio::test]
async fn a_follower_that_fell_behind_lists_again_deletes_included() {
    let folder = tempfile::tempdir().unwrap();
    let store = embedded(&folder, 3);
    for n in 0..10 {
        intent(&*store, n, n).await;
    }
    let mut follower = follow(store.clone(), keys()).await.unwrap();
    for n in 0..8 {
        delete(&*store, n).await;
    }
    intent(&*store, 9, 99).await;
    assert_eq!(follower.next().await.unwrap(), Touched::Everything);
    assert_eq!(follower.observed().world.intents.len(), 2);
    catch_up(&mut follower, &*store).await;
    intent(&*store, 4, 4).await;
    assert!(matches!(follower.next().await.unwrap(), Touched::These(_)));
}

#[tokio::test]
async fn a_last_good_object_survives_a_list() {
    let folder = tempfile::tempdir().unwrap();
    let store = embedded(&folder, 2);
    intent(&*store, 1, 7).await;
    let mut follower = follow(store.clone(), keys()).await.unwrap();
    put(&*store, Key::Intent(service(1)), "{\"v\":2}").await;
    for n in 2..9 {
        intent(&*store, n, n).await;
    }
    assert_eq!(follower.next().await.unwrap(), Touched::Everything);
    let kept = &follower.observed().world.intents[&service(1)];
    assert_eq!(kept.value.replicas, Some(7));
    assert_eq!(follower.observed().undecodable.len(), 1);
}

#[tokio::test]
async fn dropping_next_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    // A short history, so that lists are dropped halfway too.
    let store = embedded(&folder, 4);
    let mut follower = follow(store.clone(), keys()).await.unwrap();
    let enough = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn({
        let (store, enough) = (store.clone(), Arc::clone(&enough));
        async move {
            // However fast or slow the machine is, writes go on while calls are dropped.
            for n in 0..20_000 {
                intent(&*store, n % 12, n).await;
                if n % 3 == 0 {
                    delete(&*store, (n + 5) % 12).await;
                }
                if n % 10 == 0 {
                    // Time for the follower to catch up, and to be dropped while it waits.
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                if n >= 300 && enough.load(Ordering::Relaxed) {
                    break;
                }
            }
        }
    });
    let mut dropped = 0_u32;
    while !writer.is_finished() {
        enough.store(dropped > 30, Ordering::Relaxed);
        let patience = Duration::from_micros(u64::from(dropped % 3) * 200);
        if tokio::time::timeout(patience, follower.next())
            .await
            .is_err()
        {
            dropped += 1;
        }
    }
    writer.await.unwrap();
    catch_up(&mut follower, &*store).await;
    assert!(dropped > 30, "dropped {dropped} times only");
}

#[tokio::test]
async fn a_closed_store_is_final() {
    let folder = tempfile::tempdir().unwrap();
    let store = embedded(&folder, 10);
    let mut follower = follow(store.clone(), keys()).await.unwrap();
    store.close().await;
    for _ in 0..2 {
        assert!(matches!(follower.next().await, Err(StoreError::Closed)));
    }
}

/// A store that is away for some calls.
struct Flaky {
    inner: Arc<Embedded>,
    away: Arc<AtomicU32>,
}

struct FlakyWatch {
    inner: Box<dyn Watch>,
    away: Arc<AtomicU32>,
}

/// Counts one failed call down; fails while there are some left.
fn fail(away: &AtomicU32) -> Result<(), StoreError> {
    let left = away.try_update(Ordering::SeqCst, Ordering::SeqCst, |it| it.checked_sub(1));
    match left {
        Ok(_) => Err(StoreError::Disk {
            path: "away".into(),
            cause: std::io::ErrorKind::TimedOut.into(),
        }),
        Err(_) => Ok(()),
    }
}

#[async_trait]
impl Watch for FlakyWatch {
    async fn next(&mut self) -> Result<Vec<Event>, StoreError> {
        let events = self.inner.next().await?;
        fail(&self.away)?;
        Ok(events)
    }
}

#[async_trait]
impl Store for Flaky {
    async fn get(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        self.inner.get(key).await
    }

    async fn list(&self, prefix: &str) -> Result<Listing, StoreError> {
        fail(&self.away)?;
        self.inner.list(prefix).await
    }

    async fn watch(&self, prefix: &str, from: Revision) -> Result<Box<dyn Watch>, StoreError> {
        fail(&self.away)?;
        Ok(Box::new(FlakyWatch {
            inner: self.inner.watch(prefix, from).await?,
            away: self.away.clone(),
        }))
    }

    async fn commit(&self, commit: Commit) -> Result<Revision, StoreError> {
        self.inner.commit(commit).await
    }

    async fn grant(&self, ttl: Duration) -> Result<LeaseId, StoreError> {
        self.inner.grant(ttl).await
    }

    async fn keep_alive(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.inner.keep_alive(lease).await
    }

    async fn revoke(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.inner.revoke(lease).await
    }

    async fn compact(&self, before: Revision) -> Result<(), StoreError> {
        self.inner.compact(before).await
    }
}

#[tokio::test]
async fn a_store_that_is_away_leaves_the_world_and_is_asked_again() {
    let folder = tempfile::tempdir().unwrap();
    let inner = embedded(&folder, 100);
    intent(&*inner, 1, 1).await;
    let away = Arc::new(AtomicU32::new(0));
    let store = Arc::new(Flaky {
        inner: inner.clone(),
        away: away.clone(),
    });
    let mut follower = follow(store.clone(), keys()).await.unwrap();
    // The watch breaks and loses an event, then a list fails, then the new watch.
    away.store(3, Ordering::SeqCst);
    delete(&*inner, 1).await;
    intent(&*inner, 2, 2).await;
    while away.load(Ordering::SeqCst) > 0 {
        // Dropped again and again, which must not shorten its pauses into a storm, nor stop it.
        let dropped = tokio::time::timeout(Duration::from_millis(5), follower.next()).await;
        assert!(dropped.is_err() || away.load(Ordering::SeqCst) == 0);
        if away.load(Ordering::SeqCst) == 3 {
            assert_eq!(follower.observed().world.intents.len(), 1);
        }
    }
    catch_up(&mut follower, &*store).await;
    assert_eq!(follower.observed().world.intents.len(), 1);
}
