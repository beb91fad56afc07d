//! Instances as containers of a Docker engine.
//!
//! Every container carries its run in its name and its labels, so an agent that lost everything else finds what it began.
//! A record is written before a container exists, as for processes: it remembers how a run ended when its container is gone,
//! and that an end was wanted. The engine may go and come back at any time; containers outlive it where it is set up so.
//! Not here: what is decided about a run (`minato_control::Node`), which images are fetched when (`images`).

mod address;
mod containers;
mod copies;
mod create;
mod end;
mod engine;
mod images;
mod labels;
mod logins;
mod output;
mod refusals;
mod runs;
mod secrets;
mod standing;
mod start;
mod state;
mod usage;
mod watch;

use super::{Records, RunName, private_folder};
use crate::AgentError;
use crate::proc;
use copies::Copies;
use engine::Engine;
use images::Images;
use labels::Owner;
use minato_config::{DockerSettings, NodeId, SiteId};
use minato_control::Event;
use secrets::Secrets;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc;
use watch::Watch;

/// A short question to the engine.
const ASK: Duration = Duration::from_secs(20);
/// Making, starting or removing a container on a busy machine.
const ACT: Duration = Duration::from_secs(110);

/// What the runtime is opened with.
#[derive(Debug, Clone)]
pub struct DockerOptions {
    /// Engine, allow-lists and limits.
    pub settings: DockerSettings,
    /// Whose containers they are, with `node` and `data`.
    pub site: SiteId,
    /// This machine.
    pub node: NodeId,
    /// The agent's data folder.
    pub data: PathBuf,
    /// Where instances of this node are reached; ports are published there.
    pub address: IpAddr,
    /// Captured output kept for one slot, bytes.
    pub log_bytes: u64,
}

/// The Docker runtime of one data folder. One at a time: the store's lock on the folder sees to that.
#[derive(Debug)]
pub struct DockerRuntime {
    options: DockerOptions,
    owner: Owner,
    engine: Arc<Engine>,
    images: Images,
    secrets: Secrets,
    records: Records,
    /// Where records and positions are.
    folder: PathBuf,
    watch: Watch,
    copies: Copies,
    events: mpsc::Sender<Event>,
    boot: String,
}

impl DockerRuntime {
    /// Needs no engine yet. `events`: what the engine and its images tell goes there. Inside a tokio runtime only.
    pub fn open(options: DockerOptions, events: mpsc::Sender<Event>) -> Result<Self, AgentError> {
        let folder = options.data.join("containers");
        let failed = |cause| AgentError::Data {
            path: folder.clone(),
            cause,
        };
        private_folder(&folder).map_err(failed)?;
        let records = Records::open(&folder).map_err(failed)?;
        // The folder's one name: it is part of what marks our containers.
        let data = options.data.canonicalize().map_err(failed)?;
        let owner = Owner {
            site: options.site.clone(),
            node: options.node.clone(),
            data: data.to_string_lossy().into_owned(),
        };
        let engine = Arc::new(Engine::new(&options.settings.socket));
        Ok(Self {
            images: Images::open(engine.clone(), &options.settings, &folder, events.clone()),
            secrets: Secrets::new(&options.settings.secrets, &data),
            watch: Watch::begin(engine.clone(), owner.clone(), events.clone()),
            copies: Copies {
                engine: engine.clone(),
                owner: owner.clone(),
                data: options.data.clone(),
                records: folder.clone(),
                log_bytes: options.log_bytes,
                under_way: Mutex::default(),
            },
            boot: proc::boot_id(),
            options,
            owner,
            engine,
            records,
            folder,
            events,
        })
    }

    /// Whether it has anything to do with this run.
    pub(super) fn knows(&self, run: &RunName) -> bool {
        self.records.read(run).is_some()
    }

    fn tell(&self, event: Event) {
        let _ = self.events.try_send(event);
    }
}
