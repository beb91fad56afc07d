//! A damaged file gives the right data or a refusal; never other data, never a panic.

use super::*;
use std::fs;

struct Sample {
    file: Vec<u8>,
    mark: Vec<u8>,
    seen: (Listing, Vec<(Revision, Vec<crate::Event>)>),
}

/// The files of a store with some past, as they lie there while it is open: what `kill -9` leaves.
async fn sample() -> (Sample, Sample) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    for n in 0..120 {
        put(&store, &format!("/k/{}", n % 40), &"x".repeat(n * 7 % 900)).await;
    }
    let lease = store.grant(Duration::from_secs(600)).await.unwrap();
    let commit = Commit::delete("/k/3").and_put("/leased", vec![1], Some(lease));
    store.commit(commit).await.unwrap();
    let seen = seen(&store).await;
    let read = |name| fs::read(folder.path().join(name)).unwrap();
    let killed = Sample {
        file: read("store.redb"),
        mark: read("store.mark"),
        seen: seen.clone(),
    };
    drop(store);
    let closed = Sample {
        file: read("store.redb"),
        mark: read("store.mark"),
        seen,
    };
    (killed, closed)
}

/// Opens a folder with these bytes; `true` for the right data, `false` for a refusal.
async fn right_or_refused(sample: &Sample, file: &[u8], context: &str) -> bool {
    let folder = memory_folder();
    fs::write(folder.path().join("store.redb"), file).unwrap();
    fs::write(folder.path().join("store.mark"), &sample.mark).unwrap();
    match Embedded::open(folder.path(), Options::default()) {
        Ok(store) => {
            assert_eq!(seen(&store).await, sample.seen, "{context}: other data");
            true
        }
        Err(StoreError::Corrupt { .. }) => false,
        Err(other) => panic!("{context}: {other}"),
    }
}

#[tokio::test]
async fn flipped_bytes_give_the_right_data_or_a_refusal() {
    let seed = 0x6d69_6e61_746f;
    let mut random = fastrand::Rng::with_seed(seed);
    let (killed, closed) = sample().await;
    let mut refused = 0;
    for (name, sample) in [("killed", &killed), ("closed", &closed)] {
        assert!(right_or_refused(sample, &sample.file, name).await);
        // Every byte of the header, then any.
        let anywhere: Vec<usize> = (0..500)
            .map(|_| random.usize(..sample.file.len()))
            .collect();
        for offset in (0..320).chain(anywhere) {
            let mut file = sample.file.clone();
            let bits = if random.bool() {
                1 << random.u8(..8)
            } else {
                random.u8(1..)
            };
            file[offset] ^= bits;
            let context = format!("{name}, seed {seed:#x}, byte {offset} changed by {bits:#x}");
            refused += u32::from(!right_or_refused(sample, &file, &context).await);
        }
    }
    assert!(refused > 100, "only {refused} flips were noticed");
}

#[tokio::test]
async fn a_flipped_page_gives_the_right_data_or_a_refusal() {
    let (killed, closed) = sample().await;
    for (name, sample) in [("killed", &killed), ("closed", &closed)] {
        for page in 0..sample.file.len() / 4096 {
            for fill in [0x00, 0xff] {
                let mut file = sample.file.clone();
                file[page * 4096..][..4096].fill(fill);
                let context = format!("{name}, page {page} all {fill:#x}");
                right_or_refused(sample, &file, &context).await;
            }
        }
    }
}

#[tokio::test]
async fn a_file_that_is_cut_short_or_no_store_is_refused() {
    let (killed, closed) = sample().await;
    for sample in [&killed, &closed] {
        let length = sample.file.len();
        for cut in [
            0,
            1,
            9,
            64,
            320,
            4095,
            4096,
            8192,
            length / 2,
            length - 4096,
            length - 1,
        ] {
            let context = format!("cut to {cut}");
            let right = right_or_refused(sample, &sample.file[..cut], &context).await;
            assert!(!right || cut > length / 2, "{context}: nothing was missed");
        }
        let mut random = fastrand::Rng::with_seed(7);
        let noise: Vec<u8> = (0..length).map(|_| random.u8(..)).collect();
        for bytes in [&noise[..], &vec![0; length], b"{\"v\":1}\n"] {
            assert!(!right_or_refused(sample, bytes, "no store").await);
        }
    }
}

#[tokio::test]
async fn an_older_copy_is_refused_and_the_reason_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let store = open(folder.path());
    put(&store, "/k", "1").await;
    let older = fs::read(&path).unwrap();
    put(&store, "/k", "2").await;
    drop(store);
    fs::write(&path, older).unwrap();
    let refused = Embedded::open(folder.path(), Options::default()).unwrap_err();
    assert!(refused.to_string().contains("older"), "{refused}");
    // As the message says: without the mark, it is taken.
    fs::remove_file(folder.path().join("store.mark")).unwrap();
    let value = open(folder.path()).get("/k").await.unwrap().unwrap().value;
    assert_eq!(value, b"1");
}

#[tokio::test]
async fn a_newer_format_is_refused_and_named() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()));
    let database = redb::Database::open(folder.path().join("store.redb")).unwrap();
    let transaction = database.begin_write().unwrap();
    let meta = redb::TableDefinition::<&str, u128>::new("meta");
    transaction
        .open_table(meta)
        .unwrap()
        .insert("format", 2)
        .unwrap();
    transaction.commit().unwrap();
    drop(database);
    let refused = Embedded::open(folder.path(), Options::default()).unwrap_err();
    assert!(matches!(refused, StoreError::Corrupt { .. }));
    assert!(refused.to_string().contains("newer minato"), "{refused}");
}

#[tokio::test]
async fn a_damaged_mark_stops_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    put(&store, "/k", "1").await;
    drop(store);
    for mark in [&b""[..], b"short", &[0xff; 32], &[0; 64]] {
        fs::write(folder.path().join("store.mark"), mark).unwrap();
        put(&open(folder.path()), "/k", "2").await;
    }
}
