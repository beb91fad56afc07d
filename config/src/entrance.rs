//! Where traffic enters a site: what `minato.toml` says of it.

use std::net::SocketAddr;
use std::time::Duration;

/// `[entrance]`: how those who point traffic at this gateway learn whether they should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntranceSettings {
    /// Where routing daemons and hosted DNS checks ask. Default none.
    pub listen: Vec<SocketAddr>,
    /// How long this gateway says that it leaves before its listeners close at a stop; it serves meanwhile. Nobody waits
    /// where nothing of the entrance is configured. Default 10 s.
    pub drain: Duration,
}

impl Default for EntranceSettings {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            drain: Duration::from_secs(10),
        }
    }
}

impl EntranceSettings {
    /// Whether anybody can learn what this gateway says of itself.
    pub fn is_used(&self) -> bool {
        !self.listen.is_empty()
    }
}
