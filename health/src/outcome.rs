//! One probe's result, named by the layer that failed.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A probe passed, or failed at a layer.
pub type Outcome = Result<(), Failure>;

/// Where and how a check failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The lowest layer that did not do its part.
    pub layer: Layer,
    /// For people: `connection refused`, `503`, `no answer in 1s`, at most 300 bytes; of a wrong body its first 200 bytes.
    pub detail: String,
}

/// Longest detail kept, in bytes.
const DETAIL_BYTES: usize = 300;

impl Failure {
    /// A failure whose detail is cut to 300 bytes, at a character.
    pub fn new(layer: Layer, detail: impl Into<String>) -> Self {
        let mut detail = detail.into();
        detail.truncate(detail.floor_char_boundary(DETAIL_BYTES));
        Self { layer, detail }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.layer, self.detail)
    }
}

/// The layer that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    /// Nobody listens.
    ConnectRefused,
    /// No answer to SYN.
    ConnectTimeout,
    /// Any other error of connect: no route, no permission, out of ports.
    ConnectFailed,
    /// The handshake failed.
    Tls,
    /// Connected, but no whole answer in time, or a closed connection.
    NoAnswer,
    /// A status that does not pass, or a missing header.
    Status,
    /// The wanted text is not in the body.
    Body,
    /// Real requests failed, not a probe.
    Traffic,
    /// The agent says that it does not run.
    NotRunning,
    /// A database did not let the check in: user, password, rights.
    Login,
    /// A database answers in another role than the wanted one.
    Role,
    /// Nothing is mounted there, or what is mounted fails or hangs.
    Mount,
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ConnectRefused => "connect refused",
            Self::ConnectTimeout => "connect timeout",
            Self::ConnectFailed => "connect failed",
            Self::Tls => "TLS",
            Self::NoAnswer => "no answer",
            Self::Status => "status",
            Self::Body => "body",
            Self::Traffic => "traffic",
            Self::NotRunning => "not running",
            Self::Login => "login",
            Self::Role => "role",
            Self::Mount => "mount",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_detail_is_cut_at_a_character() {
        let failure = Failure::new(Layer::Body, "\u{e9}".repeat(151));
        assert_eq!(failure.detail, "\u{e9}".repeat(150));
        let odd = Failure::new(Layer::Body, format!("a{}", "\u{e9}".repeat(150)));
        assert_eq!(odd.detail.len(), 299);
    }

    #[test]
    fn reads_as_layer_and_detail() {
        let failure = Failure::new(Layer::Status, "503");
        assert_eq!(failure.to_string(), "status: 503");
    }
}
