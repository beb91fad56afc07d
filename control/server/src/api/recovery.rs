//! How long visitors would be without a service, and were.

use serde::{Deserialize, Serialize};

/// `GET /v1/sites/report`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RecoveryReports {
    /// When this answer was made.
    pub now_ms: u64,
    /// Each service that several sites serve, by name.
    pub services: Vec<RecoveryStatus>,
}

/// One service.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RecoveryStatus {
    /// Which.
    pub service: String,
    /// Asked for: milliseconds until visitors are served again.
    pub rto_ms: u64,
    /// Asked for: how old the data may be.
    pub rpo_ms: u64,
    /// The last failover, switch or drill.
    #[serde(default)]
    pub last: Option<RecoveryFigures>,
    /// The last way back.
    #[serde(default)]
    pub returned: Option<RecoveryFigures>,
    /// Events that are remembered, over all gateways.
    pub events: usize,
    /// To be expected if the first site failed now; `None`: nobody knows, or a person has to decide.
    #[serde(default)]
    pub predicted_ms: Option<u64>,
    /// Since when nobody has seen that it works.
    #[serde(default)]
    pub unproven_since_ms: Option<u64>,
    /// Why a target would not be met today; empty when all would.
    pub missed: Vec<String>,
}

/// One event: the worst figures of all gateways that saw it. Milliseconds from `at_ms`; `None`: it did not happen, or nobody came.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RecoveryFigures {
    /// `failover`, `return`, `switch` or `drill`.
    pub kind: String,
    /// The last moment at which the site is known to have served.
    pub at_ms: u64,
    /// Which site visitors left.
    pub from: String,
    /// Which answered the first of them.
    #[serde(default)]
    pub to: Option<String>,
    /// Until it was known.
    pub detect_ms: u64,
    /// Until visitors were sent away from it for good.
    #[serde(default)]
    pub decide_ms: Option<u64>,
    /// Until another site had an instance.
    #[serde(default)]
    pub start_ms: Option<u64>,
    /// Until another site answered a request.
    #[serde(default)]
    pub first_ms: Option<u64>,
    /// Requests that failed meanwhile, over all gateways.
    pub errors: u64,
    /// How old the data was; the largest number there is (2^64 - 1) where nothing had ever been copied there. `None` where no command copies any.
    #[serde(default)]
    pub data_age_ms: Option<u64>,
}
