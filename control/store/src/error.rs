//! What can go wrong with the store; each variant names the next step.

use crate::{LeaseId, Revision};
use std::path::PathBuf;
use std::time::Duration;

/// A store call that did not take effect.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Someone wrote first. Read again and decide again.
    #[error("`{key}` changed meanwhile")]
    Conflict {
        /// The first comparison that did not hold.
        key: String,
    },
    /// The history from that revision is gone. List, then watch from the listing's revision.
    #[error("history before revision {oldest:?} is compacted")]
    Compacted {
        /// The oldest revision that can be watched from.
        oldest: Revision,
    },
    /// The lease has ended. Grant a new one and write its keys again.
    #[error("lease {lease:?} has ended")]
    LeaseGone {
        /// Which.
        lease: LeaseId,
    },
    /// Another minato holds the data folder. End that one or use another folder.
    #[error("the data folder {} is held by another minato (pid {holder}); stop that one, or give this one a folder of its own with [store] path", path.display())]
    Held {
        /// The folder.
        path: PathBuf,
        /// Its process id as it wrote it, or `unknown`.
        holder: String,
    },
    /// No room, no permission, a failing disk: the write did not happen. Keep serving what is known. Only where the
    /// process ends before the next write succeeds, it may be found to have happened, whole.
    #[error("the store file {} cannot be written: {cause}", path.display())]
    Disk {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// The file is damaged, or a newer minato wrote it. A person is needed.
    #[error("the store file {} cannot be used: {detail}; move it away to start empty (instances go on and are adopted), or put a copy of it back", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What was found.
        detail: String,
    },
    /// No member of the store answered. Keep serving what is known and try again. A commit may have happened; it never
    /// happens later than the next commit of this process.
    #[error("the store ({store}) gave no answer within {waited:.1?}: {detail}; {remedy}")]
    Unreachable {
        /// Its endpoints.
        store: String,
        /// How long it was tried.
        waited: Duration,
        /// What the last member said.
        detail: String,
        /// What to look at.
        remedy: &'static str,
    },
    /// The store answered and will not do it: a wrong password, a missing permission, no room. A person is needed; the
    /// next call tries again, so nothing has to be restarted.
    #[error("the store ({store}) refuses: {detail}; {remedy}")]
    Refused {
        /// Its endpoints.
        store: String,
        /// What it said.
        detail: String,
        /// What to do.
        remedy: &'static str,
    },
    /// The store was restored, or is another one than this handle has known: what was read and written through it may be gone.
    /// Nothing more goes through before its owner has looked, and says [`crate::Store::begin_anew`].
    #[error("the store ({store}) is not the one of before: {detail}")]
    Replaced {
        /// Its endpoints.
        store: String,
        /// What was found.
        detail: String,
        /// Where it is the same one and went back: a revision that it had before.
        known: Option<Revision>,
    },
    /// The store may be read and not led on: of a newer format, being filled, or left for another. A person decides.
    #[error("nobody can lead here, `{key}` says why: {detail}; {remedy}")]
    Unfit {
        /// The key that says so.
        key: String,
        /// What it says.
        detail: String,
        /// What to do.
        remedy: &'static str,
    },
    /// A commit outside the documented bounds. A bug of the caller.
    #[error("commit refused: {detail}")]
    Invalid {
        /// Which bound.
        detail: String,
    },
    /// The store is closing.
    #[error("the store is closed")]
    Closed,
}
