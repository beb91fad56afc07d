//! The disk is full or fails, at every operation of a commit.

use super::faults::{Disk, Fault};
use super::*;
use crate::Event;

const RETRY: Duration = Duration::from_millis(1);

fn open_on(disk: &Arc<Disk>, path: &Path) -> Result<Embedded, StoreError> {
    Embedded::connect(path, Options::default(), disk.connect(), RETRY)
}

/// Commits until the disk refuses; returns how many were acknowledged.
async fn fill(store: &Embedded, from: u32) -> u32 {
    let mut acknowledged = from;
    loop {
        let commit = Commit::put(format!("/k/{acknowledged}"), vec![7; 3000]).and_put(
            "/last",
            acknowledged.to_string().into(),
            None,
        );
        match store.commit(commit).await {
            Ok(_) => acknowledged += 1,
            Err(StoreError::Disk { .. }) => return acknowledged,
            Err(other) => panic!("{other}"),
        }
        assert!(acknowledged < from + 2000, "the disk never failed");
    }
}

async fn check_prefix(store: &Embedded, acknowledged: u32, at_most: u32, context: &str) {
    let last = store.get("/last").await.unwrap();
    let last = last.map_or(0, |it| {
        String::from_utf8(it.value).unwrap().parse::<u32>().unwrap() + 1
    });
    assert!(
        (acknowledged..=at_most).contains(&last),
        "{context}: {last} commits are there, {acknowledged} were acknowledged"
    );
    let keys = store.list("/k/").await.unwrap().entries.len();
    assert_eq!(keys, last as usize, "{context}: half a commit");
}

#[tokio::test]
async fn a_failing_disk_loses_nothing_and_heals() {
    for fault in [Fault::Full, Fault::Sync, Fault::Torn] {
        for left in 0..30 {
            let context = format!("{fault:?} after {left} operations");
            let folder = memory_folder();
            let disk = Arc::new(Disk::default());
            let store = open_on(&disk, folder.path()).unwrap();
            let mut watch = store.watch("/last", Revision(1)).await.unwrap();
            disk.break_after(fault, left);
            let acknowledged = fill(&store, 0).await;
            assert!(store.trouble().is_some(), "{context}");
            // Everything from before stays readable, and nobody hears of what was refused.
            check_prefix(&store, acknowledged, acknowledged, &context).await;
            for n in 0..acknowledged {
                let batch = watch.next().await.unwrap();
                assert!(
                    matches!(&batch[0], Event::Put(it) if it.value == n.to_string().into_bytes())
                );
            }
            disk.heal();
            let commit = || Commit::put("/healed", vec![]);
            let revision = loop {
                match store.commit(commit()).await {
                    Ok(revision) => break revision,
                    Err(StoreError::Disk { .. }) => tokio::task::yield_now().await,
                    Err(other) => panic!("{context}: {other}"),
                }
            };
            assert_eq!(revision.0, u64::from(acknowledged) + 1, "{context}");
            assert_eq!(store.trouble(), None, "{context}");
            let before = seen(&store).await;
            drop(store);
            assert_eq!(seen(&open(folder.path())).await, before, "{context}");
        }
    }
}

#[tokio::test]
async fn a_process_that_ends_on_a_failing_disk_leaves_whole_commits() {
    for fault in [Fault::Full, Fault::Sync, Fault::Torn] {
        for left in 0..30 {
            let context = format!("{fault:?} after {left} operations");
            let folder = memory_folder();
            let disk = Arc::new(Disk::default());
            let store = open_on(&disk, folder.path()).unwrap();
            disk.break_after(fault, left);
            let acknowledged = fill(&store, 0).await;
            drop(store);
            // The refused commit may have reached the disk, but only whole.
            check_prefix(
                &open(folder.path()),
                acknowledged,
                acknowledged + 1,
                &context,
            )
            .await;
        }
    }
}

#[tokio::test]
async fn a_disk_that_fails_while_a_store_is_made_leaves_nothing_behind() {
    for fault in [Fault::Full, Fault::Sync, Fault::Torn] {
        for left in 0.. {
            let folder = memory_folder();
            let disk = Arc::new(Disk::default());
            disk.break_after(fault, left);
            let made = open_on(&disk, folder.path());
            disk.heal();
            if made.is_ok() {
                assert!(left > 0, "{fault:?} never struck");
                break;
            }
            assert!(matches!(made, Err(StoreError::Disk { .. })), "{made:?}");
            put(&open_on(&disk, folder.path()).unwrap(), "/k", "v").await;
        }
    }
}

#[tokio::test]
async fn a_lease_that_ends_on_a_full_disk_is_deleted_when_there_is_room() {
    let folder = memory_folder();
    let disk = Arc::new(Disk::default());
    let store = open_on(&disk, folder.path()).unwrap();
    let lease = store.grant(Duration::from_secs(1)).await.unwrap();
    let commit = Commit::default().and_put("/k", vec![], Some(lease));
    store.commit(commit).await.unwrap();
    let mut watch = store.watch("/k", Revision(2)).await.unwrap();
    disk.break_after(Fault::Full, 0);
    while store.trouble().is_none() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(store.get("/k").await.unwrap().is_some());
    assert!(matches!(
        store.keep_alive(lease).await,
        Err(StoreError::LeaseGone { .. })
    ));
    disk.heal();
    let batch = watch.next().await.unwrap();
    assert!(matches!(&batch[..], [Event::Delete { .. }]), "{batch:?}");
}
