//! What is watched on disk: the folder, and the folders that its links lead to.

use crate::listing::is_service_file;
use crate::settling::Change;
use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::SyncSender;

/// Folders watched at once.
const MOST_FOLDERS: usize = 64;

/// Which folder a path leads to: device and inode.
type Identity = Option<(u64, u64)>;

/// A running watch. Dropping it ends it.
pub(crate) struct Sight {
    /// Kept for its Drop; `None` where the system gave no watch.
    watcher: Option<RecommendedWatcher>,
    folders: BTreeMap<PathBuf, Identity>,
}

/// What the watch tells the watcher's thread.
#[derive(Debug)]
pub(crate) enum Signal {
    Change(Change),
    Stop,
}

impl Sight {
    /// Watches `folders` as they are now; one that is missing is found by [`Sight::is_stale`] when it comes.
    pub(crate) fn of(folders: &[PathBuf], signals: &SyncSender<Signal>) -> Self {
        let folders = folders.iter().take(MOST_FOLDERS);
        let folders: BTreeMap<_, _> = folders.map(|it| (it.clone(), identity(it))).collect();
        let watcher = watch(&folders, signals.clone()).inspect_err(|error| {
            tracing::warn!(%error, "the folder of service files is looked at each second, because it cannot be watched");
        });
        Self {
            watcher: watcher.ok(),
            folders,
        }
    }

    /// Whether changes are told at all.
    pub(crate) fn is_blind(&self) -> bool {
        self.watcher.is_none()
    }

    /// Whether exactly these are watched.
    pub(crate) fn covers(&self, folders: &[PathBuf]) -> bool {
        let wanted = folders.iter().take(MOST_FOLDERS);
        wanted.len() == self.folders.len()
            && wanted.into_iter().all(|it| self.folders.contains_key(it))
    }

    /// Whether a watched path leads to another folder by now, or to none.
    pub(crate) fn is_stale(&self) -> bool {
        self.folders
            .iter()
            .any(|(path, seen)| identity(path) != *seen)
    }
}

fn identity(folder: &Path) -> Identity {
    fs::metadata(folder).ok().map(|it| (it.dev(), it.ino()))
}

fn watch(
    folders: &BTreeMap<PathBuf, Identity>,
    signals: SyncSender<Signal>,
) -> notify::Result<RecommendedWatcher> {
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        let change = event.map_or(Some(Change::Other), |it| change(&it));
        if let Some(change) = change {
            // A full queue holds enough changes for a reading; none is needed beyond those.
            let _ = signals.try_send(Signal::Change(change));
        }
    })?;
    for (folder, _) in folders.iter().filter(|(_, identity)| identity.is_some()) {
        match watcher.watch(folder, RecursiveMode::NonRecursive) {
            Err(error) if matches!(error.kind, notify::ErrorKind::PathNotFound) => {}
            other => other?,
        }
    }
    Ok(watcher)
}

/// What an event means; `None` for reading, our own included, and for an editor's own files.
fn change(event: &Event) -> Option<Change> {
    let path = event.paths.first();
    let name = path.and_then(|it| it.file_name());
    let ours = name.is_none_or(|it| is_service_file(&it.to_string_lossy()));
    let file = path.filter(|_| ours);
    match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => {
            file.cloned().map(Change::Written)
        }
        EventKind::Access(_) => None,
        EventKind::Modify(ModifyKind::Data(_)) => file.cloned().map(Change::Writing),
        _ => Some(Change::Other),
    }
}
