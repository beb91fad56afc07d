//! Two leaders at once: one is frozen past its lease with an order half way to the store, another leads, the first one wakes.
//!
//! Every write of the one that woke must be refused, and what the other decided must stand.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on ends"
)]

mod site;

use async_trait::async_trait;
use minato_config::{NodeId, Slot, SlotIndex};
use minato_control_server::{LeadOptions, LeaderRecord, lead};
use minato_control_store::keys::Key;
use minato_control_store::{
    Commit, Entry, LeaseId, Listing, Observed, Revision, SharedStore, Store, StoreError, Watch,
};
use site::{PATIENCE, Site, command, slots};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;

/// Orders that must have been held half way: as many as `MINATO_FAULT_ROUNDS` says; `make test-faults` has a thousand.
fn rounds() -> u64 {
    let said = std::env::var("MINATO_FAULT_ROUNDS").ok();
    said.and_then(|it| it.parse().ok()).unwrap_or(100)
}

/// Slots that are not on their way out.
fn living(observed: &Observed) -> Vec<(SlotIndex, Slot)> {
    let all = observed.world.slots.iter();
    let living = all.filter(|(_, it)| !it.value.removed);
    living.map(|((_, n), it)| (*n, it.value.clone())).collect()
}

/// A store whose answers and orders stop half way while it is frozen.
struct Freezer {
    inner: SharedStore,
    frozen: watch::Sender<bool>,
    /// Commits that wait for the thaw.
    held: watch::Sender<u64>,
    /// Of those, what came of them.
    refused: AtomicU64,
    taken: AtomicU64,
}

impl Freezer {
    fn new(inner: SharedStore) -> Arc<Self> {
        Arc::new(Self {
            inner,
            frozen: watch::Sender::new(false),
            held: watch::Sender::new(0),
            refused: AtomicU64::new(0),
            taken: AtomicU64::new(0),
        })
    }

    async fn thaw(&self) {
        let mut frozen = self.frozen.subscribe();
        let _ = frozen.wait_for(|it| !it).await;
    }
}

#[async_trait]
impl Store for Freezer {
    async fn get(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        self.thaw().await;
        self.inner.get(key).await
    }

    async fn list(&self, prefix: &str) -> Result<Listing, StoreError> {
        self.thaw().await;
        self.inner.list(prefix).await
    }

    async fn watch(&self, prefix: &str, from: Revision) -> Result<Box<dyn Watch>, StoreError> {
        self.thaw().await;
        self.inner.watch(prefix, from).await
    }

    async fn commit(&self, commit: Commit) -> Result<Revision, StoreError> {
        if !*self.frozen.borrow() {
            return self.inner.commit(commit).await;
        }
        self.held.send_modify(|it| *it += 1);
        self.thaw().await;
        let result = self.inner.commit(commit).await;
        let count = match &result {
            Ok(_) => &self.taken,
            Err(_) => &self.refused,
        };
        count.fetch_add(1, Ordering::SeqCst);
        self.held.send_modify(|it| *it -= 1);
        result
    }

    async fn grant(&self, ttl: Duration) -> Result<LeaseId, StoreError> {
        self.thaw().await;
        self.inner.grant(ttl).await
    }

    async fn keep_alive(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.thaw().await;
        self.inner.keep_alive(lease).await
    }

    async fn revoke(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.thaw().await;
        self.inner.revoke(lease).await
    }

    async fn compact(&self, before: Revision) -> Result<(), StoreError> {
        self.inner.compact(before).await
    }
}

/// Whoever leads, `but` not this one.
async fn until_leads(site: &Site, but: Option<&NodeId>) -> (NodeId, Option<LeaseId>) {
    let look = async {
        loop {
            if let Some(entry) = site.store.get(&site.key(&Key::Leader)).await.unwrap() {
                let record: LeaderRecord = serde_json::from_slice(&entry.value).unwrap();
                if Some(&record.node) != but {
                    return (record.node, entry.lease);
                }
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, look)
        .await
        .unwrap_or_else(|_| panic!("nobody leads but {but:?}"))
}

#[tokio::test]
async fn of_two_leaders_exactly_one_is_obeyed() {
    let site = Site::new();
    site.put_node().await;
    site.put_service(&command("library", 1)).await;
    let leaders =
        ["one", "two"].map(|it| (NodeId::parse(it).unwrap(), Freezer::new(site.store.clone())));
    for (node, store) in &leaders {
        let options = LeadOptions {
            tick: Duration::from_millis(20),
            keep_alive: Duration::from_millis(20),
            settle: Duration::ZERO,
            ..LeadOptions::new(site.keys.clone(), node.clone())
        };
        let (store, events) = (store.clone(), site.events.clone());
        tokio::spawn(lead(options, store, events, site.stop.subscribe()));
    }
    let mut held = 0;
    let mut round = 0;
    // A leader may be frozen before it looks at the store, and then holds nothing; such a round does not count.
    while held < rounds() {
        assert!(round < 20 * rounds(), "{held} orders in {round} rounds");
        let replicas = u16::try_from(round % 5 + 1).unwrap();
        round += 1;
        let (old, lease) = until_leads(&site, None).await;
        let (_, freezer) = leaders.iter().find(|(node, _)| *node == old).unwrap();
        freezer.frozen.send_replace(true);
        site.put_service(&command("library", replicas)).await;
        let wait = Duration::from_millis(100);
        let mut waiting = freezer.held.subscribe();
        let _ = tokio::time::timeout(wait, waiting.wait_for(|it| *it > 0)).await;
        held += *freezer.held.borrow();
        site.store.revoke(lease.unwrap()).await.unwrap();
        until_leads(&site, Some(&old)).await;
        site.until("the other's plan", |it| {
            slots(it, "library") == usize::from(replicas)
        })
        .await;
        let before = site.world().await;
        freezer.frozen.send_replace(false);
        let _ = freezer.held.subscribe().wait_for(|it| *it == 0).await;
        let after = site.world().await;
        assert_eq!(living(&before), living(&after), "round {round}");
        assert_eq!(freezer.taken.load(Ordering::SeqCst), 0, "round {round}");
    }
    let refused: u64 = (leaders.iter())
        .map(|(_, it)| it.refused.load(Ordering::SeqCst))
        .sum();
    // One more may have come to the freezer after its orders were counted, while its lease was being taken away.
    assert!(refused >= held, "{refused} of {held} were refused");
    site.stop.send_replace(true);
}
