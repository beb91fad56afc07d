//! A service as it should be, and the documents that say so in the store.

use crate::{
    Base, DependencyName, Generation, Image, Limits, NodeId, Release, Resources, Route, Scale,
    ServiceName, SiteId, Sites, Timeouts, Timestamp, UpdatePolicy, Upstream,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

/// One service, valid by construction: [`crate::parse_service`] is the only way in from text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// The file's name is the service's.
    pub name: ServiceName,
    /// What answers its requests.
    pub backend: Backend,
    /// Wanted instances of a command, with `scale` the fewest; the number of addresses for fixed endpoints.
    pub replicas: u16,
    /// Set where control finds the number by itself, from `replicas` up.
    #[serde(default)]
    pub scale: Option<Scale>,
    /// Requests that are its own. Sorted by pattern.
    pub routes: Vec<Route>,
    /// How instances are checked.
    pub health: Health,
    /// How minato speaks to its instances.
    #[serde(default)]
    pub upstream: Upstream,
    /// Bounds.
    #[serde(default)]
    pub limits: Limits,
    /// Times.
    #[serde(default)]
    pub timeouts: Timeouts,
    /// Retries of one request; 0 turns them off. Default 1.
    pub retries: u8,
    /// Labels that a node must have to run an instance. Default none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub nodes: BTreeMap<String, String>,
    /// How it goes from one version to the next.
    #[serde(default, skip_serializing_if = "UpdatePolicy::is_default")]
    pub update: UpdatePolicy,
    /// What its instances cannot do without, by the names that each node's settings explain. Default none.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub depends_on: BTreeSet<DependencyName>,
    /// Which sites serve it; its own alone where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sites: Option<Box<Sites>>,
}

impl Service {
    /// As it is at `site`: what `[at.SITE]` says takes the place of what holds everywhere, also where it was made for another
    /// site before.
    #[must_use]
    pub fn at(self, site: &SiteId) -> Self {
        let mut this = self.everywhere();
        let Some(sites) = this.sites.as_mut() else {
            return this;
        };
        if let Some(replicas) = sites.at.get(site).and_then(|it| it.replicas) {
            sites.base = Some(Base {
                replicas: this.replicas,
                scale: this.scale.take(),
            });
            this.replicas = replicas;
        }
        this
    }

    /// As its file has it, without what [`Service::at`] put in the place of that.
    #[must_use]
    pub fn everywhere(mut self) -> Self {
        if let Some(base) = self.sites.as_mut().and_then(|it| it.base.take()) {
            (self.replicas, self.scale) = (base.replicas, base.scale);
        }
        self
    }
}

/// What answers the requests of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Backend {
    /// Processes or containers that minato's agent runs.
    Command(Command),
    /// Addresses that someone else keeps alive. Slot n is address n.
    Endpoints(Vec<SocketAddr>),
}

/// A process of the machine, or the one of a container. `{port}` in an argument, and the variable PORT, give it its port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// Program and arguments; never empty for a process. A program without `/` is looked for in PATH. For a container what
    /// its image starts by default is replaced by it; empty leaves that.
    pub argv: Vec<String>,
    /// Added to a clean environment (PATH, HOME, LANG and these), or to that of the image.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Working directory; the data folder's `instances/<service>.<n>/`, or the image's, where it is not given.
    #[serde(default)]
    pub directory: Option<String>,
    /// A fixed port for a single replica; else the agent picks from its range. Never given for a container.
    #[serde(default)]
    pub port: Option<u16>,
    /// How it is stopped.
    #[serde(default)]
    pub stop: StopPolicy,
    /// Of a container; a process has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<Box<Image>>,
}

impl Command {
    /// Changes exactly when what runs no longer is what the file describes and cannot be made so while it runs. FNV-1a,
    /// hexadecimal.
    pub fn digest(&self) -> String {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        let mut add = |text: &str| {
            for byte in text.bytes().chain([0xff]) {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
        };
        self.argv.iter().for_each(|it| add(it));
        add("env");
        self.env.iter().for_each(|(name, value)| {
            add(name);
            add(value);
        });
        add("directory");
        add(self.directory.as_deref().unwrap_or_default());
        add("port");
        add(&self.port.map(|it| it.to_string()).unwrap_or_default());
        if let Some(image) = &self.image {
            image.each_part(add);
        }
        format!("{hash:016x}")
    }

    /// What it may use; nothing is limited for a process.
    pub fn resources(&self) -> Resources {
        self.image
            .as_ref()
            .map(|it| it.resources)
            .unwrap_or_default()
    }
}

/// Drain, then SIGTERM, then SIGKILL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StopPolicy {
    /// Time for requests in flight to end before SIGTERM. Default 30 s; ends early when none is left.
    #[serde(rename = "drain_ms", with = "crate::duration")]
    pub drain: Duration,
    /// Time from SIGTERM to SIGKILL. Default 10 s.
    #[serde(rename = "grace_ms", with = "crate::duration")]
    pub grace: Duration,
}

