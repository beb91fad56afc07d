//! The writer of the lines that stay on disk: takes batches of lines apart by service and adds them to each service's segment.
//!
//! Segments are this process's own, so that the process before, which still ends its connections, writes in others.
//! Not here: the layout (`archive`), making lines.

use super::archive::Archive;
use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A segment that is longer gets a successor.
const SEGMENT: u64 = 16 << 20;
/// Files that are open at once.
const OPEN: usize = 128;
/// How often the oldest are removed, and how often it is said that lines are lost.
const LOOK: Duration = Duration::from_secs(60);

/// What is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptLog {
    /// Where.
    pub folder: PathBuf,
    /// Bytes at most, of all services together; the oldest segments go first.
    pub bytes: u64,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Kept {
    archive: Archive,
    bytes: u64,
    /// By service; empty for requests without one.
    current: HashMap<String, Current>,
    open: usize,
    made: u64,
    /// Written since room was made.
    written: u64,
    looked: Instant,
    told: Option<Instant>,
}

#[derive(Debug)]
struct Current {
    path: PathBuf,
    file: Option<File>,
    /// Of whole lines.
    length: u64,
}

impl Kept {
    pub(super) fn new(kept: KeptLog, now: Instant) -> Self {
        Self {
            archive: Archive::new(kept.folder),
            bytes: kept.bytes,
            current: HashMap::new(),
            open: 0,
            made: 0,
            written: 0,
            looked: now,
            told: None,
        }
    }

    /// Adds whole lines. Returns how many could not be.
    pub(super) fn write(&mut self, batch: &[u8], now: Instant, wall_ms: u64) -> u64 {
        let mut by_service: HashMap<&str, Vec<u8>> = HashMap::new();
        for line in batch.split_inclusive(|it| *it == b'\n') {
            by_service
                .entry(service(line))
                .or_default()
                .extend_from_slice(line);
        }
        let mut lost = 0;
        for (service, lines) in by_service {
            if let Err(error) = self.add(service, &lines, wall_ms) {
                lost += lines.iter().filter(|it| **it == b'\n').count() as u64;
                self.tell(&error, now);
            }
        }
        self.make_room(now);
        lost
    }

    fn add(&mut self, service: &str, lines: &[u8], wall_ms: u64) -> io::Result<()> {
        if self.open >= OPEN {
            self.current.values_mut().for_each(|it| it.file = None);
            self.open = 0;
        }
        if self
            .current
            .get(service)
            .is_none_or(|it| it.length >= SEGMENT)
        {
            let folder = self.archive.of_service(service);
            fs::create_dir_all(&folder)?;
            self.made += 1;
            let name = format!("{wall_ms:013}-{}-{}.log", std::process::id(), self.made);
            let current = Current {
                path: folder.join(name),
                file: None,
                length: 0,
            };
            self.current.insert(service.to_owned(), current);
        }
        let Some(current) = self.current.get_mut(service) else {
            return Ok(());
        };
        if current.file.is_none() {
            let mut options = OpenOptions::new();
            current.file = Some(options.create(true).append(true).open(&current.path)?);
            self.open += 1;
        }
        let Some(file) = &mut current.file else {
            return Ok(());
        };
        match file.write_all(lines) {
            Ok(()) => {
                current.length += lines.len() as u64;
                self.written += lines.len() as u64;
                Ok(())
            }
            Err(error) => {
                // Half a line must not stay. Somebody may have copied it already, so that nothing else may stand in its place: the next
                // is a file of its own.
                let grew = file.metadata().map_or(true, |it| it.len() > current.length);
                if grew {
                    let _ = file.set_len(current.length);
                    current.length = SEGMENT;
                }
                Err(error)
            }
        }
    }

    fn make_room(&mut self, now: Instant) {
        if self.written < self.bytes / 16 && now.duration_since(self.looked) < LOOK {
            return;
        }
        (self.written, self.looked) = (0, now);
        let open = |path: &Path| self.current.values().any(|it| it.path == path);
        match self.archive.make_room(self.bytes, &open) {
            Ok(_) => {}
            Err(error) => self.tell(&error, now),
        }
    }

    fn tell(&mut self, error: &io::Error, now: Instant) {
        if self.told.is_none_or(|it| now.duration_since(it) >= LOOK) {
            self.told = Some(now);
            let folder = self.archive.folder().display();
            tracing::error!(
                "lines of the access log cannot be kept in {folder}: {error}; make room there or give [gateway] access_log_keep less"
            );
        }
    }
}

/// Whose line it is: what stands before the `/` of the third field after the quoted request. Empty: nobody's.
fn service(line: &[u8]) -> &str {
    let mut quotes = 0;
    let mut is_escaped = false;
    let end = line.iter().position(|it| {
        let is_quote = *it == b'"' && !is_escaped;
        is_escaped = *it == b'\\' && !is_escaped;
        quotes += usize::from(is_quote);
        quotes == 2
    });
    let after = end.and_then(|at| line.get(at + 2..)).unwrap_or_default();
    let field = after.split(|it| *it == b' ').nth(2).unwrap_or_default();
    let name = field.split(|it| *it == b'/').next().unwrap_or_default();
    match std::str::from_utf8(name) {
        Ok("-") | Err(_) => "",
        Ok(name) => name,
    }
}

#[cfg(test)]
#[path = "kept_tests.rs"]
mod tests;
