//! Captured output: one pipe for both streams, copied to a log of bounded size. Never holds the instance up for the
//! disk's sake: what cannot be written is dropped.

use crate::log::LogFiles;
use minato_config::{ServiceName, SlotIndex};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Stdio;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Bytes of the last line that are remembered.
const LAST_LINE: usize = 200;

/// Before the instance exists: both ends of its pipe.
pub(super) struct Output {
    reader: Option<File>,
    writer: Option<OwnedFd>,
    log: Option<Log>,
    last: Arc<Mutex<LastLine>>,
    done: Option<Receiver<()>>,
}

impl Output {
    pub(super) fn open(
        data: &Path,
        service: &ServiceName,
        slot: SlotIndex,
        log_bytes: u64,
    ) -> io::Result<Self> {
        let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        Ok(Self {
            reader: Some(File::from(reader)),
            writer: Some(writer),
            log: Some(Log::open(LogFiles::new(data, service, slot), log_bytes)?),
            last: Arc::default(),
            done: None,
        })
    }

    /// For standard output and standard error.
    pub(super) fn writers(&self) -> io::Result<(Stdio, Stdio)> {
        let writer = self
            .writer
            .as_ref()
            .ok_or_else(|| io::Error::other("the pipe is already in use"))?;
        Ok((writer.try_clone()?.into(), writer.try_clone()?.into()))
    }

    /// Closes the writing end here, and copies from now on.
    pub(super) fn copy(mut self) -> Self {
        self.writer = None;
        if let (Some(mut reader), Some(mut log)) = (self.reader.take(), self.log.take()) {
            let (done, receiver) = sync_channel(1);
            let last = self.last.clone();
            self.done = Some(receiver);
            std::thread::spawn(move || {
                let mut buffer = vec![0; 16 * 1024];
                loop {
                    match reader.read(&mut buffer) {
                        Ok(0) => break,
                        Ok(read) => {
                            let bytes = buffer.get(..read).unwrap_or_default();
                            log.write(bytes);
                            if let Ok(mut last) = last.lock() {
                                last.add(bytes);
                            }
                        }
                        Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                        Err(_) => break,
                    }
                }
                let _ = done.send(());
            });
        }
        self
    }

    /// Waits until all that was written has been copied; returns the last line.
    pub(super) fn finish(self, patience: Duration) -> String {
        if let Some(done) = self.done {
            let _ = done.recv_timeout(patience);
        }
        self.last.lock().map(|it| it.text()).unwrap_or_default()
    }
}

/// Two files of half the bytes each.
pub(crate) struct Log {
    files: LogFiles,
    current: Option<File>,
    size: u64,
    half: u64,
}

impl Log {
    pub(crate) fn open(files: LogFiles, bytes: u64) -> io::Result<Self> {
        let (current, size) = files.append()?;
        Ok(Self {
            files,
            current: Some(current),
            size,
            half: (bytes / 2).max(1),
        })
    }

    /// Where a file is full, the next begins with a whole line if there is one.
    pub(crate) fn write(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = usize::try_from(self.half.saturating_sub(self.size)).unwrap_or(usize::MAX);
            let fits = bytes.get(..room.min(bytes.len())).unwrap_or_default();
            let now = if fits.len() == bytes.len() {
                bytes.len()
            } else {
                match fits.iter().rposition(|it| *it == b'\n') {
                    Some(end) => end + 1,
                    // A line longer than a whole file is cut.
                    None if self.size == 0 => fits.len().max(1),
                    None => 0,
                }
            };
            let (first, rest) = bytes.split_at(now.min(bytes.len()));
            self.append(first);
            bytes = rest;
            if !bytes.is_empty() {
                self.rotate();
            }
        }
    }

    fn append(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        if self.current.is_none() {
            self.current = self.files.append().ok().map(|(file, size)| {
                self.size = size;
                file
            });
        }
        if let Some(file) = &mut self.current
            && file.write_all(bytes).is_err()
        {
            self.current = None;
        }
        self.size = self
            .size
            .saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
    }

    /// On failure the current file is emptied instead, so that the bound holds.
    fn rotate(&mut self) {
        self.current = None;
        if self.files.rotate().is_err() {
            self.files.empty();
        }
        self.size = 0;
    }
}

/// The last line that has something in it.
#[derive(Default)]
pub(crate) struct LastLine {
    whole: Vec<u8>,
    growing: Vec<u8>,
}

impl LastLine {
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|it| *it == b'\n') {
            let text = piece.strip_suffix(b"\n").unwrap_or(piece);
            let room = LAST_LINE.saturating_sub(self.growing.len());
            self.growing.extend(text.iter().take(room));
            if text.len() < piece.len() {
                let line = std::mem::take(&mut self.growing);
                if line.iter().any(|it| !it.is_ascii_whitespace()) {
                    self.whole = line;
                }
            }
        }
    }

    pub(crate) fn text(&self) -> String {
        let blank = self.growing.iter().all(u8::is_ascii_whitespace);
        let line = if blank { &self.whole } else { &self.growing };
        let text: String = String::from_utf8_lossy(line)
            .chars()
            .filter(|it| !it.is_control())
            .collect();
        text.trim().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_with_something_in_it_is_remembered() {
        for (pieces, expected) in [
            (&["one\ntwo\n"][..], "two"),
            (&["one\nt", "wo"], "two"),
            (&["one\n\n  \n"], "one"),
            (&[], ""),
            (&["\x1b[31mred\n"], "[31mred"),
        ] {
            let mut last = LastLine::default();
            pieces.iter().for_each(|it| last.add(it.as_bytes()));
            assert_eq!(last.text(), expected, "{pieces:?}");
        }
        let mut last = LastLine::default();
        last.add(&[b'x'; 5000]);
        assert_eq!(last.text().len(), LAST_LINE);
    }

    #[test]
    fn the_log_is_bounded_and_cut_at_lines() {
        let folder = tempfile::tempdir().unwrap();
        let service = ServiceName::parse("library").unwrap();
        let files = LogFiles::new(folder.path(), &service, SlotIndex(0));
        let mut log = Log::open(files.clone(), 100).unwrap();
        for n in 0..50 {
            log.write(format!("line {n}\n").as_bytes());
        }
        log.write(&[b'y'; 500]);
        log.write(b"\nlast\n");
        let sizes: Vec<u64> = [files.current(), files.older()]
            .iter()
            .map(|it| std::fs::metadata(it).unwrap().len())
            .collect();
        assert!(sizes.iter().all(|it| *it <= 50), "{sizes:?}");
        assert_eq!(
            std::fs::read_to_string(files.current())
                .unwrap()
                .lines()
                .last(),
            Some("last")
        );
    }
}
