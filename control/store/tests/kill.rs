//! The store survives SIGKILL at any moment: what was acknowledged is there, whole, and replays without a gap.
//!
//! The test starts itself again as a writer, reads what it acknowledges from a pipe, and kills it. Seeded:
//! `MINATO_SEED=n` repeats a run's choices; `MINATO_KILLS=n` sets how many (default 300).

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of a test, outside its function"
)]

use minato_control_store::{Commit, Embedded, Event, Options, Revision, Store};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

const FOLDER: &str = "MINATO_KILL_FOLDER";
const WRITERS: u64 = 4;

/// The writer: commits numbered pairs as fast as it can. Does nothing unless the other test starts it.
#[test]
fn writer() {
    let Ok(folder) = std::env::var(FOLDER) else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(async {
        let store = Arc::new(Embedded::open(Path::new(&folder), Options::default()).unwrap());
        say("ready\n");
        let mut writers = tokio::task::JoinSet::new();
        for writer in 0..WRITERS {
            let store = store.clone();
            writers.spawn(async move {
                let mut number = pair(&store, writer).await;
                loop {
                    number += 1;
                    // Values of changing size, a few larger than a page, so that pages split and merge.
                    let size = number * 37 % if number % 20 == 0 { 9000 } else { 600 };
                    let filler = "x".repeat(usize::try_from(size).unwrap());
                    let value = format!("{number} {filler}");
                    let commit = Commit::put(left(writer), value.clone().into())
                        .and_put(right(writer), value.into(), None)
                        .and_delete(format!("/extra/{writer}/{}", number % 5))
                        .and_put(
                            format!("/extra/{writer}/{}", (number + 2) % 5),
                            vec![1],
                            None,
                        );
                    store.commit(commit).await.unwrap();
                    say(&format!("ack {writer} {number}\n"));
                }
            });
        }
        writers.join_all().await;
    });
}

/// One write call for a line, past libtest's capture, so that a kill leaves no half of it.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(line.as_bytes()).unwrap();
    out.flush().unwrap();
}

fn left(writer: u64) -> String {
    format!("/left/{writer}")
}

fn right(writer: u64) -> String {
    format!("/right/{writer}")
}

fn number(value: &[u8]) -> u64 {
    let text = std::str::from_utf8(value).unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}

/// The number of a writer's pair; both halves must be of the same commit.
async fn pair(store: &Embedded, writer: u64) -> u64 {
    let left = store.get(&left(writer)).await.unwrap();
    let right = store.get(&right(writer)).await.unwrap();
    match (left, right) {
        (None, None) => 0,
        (Some(left), Some(right)) => {
            assert_eq!(left.value, right.value, "half a commit");
            assert_eq!(left.modified, right.modified, "half a commit");
            number(&left.value)
        }
        (left, right) => panic!("half a commit: {} {}", left.is_some(), right.is_some()),
    }
}

/// What the parent knows to be true.
#[derive(Default)]
struct Known {
    /// The last number that each writer acknowledged.
    acknowledged: BTreeMap<u64, u64>,
    /// Commits of each writer that may be there besides: one for each kill since its last acknowledged one.
    unsure: BTreeMap<u64, u64>,
    /// The last number that each writer's replay showed.
    replayed: BTreeMap<u64, u64>,
    revision: Revision,
    recoveries: Vec<Duration>,
    commits: u64,
}

#[derive(Clone, Copy, PartialEq)]
enum From {
    Start,
    Ready,
}

impl Known {
    /// Lets a writer live for a moment; takes in what it acknowledged.
    ///
    /// The moment begins when the writer has opened the store, or at once: then the kill may hit the opening.
    fn live(&mut self, folder: &Path, life: Duration, from: From) {
        let mut child = spawn(folder);
        let (opened, ready) = std::sync::mpsc::sync_channel(1);
        let lines = child.stdout.take().unwrap();
        let reader = std::thread::spawn(move || {
            let lines = BufReader::new(lines).lines().map_while(Result::ok);
            // What libtest says comes before: `test writer ... ready`.
            let acks = lines.filter_map(|line| {
                if line.ends_with("ready") {
                    opened.send(()).unwrap();
                }
                let (_, ack) = line.split_once("ack ")?;
                let (writer, number) = ack.split_once(' ')?;
                Some((writer.parse::<u64>().ok()?, number.parse::<u64>().ok()?))
            });
            acks.collect::<Vec<_>>()
        });
        if from == From::Ready {
            let opened = ready.recv_timeout(Duration::from_secs(60));
            opened.expect("the writer opens the store");
        }
        std::thread::park_timeout(life);
        child.kill().unwrap();
        child.wait().unwrap();
        let acks = reader.join().unwrap();
        for (writer, number) in &acks {
            let last = self.acknowledged.entry(*writer).or_default();
            let unsure = self.unsure.insert(*writer, 0).unwrap_or(0);
            assert!(
                (*last + 1..=*last + 1 + unsure).contains(number),
                "writer {writer}: {number} after {last}"
            );
            *last = *number;
            self.commits += 1;
        }
        for writer in 0..WRITERS {
            *self.unsure.entry(writer).or_default() += 1;
        }
    }

