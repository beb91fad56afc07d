//! Copies what a container writes from the engine into the slot's log, as it is written, and goes on where it left off.
//!
//! The engine keeps the output of a container as long as the container exists; the slot's log keeps it over its runs and is
//! read where a process's is. How far the copy came is kept beside the records.

use super::engine::Engine;
use crate::log::LogFiles;
use crate::runtime::{Durable, RunName, write_whole};
use crate::shim::{LastLine, Log};
use bollard::query_parameters::LogsOptionsBuilder;
use futures_util::StreamExt as _;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// Before the line to the engine is tried again.
const PAUSE: Duration = Duration::from_millis(500);
/// Lines after which the position is written down at the latest.
const NOTE: usize = 200;
/// Bytes of a log that are read at most to find out how far a copy came that nobody noted.
const UNNOTED: u64 = 16 << 20;
/// Bytes of a time as the engine writes it before each line: `2026-11-22T14:35:01.123456789Z`.
const STAMP: usize = 30;

/// One copy under way.
#[derive(Debug, Clone)]
pub(super) struct Copy {
    pub(super) engine: Arc<Engine>,
    pub(super) container: String,
    pub(super) run: RunName,
    /// The agent's data folder, where logs are read.
    pub(super) data: PathBuf,
    /// Where positions are kept.
    pub(super) records: PathBuf,
    pub(super) log_bytes: u64,
}

impl Copy {
    /// Copies until the container has ended and all that it wrote is copied, or is gone. Answers the last line.
    pub(super) async fn run(self) -> String {
        let files = LogFiles::new(&self.data, &self.run.service, self.run.slot);
        let mut position = Position::read(&self.position());
        let mut skip = position.unnoted(&files.current());
        let mut log = Log::open(files.clone(), self.log_bytes).ok();
        if position.inode == 0 {
            position.note(&self.position(), &files.current());
        }
        let mut last = LastLine::default();
        loop {
            let followed = self
                .follow(&mut position, &mut skip, log.as_mut(), &mut last, &files)
                .await;
            match followed {
                Followed::Ended => return last.text(),
                Followed::Broken => sleep(PAUSE).await,
            }
        }
    }

    fn position(&self) -> PathBuf {
        position(&self.records, &self.run)
    }

    async fn follow(
        &self,
        position: &mut Position,
        skip: &mut usize,
        mut log: Option<&mut Log>,
        last: &mut LastLine,
        files: &LogFiles,
    ) -> Followed {
        let Ok(client) = self.engine.client().await else {
            return Followed::Broken;
        };
        let since = super::state::milliseconds(&position.at).map_or(0, |it| it / 1_000);
        let options = LogsOptionsBuilder::new()
            .follow(true)
            .stdout(true)
            .stderr(true)
            .timestamps(true)
            .since(i32::try_from(since).unwrap_or(i32::MAX))
            .build();
        let mut stream = std::pin::pin!(client.logs(&self.container, Some(options)));
        let (mut unwritten, mut skipping) = (0, false);
        let from = position.at.clone();
        let ended = loop {
            match stream.next().await {
                Some(Ok(piece)) => {
                    let piece = piece.into_bytes();
                    let (stamp, text) = split(&piece);
                    if let Some(stamp) = stamp {
                        // The engine counts in whole seconds: what was copied before comes again.
                        skipping = stamp <= from.as_str();
                        if !skipping {
                            stamp.clone_into(&mut position.at);
                        }
                    }
                    if skipping {
                        continue;
                    }
                    if *skip > 0 {
                        *skip -= usize::from(text.ends_with(b"\n"));
                        continue;
                    }
                    if let Some(log) = log.as_mut() {
                        log.write(text);
                    }
                    last.add(text);
                    unwritten += 1;
                    if unwritten >= NOTE {
                        unwritten = 0;
                        position.note(&self.position(), &files.current());
                    }
                }
                Some(Err(bollard::errors::Error::DockerResponseServerError {
                    status_code: 404,
                    ..
                })) => {
                    break Followed::Ended;
                }
                Some(Err(_)) => break Followed::Broken,
                // The engine ends it when the container has ended, and when the engine itself does.
                None => break self.is_over().await,
            }
        };
        // What is being skipped stands in the log beyond the position: only both together say how far the copy came.
        if *skip == 0 {
            position.note(&self.position(), &files.current());
        }
        ended
    }

