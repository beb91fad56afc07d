//! Events of this node: numbered, kept, logged, followed. Stub body.

use crate::api::EventLine;
use minato_control::Event;
use std::io;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

/// Bounds of the journal.
#[derive(Debug, Clone)]
pub struct JournalOptions {
    /// Lines kept in memory. Default 2,000.
    pub keep: usize,
    /// Size at which `events.jsonl` becomes `events.1.jsonl`. Default 8 MiB.
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

/// The last events, shared.
#[derive(Debug)]
pub struct Journal {
    latest: watch::Sender<u64>,
}

impl Journal {
    /// Opens `events.jsonl` in `folder`; the journal ends when every sender is dropped.
    pub fn open(
        _folder: &Path,
        options: JournalOptions,
    ) -> io::Result<(Arc<Self>, mpsc::Sender<Event>)> {
        let (send, _receive) = mpsc::channel(options.queue);
        let latest = watch::Sender::new(0);
        Ok((Arc::new(Self { latest }), send))
    }

    /// Lines after `seq`, oldest first, at most `limit`.
    pub fn after(&self, _seq: u64, _limit: usize) -> Vec<Arc<EventLine>> {
        Vec::new()
    }

    /// The last `count` lines, oldest first.
    pub fn last(&self, _count: usize) -> Vec<Arc<EventLine>> {
        Vec::new()
    }

    /// Changes with each new line; holds its number.
    pub fn latest(&self) -> watch::Receiver<u64> {
        self.latest.subscribe()
    }

    /// Returns when every sender is dropped and every event is written: wait for it before the process ends.
    pub async fn closed(&self) {}
}
