//! Captured output: two files for each slot, `logs/<service>.<n>.log` and `.log.1`, the older one.

use crate::runtime::private_folder;
use minato_config::{ServiceName, SlotIndex};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Bytes that one call reads at most.
const READ: u64 = 256 * 1024;
/// Bytes of the end of the log that [`logs`] looks at.
const TAIL: u64 = 8 * 1024 * 1024;

/// Where a reader that follows stands. Survives one rotation between two reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogCursor {
    inode: u64,
    offset: u64,
}

/// The last `lines` lines of a slot's output, oldest first, over all its runs that are kept, out of its last 8 MiB.
/// Bytes that are no UTF-8 are replaced.
///
/// An error of kind `NotFound` when nothing was ever captured.
pub fn logs(
    data: &Path,
    service: &ServiceName,
    slot: SlotIndex,
    lines: usize,
) -> io::Result<Vec<String>> {
    let files = LogFiles::new(data, service, slot);
    let mut text = tail(&files.current())?;
    let room = TAIL.saturating_sub(u64::try_from(text.len()).unwrap_or(u64::MAX));
    if room > 0 && newlines(&text) <= lines {
        let mut older = tail(&files.older()).unwrap_or_default();
        older.append(&mut text);
        text = older;
    }
    let text = String::from_utf8_lossy(&text);
    let all: Vec<&str> = text.lines().collect();
    let skip = all.len().saturating_sub(lines);
    Ok(all.into_iter().skip(skip).map(str::to_owned).collect())
}

/// Whole lines written after `cursor`, and where to go on; about 256 KiB a call. `None` begins at the end.
///
/// Lines that were rotated out of both files since are missing.
pub fn logs_after(
    data: &Path,
    service: &ServiceName,
    slot: SlotIndex,
    cursor: Option<LogCursor>,
) -> io::Result<(Vec<String>, LogCursor)> {
    let files = LogFiles::new(data, service, slot);
    let mut current = File::open(files.current())?;
    let about = current.metadata()?;
    let Some(cursor) = cursor else {
        let end = LogCursor {
            inode: about.ino(),
            offset: about.size(),
        };
        return Ok((Vec::new(), end));
    };
    if cursor.inode == about.ino() {
        return read_lines(&mut current, cursor, Rest::Growing);
    }
    if let Ok(mut older) = File::open(files.older())
        && older.metadata()?.ino() == cursor.inode
    {
        let (lines, cursor) = read_lines(&mut older, cursor, Rest::Final)?;
        if !lines.is_empty() {
            return Ok((lines, cursor));
        }
    }
    let start = LogCursor {
        inode: about.ino(),
        offset: 0,
    };
    read_lines(&mut current, start, Rest::Growing)
}

/// Whether a last line without an end may still get one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rest {
    Growing,
    Final,
}

fn read_lines(
    file: &mut File,
    cursor: LogCursor,
    rest: Rest,
) -> io::Result<(Vec<String>, LogCursor)> {
    // Emptied since: begin again.
    let offset = if cursor.offset > file.metadata()?.size() {
        0
    } else {
        cursor.offset
    };
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    file.take(READ).read_to_end(&mut bytes)?;
    let full = u64::try_from(bytes.len()).unwrap_or(u64::MAX) == READ;
    let end = match bytes.iter().rposition(|it| *it == b'\n') {
        _ if rest == Rest::Final && !full => bytes.len(),
        Some(end) => end + 1,
        None if full => bytes.len(),
        None => 0,
    };
    let whole = bytes.get(..end).unwrap_or_default();
    let lines = String::from_utf8_lossy(whole)
        .lines()
        .map(str::to_owned)
        .collect();
    let offset = offset.saturating_add(u64::try_from(end).unwrap_or(u64::MAX));
    Ok((lines, LogCursor { offset, ..cursor }))
}

fn tail(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.size();
    file.seek(SeekFrom::Start(size.saturating_sub(TAIL)))?;
    let mut bytes = Vec::new();
    file.take(TAIL).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn newlines(bytes: &[u8]) -> usize {
    bytes.iter().filter(|it| **it == b'\n').count()
}

/// The two files of one slot.
#[derive(Debug, Clone)]
pub(crate) struct LogFiles {
    folder: PathBuf,
    name: String,
}

impl LogFiles {
    pub(crate) fn new(data: &Path, service: &ServiceName, slot: SlotIndex) -> Self {
        Self {
            folder: data.join("logs"),
            name: format!("{service}.{slot}.log"),
        }
    }

    pub(crate) fn current(&self) -> PathBuf {
        self.folder.join(&self.name)
    }

    pub(crate) fn older(&self) -> PathBuf {
        self.folder.join(format!("{}.1", self.name))
    }

    /// The current file, opened for appending, and its size.
    pub(crate) fn append(&self) -> io::Result<(File, u64)> {
        private_folder(&self.folder)?;
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(self.current())?;
        let size = file.metadata()?.size();
        Ok((file, size))
    }

    pub(crate) fn rotate(&self) -> io::Result<()> {
        fs::rename(self.current(), self.older())
    }

    pub(crate) fn empty(&self) {
        let _ = OpenOptions::new()
            .write(true)
            .truncate(true)
            .open(self.current());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_follower_misses_nothing_over_a_rotation() {
        let folder = tempfile::tempdir().unwrap();
        let service = ServiceName::parse("library").unwrap();
        let files = LogFiles::new(folder.path(), &service, SlotIndex(0));
        let write = |text: &str| {
            files
                .append()
                .unwrap()
                .0
                .write_all(text.as_bytes())
                .unwrap();
        };
        let after = |cursor| logs_after(folder.path(), &service, SlotIndex(0), cursor).unwrap();
        assert_eq!(
            logs(folder.path(), &service, SlotIndex(0), 9)
                .unwrap_err()
                .kind(),
            io::ErrorKind::NotFound
        );
        write("before\n");
        let (none, cursor) = after(None);
        assert!(none.is_empty());
        write("one\nhal");
        let (lines, cursor) = after(Some(cursor));
        assert_eq!(lines, ["one"]);
        write("f\ntwo\n");
        files.rotate().unwrap();
        write("three\n");
        let (lines, cursor) = after(Some(cursor));
        assert_eq!(lines, ["half", "two"]);
        let (lines, cursor) = after(Some(cursor));
        assert_eq!(lines, ["three"]);
        assert!(after(Some(cursor)).0.is_empty());
        assert_eq!(
            logs(folder.path(), &service, SlotIndex(0), 2).unwrap(),
            ["two", "three"]
        );
        assert_eq!(
            logs(folder.path(), &service, SlotIndex(0), 99).unwrap(),
            ["before", "one", "half", "two", "three"]
        );
    }
}
