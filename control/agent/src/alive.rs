//! Says that this node lives, under a lease, and once what it is.

use crate::AgentOptions;
use crate::clock::now;
use minato_config::NodeId;
use minato_control_store::keys::{Key, Keys};
use minato_control_store::{Commit, LeaseId, SharedStore, StoreError};
use minato_health::{NodeAlive, NodeInfo};
use std::time::Duration;
use tokio::time::sleep;

const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// What a node says of itself while it lives.
pub(crate) struct Liveness {
    pub(crate) store: SharedStore,
    pub(crate) keys: Keys,
    pub(crate) node: NodeId,
    pub(crate) info: NodeInfo,
    /// The node counts as gone this long after its last word.
    pub(crate) lease: Duration,
}

impl Liveness {
    /// Runs until dropped, or until the store is closed.
    pub(crate) async fn keep(self) {
        let since = now().wall;
        let mut lease = None;
        loop {
            let alive = NodeAlive { v: 1, since };
            let pause = match self.renew(alive, &mut lease).await {
                Ok(()) => self.lease / 4,
                Err(StoreError::Closed) => return,
                Err(StoreError::LeaseGone { .. }) if lease.take().is_some() => continue,
                Err(error) => {
                    tracing::warn!(%error, "this node could not say that it lives");
                    AFTER_FAILURE
                }
            };
            sleep(pause).await;
        }
    }

    async fn renew(&self, alive: NodeAlive, lease: &mut Option<LeaseId>) -> Result<(), StoreError> {
        let Self {
            store, keys, node, ..
        } = self;
        let key = keys.text(&Key::NodeAlive(node.clone()));
        if let Some(held) = lease {
            store.keep_alive(*held).await?;
            // A key that was deleted by accident is written again.
            if store.get(&key).await?.is_some() {
                return Ok(());
            }
        }
        let json = |error: serde_json::Error| StoreError::Invalid {
            detail: format!("a node document cannot be written as JSON: {error}"),
        };
        let granted = store.grant(self.lease).await?;
        let commit = Commit::put(
            keys.text(&Key::NodeInfo(node.clone())),
            serde_json::to_vec(&self.info).map_err(json)?,
        )
        .and_put(
            key,
            serde_json::to_vec(&alive).map_err(json)?,
            Some(granted),
        );
        store.commit(commit).await?;
        *lease = Some(granted);
        Ok(())
    }
}

/// What this machine has, as far as it tells.
pub(crate) fn about_this_machine(options: &AgentOptions) -> NodeInfo {
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    NodeInfo {
        v: 1,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        cpus: u32::try_from(cpus).unwrap_or(u32::MAX),
        memory_bytes: std::fs::read_to_string("/proc/meminfo")
            .ok()
            .and_then(|it| memory_bytes(&it))
            .unwrap_or_default(),
        labels: options.labels.clone(),
        overcommit: options.overcommit,
    }
}

fn memory_bytes(text: &str) -> Option<u64> {
    field_bytes(text, "MemTotal:")
}

/// Of `MemTotal:       24576000 kB` and its like.
pub(crate) fn field_bytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|it| it.strip_prefix(name))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::memory_bytes;

    #[test]
    fn memory_is_read_as_bytes() {
        assert_eq!(
            memory_bytes("MemTotal:       24 kB\nMemFree: 1 kB\n"),
            Some(24 * 1024)
        );
        assert_eq!(memory_bytes("MemFree: 1 kB\n"), None);
    }
}
