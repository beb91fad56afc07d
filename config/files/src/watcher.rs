//! Follows the folder in a thread of its own and publishes every state that differs from the last.

use crate::listing::{Listing, Stamp};
use crate::settling::{Burst, Change, Pace};
use crate::sight::{Sight, Signal};
use crate::{Folder, Loader};
use minato_config::{Settings, Timestamp};
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Changes that wait for the thread.
const MOST_SIGNALS: usize = 1_024;

/// Times that a folder is read again because it changed while the watch was set up.
const MOST_SETUPS: usize = 3;

/// The watched folder. Dropping it ends the watch; receivers keep the last state.
///
/// A change is read after 50 ms without another, within 500 ms at most. What the system's watch misses is found within
/// 30 s; a folder that was moved, removed or made anew within a second.
#[derive(Debug)]
pub struct Watcher {
    published: watch::Receiver<Arc<Folder>>,
    signals: SyncSender<Signal>,
    stop: Arc<AtomicBool>,
}

impl Watcher {
    /// Reads the folder that `settings` name, then follows it. `now` stamps each reading.
    ///
    /// Blocks until the first reading is done. Fails only where no thread can be had; a folder that cannot be read is a
    /// problem in the state.
    pub fn start(settings: &Settings, now: fn() -> Timestamp) -> io::Result<Self> {
        Self::start_at(settings, now, Pace::default())
    }

    /// The state now, and every later one.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Folder>> {
        self.published.clone()
    }

    pub(crate) fn start_at(
        settings: &Settings,
        now: fn() -> Timestamp,
        pace: Pace,
    ) -> io::Result<Self> {
        let (signals, inbox) = sync_channel(MOST_SIGNALS);
        let stop = Arc::new(AtomicBool::new(false));
        let mut follower = Follower {
            loader: Loader::new(settings),
            sight: Sight::of(std::slice::from_ref(&settings.services), &signals),
            stamps: BTreeMap::new(),
            signals: signals.clone(),
            now,
            pace,
        };
        let first = follower.read();
        let (publish, published) = watch::channel(Arc::new(first));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name("minato-config".to_owned());
        thread.spawn(move || follower.run(&inbox, &publish, &stopped))?;
        Ok(Self {
            published,
            signals,
            stop,
        })
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // A full queue wakes the thread as well.
        let _ = self.signals.try_send(Signal::Stop);
    }
}

/// The thread's own.
struct Follower {
    loader: Loader,
    sight: Sight,
    stamps: BTreeMap<PathBuf, Option<Stamp>>,
    signals: SyncSender<Signal>,
    now: fn() -> Timestamp,
    pace: Pace,
}

impl Follower {
    fn run(
        mut self,
        inbox: &Receiver<Signal>,
        publish: &watch::Sender<Arc<Folder>>,
        stop: &AtomicBool,
    ) {
        let mut swept = clock();
        loop {
            let signal = inbox.recv_timeout(self.pace.look);
            let is_changed = match signal {
                Ok(Signal::Change(change)) => {
                    self.await_quiet(inbox, change);
                    true
                }
                Ok(Signal::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => self.sight.is_stale(),
            };
            if stop.load(Ordering::Acquire) {
                return;
            }
            let is_due = self.sight.is_blind() || clock() - swept >= self.pace.sweep;
            if is_due {
                swept = clock();
            }
            if is_changed || (is_due && self.stamps() != self.stamps) {
                let folder = self.read();
                publish.send_if_modified(|last| {
                    let differs = !last.says_what(&folder);
                    if differs {
                        *last = Arc::new(folder);
                    }
                    differs
                });
            }
        }
    }

    /// Takes in changes until the burst that began with `change` has ended.
    fn await_quiet(&self, inbox: &Receiver<Signal>, change: Change) {
        let mut burst = Burst::begin(change, clock());
        loop {
            let left = burst.due(&self.pace).saturating_duration_since(clock());
            if left == Duration::ZERO {
                return;
            }
            match inbox.recv_timeout(left) {
                Ok(Signal::Change(change)) => burst.add(change, clock()),
                Ok(Signal::Stop) | Err(_) => return,
            }
        }
    }

    /// Reads the folder, with a watch on everything that was read.
    fn read(&mut self) -> Folder {
        for _ in 0..MOST_SETUPS {
            let wanted = self.wanted();
            if !self.sight.is_stale() && self.sight.covers(&wanted) {
                break;
            }
            self.sight = Sight::of(&wanted, &self.signals);
        }
        // Stamps first: what changes after them is found by the next sweep.
        self.stamps = self.stamps();
        self.loader.load((self.now)())
    }

    fn wanted(&self) -> Vec<PathBuf> {
        let folder = self.loader.folder();
        let listing = Listing::of(folder).unwrap_or_default();
        let mut wanted = listing.linked_folders(folder);
        wanted.insert(0, folder.to_owned());
        wanted
    }

    fn stamps(&self) -> BTreeMap<PathBuf, Option<Stamp>> {
        let listing = Listing::of(self.loader.folder());
        listing.map(|it| it.stamps()).unwrap_or_default()
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this shell's one clock; Burst takes `now`"
)]
fn clock() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests;
