//! What services need and minato does not run: databases, other servers, mounted folders. Settings of a node, since
//! passwords and paths are the node's.
//!
//! Not here: sending the checks (`health/probe`), what follows from them (`control`).

use crate::{HealthTiming, HttpProbe, UpstreamTls};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// `[dependencies.NAME]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// What must be true of it.
    pub check: DependencyCheck,
    /// How often that is looked at, and how many answers make a verdict.
    pub timing: HealthTiming,
    /// Where this node passes connections on to the member that is right; `None`: it is only checked.
    pub relay: Option<Relay>,
}

/// What must be true of a dependency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DependencyCheck {
    /// This folder is a mount point and answers in time.
    Mount(PathBuf),
    /// At least one of the members passes.
    Members {
        /// 1 to 16, the preferred first; no two the same.
        members: Vec<SocketAddr>,
        /// What is asked of each.
        probe: MemberProbe,
    },
}

impl DependencyCheck {
    /// What a sentence calls it: `database`, `server`, `mount`.
    pub fn noun(&self) -> &'static str {
        match self {
            Self::Mount(_) => "mount",
            Self::Members {
                probe: MemberProbe::Database(_),
                ..
            } => "database",
            Self::Members { .. } => "server",
        }
    }
}

/// What is asked of a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemberProbe {
    /// A TCP connection opens.
    Tcp,
    /// A GET is answered as wanted.
    Http(HttpProbe),
    /// It is a database server in the wanted role.
    Database(Database),
}

/// How a database server is asked for its role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Database {
    /// Which protocol.
    pub engine: DatabaseEngine,
    /// Which role it must have.
    pub role: DatabaseRole,
    /// The user that asks.
    pub user: String,
    /// File that holds its password, read at each check; none where the server asks for none.
    pub password: Option<PathBuf>,
    /// The database to connect to; only PostgreSQL needs one. Default `postgres`.
    pub name: String,
    /// Whether, and how, the check's connection is encrypted and the server proves who it is; `None`: plain TCP.
    pub tls: Option<UpstreamTls>,
}

/// A protocol of database servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatabaseEngine {
    /// MariaDB and MySQL.
    Mysql,
    /// PostgreSQL.
    Postgresql,
}

/// What a member of a replicated database does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DatabaseRole {
    /// Takes writes, and follows nobody.
    Primary,
    /// Follows another server.
    Replica,
}

impl std::fmt::Display for DatabaseRole {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Primary => "primary",
            Self::Replica => "replica",
        })
    }
}

/// A fixed local address that leads to the member that is right now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relay {
    /// Where this node listens, 1 to 8; an address that no interface has yet is waited for.
    pub listen: Vec<SocketAddr>,
    /// How long connections to a member go on that answers but no longer has the role. Default 5 s.
    pub drain: Duration,
    /// How long a new connection waits while no member is right. Default 10 s.
    pub wait: Duration,
    /// How long a connection may carry nothing. Default 8 h.
    pub idle: Duration,
    /// Connections at most, those that wait included. Default 500.
    pub connections: usize,
    /// Which of several members that are right get new connections.
    pub balance: Balance,
}

/// Which of several members that are right a relay leads new connections to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Balance {
    /// One, for as long as it passes; the first of them where it no longer does. Default, and the only one for a primary.
    First,
    /// All of them, each time the one with the fewest connections. Default for replicas.
    Least,
}
