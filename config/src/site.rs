//! Other sites: where their gateways are, who this gateway is to them, and in which order sites serve a service.

use crate::{DependencyName, HookName, SiteId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// `[sites.X]`: a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerSettings {
    /// Where its gateways accept links: 1 to 16, no two alike.
    pub gateways: Vec<GatewayAddress>,
    /// Named TCP streams that it offers, and where programs of this machine find each.
    pub streams: BTreeMap<DependencyName, SocketAddr>,
    /// Whether its services run here where their order names this site. Default on.
    pub mirror: Mirroring,
}

/// `mirror` of `[sites.X]`: whether services of that site are taken over by this one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mirroring {
    /// They are kept and run here.
    #[default]
    On,
    /// None of them is run here, and what was ends. Requests go over the link as before.
    Off,
}

/// `[link.streams.NAME]`: a TCP service here that other sites may reach by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamOffer {
    /// What it leads to.
    pub to: SocketAddr,
    /// Who may: 1 to 7 sites.
    pub sites: Vec<SiteId>,
    /// Open at once, over all sites: 1 to 10,000. Default 100.
    pub connections: u16,
}

/// Host and port of a peer's gateway. The host is an IP address or a DNS name, which is looked up again and again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GatewayAddress {
    /// Without brackets.
    pub host: String,
    /// From 1.
    pub port: u16,
}

impl std::fmt::Display for GatewayAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// `[link]`: how other sites reach this one, and who it is to them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LinkSettings {
    /// Where links are accepted. Default none: this gateway calls its peers and is not called.
    pub listen: Vec<SocketAddr>,
    /// Given wherever there is a peer or a listener.
    pub identity: Option<LinkFiles>,
    /// Named TCP streams that this site offers. Default none.
    pub streams: BTreeMap<DependencyName, StreamOffer>,
}

/// Where a gateway's certificate comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkFiles {
    /// A folder that `minato ca issue` made: authority.crt, and the site's own site.crt and site.key, from which the gateway makes
    /// its certificate itself.
    Folder(PathBuf),
    /// PEM files: the authority; the gateway's certificate with what leads to the authority; its private key.
    Given {
        /// The authority that all sites believe.
        authority: PathBuf,
        /// For `<node>.<site>.minato.internal`.
        certificate: PathBuf,
        /// Of the certificate.
        key: PathBuf,
    },
}

/// Which sites serve a service, and how those stand by that are not its first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sites {
    /// Best first: 1 to 8, no two alike.
    pub order: Vec<SiteId>,
    /// What the sites behind the first do.
    #[serde(default)]
    pub standby: Standby,
    /// Whether traffic leaves a site that fails by itself.
    #[serde(default)]
    pub failover: Consent,
    /// Whether traffic goes back by itself.
    #[serde(default)]
    pub failback: Consent,
    /// `[switch] sync`: the command, by its name in `[hooks.run.NAME]` of the site that shall serve, that copies what changed last.
    /// What it copies is at one site at a time, so only a person moves visitors, and no site serves them but the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync: Option<HookName>,
    /// What differs at a site.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub at: BTreeMap<SiteId, AtSite>,
    /// What is asked of it when its first site fails.
    #[serde(default)]
    pub targets: Targets,
    /// What holds where nothing else is said, kept once [`crate::Service::at`] put a site's own in its place: another site has to know it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Base>,
}

/// How long visitors may be without a service, and how much of its data may be lost, when a site fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Targets {
    /// From the last request that was served to the next one.
    #[serde(rename = "rto_ms", with = "crate::duration")]
    pub rto: Duration,
    /// How old the data may be that they are served with.
    #[serde(rename = "rpo_ms", with = "crate::duration")]
    pub rpo: Duration,
}

/// Within 5 minutes, as asked of sites that fail over by themselves; at most a day of data, as asked of a restore.
impl Default for Targets {
    fn default() -> Self {
        Self {
            rto: Duration::from_secs(300),
            rpo: Duration::from_secs(86_400),
        }
    }
}

/// What `[at.SITE]` may replace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    /// Wanted instances.
    pub replicas: u16,
    /// Set where their number follows the load.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<crate::Scale>,
}

impl Sites {
    /// The place of a site in the order, from 0.
    pub fn place(&self, site: &SiteId) -> Option<u8> {
        let place = self.order.iter().position(|it| it == site)?;
        u8::try_from(place).ok()
    }
}

/// What the sites behind the active one do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standby {
    /// Each serves what comes in at its own entrance.
    Active,
    /// Instances run, visitors are sent to the active one.
    #[default]
    Warm,
    /// No instance until it is asked for.
    Cold,
}

/// Who decides that traffic moves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Consent {
    /// minato.
    #[default]
    Auto,
    /// A person.
    Ask,
}

/// `[at.X]`: what differs there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AtSite {
    /// Wanted instances there, in place of the service's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<u16>,
}
