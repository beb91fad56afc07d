//! The gateway's listeners and connections from start to end.

use crate::listeners::{Listeners, Role};
use crate::secure::Secure;
use minato_proxy_server::{Gateway, Listener, Phase};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Requests in flight have this long to end when minato stops.
pub(crate) const DRAIN: Duration = Duration::from_secs(90);
/// Connections have this long to end when another process has taken over.
pub(crate) const HAND_OVER: Duration = Duration::from_secs(24 * 3600);

/// A gateway that serves.
#[derive(Debug)]
pub(crate) struct Serving {
    phase: watch::Sender<Phase>,
    /// Gone once its end was seen.
    task: Option<JoinHandle<()>>,
}

impl Serving {
    /// Accepts from now on, on the gateway's own threads: probes, the store and the API never hold requests up.
    pub(crate) fn start(
        gateway: Arc<Gateway>,
        listeners: &Listeners,
        secure: Option<&Secure>,
    ) -> anyhow::Result<Self> {
        let (phase, told) = watch::channel(Phase::Serve);
        let mut all: Vec<Listener> = Vec::new();
        all.extend(listeners.of(Role::Http)?.into_iter().map(Listener::http));
        if let Some(secure) = secure {
            all.extend(secure.listeners(listeners)?);
        }
        all.extend(listeners.of(Role::Link)?.into_iter().map(Listener::link));
        let task = tokio::spawn(gateway.serve(all, told, HAND_OVER));
        Ok(Self {
            phase,
            task: Some(task),
        })
    }

    /// Accepts no more: another process does. What is open lives on to its own end.
    pub(crate) fn hand_over(&self) {
        self.phase.send_replace(Phase::HandOver);
    }

    /// Waits until nothing is open any more. Cancel-safe.
    pub(crate) async fn ended(&mut self) {
        if let Some(task) = &mut self.task
            && task.await.is_err()
        {
            tracing::error!("the gateway ended with a panic");
        }
        self.task = None;
    }

    /// Accepts no more and ends what is open: idle connections at once, requests in flight within [`DRAIN`].
    pub(crate) async fn stop(mut self) {
        self.phase.send_replace(Phase::Stop);
        if tokio::time::timeout(DRAIN, self.ended()).await.is_err() {
            tracing::warn!("drain time is over; what is left is cut");
        }
    }
}
