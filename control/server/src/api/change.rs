//! Changes by hand, their answers, and refusals.

use serde::{Deserialize, Serialize};

/// `POST /v1/services/{name}/scale`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScaleRequest {
    /// 1 to 1000 by hand; `None`: what the file says again.
    #[serde(default)]
    pub replicas: Option<u16>,
    /// User name of the caller.
    #[serde(default)]
    pub who: String,
}

/// `POST /v1/services/{name}/restart`: every instance, one at a time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestartRequest {
    /// User name of the caller.
    #[serde(default)]
    pub who: String,
}

/// `POST /v1/services/{name}/update`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateRequest {
    /// The image that shall run by hand; `None` without `pull`: what the file says again.
    #[serde(default)]
    pub image: Option<String>,
    /// True: the registry is asked anew what that name means now; of what runs where `image` is not given.
    #[serde(default)]
    pub pull: bool,
    /// User name of the caller.
    #[serde(default)]
    pub who: String,
}

/// `POST /v1/services/{name}/rollback`: what ran before runs again; while a rollout is under way, what it began from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollbackRequest {
    /// True: what the file says again.
    #[serde(default)]
    pub reset: bool,
    /// User name of the caller.
    #[serde(default)]
    pub who: String,
}

/// `POST /v1/services/{name}/drain`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrainRequest {
    /// True: no new requests, the sorry page instead. False: serve again.
    pub drain: bool,
    /// User name of the caller.
    #[serde(default)]
    pub who: String,
}

/// A change that is stored. Ask `/v1/services/{name}/settled` until it is true.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeAnswer {
    /// What changed, and whose earlier word it replaces.
    pub message: String,
    /// The command that takes it back; `None` where nothing does.
    #[serde(default)]
    pub undo: Option<String>,
    /// The release that it began: ask for `settled?change=update&number=` with it.
    #[serde(default)]
    pub number: Option<u64>,
}

/// `GET /v1/services/{name}/settled`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settled {
    /// What is, is what should be.
    pub done: bool,
    /// `3 of 4 up; library/2 down: connect refused`
    pub detail: String,
    /// It will not come true: what was before serves.
    #[serde(default)]
    pub failed: Option<UpdateFailed>,
    /// It was so before: nothing was replaced.
    #[serde(default)]
    pub unchanged: bool,
}

/// How an update failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UpdateFailed {
    /// Before anything was changed.
    Refused,
    /// New instances were not healthy; the old version is back.
    Reverted,
}

/// The body of every answer that is not 2xx.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiError {
    /// What was refused or failed, one sentence.
    pub error: String,
    /// What to do about it; empty where nothing can be done.
    #[serde(default)]
    pub hint: String,
}
