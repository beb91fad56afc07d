//! The embedded backend from outside.
use minato_control_store::*;
use std::time::Duration;

#[tokio::test]
async fn keeps_what_it_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let store = Embedded::open(folder.path(), Options::default()).unwrap();
    let mut watch = store.watch("/a", Revision(1)).await.unwrap();
    let first = store
        .commit(Commit::put("/a", b"1".to_vec()))
        .await
        .unwrap();
    assert_eq!(first, Revision(1));
    assert_eq!(watch.next().await.unwrap().len(), 1);
    let lease = store.grant(Duration::from_millis(50)).await.unwrap();
    store
        .commit(Commit::default().and_put("/a/b", vec![], Some(lease)))
        .await
        .unwrap();
    watch.next().await.unwrap();
    assert_eq!(
        watch.next().await.unwrap(),
        vec![Event::Delete {
            key: "/a/b".into(),
            revision: Revision(3)
        }]
    );
    let id = store.store_id();
    drop(store);
    assert!(matches!(watch.next().await, Err(StoreError::Closed)));
    let store = Embedded::open(folder.path(), Options::default()).unwrap();
    assert_eq!(store.store_id(), id);
    assert_eq!(store.list("/").await.unwrap().entries.len(), 1);
    assert!(
        matches!(Embedded::open(folder.path(), Options::default()), Err(StoreError::Held { holder, .. }) if holder == std::process::id().to_string())
    );
}
