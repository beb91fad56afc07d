//! Where traffic enters a site: what `minato.toml` says of it.

use crate::EntranceName;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// `[entrance]`: how those who point traffic at this gateway learn whether they should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntranceSettings {
    /// Where routing daemons and hosted DNS checks ask. Default none.
    pub listen: Vec<SocketAddr>,
    /// How long this gateway says that it leaves before its listeners close at a stop; it serves meanwhile. Nobody waits
    /// where nothing of the entrance is configured. Default 10 s.
    pub drain: Duration,
    /// Names that are kept at DNS servers. Default none.
    pub dns: BTreeMap<EntranceName, DnsSettings>,
    /// What is told of every change, for what minato does not know itself. Default none.
    pub hooks: BTreeMap<EntranceName, EntranceHook>,
}

impl Default for EntranceSettings {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            drain: Duration::from_secs(10),
            dns: BTreeMap::new(),
            hooks: BTreeMap::new(),
        }
    }
}

impl EntranceSettings {
    /// Whether anybody learns what this gateway says of itself.
    pub fn is_used(&self) -> bool {
        let follows = |it: &Follow| *it == Follow::Gateway;
        !self.listen.is_empty()
            || self.dns.values().any(|it| follows(&it.follow))
            || self.hooks.values().any(|it| follows(&it.follow))
    }
}

/// `[entrance.dns.NAME]`: one name of one zone, changed by RFC 2136.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsSettings {
    /// The zone's primary, and others that pass updates on to it; 1 to 4, tried in this order.
    pub servers: Vec<SocketAddr>,
    /// Without the last dot.
    pub zone: String,
    /// Within the zone, without the last dot; its claim stands at `_minato.` and this.
    pub name: String,
    /// Of what is written. Default 5 s.
    pub ttl: Duration,
    /// What updates are signed with.
    pub key: DnsKey,
    /// This site's, 1 to 32.
    pub addresses: BTreeSet<IpAddr>,
    /// Default nobody: by hand, or by an operation.
    pub follow: Follow,
}

/// A key of RFC 8945.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsKey {
    /// As the server knows it.
    pub name: String,
    /// Default HMAC-SHA256.
    pub algorithm: KeyAlgorithm,
    /// Its secret in base64, readable by its owner alone; read anew each time.
    pub secret_file: PathBuf,
}

/// How a key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyAlgorithm {
    /// `hmac-sha256`
    HmacSha256,
    /// `hmac-sha384`
    HmacSha384,
    /// `hmac-sha512`
    HmacSha512,
}

/// Whose state decides by itself whether something leads here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follow {
    /// Nobody's.
    Nobody,
    /// This gateway's: alive, or not.
    Gateway,
    /// The sites': it leads to the first of those that are heard. Names only.
    Site,
}

/// `[entrance.hook.NAME]`: a command of this machine, or a URL, that is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntranceHook {
    /// Which.
    pub to: HookTarget,
    /// How long one try may take. Default 10 s.
    pub timeout: Duration,
    /// This site's, for whoever is told. Default none.
    pub addresses: BTreeSet<IpAddr>,
    /// Default nobody: by hand, or by an operation.
    pub follow: Follow,
}

/// Who is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HookTarget {
    /// Program and arguments; it is no shell's. The program's path is absolute.
    Command(Vec<String>),
    /// A POST of JSON.
    Webhook {
        /// `https://...`, or `http://` at a loopback address.
        url: String,
        /// Its first line is sent as a bearer token; readable by its owner alone.
        token_file: Option<PathBuf>,
        /// PEM file of the authorities that are believed; the system's where it is not given.
        ca: Option<PathBuf>,
    },
}
