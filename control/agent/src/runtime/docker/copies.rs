//! The copies of what containers write that are under way, one for each run.

use super::engine::Engine;
use super::labels::Owner;
use super::output::Copy;
use crate::runtime::RunName;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How long the last lines of an ended container may take.
const LAST_LINES: Duration = Duration::from_secs(3);

#[derive(Debug)]
pub(super) struct Copies {
    pub(super) engine: Arc<Engine>,
    pub(super) owner: Owner,
    /// The agent's data folder, where logs are read.
    pub(super) data: PathBuf,
    /// Where positions are kept.
    pub(super) records: PathBuf,
    /// Captured output kept for one slot.
    pub(super) log_bytes: u64,
    /// Each answers the last line.
    pub(super) under_way: Mutex<BTreeMap<RunName, JoinHandle<String>>>,
}

impl Drop for Copies {
    fn drop(&mut self) {
        self.under_way().values().for_each(JoinHandle::abort);
    }
}

impl Copies {
    fn under_way(&self) -> MutexGuard<'_, BTreeMap<RunName, JoinHandle<String>>> {
        self.under_way.lock().unwrap_or_else(|it| it.into_inner())
    }

    /// Begins to copy what it writes; once for each run.
    pub(super) fn begin(&self, run: &RunName) {
        self.under_way().entry(run.clone()).or_insert_with(|| {
            let copy = Copy {
                engine: self.engine.clone(),
                container: self.owner.container(run),
                run: run.clone(),
                data: self.data.clone(),
                records: self.records.clone(),
                log_bytes: self.log_bytes,
            };
            tokio::spawn(copy.run())
        });
    }

    /// All that it wrote is in its log after this, or could not be had; answers the last line.
    pub(super) async fn last_line(&self, run: &RunName) -> String {
        self.begin(run);
        let copy = self.under_way().remove(run);
        let Some(mut copy) = copy else {
            return String::new();
        };
        match timeout(LAST_LINES, &mut copy).await {
            Ok(line) => line.unwrap_or_default(),
            Err(_) => {
                copy.abort();
                String::new()
            }
        }
    }
}
