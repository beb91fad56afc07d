//! Members freeze, die and come back at random while writers and a watcher go on. Whatever was answered must be true.

use crate::members::{Members, is_here};
use crate::options;
use minato_control_store::{Commit, Etcd, EtcdOptions, Event, Revision, Store, StoreError};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const WRITERS: usize = 4;
const CHAOS: Duration = Duration::from_secs(12);

/// What a writer was told of each of its numbers.
type Told = BTreeMap<u64, Option<Revision>>;

/// Commits pairs without comparing anything, so that nothing but the store keeps a late one from taking effect.
async fn write(store: Arc<Etcd>, writer: usize, stop: Arc<AtomicBool>) -> Told {
    let mut told = Told::new();
    for number in 0.. {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let value = number.to_string().into_bytes();
        let commit = Commit::put(format!("/{writer}/a"), value.clone()).and_put(
            format!("/{writer}/b"),
            value,
            None,
        );
        let answer = match store.commit(commit).await {
            Ok(revision) => Some(revision),
            Err(StoreError::Unreachable { .. }) => None,
            Err(error) => panic!("{error}"),
        };
        told.insert(number, answer);
    }
    told
}

fn disturb(members: &mut Members, random: &mut fastrand::Rng) {
    let began = Instant::now();
    let mut frozen = BTreeSet::new();
    let mut dead = BTreeSet::new();
    while began.elapsed() < CHAOS {
        let index = random.usize(..3);
        match random.u8(..6) {
            0..=2 if !dead.contains(&index) && frozen.len() + dead.len() < 2 => {
                members.freeze(index);
                frozen.insert(index);
            }
            3 if frozen.is_empty() && dead.is_empty() => {
                members.kill(index);
                dead.insert(index);
            }
            _ => {
                frozen.iter().for_each(|it| members.thaw(*it));
                dead.iter().for_each(|it| members.revive(*it));
                frozen.clear();
                dead.clear();
            }
        }
        std::thread::park_timeout(Duration::from_millis(random.u64(50..900)));
    }
    frozen.iter().for_each(|it| members.thaw(*it));
    dead.iter().for_each(|it| members.revive(*it));
    members.wait();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_is_true_whatever_happens_to_members() {
    if !is_here() {
        return;
    }
    let seed = std::env::var("SEED").ok().and_then(|it| it.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    println!("SEED={seed}");
    let mut members = Members::start(3);
    let store = Arc::new(
        Etcd::new(EtcdOptions {
            attempt: Duration::from_millis(300),
            patience: Duration::from_secs(1),
            ..options(&members)
        })
        .unwrap(),
    );
    let mut watch = store.watch("/", Revision(1)).await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..WRITERS)
        .map(|it| tokio::spawn(write(Arc::clone(&store), it, Arc::clone(&stop))))
        .collect();
    let watcher = tokio::spawn(async move {
        let mut seen: Vec<Vec<Event>> = Vec::new();
        loop {
            let batch = watch.next().await.unwrap();
            if batch[0].key() == "/end" {
                return seen;
            }
            seen.push(batch);
        }
    });
    let mut random = fastrand::Rng::with_seed(seed);
    let members = tokio::task::spawn_blocking(move || {
        disturb(&mut members, &mut random);
        members
    });
    let members = members.await.unwrap();
    stop.store(true, Ordering::SeqCst);
    let mut told = Vec::new();
    for writer in writers {
        told.push(writer.await.unwrap());
    }
    let began = Instant::now();
    while let Err(error) = store.commit(Commit::put("/end", vec![])).await {
        assert!(began.elapsed() < Duration::from_secs(20), "{error}");
    }
    let seen = tokio::time::timeout(Duration::from_secs(20), watcher).await;
    let seen = seen.expect("the watcher goes on").unwrap();
    drop(members);

    // What the watcher saw: numbers of each writer, with their revisions, in order.
    let mut happened: Vec<Vec<(u64, Revision)>> = vec![Vec::new(); WRITERS];
    let mut last = Revision(0);
    for batch in &seen {
        let [Event::Put(a), Event::Put(b)] = batch.as_slice() else {
            panic!("not a whole commit: {batch:?}");
        };
        assert_eq!((a.modified, &a.value), (b.modified, &b.value), "torn");
        assert!(a.modified > last, "out of order: {batch:?}");
        last = a.modified;
        let writer: usize = a.key[1..2].parse().unwrap();
        let number = String::from_utf8_lossy(&a.value).parse().unwrap();
        happened[writer].push((number, a.modified));
    }
    let (mut answered, mut unknown) = (0, 0);
    for (writer, told) in told.iter().enumerate() {
        let happened = &happened[writer];
        let rises = happened.is_sorted_by(|(a, _), (b, _)| a < b);
        assert!(rises, "writer {writer}: twice, or late: {happened:?}");
        let at: BTreeMap<u64, Revision> = happened.iter().copied().collect();
        for (number, revision) in told {
            match revision {
                Some(revision) => {
                    assert_eq!(
                        at.get(number),
                        Some(revision),
                        "writer {writer}, number {number}"
                    );
                    answered += 1;
                }
                None => unknown += 1,
            }
        }
    }
    println!(
        "{answered} commits answered, {unknown} in doubt, {} seen",
        seen.len()
    );
    assert!(answered > 100, "{answered} answered");
}
