//! A store that takes its time: the leader of many services stays the leader while it writes.

mod site;

use async_trait::async_trait;
use minato_control_server::{LeadOptions, lead};
use minato_control_store::{
    Commit, Entry, LeaseId, Listing, Revision, SharedStore, Store, StoreError, Watch,
};
use site::{Site, command, node};
use std::sync::Arc;
use std::time::Duration;

/// Of one commit: a disk that is busy, three members, a long way between them.
const SLOW: Duration = Duration::from_millis(40);
const SERVICES: usize = 100;
/// Far less than all the commits take.
const LEASE: Duration = Duration::from_secs(2);

struct Slow(SharedStore);

#[async_trait]
impl Store for Slow {
    async fn get(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        self.0.get(key).await
    }
    async fn list(&self, prefix: &str) -> Result<Listing, StoreError> {
        self.0.list(prefix).await
    }
    async fn watch(&self, prefix: &str, from: Revision) -> Result<Box<dyn Watch>, StoreError> {
        self.0.watch(prefix, from).await
    }
    async fn commit(&self, commit: Commit) -> Result<Revision, StoreError> {
        tokio::time::sleep(SLOW).await;
        self.0.commit(commit).await
    }
    async fn grant(&self, ttl: Duration) -> Result<LeaseId, StoreError> {
        self.0.grant(ttl).await
    }
    async fn keep_alive(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.0.keep_alive(lease).await
    }
    async fn revoke(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.0.revoke(lease).await
    }
    async fn compact(&self, before: Revision) -> Result<(), StoreError> {
        self.0.compact(before).await
    }
}

#[tokio::test]
async fn a_leader_with_much_to_write_keeps_its_lease_meanwhile() {
    let site = Site::new();
    site.put_node().await;
    for n in 0..SERVICES {
        site.put_service(&command(&format!("s{n}"), 1)).await;
    }
    let options = LeadOptions {
        lease: LEASE,
        keep_alive: LEASE / 10,
        settle: Duration::ZERO,
        ..LeadOptions::new(site.keys.clone(), node())
    };
    let store: SharedStore = Arc::new(Slow(site.store.clone()));
    let leading = lead(options, store, site.events.clone(), site.stop.subscribe());
    tokio::spawn(leading);
    site.until("a slot for each", |it| it.world.slots.len() == SERVICES)
        .await;
    let said = site.messages();
    let lost = said.iter().find(|it| it.contains("no longer leads"));
    assert!(lost.is_none(), "{lost:?}");
    site.stop.send_replace(true);
}
