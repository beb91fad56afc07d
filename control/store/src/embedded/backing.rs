//! What the engine reads and writes: the file, behind a type that tests can make fail.

use redb::{DatabaseError, StorageBackend, backends::FileBackend};
use std::fs::File;
use std::io;
use std::sync::Arc;

/// A boxed backend. It does not offer the engine's own locks: the folder's lock already keeps others out, and covers
/// the moment in which a new file takes the old one's place.
#[derive(Debug)]
pub(super) struct Backing(pub(super) Box<dyn StorageBackend>);

/// Turns an open file into what the engine uses.
pub(super) type Connect = Arc<dyn Fn(File) -> Result<Backing, DatabaseError> + Send + Sync>;

/// The plain file.
pub(super) fn plain() -> Connect {
    Arc::new(|file| Ok(Backing(Box::new(FileBackend::new(file)?))))
}

impl StorageBackend for Backing {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.0.close()
    }
}