    /// Opens what the kill left and compares.
    #[expect(clippy::disallowed_methods, reason = "measures the time of recovery")]
    async fn check(&mut self, folder: &Path) {
        let begun = Instant::now();
        let store = Embedded::open(folder, Options::default()).unwrap();
        let listing = store.list("/").await.unwrap();
        self.recoveries.push(begun.elapsed());

        assert!(listing.revision >= self.revision, "the revision fell");
        for writer in 0..WRITERS {
            let found = pair(&store, writer).await;
            let acknowledged = self.acknowledged.get(&writer).copied().unwrap_or(0);
            let unsure = self.unsure.insert(writer, 0).unwrap_or(0);
            assert!(
                (acknowledged..=acknowledged + unsure).contains(&found),
                "writer {writer}: {found} is there, {acknowledged} was acknowledged"
            );
            self.acknowledged.insert(writer, found);
        }
        self.replay(&store, listing.revision).await;
        let next = store.commit(Commit::put("/parent", vec![])).await.unwrap();
        assert_eq!(next, Revision(listing.revision.0 + 1));
        self.revision = next;
    }

    /// Every commit since the last check, without a gap, up to what is listed.
    async fn replay(&mut self, store: &Embedded, to: Revision) {
        let mut watch = store
            .watch("/", Revision(self.revision.0 + 1))
            .await
            .unwrap();
        for wanted in self.revision.0 + 1..=to.0 {
            let batch = watch.next().await.unwrap();
            let pair: Vec<_> = batch
                .iter()
                .filter_map(|event| match event {
                    Event::Put(it) if !it.key.starts_with("/extra") => Some(it),
                    _ => None,
                })
                .collect();
            assert!(
                pair.iter().all(|it| it.modified.0 == wanted),
                "a gap before {wanted}"
            );
            let [left, right] = pair[..] else {
                panic!("commit {wanted} is not whole: {batch:?}");
            };
            assert_eq!(left.value, right.value, "commit {wanted} is not whole");
            let writer: u64 = left.key.rsplit('/').next().unwrap().parse().unwrap();
            let last = self.replayed.entry(writer).or_default();
            assert_eq!(
                number(&left.value),
                *last + 1,
                "writer {writer} at {wanted}"
            );
            *last += 1;
        }
        for writer in 0..WRITERS {
            let replayed = self.replayed.get(&writer).copied().unwrap_or(0);
            assert_eq!(
                replayed,
                pair(store, writer).await,
                "the replay of writer {writer}"
            );
        }
    }
}

fn spawn(folder: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "writer", "--nocapture", "--test-threads=1"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn copy(from: &Path, to: &Path) {
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

#[test]
fn every_acknowledged_commit_survives_kill_9() {
    let seed = setting("MINATO_SEED", fastrand::u64(..1_000_000));
    let kills = setting("MINATO_KILLS", 300);
    println!("seed {seed}, {kills} kills");
    let mut random = fastrand::Rng::with_seed(seed);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut known = Known::default();
    for kill in 0..kills {
        let (from, life) = if random.u8(..3) == 0 {
            (From::Start, random.u64(1_000..30_000))
        } else {
            (From::Ready, random.u64(100..60_000))
        };
        known.live(folder.path(), Duration::from_micros(life), from);
        // Mostly the next writer recovers by itself from what several kills left; its first reads are checked there.
        if kill % 3 == 0 || kill + 1 == kills {
            runtime.block_on(known.check(folder.path()));
        } else if random.bool() {
            // A second look at the same bytes must come to the same end: recovery itself is killed here.
            let copied = tempfile::tempdir().unwrap();
            copy(folder.path(), copied.path());
            drop(Embedded::open(copied.path(), Options::default()).unwrap());
        }
    }
    assert!(
        known.commits > kills / 2,
        "only {} commits in {kills} lives",
        known.commits
    );
    known.recoveries.sort();
    let worst = known.recoveries.last().unwrap();
    let median = known.recoveries[known.recoveries.len() / 2];
    println!(
        "{} commits acknowledged; open to usable: median {median:?}, worst {worst:?}",
        known.commits
    );
}
