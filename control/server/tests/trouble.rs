//! A store that reads but does not write: told once, tried again, told when it is over.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod site;

use async_trait::async_trait;
use minato_control::Level;
use minato_control_server::{ClaimOptions, LeadOptions, claim_folder, lead};
use minato_control_store::{
    Commit, Embedded, Entry, LeaseId, Listing, Revision, Store, StoreError, Watch,
};
use site::{Site, command, folder, node, slots};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::watch;

/// The embedded store on a disk that is full while a test says so.
struct Full {
    inner: Arc<Embedded>,
    full: AtomicBool,
    refused: AtomicUsize,
}

#[async_trait]
impl Store for Full {
    async fn get(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        self.inner.get(key).await
    }

    async fn list(&self, prefix: &str) -> Result<Listing, StoreError> {
        self.inner.list(prefix).await
    }

    async fn watch(&self, prefix: &str, from: Revision) -> Result<Box<dyn Watch>, StoreError> {
        self.inner.watch(prefix, from).await
    }

    async fn commit(&self, commit: Commit) -> Result<Revision, StoreError> {
        if self.full.load(Ordering::SeqCst) {
            self.refused.fetch_add(1, Ordering::SeqCst);
            return Err(StoreError::Disk {
                path: "store.redb".into(),
                cause: std::io::ErrorKind::StorageFull.into(),
            });
        }
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

fn full(site: &Site) -> Arc<Full> {
    Arc::new(Full {
        inner: site.embedded.clone(),
        full: AtomicBool::new(false),
        refused: AtomicUsize::new(0),
    })
}

impl Full {
    /// Waits until this many more commits were refused.
    async fn refuses(&self, count: usize) {
        let goal = self.refused.load(Ordering::SeqCst) + count;
        let wait = async {
            while self.refused.load(Ordering::SeqCst) < goal {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(site::PATIENCE, wait).await.unwrap();
    }
}

fn count(site: &Site, text: &str) -> usize {
    let messages = site.messages();
    messages.iter().filter(|it| it.contains(text)).count()
}

#[tokio::test]
async fn the_leader_says_it_once_and_goes_on_when_there_is_room() {
    let site = Site::new();
    let store = full(&site);
    site.put_node().await;
    let options = LeadOptions {
        tick: Duration::from_millis(10),
        settle: Duration::ZERO,
        ..LeadOptions::new(site.keys.clone(), node())
    };
    let stop = site.stop.subscribe();
    tokio::spawn(lead(options, store.clone(), site.events.clone(), stop));
    site.told("one leads").await;
    store.full.store(true, Ordering::SeqCst);
    site.put_service(&command("library", 1)).await;
    store.refuses(3).await;
    let event = site
        .told("control: the store file store.redb cannot be written")
        .await;
    assert_eq!(event.level, Level::Error);
    assert!(event.hint.unwrap().starts_with("make room"));
    assert_eq!(count(&site, "cannot be written"), 1);
    assert!(site.journal.store_trouble().is_some());
    store.full.store(false, Ordering::SeqCst);
    site.until("a slot", |it| slots(it, "library") == 1).await;
    site.told("the store works again for control").await;
    assert_eq!(site.journal.store_trouble(), None);
}

#[tokio::test]
async fn a_leader_with_nothing_to_do_still_finds_out_that_there_is_room() {
    let site = Site::new();
    let store = full(&site);
    site.put_node().await;
    let options = LeadOptions {
        tick: Duration::from_millis(10),
        settle: Duration::ZERO,
        ..LeadOptions::new(site.keys.clone(), node())
    };
    let stop = site.stop.subscribe();
    tokio::spawn(lead(options, store.clone(), site.events.clone(), stop));
    site.told("one leads").await;
    store.full.store(true, Ordering::SeqCst);
    site.put_service(&command("library", 1)).await;
    store.refuses(1).await;
    // The service goes before its slot was ever written: now nothing is left to do.
    let key = site.key(&minato_control_store::keys::Key::Service(site::name(
        "library",
    )));
    site.store.commit(Commit::delete(key)).await.unwrap();
    store.refuses(2).await;
    store.full.store(false, Ordering::SeqCst);
    site.told("the store works again for control").await;
}

#[tokio::test]
async fn an_edit_made_while_the_disk_is_full_applies_later() {
    let site = Site::new();
    let store = full(&site);
    store.full.store(true, Ordering::SeqCst);
    let (_change, files) = watch::channel(folder(&[command("library", 1)]));
    let options = ClaimOptions::new(site.keys.clone());
    let stop = site.stop.subscribe();
    tokio::spawn(claim_folder(
        options,
        store.clone(),
        files,
        site.events.clone(),
        stop,
    ));
    store.refuses(3).await;
    site.told("the folder of services: the store file").await;
    assert_eq!(count(&site, "cannot be written"), 1);
    store.full.store(false, Ordering::SeqCst);
    site.until("it", |it| it.world.services.len() == 1).await;
    site.told("the store works again for the folder of services")
        .await;
    site.told("services/library.toml: library is new").await;
}
