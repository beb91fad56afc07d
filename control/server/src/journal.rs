//! Events of this node: numbered, kept in memory, appended to a file, logged, followed.
//!
//! One thread of its own drains the queue, so that a slow disk holds up nobody but the file. Memory and followers
//! come first, the file second: a full disk costs the file some lines and nothing else.
//! Not here: what an event says (`control`), serving them (`admin`).

mod file;

use crate::api::EventLine;
use crate::clock;
use file::EventFile;
use minato_control::{Event, EventKind, Level};
use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{mpsc, watch};

/// Events taken from the queue at once, and written with one call.
const BATCH: usize = 256;
/// Bytes of a message or a hint that are kept.
const TEXT: usize = 8 << 10;

/// Bounds of the journal.
#[derive(Debug, Clone, Copy)]
pub struct JournalOptions {
    /// Lines kept in memory. Default 2,000.
    pub keep: usize,
    /// Size in bytes at which `events.jsonl` becomes `events.1.jsonl`. Default 8 MiB.
    pub rotate_bytes: u64,
    /// Events that may wait to be written. Default 1,024.
    pub queue: usize,
}

impl Default for JournalOptions {
    fn default() -> Self {
        Self {
            keep: 2_000,
            rotate_bytes: 8 << 20,
            queue: 1_024,
        }
    }
}

/// The last events, shared by everyone who shows them.
#[derive(Debug)]
pub struct Journal {
    state: Mutex<State>,
    latest: watch::Sender<u64>,
    closed: watch::Sender<bool>,
}

#[derive(Debug)]
struct State {
    lines: VecDeque<Arc<EventLine>>,
    keep: usize,
    next: u64,
    counts: EventCounts,
    store_trouble: Option<String>,
}

/// Events since this process began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EventCounts {
    /// At level info.
    pub info: u64,
    /// At level warn.
    pub warn: u64,
    /// At level error.
    pub error: u64,
}

impl Journal {
    /// Opens `events.jsonl` in `folder` and goes on with its numbers; a torn last line is cut off. What is sent to the
    /// sender is journalled until every clone of it is dropped.
    ///
    /// # Errors
    /// The folder or the file cannot be made or read. A full disk is no error: events are then kept in memory.
    pub fn open(
        folder: &Path,
        options: JournalOptions,
    ) -> io::Result<(Arc<Self>, mpsc::Sender<Event>)> {
        let (file, tail) = EventFile::open(folder, options.rotate_bytes, options.keep)?;
        let last = tail.back().map_or(0, |line| line.seq);
        let journal = Arc::new(Self {
            state: Mutex::new(State {
                lines: tail,
                keep: options.keep.max(1),
                next: last + 1,
                counts: EventCounts::default(),
                store_trouble: None,
            }),
            latest: watch::Sender::new(last),
            closed: watch::Sender::new(false),
        });
        let (send, receive) = mpsc::channel(options.queue.max(1));
        let writer = Arc::clone(&journal);
        std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || writer.drain(receive, file))?;
        Ok((journal, send))
    }

    /// Lines after number `seq`, oldest first, at most `limit`. When the first one's number is above `seq + 1`, those
    /// between are no longer in memory.
    pub fn after(&self, seq: u64, limit: usize) -> Vec<Arc<EventLine>> {
        let state = self.state();
        let from = state.lines.partition_point(|line| line.seq <= seq);
        state.lines.iter().skip(from).take(limit).cloned().collect()
    }

    /// The last `count` lines, oldest first.
    pub fn last(&self, count: usize) -> Vec<Arc<EventLine>> {
        let state = self.state();
        let from = state.lines.len().saturating_sub(count);
        state.lines.iter().skip(from).cloned().collect()
    }

    /// Changes with each new line; holds its number. Followers wait for it, then ask [`Journal::after`], so a slow one
    /// costs no memory.
    pub fn latest(&self) -> watch::Receiver<u64> {
        self.latest.subscribe()
    }

    /// Events since this process began.
    pub fn counts(&self) -> EventCounts {
        self.state().counts
    }

    /// What the last event about the store said, unless it said that all is well again.
    pub fn store_trouble(&self) -> Option<String> {
        self.state().store_trouble.clone()
    }

    /// Returns once every sender is dropped and every event is written: wait for it before the process ends.
    pub async fn closed(&self) {
        let mut closed = self.closed.subscribe();
        let _ = closed.wait_for(|it| *it).await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn drain(&self, mut queue: mpsc::Receiver<Event>, mut file: EventFile) {
        let mut batch = Vec::with_capacity(BATCH);
        while queue.blocking_recv_many(&mut batch, BATCH) > 0 {
            let lines = self.keep(batch.drain(..));
            let told = match file.append(&lines) {
                Ok(told) => told,
                Err(told) => Some(told),
            };
            // The journal's own word goes the same way; a second failure is not told again.
            if let Some(event) = told {
                let lines = self.keep(std::iter::once(event));
                let _ = file.append(&lines);
            }
        }
        self.closed.send_replace(true);
    }

    fn keep(&self, events: impl Iterator<Item = Event>) -> Vec<Arc<EventLine>> {
        let mut new = Vec::with_capacity(BATCH);
        let mut state = self.state();
        for event in events {
            let event = bounded(event);
            state.count(&event);
            let line = Arc::new(EventLine {
                seq: state.next,
                event,
            });
            state.next += 1;
            if state.lines.len() >= state.keep {
                state.lines.pop_front();
            }
            state.lines.push_back(Arc::clone(&line));
            new.push(line);
        }
        drop(state);
        if let Some(line) = new.last() {
            self.latest.send_replace(line.seq);
        }
        new.iter().for_each(|line| log(&line.event));
        new
    }
}

impl State {
    fn count(&mut self, event: &Event) {
        match event.level {
            Level::Info => self.counts.info += 1,
            Level::Warn => self.counts.warn += 1,
            Level::Error => self.counts.error += 1,
        }
        if event.kind == EventKind::Store {
            self.store_trouble = (event.level > Level::Info).then(|| event.message.clone());
        }
    }
}

/// Puts `event` into the journal's queue without waiting: who acts is never held up by who writes down. When the queue
/// is full the event is logged alone.
pub(crate) fn emit(events: &mpsc::Sender<Event>, event: Event) {
    if let Err(mpsc::error::TrySendError::Full(event) | mpsc::error::TrySendError::Closed(event)) =
        events.try_send(event)
    {
        tracing::warn!("the journal takes no events: the next line is in the log alone");
        log(&event);
    }
}

fn bounded(mut event: Event) -> Event {
    cut(&mut event.message);
    if let Some(hint) = &mut event.hint {
        cut(hint);
    }
    if event.at.0 == 0 {
        event.at = clock::wall();
    }
    event
}

fn cut(text: &mut String) {
    if text.len() > TEXT {
        text.truncate(text.floor_char_boundary(TEXT));
        text.push_str(" ...");
    }
}

fn log(event: &Event) {
    let line = event.line();
    match event.level {
        Level::Info => tracing::info!(target: "event", "{line}"),
        Level::Warn => tracing::warn!(target: "event", "{line}"),
        Level::Error => tracing::error!(target: "event", "{line}"),
    }
}

#[cfg(test)]
mod tests;
