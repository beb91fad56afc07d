//! Services that another site shall serve, as the API says and takes it.

use super::{LeftOutStatus, OperationStatus};
use serde::{Deserialize, Serialize};

/// `POST /v1/switches`: at any site; one that is not `to` passes it on over its link.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwitchRequest {
    /// Who shall serve.
    pub to: String,
    /// Names, or patterns with `*`; empty: everything that it could serve and does not.
    #[serde(default)]
    pub services: Vec<String>,
    /// `switch`, `failover` or `drill`.
    pub kind: String,
    /// Not before: `2026-12-20 08:00 Asia/Tokyo`.
    #[serde(default)]
    pub at: Option<String>,
    /// Back by itself then.
    #[serde(default)]
    pub until: Option<String>,
    /// Of a drill: back by itself after so long.
    #[serde(default)]
    pub for_ms: Option<u64>,
    /// Services under way at once, 1 to 20; `None`: 10.
    #[serde(default)]
    pub size: Option<u16>,
    /// Held once so many have failed; `None`: 1.
    #[serde(default)]
    pub stop_after: Option<u16>,
    /// How long the old entrance must be quiet; `None`: twice what the names' DNS answers live, two minutes where there is no name.
    #[serde(default)]
    pub quiet_ms: Option<u64>,
    /// How long it is waited for that, at least `quiet_ms` and at most 7 days; `None`: a day.
    #[serde(default)]
    pub watch_ms: Option<u64>,
    /// The target carries only a part of the work.
    #[serde(default)]
    pub accept_overload: bool,
    /// What was written last at a site that is not heard is lost.
    #[serde(default)]
    pub accept_data_loss: bool,
    /// The return of another site that asks, `osaka/13`; asking twice begins one. May be empty.
    #[serde(default)]
    pub asked_by: String,
    /// Why, for those who read it later.
    #[serde(default)]
    pub why: String,
    /// User name of the caller.
    #[serde(default)]
    pub who: String,
    /// True: nothing is stored, only checked and shown.
    #[serde(default)]
    pub dry_run: bool,
}

/// What was begun, or would be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwitchAnswer {
    /// Where it lives: the site that shall serve.
    pub site: String,
    /// The switch; with `dry_run` as it would be.
    pub operation: OperationStatus,
    /// The return that is scheduled with it.
    #[serde(default)]
    pub back: Option<OperationStatus>,
    /// What was looked at.
    pub checks: Vec<CheckStatus>,
    /// Services that were named and are no part of it.
    #[serde(default)]
    pub left_out: Vec<LeftOutStatus>,
    /// The command that ends it; `None` where nothing was begun.
    #[serde(default)]
    pub undo: Option<String>,
}

/// One thing that was looked at before a service moves.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckStatus {
    /// Which.
    pub service: String,
    /// `link`, `capacity`, `room`, ..
    pub name: String,
    /// False: it keeps the service from moving.
    pub met: bool,
    /// How it stands.
    pub figure: String,
}
