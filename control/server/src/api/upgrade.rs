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
    /// What was copied when this process took over and the store changed; `None` where it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copied: Option<CopiedStatus>,
}

/// A store that was copied to another, which is in use since.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopiedStatus {
    /// Keys that the site has.
    pub keys: usize,
    /// Writes that were copied while everything ran.
    pub ahead: usize,
    /// Writes that were left for the pause.
    pub changes: usize,
    /// For how long neither store was in use, in milliseconds: nothing was ordered, requests were served. `None` where nobody used the
    /// store before.
    #[serde(default)]
    pub paused_ms: Option<u64>,
    /// Of the new store.
    pub era: u32,
}

impl std::fmt::Display for CopiedStatus {
    /// `5005 keys: 5000 changes while everything ran, 5 in a pause of 0.12 s, era 1`
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            keys,
            ahead,
            changes,
            paused_ms,
            era,
        } = self;
        match paused_ms {
            Some(paused) => {
                let (seconds, rest) = (paused / 1000, paused % 1000 / 10);
                write!(
                    f,
                    "{keys} keys: {ahead} changes while everything ran, {changes} in a pause of {seconds}.{rest:02} s, era {era}"
                )
            }
            None => write!(f, "{keys} keys ({changes} changes), era {era}"),
        }
    }
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
