//! Moving instances to nodes that suit them better, on request.

use serde::{Deserialize, Serialize};

/// `POST /v1/rebalance` asks for it; `DELETE` ends one, and takes only `who`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RebalanceRequest {
    /// Only this service; `None`: all.
    #[serde(default)]
    pub service: Option<String>,
    /// User name of the caller.
    #[serde(default)]
    pub who: String,
}

/// `GET /v1/rebalance`, with `?service=NAME` about one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RebalanceStatus {
    /// One is under way.
    pub active: bool,
    /// Who asked for the last one, and when; empty where nobody ever did.
    pub asked: String,
    /// Why the last one ended; empty while it is under way.
    pub ended: String,
    /// What moves now.
    pub moving: Vec<String>,
    /// What would be better elsewhere and cannot go now, and why.
    pub waiting: Vec<String>,
    /// Every move that a request made now would lead to, as far as it is known now; the first 200.
    pub would_move: Vec<String>,
}
