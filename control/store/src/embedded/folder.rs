//! The data folder: made with mode 0700, held by one process, and the mark of what was acknowledged.
//!
//! `lock` is held by flock, which the kernel lets go whatever way the holder ends; its text is the holder's pid.
//! `store.mark` is written after each durable batch, without fsync: it survives the end of the process, and is never
//! ahead of the file. A file that is behind it has lost acknowledged commits (damage made the engine fall back to an
//! older state, or an old copy was put in place), which nothing inside the file could tell.

use crate::StoreError;
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Name of the store's file within the folder.
pub(super) const STORE: &str = "store.redb";
const LOCK: &str = "lock";
const MARK: &str = "store.mark";

/// A folder that this process holds until it is dropped.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    _lock: File,
    mark: File,
}

impl Folder {
    /// Makes the folder where it is missing and takes its lock.
    pub(super) fn hold(path: &Path) -> Result<Self, StoreError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(|cause| disk(path, cause))?;
        let lock = lock(path)?;
        let mark = path.join(MARK);
        let mark = open(&mark).map_err(|cause| disk(&mark, cause))?;
        Ok(Self {
            path: path.to_owned(),
            _lock: lock,
            mark,
        })
    }

    /// `store.redb` in the folder.
    pub(super) fn store(&self) -> PathBuf {
        self.path.join(STORE)
    }

    /// Makes a rename in the folder durable.
    pub(super) fn sync(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }

    /// The last sequence that was acknowledged for this store; `None` where it is not known.
    pub(super) fn acknowledged(&self, store_id: u128) -> Option<u64> {
        let mut bytes = [0; 32];
        self.mark.read_exact_at(&mut bytes, 0).ok()?;
        let sequence = u64::from_le_bytes(bytes[16..24].try_into().ok()?);
        (bytes == mark(store_id, sequence)).then_some(sequence)
    }

    /// Notes that everything up to `sequence` was acknowledged.
    pub(super) fn acknowledge(&self, store_id: u128, sequence: u64) -> io::Result<()> {
        self.mark.write_all_at(&mark(store_id, sequence), 0)
    }
}

/// Store id, sequence, and a checksum that tells a mark from a torn or damaged one.
fn mark(store_id: u128, sequence: u64) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[..16].copy_from_slice(&store_id.to_le_bytes());
    bytes[16..24].copy_from_slice(&sequence.to_le_bytes());
    let hash = bytes[..24].iter().fold(0xcbf2_9ce4_8422_2325, |hash, it| {
        (hash ^ u64::from(*it)).wrapping_mul(0x0100_0000_01b3_u64)
    });
    bytes[24..].copy_from_slice(&hash.to_le_bytes());
    bytes
}

/// The error of a file or folder that the system refuses.
pub(super) fn disk(path: &Path, cause: io::Error) -> StoreError {
    StoreError::Disk {
        path: path.to_owned(),
        cause,
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
}

fn lock(folder: &Path) -> Result<File, StoreError> {
    let path = folder.join(LOCK);
    let mut file = open(&path).map_err(|cause| disk(&path, cause))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let mut holder = String::new();
            // Whoever holds it writes its pid right after: an empty file means that it just began.
            let read = Read::by_ref(&mut file).take(20).read_to_string(&mut holder);
            let known = read.is_ok() && holder.trim().parse::<u32>().is_ok();
            return Err(StoreError::Held {
                path: folder.to_owned(),
                holder: if known {
                    holder.trim().to_owned()
                } else {
                    "unknown".to_owned()
                },
            });
        }
        Err(cause) => return Err(disk(&path, cause.into())),
    }
    // On a full disk the lock still holds; only its text is missing.
    let text = format!("{}\n", std::process::id());
    let written = file
        .set_len(0)
        .and_then(|()| file.write_all(text.as_bytes()));
    if let Err(cause) = written {
        tracing::warn!(path = %path.display(), %cause, "The lock is held, but its pid could not be written");
    }
    Ok(file)
}

/// Removes a file that may not be there.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
