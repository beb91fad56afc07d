//! A restored store, and a person's word on it.

use serde::{Deserialize, Serialize};

/// `GET /v1/store/confirm`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoredStatus {
    /// It waits for a person.
    pub waits: bool,
    /// Which machine noticed what, and when; empty where nothing waits.
    pub doubt: String,
    /// Who confirmed last, and when; may be empty.
    pub confirmed: String,
    /// What would follow from a confirmation, as far as this machine knows what was there before; at most 200.
    pub would: Vec<String>,
}

/// `POST /v1/store/confirm`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfirmRequest {
    /// User name of the caller.
    #[serde(default)]
    pub who: String,
}
