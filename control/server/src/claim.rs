//! The folder as a source of services. Stub body.

use crate::Folder;
use minato_control::Event;
use minato_control_store::SharedStore;
use minato_control_store::keys::Keys;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// Times of the claim.
#[derive(Debug, Clone)]
pub struct ClaimOptions {
    /// Of which site.
    pub keys: Keys,
    /// How long a file must be gone before its service ends. Default 30 s.
    pub gone: Duration,
}

impl ClaimOptions {
    /// Default times.
    pub fn new(keys: Keys) -> Self {
        Self {
            keys,
            gone: Duration::from_secs(30),
        }
    }
}

/// Makes `services/<service>` agree with the folder until `stop` is true.
pub async fn claim_folder(
    _options: ClaimOptions,
    _store: SharedStore,
    _folder: watch::Receiver<Arc<Folder>>,
    _events: mpsc::Sender<Event>,
    _stop: watch::Receiver<bool>,
) {
}