impl Default for StopPolicy {
    fn default() -> Self {
        Self {
            drain: Duration::from_secs(30),
            grace: Duration::from_secs(10),
        }
    }
}

/// How instances are checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// `health = "off"`: every instance counts as up, nothing is ejected. For comparison only.
    Off,
    /// Probed.
    On {
        /// What is asked.
        probe: HealthProbe,
        /// How often, and how many answers make a verdict.
        timing: HealthTiming,
    },
}

/// What a probe asks of an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HealthProbe {
    /// A TCP connection opens.
    Tcp,
    /// A GET is answered as wanted.
    Http(HttpProbe),
}

/// A GET on its own connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpProbe {
    /// Path and query. Default `/`.
    pub path: String,
    /// Host header; default: the first exact host among the routes, else the address.
    #[serde(default)]
    pub host: Option<String>,
    /// Passing statuses. Default 200-399.
    pub status: Vec<StatusRange>,
    /// Headers the answer must have, names in lower case.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Text that must stand in the first 64 KiB of the body.
    #[serde(default)]
    pub body: Option<String>,
}

/// Statuses from `first` to `last`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusRange {
    /// 100 to 599.
    pub first: u16,
    /// Not below `first`.
    pub last: u16,
}

/// Numbers of the judge. `timeout < interval`, `fast <= interval`, all above 0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HealthTiming {
    /// Start to start while up. Default 2 s, spread by 5 % downwards.
    #[serde(rename = "interval_ms", with = "crate::duration")]
    pub interval: Duration,
    /// Start to start while the verdict may change; probes overlap. Default 500 ms.
    #[serde(rename = "fast_ms", with = "crate::duration")]
    pub fast: Duration,
    /// A whole probe. Default 1 s.
    #[serde(rename = "timeout_ms", with = "crate::duration")]
    pub timeout: Duration,
    /// Failures in a row that make it down. Default 3.
    pub fall: u8,
    /// Passes in a row that make it up again. Default 2.
    pub rise: u8,
}

impl Default for HealthTiming {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(2),
            fast: Duration::from_millis(500),
            timeout: Duration::from_secs(1),
            fall: 3,
            rise: 2,
        }
    }
}

/// Who says what a service should be. One source per service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A file in the claimed folder.
    File {
        /// As the operator would type it.
        path: String,
    },
    /// Another site, whose service it is.
    Mirror {
        /// Which.
        home: SiteId,
        /// What it does here.
        mode: MirrorMode,
    },
}

/// What a service of another site does at this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MirrorMode {
    /// Instances run and serve what comes in here.
    Active,
    /// Instances run; visitors are sent to the site that comes first.
    Warm,
    /// No instances until it is asked for.
    Cold,
    /// It was cold, and was asked for: instances run.
    Started,
}

impl std::fmt::Display for MirrorMode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Active => "active",
            Self::Warm => "warm",
            Self::Cold => "cold",
            Self::Started => "started",
        })
    }
}

/// `services/library.toml`, or `site tokyo (warm)`.
impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File { path } => f.write_str(path),
            Self::Mirror { home, mode } => write!(f, "site {home} ({mode})"),
        }
    }
}

/// The document at `services/<service>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceRecord {
    /// Format version, 1.
    pub v: u32,
    /// Who wrote it.
    pub source: Source,
    /// What it should be.
    pub service: Service,
    /// Set when the service must end; the record goes once its instances are gone.
    #[serde(default)]
    pub removed: bool,
}

/// The document at `intents/<service>`: what an operator said by hand, over what the file says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// Format version, 1.
    pub v: u32,
    /// Replicas by hand.
    #[serde(default)]
    pub replicas: Option<u16>,
    /// The last restart that was asked for.
    #[serde(default)]
    pub restart: Option<Restart>,
    /// Take no new requests; the sorry page instead.
    #[serde(default)]
    pub drain: bool,
    /// What should run in place of what the file says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<Release>,
    /// Who said it: user name of the caller, or `api`.
    #[serde(default)]
    pub who: String,
    /// When.
    #[serde(default)]
    pub since: Timestamp,
}

/// A request to restart every instance of a service, one at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Restart(pub u64);

/// The document at `slots/<service>/<n>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// Format version, 1.
    pub v: u32,
    /// Whose agent fills it.
    pub node: NodeId,
    /// Rises with every new assignment.
    pub generation: Generation,
    /// [`Command::digest`] of what should run.
    pub digest: String,
    /// The last restart that this generation satisfies.
    #[serde(default)]
    pub restart: Option<Restart>,
    /// Set when the slot must end; the document goes once its instance is gone.
    #[serde(default)]
    pub removed: bool,
}
