//! Where traffic enters: what this gateway says of itself to those who point traffic at it.

use serde::{Deserialize, Serialize};

/// `GET /v1/entrance`. `POST /v1/entrance/drain` takes a [`super::DrainRequest`] and answers a [`super::ChangeAnswer`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntranceStatus {
    /// `alive`, `draining` or `stuck`; empty where this process has no gateway.
    pub standing: String,
    /// Why it is not alive; empty while it is.
    #[serde(default)]
    pub reason: String,
    /// The command that ends that; empty where none does.
    #[serde(default)]
    pub undo: String,
    /// Where it can be asked: `http://127.0.0.1:7071/readyz`.
    #[serde(default)]
    pub asked_at: Vec<String>,
}
