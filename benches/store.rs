//! Measures the embedded store: `cargo bench --bench store -- [FOLDER]`.
//!
//! Prints commits per second with 1, 8 and 64 writers, the time from a commit's call to its answer and to a watcher,
//! and from opening to usable after SIGKILL. FOLDER must lie on the disk that is to be measured; default: the
//! working folder. The machine is shared with whatever else runs: quote medians, and several runs.

#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark reads the clock and prints"
)]

use minato_control_store::{Commit, Embedded, Event, Options, Revision, SharedStore, Store, Watch};
use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

const RUN: Duration = Duration::from_secs(3);
/// As large as a verdict or an instance document.
const VALUE: usize = 200;
const KILLS: usize = 20;
const CHILD: &str = "--write-until-killed";

fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|it| it != "--bench")
        .collect();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    match arguments.as_slice() {
        [flag, folder] if flag == CHILD => runtime.block_on(write_until_killed(Path::new(folder))),
        [folder] => runtime.block_on(measure(&PathBuf::from(folder))),
        _ => runtime.block_on(measure(Path::new("."))),
    }
}

async fn measure(parent: &Path) -> Outcome {
    for writers in [1, 8, 64] {
        let folder = tempfile::tempdir_in(parent)?;
        let store: SharedStore = Arc::new(Embedded::open(folder.path(), Options::default())?);
        let (count, mut answered) = commits(&store, writers).await?;
        let rate = count as f64 / RUN.as_secs_f64();
        println!(
            "{writers:>3} writers: {rate:>7.0} commits/s   answer {}",
            spread(&mut answered)
        );
    }
    let folder = tempfile::tempdir_in(parent)?;
    let store: SharedStore = Arc::new(Embedded::open(folder.path(), Options::default())?);
    for watchers in [1, 100, 1000] {
        let mut seen = seen_after(&store, watchers).await?;
        println!(
            "{watchers:>4} watchers: commit to watcher {}",
            spread(&mut seen)
        );
    }
    drop(store);
    let folder = tempfile::tempdir_in(parent)?;
    let mut usable = recoveries(folder.path()).await?;
    let bytes = std::fs::metadata(folder.path().join("store.redb"))?.len();
    println!(
        "{KILLS} kills: open to usable {}   ({} KiB file)",
        spread(&mut usable),
        bytes >> 10
    );
    Ok(())
}

fn spread(times: &mut [Duration]) -> String {
    times.sort();
    let at = |share: f64| {
        let index = ((times.len() as f64 * share) as usize).min(times.len().saturating_sub(1));
        times.get(index).copied().unwrap_or_default()
    };
    format!(
        "median {:.2?}, p99 {:.2?}, worst {:.2?}",
        at(0.5),
        at(0.99),
        at(1.0)
    )
}

/// Every writer writes its own few keys, one commit after the other.
async fn commits(store: &SharedStore, writers: usize) -> Outcome<(usize, Vec<Duration>)> {
    let end = Instant::now() + RUN;
    let mut tasks = tokio::task::JoinSet::new();
    for writer in 0..writers {
        let store = store.clone();
        tasks.spawn(async move {
            let mut times = Vec::new();
            while Instant::now() < end {
                let key = format!("/bench/{writer}/{}", times.len() % 8);
                let begun = Instant::now();
                store.commit(Commit::put(key, vec![b'x'; VALUE])).await?;
                times.push(begun.elapsed());
            }
            Ok::<_, minato_control_store::StoreError>(times)
        });
    }
    let mut all = Vec::new();
    for times in tasks.join_all().await {
        all.extend(times?);
    }
    Ok((all.len(), all))
}

/// From calling commit to every watcher holding its event.
async fn seen_after(store: &SharedStore, watchers: usize) -> Outcome<Vec<Duration>> {
    const COMMITS: usize = 100;
    let origin = Instant::now();
    let from = Revision(store.list("/stamp").await?.revision.0 + 1);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..watchers {
        let mut watch: Box<dyn Watch> = store.watch("/stamp", from).await?;
        tasks.spawn(async move {
            let mut times = Vec::new();
            while times.len() < COMMITS {
                for event in watch.next().await? {
                    let Event::Put(entry) = event else { continue };
                    let sent = entry.value.try_into().map_or(0, u64::from_le_bytes);
                    times.push(origin.elapsed().saturating_sub(Duration::from_nanos(sent)));
                }
            }
            Ok::<_, minato_control_store::StoreError>(times)
        });
    }
    let mut pace = tokio::time::interval(Duration::from_millis(10));
    for _ in 0..COMMITS {
        pace.tick().await;
        let sent = u64::try_from(origin.elapsed().as_nanos())?;
        let commit = Commit::put("/stamp", sent.to_le_bytes().into());
        store.commit(commit).await?;
    }
    let mut all = Vec::new();
    for times in tasks.join_all().await {
        all.extend(times?);
    }
    Ok(all)
}

async fn recoveries(folder: &Path) -> Outcome<Vec<Duration>> {
    let mut times = Vec::new();
    for _ in 0..KILLS {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(CHILD)
            .arg(folder)
            .stdout(Stdio::piped())
            .spawn()?;
        let out = child.stdout.take().ok_or("the writer has no output")?;
        // It says when it has written for a while.
        let line = BufReader::new(out).lines().next();
        child.kill()?;
        child.wait()?;
        line.ok_or("the writer ended by itself")??;
        let begun = Instant::now();
        let store = Embedded::open(folder, Options::default())?;
        store.list("/").await?;
        times.push(begun.elapsed());
    }
    Ok(times)
}

async fn write_until_killed(folder: &Path) -> Outcome {
    let store: SharedStore = Arc::new(Embedded::open(folder, Options::default())?);
    let first = store.list("/").await?.revision.0;
    loop {
        let mut commits = tokio::task::JoinSet::new();
        for writer in 0..16 {
            let store = store.clone();
            commits.spawn(async move {
                let commit = Commit::put(format!("/bench/{writer}"), vec![b'x'; VALUE]);
                store.commit(commit).await
            });
        }
        let mut last = 0;
        for revision in commits.join_all().await {
            last = revision?.0.max(last);
        }
        if last > first + 500 {
            println!("ready");
            std::io::stdout().flush()?;
        }
    }
}
