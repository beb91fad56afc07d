//! The file: tables of the engine, one durable transaction for each batch, checked when it is opened.
//!
//! A new file is written aside and renamed, so `store.redb` is always whole. After a failed write the engine refuses
//! everything, and what of the batch reached the disk is unknown; so the file is then written anew from memory, which
//! holds exactly what was acknowledged.

use super::backing::Connect;
use super::folder::{self, Folder, disk};
use super::state::{Delta, State};
use super::tables::{self, Failed, Identity};
use crate::StoreError;
use redb::{Builder, Database};
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// Everything is in memory anyway; the engine needs little more than the pages of one batch.
const CACHE_BYTES: usize = 8 << 20;

pub(super) struct StoreFile {
    folder: Folder,
    connect: Connect,
    identity: Identity,
    /// `None` after a failed write, until the file was written anew.
    database: Option<Database>,
}

impl StoreFile {
    /// Opens the file of `folder`, or makes one; returns what it holds.
    pub(super) fn open(folder: Folder, connect: Connect) -> Result<(Self, State), StoreError> {
        let path = folder.store();
        folder::remove(&aside(&path)).map_err(|cause| disk(&path, cause))?;
        let exists = fs::exists(&path).map_err(|cause| disk(&path, cause))?;
        let mut file = Self {
            folder,
            connect,
            identity: Identity {
                store_id: fastrand::u128(1..),
                era: 1,
            },
            database: None,
        };
        if !exists {
            let state = State::default();
            file.rewrite(&state).map_err(|cause| disk(&path, cause))?;
            return Ok((file, state));
        }
        let (database, identity, state) = guarded(|| read_file(&path, &file.connect))
            .map_err(|failed| failed.into_store_error(&path))?;
        if let Some(sequence) = file.folder.acknowledged(identity.store_id)
            && state.sequence < sequence
        {
            let detail = format!(
                "it holds {} of {sequence} acknowledged writes: it is damaged or an older copy (to go on from it all the same, remove store.mark beside it)",
                state.sequence
            );
            return Err(StoreError::Corrupt { path, detail });
        }
        file.identity = identity;
        file.database = Some(database);
        Ok((file, state))
    }

    pub(super) fn identity(&self) -> Identity {
        self.identity
    }

    pub(super) fn path(&self) -> PathBuf {
        self.folder.store()
    }

    /// Makes `delta` durable on top of `state`. On an error nothing of it is acknowledged.
    pub(super) fn write(&mut self, state: &State, delta: &Delta) -> io::Result<()> {
        if self.database.is_none() {
            self.rewrite(state)?;
        }
        let Some(database) = &self.database else {
            return Err(io::Error::other("the store file is not open"));
        };
        let written = guarded(|| tables::apply(database, state.history.oldest, delta));
        if let Err(failed) = written {
            self.abandon();
            return Err(failed.into_io());
        }
        self.acknowledge(delta.sequence);
        Ok(())
    }

    /// Writes the file anew from memory and puts it in place of the old one.
    fn rewrite(&mut self, state: &State) -> io::Result<()> {
        let path = self.folder.store();
        let aside = aside(&path);
        let made = self.make(&aside, state);
        let placed = made.and_then(|database| {
            fs::rename(&aside, &path)?;
            self.folder.sync()?;
            Ok(database)
        });
        match placed {
            Ok(database) => {
                self.database = Some(database);
                self.acknowledge(state.sequence);
                Ok(())
            }
            Err(cause) => {
                // It must not take the room that is missing.
                if let Err(cause) = folder::remove(&aside) {
                    tracing::warn!(path = %aside.display(), %cause, "An unfinished store file could not be removed");
                }
                Err(cause)
            }
        }
    }

    fn make(&self, path: &Path, state: &State) -> io::Result<Database> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(path)?;
        guarded(|| {
            let mut builder = Builder::new();
            builder.set_cache_size(CACHE_BYTES);
            let database = builder.create_with_backend((self.connect)(file)?)?;
            tables::fill(&database, self.identity, state)?;
            Ok(database)
        })
        .map_err(Failed::into_io)
    }

    fn acknowledge(&self, sequence: u64) {
        // The mark only tells of damage later; the batch itself is safe.
        if let Err(cause) = self.folder.acknowledge(self.identity.store_id, sequence) {
            tracing::warn!(%cause, "The mark beside the store file could not be written");
        }
    }

    fn abandon(&mut self) {
        let database = self.database.take();
        // Closing after a failed write may fail again, in whatever way; the file is given up anyway.
        if catch_unwind(AssertUnwindSafe(|| drop(database))).is_err() {
            tracing::warn!("The engine panicked while it gave up the store file");
        }
    }
}

fn aside(path: &Path) -> PathBuf {
    path.with_extension("redb.new")
}

/// Opens, checks every page and reads everything.
fn read_file(path: &Path, connect: &Connect) -> Result<(Database, Identity, State), Failed> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    if file.metadata()?.len() == 0 {
        // The engine would take it for a new one and begin with nothing.
        return Err(Failed::Content("it is empty".to_owned()));
    }
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES);
    // Without it, a file that was closed in order is trusted and damage is found by accident, later.
    builder.set_check_integrity_on_open(true);
    let database = builder.create_with_backend(connect(file)?)?;
    let (identity, state) = tables::read(&database)?;
    Ok((database, identity, state))
}

impl Failed {
    fn into_io(self) -> io::Error {
        match self {
            Self::Engine(redb::Error::Io(cause)) => cause,
            Self::Engine(other) => io::Error::other(other.to_string()),
            Self::Content(detail) => io::Error::other(detail),
        }
    }

    fn into_store_error(self, path: &Path) -> StoreError {
        match self {
            // A file that is shorter than it says is damage, not a failing disk.
            Self::Engine(redb::Error::Io(cause))
                if !matches!(
                    cause.kind(),
                    io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData
                ) =>
            {
                disk(path, cause)
            }
            other => StoreError::Corrupt {
                path: path.to_owned(),
                detail: other.into_io().to_string(),
            },
        }
    }
}

/// Runs the engine. It answers damage with errors where it can, but promises so only for its integrity check, and a
/// file is input like any other: it must never end the process.
fn guarded<T>(run: impl FnOnce() -> Result<T, Failed>) -> Result<T, Failed> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("no reason given");
        Err(Failed::Content(format!("the engine gave up: {text}")))
    })
}