    async fn is_over(&self) -> Followed {
        let options = None::<bollard::query_parameters::InspectContainerOptions>;
        let limit = Duration::from_secs(20);
        let looked = self
            .engine
            .ask(limit, async |it| {
                it.inspect_container(&self.container, options).await
            })
            .await;
        match looked {
            Ok(container) => match super::state::look(&container) {
                super::state::Look::Running { .. } | super::state::Look::Created => {
                    Followed::Broken
                }
                super::state::Look::Ended { .. } => Followed::Ended,
            },
            Err(super::engine::EngineError::Missing(_)) => Followed::Ended,
            Err(_) => Followed::Broken,
        }
    }
}

enum Followed {
    Ended,
    Broken,
}

/// Where the position of a run's copy is kept.
pub(super) fn position(records: &Path, run: &RunName) -> PathBuf {
    records.join(format!("{run}.position"))
}

/// How far a copy came: the engine's time of the last line, and where the log ended then.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Position {
    at: String,
    inode: u64,
    size: u64,
}

impl Position {
    fn read(path: &Path) -> Self {
        let text = fs::read(path).unwrap_or_default();
        let read: Option<Self> = serde_json::from_slice(&text).ok();
        read.filter(|it| it.at.is_empty() || it.at.len() == STAMP)
            .unwrap_or_default()
    }

    /// Lines that were copied after it was noted, as the log itself shows: an agent may die between the two.
    fn unnoted(&self, log: &Path) -> usize {
        let count = || -> std::io::Result<usize> {
            let mut file = File::open(log)?;
            if file.metadata()?.ino() != self.inode {
                return Ok(0);
            }
            file.seek(SeekFrom::Start(self.size))?;
            let mut rest = Vec::new();
            file.take(UNNOTED).read_to_end(&mut rest)?;
            Ok(rest.iter().filter(|it| **it == b'\n').count())
        };
        count().unwrap_or(0)
    }

    fn note(&mut self, path: &Path, log: &Path) {
        if let Ok(about) = fs::metadata(log) {
            (self.inode, self.size) = (about.ino(), about.len());
        }
        let text = serde_json::to_vec(self).unwrap_or_default();
        if let Err(error) = write_whole(path, &text, Durable::WhileUp) {
            tracing::debug!(path = %path.display(), %error, "how far a log was copied could not be written");
        }
    }
}

/// The time before a line, where there is one: a long line comes in several pieces, and only the first has it.
fn split(piece: &[u8]) -> (Option<&str>, &[u8]) {
    let stamp = piece
        .get(..STAMP)
        .and_then(|it| std::str::from_utf8(it).ok())
        .filter(|it| it.ends_with('Z') && super::state::milliseconds(it).is_some());
    match (stamp, piece.get(STAMP)) {
        (Some(stamp), Some(b' ')) => (Some(stamp), piece.get(STAMP + 1..).unwrap_or_default()),
        _ => (None, piece),
    }
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn times_are_taken_off_lines() {
        let line = b"2026-11-22T14:35:01.123456789Z hello\n";
        assert_eq!(
            split(line),
            (
                Some("2026-11-22T14:35:01.123456789Z"),
                b"hello\n".as_slice()
            )
        );
        for plain in [
            b"hello\n".as_slice(),
            b"",
            b"2026-11-22T14:35:01.123456789Zhello, this is long",
        ] {
            assert_eq!(split(plain), (None, plain));
        }
    }
}
