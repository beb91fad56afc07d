//! What `minato.toml` says about this process.

use crate::{
    Dependency, DependencyName, EntranceSettings, HookName, LinkSettings, NodeId, PeerSettings,
    SiteId,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// One process's settings, defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Default `local`.
    pub site: SiteId,
    /// Default: `node` here means the machine's host name, made a valid id by the caller.
    pub node: Option<NodeId>,
    /// Default: all.
    pub roles: BTreeSet<Role>,
    /// Watched folder of service files; a relative one is joined to the settings file's folder. Default `services/`.
    pub services: PathBuf,
    /// Data folder, with the embedded store where `etcd` is not given. Default `/var/lib/minato`.
    pub data: PathBuf,
    /// The store of many machines. Default: the embedded one.
    pub etcd: Option<EtcdSettings>,
    /// A node or gateway counts as gone this long after its last word. Default 20 s.
    pub lease: Duration,
    /// The gateway's part.
    pub gateway: GatewaySettings,
    /// The agent's part.
    pub agent: AgentSettings,
    /// Control's part.
    pub control: ControlSettings,
    /// How those who point traffic at this gateway learn whether they should.
    pub entrance: EntranceSettings,
    /// What control runs for the operator.
    pub hooks: HookSettings,
    /// Where the admin API listens; loopback only in this version. Default `127.0.0.1:7070`.
    pub admin: SocketAddr,
    /// What this node knows of what services depend on. Default none.
    pub dependencies: BTreeMap<DependencyName, Dependency>,
    /// The other sites that this one knows, never itself. Default none.
    pub sites: BTreeMap<SiteId, PeerSettings>,
    /// How sites reach each other.
    pub link: LinkSettings,
}

impl Default for Settings {
    /// What is in force where no file says anything; `services/` is taken from the current folder.
    fn default() -> Self {
        Self::beside(Path::new("minato.toml"))
    }
}

impl Settings {
    /// The defaults of a settings file at `file`, whose folder relative paths are taken from.
    pub fn beside(file: &Path) -> Self {
        let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let folder = file.parent().unwrap_or(Path::new(""));
        Self {
            site: SiteId::local(),
            node: None,
            roles: BTreeSet::from([Role::Gateway, Role::Control, Role::Agent]),
            services: folder.join("services/"),
            data: PathBuf::from("/var/lib/minato"),
            etcd: None,
            lease: Duration::from_secs(20),
            gateway: GatewaySettings {
                http: vec![loopback(8080)],
                https: Vec::new(),
                certificates: None,
                redirect: true,
                workers: None,
                trusted_proxies: Vec::new(),
                sorry_page: None,
                access_log: false,
                access_log_bytes: 0,
            },
            agent: AgentSettings {
                ports: PortRange {
                    first: 20_000,
                    last: 29_999,
                },
                log_bytes: 10 << 20,
                runtime: RuntimeSettings::Process,
                advertise: IpAddr::V4(Ipv4Addr::LOCALHOST),
                labels: BTreeMap::new(),
                overcommit: Overcommit::default(),
            },
            control: ControlSettings::default(),
            entrance: EntranceSettings::default(),
            hooks: HookSettings::default(),
            admin: loopback(7070),
            dependencies: BTreeMap::new(),
            sites: BTreeMap::new(),
            link: LinkSettings::default(),
        }
    }
}

/// `[control]`: how patient the leader is. It does not take effect with those that do not lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ControlSettings {
    /// Another leads this long after the leader's last word. Default 15 s.
    pub lease: Duration,
    /// From the end of a node's lease until it is given up. Default 10 s.
    pub node_grace: Duration,
    /// The same from an election on at which several nodes are missing. Default 60 s.
    pub election_grace: Duration,
    /// How often the number of instances is decided that follows a load. Default 15 s.
    pub scale_interval: Duration,
    /// For how long fewer instances must be enough before there are fewer. Default 300 s.
    pub scale_window: Duration,
}

impl Default for ControlSettings {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(15),
            node_grace: Duration::from_secs(10),
            election_grace: Duration::from_secs(60),
            scale_interval: Duration::from_secs(15),
            scale_window: Duration::from_secs(300),
        }
    }
}

/// `[store]` with `etcd`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EtcdSettings {
    /// `https://10.0.0.2:2379`: 1 to 16, all `http` or all `https`, no two alike.
    pub endpoints: Vec<String>,
    /// PEM file of the authorities that are believed; the system's where it is not given.
    pub ca: Option<PathBuf>,
    /// PEM files: a client certificate, and its private key.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// A user of etcd, and the file that holds the password.
    pub user: Option<(String, PathBuf)>,
}

/// `[hooks]`: commands that control may run on this machine. Nothing else ever is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookSettings {
    /// Program and arguments of what adds nodes where there is no room; empty: nothing is run.
    pub add_nodes: Vec<String>,
    /// How long a command may take. Default 60 s.
    pub timeout: Duration,
    /// From one start of a command to the next, at least. Default 10 minutes.
    pub every: Duration,
    /// `[hooks.run.NAME]`: what services may ask for by name. Default none.
    pub run: BTreeMap<HookName, HookCommand>,
}

/// `[hooks.run.NAME]`: a command that services may ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookCommand {
    /// Program and arguments.
    pub command: Vec<String>,
    /// How long it may take. Default [`HookCommand::TIMEOUT`].
    pub timeout: Duration,
    /// Program and arguments of what says beforehand how long it will take.
    pub estimate: Option<Vec<String>>,
}

