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
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// Before the line to the engine is tried again.
const PAUSE: Duration = Duration::from_millis(500);
/// Lines after which the position is written down at the latest.
const NOTE: usize = 200;
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
        let mut log = Log::open(files, self.log_bytes).ok();
        let mut last = LastLine::default();
        let path = position(&self.records, &self.run);
        let mut at = std::fs::read_to_string(&path).unwrap_or_default();
        if at.len() != STAMP {
            at.clear();
        }
        loop {
            match self.follow(&mut at, log.as_mut(), &mut last, &path).await {
                Followed::Ended => return last.text(),
                Followed::Broken => sleep(PAUSE).await,
            }
        }
    }

    async fn follow(
        &self,
        at: &mut String,
        mut log: Option<&mut Log>,
        last: &mut LastLine,
        path: &Path,
    ) -> Followed {
        let Ok(client) = self.engine.client().await else {
            return Followed::Broken;
        };
        let since = super::state::milliseconds(at).map_or(0, |it| it / 1_000);
        let options = LogsOptionsBuilder::new()
            .follow(true)
            .stdout(true)
            .stderr(true)
            .timestamps(true)
            .since(i32::try_from(since).unwrap_or(i32::MAX))
            .build();
        let mut stream = std::pin::pin!(client.logs(&self.container, Some(options)));
        let (mut unwritten, mut skipping) = (0, false);
        let from = at.clone();
        let ended = loop {
            match stream.next().await {
                Some(Ok(piece)) => {
                    let piece = piece.into_bytes();
                    let (stamp, text) = split(&piece);
                    if let Some(stamp) = stamp {
                        // The engine counts in whole seconds: what was copied before comes again.
                        skipping = stamp <= from.as_str();
                        stamp.clone_into(at);
                    }
                    if skipping {
                        continue;
                    }
                    if let Some(log) = log.as_mut() {
                        log.write(text);
                    }
                    last.add(text);
                    unwritten += 1;
                    if unwritten >= NOTE {
                        unwritten = 0;
                        note(path, at);
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
        note(path, at);
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

fn note(path: &Path, at: &str) {
    if let Err(error) = write_whole(path, at.as_bytes(), Durable::WhileUp) {
        tracing::debug!(path = %path.display(), %error, "how far a log was copied could not be written");
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
