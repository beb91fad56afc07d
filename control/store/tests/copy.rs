//! Copying between stores that fail in the middle: never two in use, and the same command ends it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests, outside their functions"
)]

mod copying;

use async_trait::async_trait;
use copying::{copy, keys, meta};
use minato_control::StoreState;
use minato_control_store::keys::Key;
use minato_control_store::*;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

fn open(folder: &tempfile::TempDir, name: &str) -> Embedded {
    Embedded::open(&folder.path().join(name), Options::default()).unwrap()
}

/// A store that takes so many more calls and then none, as if the process had ended.
struct Ending<'a> {
    inner: &'static str,
    store: &'a Embedded,
    left: &'a AtomicU64,
}

impl Ending<'_> {
    fn call(&self) -> Result<&Embedded, StoreError> {
        let left = self
            .left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |it| it.checked_sub(1));
        left.map(|_| self.store)
            .map_err(|_| StoreError::Unreachable {
                store: self.inner.to_owned(),
                waited: Duration::ZERO,
                detail: "ended".to_owned(),
                remedy: "none",
            })
    }
}

// Lives as long as a test.
#[async_trait]
impl Store for Ending<'static> {
    async fn get(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        self.call()?.get(key).await
    }
    async fn list(&self, prefix: &str) -> Result<Listing, StoreError> {
        self.call()?.list(prefix).await
    }
    async fn watch(&self, prefix: &str, from: Revision) -> Result<Box<dyn Watch>, StoreError> {
        self.call()?.watch(prefix, from).await
    }
    async fn commit(&self, commit: Commit) -> Result<Revision, StoreError> {
        self.call()?.commit(commit).await
    }
    async fn grant(&self, ttl: Duration) -> Result<LeaseId, StoreError> {
        self.call()?.grant(ttl).await
    }
    async fn keep_alive(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.call()?.keep_alive(lease).await
    }
    async fn revoke(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.call()?.revoke(lease).await
    }
    async fn compact(&self, before: Revision) -> Result<(), StoreError> {
        self.call()?.compact(before).await
    }
}

async fn serves(store: &dyn Store) -> bool {
    meta(store)
        .await
        .is_some_and(|it| it.state == StoreState::Serving)
}

async fn contents(store: &dyn Store) -> Vec<(String, Vec<u8>)> {
    let own = keys().text(&Key::Meta);
    let entries = store.list(keys().root()).await.unwrap().entries.into_iter();
    entries
        .filter(|it| it.key != own)
        .map(|it| (it.key, it.value))
        .collect()
}

async fn fill(store: &dyn Store, count: u32) {
    make_fit(store, &keys()).await.unwrap();
    for n in 0..count {
        let put = Commit::put(format!("{}services/s{n}", keys().root()), vec![7; 10]);
        store.commit(put).await.unwrap();
    }
}

#[tokio::test]
async fn whenever_it_ends_in_the_middle_it_can_be_run_again_and_never_do_both_serve() {
    for calls in 0.. {
        let folder = tempfile::tempdir().unwrap();
        // Leaked with their threads: a test's worth.
        let source: &'static Embedded = Box::leak(Box::new(open(&folder, "source")));
        let target: &'static Embedded = Box::leak(Box::new(open(&folder, "target")));
        let left: &'static AtomicU64 = Box::leak(Box::new(AtomicU64::new(calls)));
        fill(source, 250).await;
        let ending = |inner, store| Ending { inner, store, left };
        let first = copy(&ending("source", source), &ending("target", target)).await;
        assert!(!(serves(source).await && serves(target).await), "{calls}");
        if first.is_ok() {
            assert!(calls > 8, "after {calls} calls");
            break;
        }
        // What changed in between where nobody noticed.
        if serves(source).await {
            fill(source, 3).await;
            let gone = Commit::delete(format!("{}services/s9", keys().root()));
            source.commit(gone).await.unwrap();
        }
        copy(source, target)
            .await
            .unwrap_or_else(|error| panic!("{calls}: {error}"));
        assert!(!serves(source).await && serves(target).await, "{calls}");
        assert_eq!(contents(source).await, contents(target).await, "{calls}");
        assert_eq!(meta(target).await.unwrap().era, 1, "{calls}");
        source.close().await;
        target.close().await;
    }
}

#[tokio::test]
async fn whenever_whoever_copies_ends_it_is_settled_which_store_is_in_use() {
    let mut came_to_target = false;
    for calls in 0.. {
        let folder = tempfile::tempdir().unwrap();
        let source: &'static Embedded = Box::leak(Box::new(open(&folder, "source")));
        let target: &'static Embedded = Box::leak(Box::new(open(&folder, "target")));
        let left: &'static AtomicU64 = Box::leak(Box::new(AtomicU64::new(calls)));
        fill(source, 250).await;
        let ending = |inner, store| Ending { inner, store, left };
        let first = copy(&ending("source", source), &ending("target", target)).await;
        let keys = keys();
        let copying = Copying {
            source,
            target,
            keys: &keys,
            target_name: "there",
        };
        let in_use = copying.settle().await.unwrap();
        assert_eq!(first.is_ok(), in_use == InUse::Target, "{calls}");
        assert!(serves(source).await != serves(target).await, "{calls}");
        assert_eq!(serves(target).await, in_use == InUse::Target, "{calls}");
        assert_eq!(copying.settle().await.unwrap(), in_use, "{calls}");
        // And again, from where it is.
        let copied = copy(source, target).await.unwrap();
        assert!(serves(target).await && !serves(source).await, "{calls}");
        if in_use == InUse::Source && meta(source).await.unwrap().era > 0 {
            assert!(copied.era > 2, "{calls}: {copied:?}");
        }
        source.close().await;
        target.close().await;
        if first.is_ok() {
            came_to_target = true;
            break;
        }
    }
    assert!(came_to_target);
}

