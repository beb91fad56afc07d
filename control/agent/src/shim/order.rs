//! What an agent and a keeper say to each other, once, over the keeper's standard input and output.

use crate::runtime::Record;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;

/// Bytes of an order at most.
pub(crate) const LONGEST_ORDER: u64 = 1024 * 1024;

/// All that a keeper needs. Never in its arguments: those are for everyone to read.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    /// The run, as the agent wrote it down.
    pub(crate) record: Record,
    /// The data folder, absolute.
    pub(crate) data: PathBuf,
    /// Bytes of output to keep, over two files.
    pub(crate) log_bytes: u64,
}

/// The keeper's one answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    /// It lives.
    Started { pid: u32 },
    /// The command cannot be executed as it is written.
    Command(String),
    /// The machine refused.
    Machine(String),
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started { pid } => write!(f, "started as {pid}"),
            Self::Command(why) | Self::Machine(why) => f.write_str(why),
        }
    }
}
