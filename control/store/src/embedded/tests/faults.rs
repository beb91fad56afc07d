//! A file that fails on purpose.

use crate::embedded::backing::{Backing, Connect};
use redb::StorageBackend;
use redb::backends::FileBackend;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};

/// What fails, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// No space left, for whatever makes the file longer or writes.
    Full,
    /// An I/O error of a sync.
    Sync,
    /// A write that stops in its middle.
    Torn,
}

/// The switch of all files made with [`Disk::connect`].
#[derive(Debug, Default)]
pub(super) struct Disk {
    fault: AtomicU8,
    /// Operations of the fault's kind that still work.
    left: AtomicI64,
}

impl Disk {
    /// After `left` more operations of its kind, `fault` strikes until [`Disk::heal`].
    pub(super) fn break_after(&self, fault: Fault, left: i64) {
        self.left.store(left, Ordering::SeqCst);
        self.fault.store(fault as u8 + 1, Ordering::SeqCst);
    }

    pub(super) fn heal(&self) {
        self.fault.store(0, Ordering::SeqCst);
    }

    pub(super) fn connect(self: &Arc<Self>) -> Connect {
        let disk = self.clone();
        Arc::new(move |file| {
            Ok(Backing(Box::new(Faulty {
                disk: disk.clone(),
                file: FileBackend::new(file)?,
            })))
        })
    }

    fn strikes(&self, fault: Fault) -> bool {
        self.fault.load(Ordering::SeqCst) == fault as u8 + 1
            && self.left.fetch_sub(1, Ordering::SeqCst) <= 0
    }
}

#[derive(Debug)]
struct Faulty {
    disk: Arc<Disk>,
    file: FileBackend,
}

fn full() -> io::Error {
    io::Error::from_raw_os_error(rustix::io::Errno::NOSPC.raw_os_error())
}

fn broken() -> io::Error {
    io::Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error())
}

impl StorageBackend for Faulty {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        if len > self.file.len()? && self.disk.strikes(Fault::Full) {
            return Err(full());
        }
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        if self.disk.strikes(Fault::Sync) {
            return Err(broken());
        }
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        if self.disk.strikes(Fault::Full) {
            return Err(full());
        }
        if self.disk.strikes(Fault::Torn) {
            self.file.write(offset, &data[..data.len() / 2])?;
            return Err(broken());
        }
        self.file.write(offset, data)
    }
}
