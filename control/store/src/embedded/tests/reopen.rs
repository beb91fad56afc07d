//! The folder, and what lives on when the store is opened again.

use super::*;
use std::os::unix::fs::PermissionsExt;

#[tokio::test]
async fn everything_is_there_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    for n in 0..50 {
        put(&store, &format!("/k/{}", n % 9), &n.to_string()).await;
    }
    store.compact(Revision(20)).await.unwrap();
    store.commit(Commit::delete("/k/1")).await.unwrap();
    let (before, id) = (seen(&store).await, store.store_id());
    drop(store);
    let store = open(folder.path());
    assert_eq!(seen(&store).await, before);
    assert_eq!((store.store_id(), store.era()), (id, 1));
    assert_eq!(
        put(&store, "/next", "").await,
        Revision(before.0.revision.0 + 1)
    );
}

#[tokio::test]
async fn two_stores_have_two_ids() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    assert_ne!(open(one.path()).store_id(), open(other.path()).store_id());
}

#[tokio::test]
async fn the_folder_is_made_for_the_owner_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/er");
    drop(open(&path));
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o700);
    assert_eq!(mode(&path.join("store.redb")), 0o600);
}

#[tokio::test]
async fn a_held_folder_names_its_holder() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let own = std::process::id().to_string();
    let held = Embedded::open(folder.path(), Options::default()).unwrap_err();
    assert!(matches!(&held, StoreError::Held { holder, .. } if *holder == own));
    // Whoever was refused has taken nothing away.
    put(&store, "/k", "v").await;
    std::fs::write(folder.path().join("lock"), "not a pid").unwrap();
    let held = Embedded::open(folder.path(), Options::default()).unwrap_err();
    assert!(matches!(held, StoreError::Held { holder, .. } if holder == "unknown"));
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_told_with_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file/store");
    std::fs::write(folder.path().join("file"), "").unwrap();
    let refused = Embedded::open(&path, Options::default()).unwrap_err();
    assert!(
        matches!(&refused, StoreError::Disk { path: it, .. } if *it == path),
        "{refused}"
    );
}

#[tokio::test]
async fn closing_frees_the_folder_and_tells_everyone() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(open(folder.path()));
    let mut watch = store.watch("/", Revision(1)).await.unwrap();
    store.close().await;
    let closed = |it: &StoreError| matches!(it, StoreError::Closed);
    assert!(closed(&watch.next().await.unwrap_err()));
    assert!(closed(&store.get("/k").await.unwrap_err()));
    assert!(closed(&store.list("/").await.unwrap_err()));
    assert!(closed(
        &store.commit(Commit::put("/k", vec![])).await.unwrap_err()
    ));
    store.close().await;
    put(&open(folder.path()), "/k", "v").await;
}

#[tokio::test]
async fn lease_ids_are_not_given_twice_over_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let mut last = LeaseId(0);
    for _ in 0..3 {
        let store = open(folder.path());
        let lease = store.grant(Duration::from_secs(60)).await.unwrap();
        assert!(lease > last);
        store.revoke(lease).await.unwrap();
        last = lease;
    }
}

#[tokio::test]
async fn a_reopened_lease_has_its_whole_time_and_then_ends() {
    let ttl = Duration::from_millis(300);
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let lease = store.grant(ttl).await.unwrap();
    let commit = Commit::default().and_put("/k", vec![], Some(lease));
    store.commit(commit).await.unwrap();
    drop(store);
    // The time itself is what is tested: it passes while nobody has the store open.
    tokio::time::sleep(ttl * 2).await;
    let store = open(folder.path());
    store.keep_alive(lease).await.unwrap();
    let mut watch = store.watch("/k", Revision(2)).await.unwrap();
    assert!(store.get("/k").await.unwrap().is_some());
    watch.next().await.unwrap();
    assert!(store.get("/k").await.unwrap().is_none());
}
