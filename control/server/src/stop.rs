//! The stop signal that the caller owns.

use tokio::sync::watch;

/// Waits until `stop` is true, or its sender is gone. Cancel-safe.
pub(crate) async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|it| *it).await;
}
