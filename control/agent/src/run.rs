//! The node loop.

use crate::{AgentError, AgentOptions, Stop};
use minato_control::Event;
use minato_control_store::SharedStore;
use tokio::sync::{mpsc, watch};

/// Runs this node until `stop` says otherwise, or its sender is gone (as [`Stop::LeaveInstances`]).
///
/// Errors only where it cannot begin; later trouble becomes events and is tried again.
pub async fn run(
    _options: AgentOptions,
    _store: SharedStore,
    _events: mpsc::Sender<Event>,
    mut stop: watch::Receiver<Stop>,
) -> Result<(), AgentError> {
    let _ = stop.wait_for(|it| *it != Stop::Run).await;
    Ok(())
}
