//! What a keeper is told and what it writes down: small files, each replaced as a whole.

use super::Wanted;
use super::progress::Progress;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::Duration;

const RUN: &str = "run.json";
const ORDER: &str = "order.json";
const TOOK: &str = "took.json";
/// Earlier runs that are remembered.
const EARLIER: usize = 5;

/// Names a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RunId {
    /// Of which operation.
    pub operation: u64,
    /// Which try of it.
    #[serde(rename = "try")]
    pub run: u32,
}

/// `operation 12, try 1`
impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "operation {}, try {}", self.operation, self.run)
    }
}

/// A run as it is, or was last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRecord {
    /// Which.
    pub id: RunId,
    /// How it stands.
    pub state: RunState,
    /// When it began, in milliseconds since the Unix epoch.
    pub began_ms: u64,
    /// How long it may take.
    pub timeout_ms: u64,
    /// How long it took; 0 while it runs.
    #[serde(default)]
    pub took_ms: u64,
    /// What it said last of how far it is.
    #[serde(default)]
    pub progress: Option<Progress>,
    /// The last lines that it wrote, plain and without what looks like a secret.
    #[serde(default)]
    pub output: Vec<String>,
    /// What leads its group of processes.
    #[serde(default)]
    pub(super) process: Option<Process>,
}

/// How a run stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Under way.
    Running,
    /// It ended well.
    Done,
    /// Why it did not.
    Failed(String),
}

impl RunRecord {
    pub(super) fn begun(wanted: &Wanted) -> Self {
        Self {
            id: wanted.id,
            state: RunState::Running,
            began_ms: wanted.now_ms,
            timeout_ms: milliseconds(wanted.timeout),
            took_ms: 0,
            progress: None,
            output: Vec::new(),
            process: None,
        }
    }

    pub(super) fn read(folder: &Path) -> io::Result<Option<Self>> {
        read(&folder.join(RUN))
    }

    pub(super) fn write(&self, folder: &Path) -> io::Result<()> {
        write(&folder.join(RUN), self)
    }
}

/// What a keeper is to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Order {
    pub(super) command: Vec<String>,
    pub(super) variables: Vec<(String, String)>,
    pub(super) timeout_ms: u64,
}

impl Order {
    pub(super) fn new(wanted: &Wanted) -> Self {
        Self {
            command: wanted.command.clone(),
            variables: wanted.variables.clone(),
            timeout_ms: milliseconds(wanted.timeout),
        }
    }

    pub(super) fn read(folder: &Path) -> io::Result<Option<Self>> {
        read(&folder.join(ORDER))
    }

    pub(super) fn write(&self, folder: &Path) -> io::Result<()> {
        write(&folder.join(ORDER), self)
    }
}

/// A process, told apart from a later one with the same number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Process {
    pub(super) id: i32,
    /// Its start, in ticks of the kernel since the machine's.
    start: u64,
}

impl Process {
    pub(super) fn find(id: i32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // The name may hold spaces and parentheses; what counts follows the last of them.
        let rest = text.get(text.rfind(')')? + 2..)?;
        let start = rest.split(' ').nth(19)?.parse().ok()?;
        Some(Self { id, start })
    }

    pub(super) fn lives(&self) -> bool {
        Self::find(self.id).as_ref() == Some(self)
    }
}

pub(super) fn earlier(folder: &Path) -> Vec<Duration> {
    let took: Vec<u64> = read(&folder.join(TOOK)).ok().flatten().unwrap_or_default();
    took.into_iter().map(Duration::from_millis).collect()
}

/// One more that ended well.
pub(super) fn remember(folder: &Path, took: Duration) -> io::Result<()> {
    let mut all: Vec<u64> = earlier(folder).into_iter().map(milliseconds).collect();
    all.push(milliseconds(took));
    let surplus = all.len().saturating_sub(EARLIER);
    all.drain(..surplus);
    write(&folder.join(TOOK), &all)
}

fn read<T: DeserializeOwned>(file: &Path) -> io::Result<Option<T>> {
    match fs::read(file) {
        Ok(text) => Ok(serde_json::from_slice(&text).map(Some)?),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whoever reads sees the one before or this one, never a half.
fn write<T: Serialize>(file: &Path, it: &T) -> io::Result<()> {
    let fresh = file.with_extension("new");
    fs::write(&fresh, serde_json::to_vec(it)?)?;
    fs::rename(&fresh, file)
}

pub(super) fn milliseconds(it: Duration) -> u64 {
    u64::try_from(it.as_millis()).unwrap_or(u64::MAX)
}
