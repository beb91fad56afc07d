//! `events.jsonl`, its predecessor `events.1.jsonl`, and what becomes of them on a full disk.

use crate::api::EventLine;
use crate::clock;
use minato_control::{Event, EventKind};
use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Appends whole lines; knows how long the file is, so that a torn write is cut off again.
#[derive(Debug)]
pub(super) struct EventFile {
    path: PathBuf,
    rotated: PathBuf,
    rotate_bytes: u64,
    file: Option<File>,
    length: u64,
    /// Lines that the file lacks since writing began to fail; 0 while it works.
    missing: u64,
}

impl EventFile {
    /// The file, and the last `keep` lines that were in it.
    pub(super) fn open(
        folder: &Path,
        rotate_bytes: u64,
        keep: usize,
    ) -> io::Result<(Self, VecDeque<Arc<EventLine>>)> {
        let mut it = Self {
            path: folder.join("events.jsonl"),
            rotated: folder.join("events.1.jsonl"),
            rotate_bytes,
            file: None,
            length: 0,
            missing: 0,
        };
        match fs::create_dir_all(folder).and_then(|()| it.reopen()) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {}
            Err(error) => return Err(named(&it.path, &error)),
        }
        let tail = it.tail(keep).map_err(|error| named(&it.path, &error))?;
        Ok((it, tail))
    }

    /// Writes the lines, or none of them. `Ok(Some(_))`: an event that says that the file works again; `Err(_)`: one
    /// that says that it fails, at the first failure; `Ok(None)` otherwise.
    pub(super) fn append(&mut self, lines: &[Arc<EventLine>]) -> Result<Option<Event>, Event> {
        let mut text = Vec::new();
        for line in lines {
            if serde_json::to_writer(&mut text, line.as_ref()).is_ok() {
                text.push(b'\n');
            }
        }
        match self.write(&text) {
            Ok(()) if self.missing == 0 => Ok(None),
            Ok(()) => {
                let missing = std::mem::take(&mut self.missing);
                let path = self.path.display();
                Ok(Some(Event::info(
                    clock::wall(),
                    EventKind::Process,
                    format!("{path} is written again; it lacks {missing} events"),
                )))
            }
            Err(error) => {
                let first = self.missing == 0;
                self.missing += u64::try_from(lines.len()).unwrap_or(u64::MAX);
                if !first {
                    return Ok(None);
                }
                let path = self.path.display();
                Err(Event::error(
                    clock::wall(),
                    EventKind::Alarm,
                    format!(
                        "{path} cannot be written: {error}; events are kept in memory meanwhile"
                    ),
                )
                .hint("make room on that disk"))
            }
        }
    }

    fn write(&mut self, text: &[u8]) -> io::Result<()> {
        let size = u64::try_from(text.len()).unwrap_or(u64::MAX);
        if self.length > 0 && self.length.saturating_add(size) > self.rotate_bytes {
            self.file = None;
            match fs::rename(&self.path, &self.rotated) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                // Renamed, now or by someone else: what follows begins anew.
                _ => self.length = 0,
            }
        }
        if self.file.is_none() {
            self.reopen()?;
        }
        let Some(file) = &mut self.file else {
            return Err(io::ErrorKind::NotFound.into());
        };
        if let Err(error) = file.write_all(text) {
            // Half a line must not stand in the middle of the file.
            let _ = file.set_len(self.length);
            self.file = None;
            return Err(error);
        }
        self.length += size;
        Ok(())
    }

    fn reopen(&mut self) -> io::Result<()> {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.path)?;
        self.length = file.metadata()?.len();
        self.file = Some(file);
        Ok(())
    }

    /// Reads back what is there; cuts a torn last line off.
    fn tail(&mut self, keep: usize) -> io::Result<VecDeque<Arc<EventLine>>> {
        let text = read_end(&self.path, self.rotate_bytes)?;
        let whole = text
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |at| at + 1);
        let torn = u64::try_from(text.len() - whole).unwrap_or(0);
        if torn > 0
            && let Some(file) = &self.file
        {
            let length = self.length.saturating_sub(torn);
            if file.set_len(length).is_ok() {
                self.length = length;
            }
        }
        let mut lines = VecDeque::new();
        collect(&text, keep, &mut lines);
        if lines.len() < keep {
            collect(
                &read_end(&self.rotated, self.rotate_bytes)?,
                keep,
                &mut lines,
            );
        }
        Ok(lines)
    }
}

/// Puts the last lines of `text` in front of `lines` until there are `keep`; skips what does not decode and whatever
/// does not count down, so that numbers always rise.
fn collect(text: &[u8], keep: usize, lines: &mut VecDeque<Arc<EventLine>>) {
    for line in text.rsplit(|byte| *byte == b'\n') {
        if lines.len() >= keep {
            return;
        }
        if let Ok(line) = serde_json::from_slice::<EventLine>(line)
            && lines.front().is_none_or(|next| line.seq < next.seq)
        {
            lines.push_front(Arc::new(line));
        }
    }
}

/// At most the last `limit` bytes; nothing where there is no file.
fn read_end(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Ok(Vec::new());
    }
    file.seek(SeekFrom::Start(metadata.len().saturating_sub(limit)))?;
    let mut text = Vec::new();
    file.take(limit).read_to_end(&mut text)?;
    Ok(text)
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(
        error.kind(),
        format!(
            "the event file {} cannot be used: {error}; make its folder writable for minato",
            path.display()
        ),
    )
}
