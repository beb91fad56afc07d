//! How minato speaks to the instances of a service.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Protocol and encryption towards every instance of one service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Upstream {
    /// What is spoken. Default HTTP/1.1.
    pub protocol: UpstreamProtocol,
    /// TLS below it; plain TCP where it is not given.
    pub tls: Option<UpstreamTls>,
}

/// What is spoken with an instance.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UpstreamProtocol {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2: over TLS by ALPN, over plain TCP with prior knowledge.
    Http2,
}

/// TLS towards an instance. Equal values may share sessions and pooled connections.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct UpstreamTls {
    /// PEM file of the authorities that are believed, an absolute path; the system's where it is not given.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// Name that is sent and that the certificate must hold: a DNS name in lower case. Where it is not given the
    /// certificate must hold the instance's IP address, and no name is sent.
    #[serde(default)]
    pub sni: Option<String>,
    /// Whether the instance must prove who it is.
    #[serde(default)]
    pub verify: Verify,
}

/// Whether a certificate is checked.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Verify {
    /// Chain, time and name.
    #[default]
    On,
    /// `verify = false`: any certificate passes, so whoever can answer at the address reads and writes everything.
    Off,
}
