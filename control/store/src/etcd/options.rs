//! How the members of an etcd cluster are reached. Plain values; files are read when a connection is made.

use std::path::PathBuf;
use std::time::Duration;

/// How to reach the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EtcdOptions {
    /// `https://10.0.0.2:2379`, at least one; all of one cluster.
    pub endpoints: Vec<String>,
    /// For `https` endpoints.
    pub tls: EtcdTls,
    /// Who we are, where the cluster asks.
    pub user: Option<EtcdUser>,
    /// Prefix of the keys by which commits of unknown outcome are made void, with its final `/`. Nobody else's keys.
    pub voids: String,
    /// What one member may take for one answer, connecting included; then another is asked. Default 1.5 s.
    pub attempt: Duration,
    /// What a call may take over all members. Default 6 s.
    pub patience: Duration,
}

impl EtcdOptions {
    /// Default times, no TLS settings, no user.
    pub fn new(endpoints: Vec<String>, voids: impl Into<String>) -> Self {
        Self {
            endpoints,
            tls: EtcdTls::default(),
            user: None,
            voids: voids.into(),
            attempt: Duration::from_millis(1500),
            patience: Duration::from_secs(6),
        }
    }
}

/// TLS towards the members. Files are PEM and are read again for each new connection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EtcdTls {
    /// Authorities that are believed; the system's where it is not given.
    pub ca: Option<PathBuf>,
    /// What we show.
    pub identity: Option<EtcdIdentity>,
}

/// A client certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EtcdIdentity {
    /// The certificate, then the intermediate ones.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// A user of etcd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EtcdUser {
    /// Its name.
    pub name: String,
    /// File that holds the password and nothing else; a final line break is left out. Read for each new connection.
    pub password_file: PathBuf,
}
