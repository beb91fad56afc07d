//! Follows the folder in a thread of its own.

use super::Certificates;
use crate::clock;
use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

/// Signals that wait for the thread.
const MOST_SIGNALS: usize = 64;
/// A change is read after this long without another,
const QUIET: Duration = Duration::from_millis(100);
/// and after this long in any case.
const BURST: Duration = Duration::from_secs(1);
/// How often the watch itself is looked at.
const TICK: Duration = Duration::from_secs(1);
/// How often all files are looked at, since a watch does not see what changes behind links.
const SWEEP: Duration = Duration::from_secs(5);
/// A sweep waits for at least this many times what the last one took.
const SWEEP_SHARE: u32 = 100;
/// How often ends are warned of.
const DAILY: Duration = Duration::from_secs(24 * 60 * 60);

/// The thread lives as long as this does.
#[derive(Debug)]
pub struct Following {
    signals: SyncSender<()>,
    stop: Arc<AtomicBool>,
}

impl Certificates {
    /// Takes in every change of the folder, until the answer is dropped. Fails only where no thread can be had.
    pub fn follow(self: &Arc<Self>) -> io::Result<Following> {
        let (signals, inbox) = sync_channel(MOST_SIGNALS);
        let stop = Arc::new(AtomicBool::new(false));
        let follower = Follower {
            certificates: Arc::clone(self),
            signals: signals.clone(),
            stop: Arc::clone(&stop),
        };
        let thread = std::thread::Builder::new().name("minato-tls".to_owned());
        thread.spawn(move || follower.run(&inbox))?;
        Ok(Following { signals, stop })
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // A full queue wakes the thread as well.
        let _ = self.signals.try_send(());
    }
}

struct Follower {
    certificates: Arc<Certificates>,
    signals: SyncSender<()>,
    stop: Arc<AtomicBool>,
}

impl Follower {
    fn run(self, inbox: &Receiver<()>) {
        let path = self.path();
        let mut watch = Watch::of(&path, &self.signals);
        // What changed between the first reading and the watch.
        self.certificates.look();
        let (mut swept, mut warned) = (clock::now(), clock::now());
        let mut pause = SWEEP;
        loop {
            let is_changed = match inbox.recv_timeout(TICK) {
                Ok(()) => {
                    await_quiet(inbox);
                    true
                }
                Err(RecvTimeoutError::Timeout) => false,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            if self.stop.load(Ordering::Acquire) {
                return;
            }
            let is_stale = watch.identity != identity(&path);
            if is_stale {
                watch = Watch::of(&path, &self.signals);
            }
            let now = clock::now();
            if is_changed || is_stale || now - swept >= pause {
                self.certificates.look();
                swept = clock::now();
                pause = SWEEP.max((swept - now) * SWEEP_SHARE);
            }
            if now - warned >= DAILY {
                self.certificates.warn_of_ends();
                warned = now;
            }
        }
    }

    fn path(&self) -> PathBuf {
        let folder = self.certificates.folder.lock();
        let folder = folder.unwrap_or_else(PoisonError::into_inner);
        folder.path().to_owned()
    }
}

/// Takes in signals until a burst of changes has ended.
fn await_quiet(inbox: &Receiver<()>) {
    let begin: Instant = clock::now();
    while clock::now() - begin < BURST {
        if inbox.recv_timeout(QUIET).is_err() {
            return;
        }
    }
}

/// The system's watch on the folder.
struct Watch {
    /// Kept for its Drop; `None` where there is none, and sweeps have to do.
    _watcher: Option<RecommendedWatcher>,
    identity: Option<(u64, u64)>,
}

impl Watch {
    fn of(path: &Path, signals: &SyncSender<()>) -> Self {
        let identity = identity(path);
        let watcher = watch(path, signals.clone()).inspect_err(|error| {
            let folder = path.display();
            tracing::warn!(%folder, %error, "the folder of certificates cannot be watched and is looked at every few seconds");
        });
        Self {
            _watcher: watcher.ok(),
            identity,
        }
    }
}

fn watch(path: &Path, signals: SyncSender<()>) -> notify::Result<RecommendedWatcher> {
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        // Reading, our own included, is no change; a file that was written and is closed is.
        let reads = |it: &Event| {
            let written = EventKind::Access(AccessKind::Close(AccessMode::Write));
            it.kind.is_access() && it.kind != written
        };
        if !event.as_ref().is_ok_and(reads) {
            // A full queue holds enough signals for a look; none is needed beyond those.
            let _ = signals.try_send(());
        }
    })?;
    watcher.watch(path, RecursiveMode::NonRecursive)?;
    Ok(watcher)
}

/// Device and inode.
fn identity(folder: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(folder)
        .ok()
        .map(|it| (it.dev(), it.ino()))
}
