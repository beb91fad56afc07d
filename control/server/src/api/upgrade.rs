//! Another binary in place of the running one, without a lost request.

use serde::{Deserialize, Serialize};

/// `POST /v1/upgrade`; only root and the user that minato runs as may ask for it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpgradeRequest {
    /// The program to go on with, an absolute path. `None`: the path that the running one was started from, where there
    /// may be another file by now.
    #[serde(default)]
    pub binary: Option<String>,
    /// User name of the caller.
    #[serde(default)]
    pub who: String,
}

/// `GET /v1/upgrade`, and the answer to the `POST`: how far it is, as the process that answers sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpgradeStatus {
    /// Who answers. Another one than before: that one has taken over.
    pub pid: u32,
    /// Its version.
    pub version: String,
    /// How far it is.
    pub state: UpgradeState,
    /// The step that is under way, or why the last upgrade failed; empty otherwise.
    #[serde(default)]
    pub detail: String,
    /// Processes of before that still serve the connections that they had.
    #[serde(default)]
    pub draining: Vec<u32>,
}

/// How far an upgrade is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UpgradeState {
    /// None was asked for since this process began by itself.
    #[default]
    None,
    /// One is under way.
    UnderWay,
    /// The last one came to nothing; this process goes on.
    Failed,
    /// This process has taken over from another.
    Done,
}
