//! Whatever can be watched: an instance, a member of a dependency, a mount.

use crate::{Blind, Mount, Target, role, try_probe};
use minato_config::{Database, HealthProbe};
use minato_health::Outcome;
use std::net::SocketAddr;
use std::time::Duration;

/// What a [`crate::Monitor`] asks, again and again.
#[derive(Debug, Clone)]
pub enum Ask {
    /// A TCP connection, or a GET.
    Probe(Target, HealthProbe),
    /// Whether the database server there has the wanted role.
    Role(SocketAddr, Database),
    /// Whether a folder is mounted and answers.
    Mount(Mount),
}

impl Ask {
    /// Asks once; `timeout` covers all of it. Dropping the future ends it.
    pub async fn outcome(&self, timeout: Duration) -> Result<Outcome, Blind> {
        match self {
            Self::Probe(target, probe) => try_probe(target, probe, timeout).await,
            Self::Role(address, database) => role::ask(*address, database, timeout).await,
            Self::Mount(mount) => Ok(mount.look(timeout).await),
        }
    }
}

impl std::fmt::Display for Ask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Probe(target, _) => target.address.fmt(f),
            Self::Role(address, _) => address.fmt(f),
            Self::Mount(mount) => mount.path().display().fmt(f),
        }
    }
}