#[tokio::test]
async fn what_was_still_on_its_way_to_the_target_is_refused_once_it_is_settled() {
    let folder = tempfile::tempdir().unwrap();
    let (source, target) = (open(&folder, "source"), open(&folder, "target"));
    fill(&source, 3).await;
    copy(&source, &target).await.unwrap();
    // As it was before the last step.
    let own = keys().text(&Key::Meta);
    let served = meta(&target).await.unwrap();
    let filling = minato_control::Meta {
        era: 0,
        state: StoreState::Filling {
            from: meta(&source).await.unwrap().store_id,
        },
        ..served.clone()
    };
    let document = |it: &minato_control::Meta| serde_json::to_vec(it).unwrap();
    let put = Commit::put(&own, document(&filling));
    let revision = target.commit(put).await.unwrap();
    let late = Commit::put(&own, document(&served)).when(Compare::Modified {
        key: own.clone(),
        revision,
    });
    let keys = keys();
    let copying = Copying {
        source: &source,
        target: &target,
        keys: &keys,
        target_name: "there",
    };
    assert_eq!(copying.settle().await.unwrap(), InUse::Source);
    let late = target.commit(late).await;
    assert!(matches!(late, Err(StoreError::Conflict { .. })), "{late:?}");
    assert!(serves(&source).await && !serves(&target).await);
    assert_eq!(meta(&source).await.unwrap().era, 2);
}

#[tokio::test]
async fn what_is_copied_ahead_leaves_only_what_changes_since() {
    let folder = tempfile::tempdir().unwrap();
    let (source, target) = (open(&folder, "source"), open(&folder, "target"));
    fill(&source, 250).await;
    let keys = keys();
    let copying = Copying {
        source: &source,
        target: &target,
        keys: &keys,
        target_name: "there",
    };
    let ahead = copying.ahead().await.unwrap();
    assert_eq!((ahead.keys, ahead.changes), (250, 250));
    assert!(serves(&source).await && !serves(&target).await);
    assert!(
        make_fit(&target, &keys).await.is_err(),
        "nobody may lead there"
    );
    source
        .commit(Commit::delete(format!("{}services/s7", keys.root())))
        .await
        .unwrap();
    let put = Commit::put(format!("{}services/s8", keys.root()), b"other".to_vec());
    source.commit(put).await.unwrap();
    // In vain, for once: another look ahead is as good.
    let again = copying.ahead().await.unwrap();
    assert_eq!((again.keys, again.changes), (249, 2));
    source
        .commit(Commit::delete(format!("{}services/s9", keys.root())))
        .await
        .unwrap();
    let copied = copying.run().await.unwrap();
    assert_eq!((copied.keys, copied.changes, copied.era), (248, 1, 1));
    assert_eq!(contents(&source).await, contents(&target).await);
}

#[tokio::test]
async fn a_store_that_was_left_in_vain_is_taken_back_above_the_other_era() {
    let folder = tempfile::tempdir().unwrap();
    let (source, target) = (open(&folder, "source"), open(&folder, "target"));
    fill(&source, 3).await;
    copy(&source, &target).await.unwrap();
    assert!(make_fit(&source, &keys()).await.is_err());
    reclaim(&source, &keys()).await.unwrap();
    make_fit(&source, &keys()).await.unwrap();
    let (back, other) = (meta(&source).await.unwrap(), meta(&target).await.unwrap());
    assert!(back.era > other.era, "{back:?} {other:?}");
    // A store in use stays as it is.
    reclaim(&source, &keys()).await.unwrap();
    assert_eq!(meta(&source).await.unwrap(), back);
}

#[tokio::test]
async fn what_does_not_fit_is_refused_and_left_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let source = open(&folder, "source");
    fill(&source, 3).await;
    let refused = async |target: &Embedded, said: &str| {
        let before = contents(target).await;
        let error = copy(&source, target).await.unwrap_err();
        let text = error.to_string();
        assert!(
            matches!(error, CopyError::Refused(_)) && text.contains(said),
            "{text}"
        );
        assert_eq!(contents(target).await, before);
        assert!(serves(&source).await);
    };
    let foreign = open(&folder, "foreign");
    let put = Commit::put(format!("{}services/x", keys().root()), vec![]);
    foreign.commit(put).await.unwrap();
    refused(&foreign, "does not say whose").await;
    let used = open(&folder, "used");
    fill(&used, 1).await;
    refused(&used, "serves").await;
    let lease = used.grant(Duration::from_secs(60)).await.unwrap();
    let alive = format!("{}nodes/n/alive", keys().root());
    used.commit(Commit::default().and_put(alive, vec![], Some(lease)))
        .await
        .unwrap();
    refused(&used, "is in use: `/minato/v1/local/nodes/n/alive`").await;
    let text = copy(&source, &source).await.unwrap_err().to_string();
    assert!(
        text.contains("is in use") || text.contains("serves"),
        "{text}"
    );

    let newer = open(&folder, "newer");
    let value = br#"{"v":1,"store_id":"a","era":7,"format":2}"#;
    let put = Commit::put(keys().text(&Key::Meta), value.into());
    newer.commit(put).await.unwrap();
    let error = make_fit(&newer, &keys()).await.unwrap_err().to_string();
    let names = ["/minato/v1/local/meta", "format 2", "upgrade"];
    assert!(names.iter().all(|it| error.contains(it)), "{error}");
    let odd = Commit::put(keys().text(&Key::Meta), b"what".into());
    newer.commit(odd).await.unwrap();
    let error = make_fit(&newer, &keys()).await.unwrap_err().to_string();
    assert!(
        error.contains("/minato/v1/local/meta") && error.contains("by hand"),
        "{error}"
    );
}