impl HookCommand {
    /// Where nothing is said.
    pub const TIMEOUT: Duration = Duration::from_secs(60);
}

impl Default for HookSettings {
    fn default() -> Self {
        Self {
            add_nodes: Vec::new(),
            timeout: Duration::from_secs(60),
            every: Duration::from_secs(600),
            run: BTreeMap::new(),
        }
    }
}

/// What this process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Serves requests.
    Gateway,
    /// Makes what is agree with what should be.
    Control,
    /// Runs instances.
    Agent,
}

/// `[gateway]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewaySettings {
    /// Plain HTTP listeners. Default `127.0.0.1:8080`. Empty only where `https` is not.
    pub http: Vec<SocketAddr>,
    /// TLS listeners, HTTP/1.1 and HTTP/2 by ALPN. Default none.
    pub https: Vec<HttpsListener>,
    /// Folder of NAME.crt and NAME.key; given wherever `https` is not empty.
    pub certificates: Option<PathBuf>,
    /// Plain requests for a host with a certificate get a redirect (308) to `https`, where that is not empty. Default on.
    pub redirect: bool,
    /// Threads that serve; one for each core where it is not given.
    pub workers: Option<NonZeroUsize>,
    /// Addresses or CIDR blocks whose forwarding fields are believed. Default none.
    pub trusted_proxies: Vec<(std::net::IpAddr, u8)>,
    /// HTML of the sorry page; minato's own where it is not given.
    pub sorry_page: Option<PathBuf>,
    /// One line per request to standard output. Default off.
    pub access_log: bool,
    /// The same lines kept below the data folder, by service: bytes at most, of all services together. 0 keeps none. Default 0.
    pub access_log_bytes: u64,
}

impl GatewaySettings {
    /// Every address that the gateway listens on.
    pub fn listeners(&self) -> impl Iterator<Item = SocketAddr> {
        let https = self.https.iter().map(|it| it.listen);
        self.http.iter().copied().chain(https)
    }
}

/// One TLS listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpsListener {
    /// Where.
    pub listen: SocketAddr,
    /// Whether clients show certificates. Default none.
    pub client_auth: ClientAuth,
}

/// Certificates of clients. `ca` is a PEM file of the authorities that may have signed them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub enum ClientAuth {
    /// Not asked for.
    #[default]
    None,
    /// Asked for; a client without one is served too, one with a wrong one is not.
    Request {
        /// PEM file.
        ca: PathBuf,
    },
    /// Who has none is refused.
    Require {
        /// PEM file.
        ca: PathBuf,
    },
}

/// `[agent]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentSettings {
    /// Ports for instances. Default 20000-29999.
    pub ports: PortRange,
    /// Captured output kept for one instance, in bytes, over two files. Default 10 MiB.
    pub log_bytes: u64,
    /// Where gateways reach the instances of this machine. Default `127.0.0.1`: a site of one machine.
    pub advertise: IpAddr,
    /// What this machine is, for services that ask for it by `nodes`. Default none.
    pub labels: BTreeMap<String, String>,
    /// How far more than the machine has may be promised.
    pub overcommit: Overcommit,
    /// Default: processes.
    pub runtime: RuntimeSettings,
}

/// How instances run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuntimeSettings {
    /// As processes of this machine; images are refused.
    Process,
    /// Images in containers, everything else as processes.
    Docker(Box<DockerSettings>),
}

/// `[agent.docker]`: the engine, and what containers of this machine may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DockerSettings {
    /// The engine's socket. Default `/var/run/docker.sock`.
    pub socket: PathBuf,
    /// File of registry logins, as `docker login` writes it; nobody logs in where it is not given.
    pub logins: Option<PathBuf>,
    /// Folder with one file for each secret. Default `/etc/minato/secrets/`.
    pub secrets: PathBuf,
    /// Folders of this machine that containers may mount, by the name that service files use. Default none.
    pub volumes: BTreeMap<String, PathBuf>,
    /// Networks of the engine that containers may join. Default `bridge` only.
    pub networks: BTreeSet<String>,
    /// No image is fetched with less room than this on the engine's disk, in bytes. Default 1 GiB.
    pub free_bytes: u64,
    /// What is done with containers that nobody needs. Default: removed.
    pub reap: Reaping,
}

impl Default for DockerSettings {
    fn default() -> Self {
        Self {
            socket: PathBuf::from("/var/run/docker.sock"),
            logins: None,
            secrets: PathBuf::from("/etc/minato/secrets/"),
            volumes: BTreeMap::new(),
            networks: BTreeSet::from([crate::BRIDGE_NETWORK.to_owned()]),
            free_bytes: 1 << 30,
            reap: Reaping::On,
        }
    }
}

/// What is done with containers of ours that nobody needs, and with old images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reaping {
    /// Removed.
    On,
    /// An event tells what would be.
    Report,
}

/// How much of a machine's processors and memory instances may be promised together, in percent of what it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overcommit {
    /// Default 200: few programs need their share all the time.
    pub cpu_percent: u32,
    /// Default 100: memory that is not there kills.
    pub memory_percent: u32,
}

impl Default for Overcommit {
    fn default() -> Self {
        Self {
            cpu_percent: 200,
            memory_percent: 100,
        }
    }
}

/// Ports from `first` to `last`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortRange {
    /// At least 1024.
    pub first: u16,
    /// Not below `first`.
    pub last: u16,
}
