//! Instances as containers of a Docker engine.
//!
//! Every container carries its run in its name and its labels, so an agent that lost everything else finds what it began.
//! A record is written before a container exists, as for processes: it remembers how a run ended when its container is gone,
//! and that an end was wanted. The engine may go and come back at any time; containers outlive it where it is set up so.
//! Not here: what is decided about a run (`minato_control::Node`), which images are fetched when (`images`).

mod create;
mod engine;
mod images;
mod labels;
mod logins;
mod output;
mod refusals;
mod secrets;
mod start;
mod state;
mod watch;

use super::{
    Ended, Exit, Found, FoundState, Inventory, Record, Records, RunName, RunOrder, Runtime,
    RuntimeError, Signal, Started, Stray, Usage, private_folder,
};
use crate::AgentError;
use crate::clock::now;
use crate::proc::{self, Process};
use async_trait::async_trait;
use bollard::models::{ContainerInspectResponse, ContainerSummary};
use bollard::query_parameters::{
    InspectContainerOptions, KillContainerOptionsBuilder, ListContainersOptionsBuilder,
    RemoveContainerOptionsBuilder, StatsOptionsBuilder,
};
use engine::{Engine, EngineError};
use futures_util::StreamExt as _;
use images::{Images, Instead, Purpose};
use labels::{Labelled, Owner};
use minato_config::{DockerSettings, Image, NodeId, Reaping, Resources, ServiceName, SiteId};
use minato_control::{Event, EventKind, ImageState};
use output::Copy;
use refusals::failed;
use secrets::Secrets;
use state::Look;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use watch::{News, Watch};

/// A short question to the engine.
const ASK: Duration = Duration::from_secs(20);
/// Making, starting or removing a container on a busy machine.
const ACT: Duration = Duration::from_secs(110);
/// A waiting task looks for itself this often, whatever it has heard.
const LOOK: Duration = Duration::from_secs(15);
/// The same, where its process is known to have ended.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// How long an engine may take to notice that a process has ended.
const NOTICE: Duration = Duration::from_secs(10);
/// How long the last lines of an ended container may take.
const LAST_LINES: Duration = Duration::from_secs(3);

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
    copies: Mutex<BTreeMap<RunName, JoinHandle<String>>>,
    events: mpsc::Sender<Event>,
    boot: String,
}

impl Drop for DockerRuntime {
    fn drop(&mut self) {
        let copies = self.copies.lock().unwrap_or_else(|it| it.into_inner());
        copies.values().for_each(JoinHandle::abort);
    }
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
            copies: Mutex::default(),
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

    async fn inspect(
        &self,
        container: &str,
    ) -> Result<Option<ContainerInspectResponse>, EngineError> {
        let options = None::<InspectContainerOptions>;
        let looked = self
            .engine
            .ask(ASK, async |it| {
                it.inspect_container(container, options).await
            })
            .await;
        match looked {
            Ok(container) => Ok(Some(container)),
            Err(EngineError::Missing(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Our containers, those of one slot or all.
    async fn ours(
        &self,
        of: Option<&RunName>,
    ) -> Result<Vec<(ContainerSummary, Labelled)>, EngineError> {
        let mut labels = self.owner.filter();
        if let Some(run) = of {
            labels.push(format!("minato.service={}", run.service));
            labels.push(format!("minato.slot={}", run.slot));
        }
        let filters: HashMap<String, Vec<String>> = [("label".to_owned(), labels)].into();
        let options = ListContainersOptionsBuilder::new()
            .all(true)
            .filters(&filters)
            .build();
        let listed = self
            .engine
            .ask(ASK, async |it| it.list_containers(Some(options)).await)
            .await?;
        let read = |it: ContainerSummary| {
            let labelled = self.owner.read(it.labels.as_ref()?)?;
            Some((it, labelled))
        };
        Ok(listed.into_iter().filter_map(read).collect())
    }

    /// Ends and removes a container whatever it does. No error when it is gone.
    async fn discard(&self, container: &str) -> Result<(), EngineError> {
        let options = RemoveContainerOptionsBuilder::new()
            .force(true)
            .v(true)
            .build();
        let removed = self
            .engine
            .ask(ACT, async |it| {
                it.remove_container(container, Some(options)).await
            })
            .await;
        match removed {
            Ok(()) | Err(EngineError::Missing(_)) => Ok(()),
            // Somebody else is removing it.
            Err(EngineError::Conflict(why)) if why.contains("already in progress") => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Begins to copy what it writes; once for each run.
    fn copy(&self, run: &RunName) {
        let mut copies = self.copies.lock().unwrap_or_else(|it| it.into_inner());
        copies.entry(run.clone()).or_insert_with(|| {
            let copy = Copy {
                engine: self.engine.clone(),
                container: self.owner.container(run),
                run: run.clone(),
                data: self.options.data.clone(),
                records: self.folder.clone(),
                log_bytes: self.options.log_bytes,
            };
            tokio::spawn(copy.run())
        });
    }

    /// All that it wrote is in its log after this, or could not be had; answers the last line.
    async fn last_line(&self, run: &RunName) -> String {
        self.copy(run);
        let copy = {
            let mut copies = self.copies.lock().unwrap_or_else(|it| it.into_inner());
            copies.remove(run)
        };
        let Some(mut copy) = copy else {
            return String::new();
        };
        match timeout(LAST_LINES, &mut copy).await {
            Ok(line) => line.unwrap_or_default(),
            Err(_) => {
                copy.abort();
                String::new()
            }
        }
    }

    /// The first process of a container, where this machine's /proc shows it as that.
    fn process(&self, pid: u32, container: &ContainerInspectResponse) -> Option<Process> {
        let process = Process::find(pid)?;
        let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
        groups.contains(container.id.as_deref()?).then_some(process)
    }

    /// Where gateways reach it, where that is not its port at the node's address.
    ///
    /// A port published on loopback goes through a process of the engine's, and is gone while the engine is; the container's
    /// own address on the engine's bridge is reached from this machine alone as well, and stays.
    fn direct(&self, order: &RunOrder, container: &ContainerInspectResponse) -> Option<SocketAddr> {
        let image = order.command.image.as_ref()?;
        if !self.options.address.is_loopback() {
            return None;
        }
        let address = state::direct(container, &image.network, image.port?)?;
        // An engine without privileges keeps its bridge to itself.
        reachable(address.ip()).then_some(address)
    }

    /// Writes down how it ended; an end that is written down already stays.
    fn close(&self, run: &RunName, ended: Ended) -> Ended {
        self.secrets.take_back(run);
        let Some(mut record) = self.records.read(run) else {
            return ended;
        };
        if let Some(before) = record.ended {
            return before;
        }
        record.ended = Some(ended.clone());
        self.write(&record);
        ended
    }

    fn write(&self, record: &Record) {
        if let Err(error) = self.records.write(record) {
            tracing::warn!(run = %record.name, %error, "the record of a run could not be written");
        }
    }

    fn tell(&self, event: Event) {
        let _ = self.events.try_send(event);
    }

    /// How a container that was found stands; a run that ended is written down as such.
    async fn found(&self, order: &RunOrder) -> Result<FoundState, EngineError> {
        let name = &order.name;
        if let Some(ended) = self.records.read(name).and_then(|it| it.ended) {
            return Ok(FoundState::Ended(ended));
        }
        let container = self.inspect(&self.owner.container(name)).await?;
        let gone = |exit| Ended {
            exit,
            lasted_ms: None,
            last_output: String::new(),
        };
        let Some(container) = container else {
            let why = "its container was removed by someone else".to_owned();
            return Ok(FoundState::Ended(self.close(name, gone(Exit::Unseen(why)))));
        };
        Ok(match state::look(&container) {
            Look::Running { pid } => {
                let process = self.process(pid, &container);
                let address = self.direct(order, &container);
                self.keep(order, process, address);
                self.copy(name);
                let started = container
                    .state
                    .as_ref()
                    .and_then(|it| it.started_at.as_deref());
                let started = started.and_then(state::milliseconds);
                let age = started.map(|it| Duration::from_millis(now().wall.0.saturating_sub(it)));
                FoundState::Running {
                    pid,
                    age: process.map(Process::age).or(age).unwrap_or_default(),
                    address,
                }
            }
            Look::Created => FoundState::Ended(self.close(name, gone(Exit::Never))),
            Look::Ended { exit, lasted_ms } => {
                let last_output = self.last_line(name).await;
                let ended = Ended {
                    exit,
                    lasted_ms,
                    last_output,
                };
                FoundState::Ended(self.close(name, ended))
            }
        })
    }

    /// Writes down a run that lives.
    fn keep(&self, order: &RunOrder, process: Option<Process>, address: Option<SocketAddr>) {
        let mut record = self.record(order);
        (record.instance, record.address) = (process, address);
        self.write(&record);
    }

    fn record(&self, order: &RunOrder) -> Record {
        Record {
            v: 1,
            name: order.name.clone(),
            command: order.command.clone(),
            digest: order.digest.clone(),
            port: order.port,
            boot: self.boot.clone(),
            keeper: None,
            instance: None,
            address: None,
            ended: None,
        }
    }

    /// What records say, without an engine to ask: what /proc shows alive lives.
    fn remembered(&self, record: &Record) -> FoundState {
        if let Some(ended) = &record.ended {
            return FoundState::Ended(ended.clone());
        }
        let lives = record
            .instance
            .filter(|it| record.boot == self.boot && it.is_alive());
        match lives {
            Some(process) => FoundState::Running {
                pid: process.pid,
                age: process.age(),
                address: record.address,
            },
            None => FoundState::Ended(Ended {
                exit: Exit::Unseen(
                    "the container engine does not answer, and its process is gone".to_owned(),
                ),
                lasted_ms: None,
                last_output: String::new(),
            }),
        }
    }

    fn order(record: &Record) -> RunOrder {
        RunOrder {
            name: record.name.clone(),
            command: record.command.clone(),
            digest: record.digest.clone(),
            port: record.port,
        }
    }
}

/// Whether this machine has a way to that address over an interface of its own.
fn reachable(address: IpAddr) -> bool {
    let any: SocketAddr = match address {
        IpAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
        IpAddr::V6(_) => ([0_u16; 8], 0).into(),
    };
    // Connecting a datagram socket sends nothing: the kernel picks the way, and the address that it would speak from lies
    // in the same network only where the bridge is here.
    let way = std::net::UdpSocket::bind(any).and_then(|it| {
        it.connect((address, 9))?;
        it.local_addr()
    });
    match (way.map(|it| it.ip()), address) {
        (Ok(IpAddr::V4(own)), IpAddr::V4(address)) => own.octets()[..2] == address.octets()[..2],
        (Ok(IpAddr::V6(own)), IpAddr::V6(address)) => {
            own.segments()[..4] == address.segments()[..4]
        }
        _ => false,
    }
}

#[async_trait]
impl Runtime for DockerRuntime {
    async fn prepare(&self, order: &RunOrder) -> Result<(), RuntimeError> {
        self.fetch_for(order).await
    }

    async fn fetch(
        &self,
        service: &ServiceName,
        image: &Image,
    ) -> Result<ImageState, RuntimeError> {
        let reference = &image.reference;
        self.images.fetch(service, image, Purpose::Update).await?;
        let resolved = self
            .images
            .resolve(&reference.to_string(), reference.name())
            .await?;
        let Some(resolved) = resolved else {
            return Err(RuntimeError::Field {
                field: "image",
                why: format!(
                    "{reference} was fetched, and then the engine does not have it; was it removed meanwhile?"
                ),
            });
        };
        Ok(ImageState::Here {
            digest: (resolved.digest != resolved.id).then_some(resolved.digest),
            id: resolved.id,
        })
    }

    async fn start(&self, order: &RunOrder) -> Result<Started, RuntimeError> {
        self.begin(order).await
    }

    async fn signal(&self, run: &RunName, signal: Signal) -> Result<(), RuntimeError> {
        let container = self.owner.container(run);
        let refused = |it| failed(format!("signalling {run}"), it);
        let signal = match signal {
            Signal::Kill => "SIGKILL".to_owned(),
            Signal::Terminate => {
                let looked = self.inspect(&container).await.map_err(refused)?;
                let Some(looked) = looked else { return Ok(()) };
                let own = looked.config.and_then(|it| it.stop_signal);
                own.filter(|it| !it.is_empty())
                    .unwrap_or_else(|| "SIGTERM".to_owned())
            }
        };
        let options = KillContainerOptionsBuilder::new().signal(&signal).build();
        let sent = self
            .engine
            .ask(ASK, async |it| {
                it.kill_container(&container, Some(options)).await
            })
            .await;
        match sent {
            Ok(()) | Err(EngineError::Missing(_) | EngineError::Conflict(_)) => Ok(()),
            Err(error) => Err(refused(error)),
        }
    }

    async fn ended(&self, run: &RunName) -> Ended {
        let mut gone_at = None;
        loop {
            let mut news = self.watch.subscribe();
            let record = self.records.read(run);
            if let Some(ended) = record.as_ref().and_then(|it| it.ended.clone()) {
                return ended;
            }
            let Some(record) = record else {
                return Ended {
                    exit: Exit::Unseen("its record is gone".to_owned()),
                    lasted_ms: None,
                    last_output: String::new(),
                };
            };
            if !self.engine.is_away() {
                match self.found(&Self::order(&record)).await {
                    Ok(FoundState::Ended(ended)) => return ended,
                    Ok(FoundState::Running { .. }) => {}
                    Err(error) => {
                        tracing::debug!(%run, %error, "a container could not be looked at");
                    }
                }
            }
            let process = self.records.read(run).and_then(|it| it.instance);
            let heard = async {
                loop {
                    match news.recv().await {
                        Ok(News::Run(other)) if other != *run => {}
                        _ => return,
                    }
                }
            };
            let gone = async {
                match process.filter(|_| gone_at.is_none()) {
                    Some(process) => super::keeper::gone(process).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = heard => {}
                () = sleep(if gone_at.is_some() { LOOK_AGAIN } else { LOOK }) => {}
                // The kernel says it before the engine does, and with the engine away nobody else does.
                () = gone => gone_at = Some(now().instant),
            }
            if let Some(since) = gone_at {
                let noticed = now().instant.saturating_duration_since(since);
                if noticed >= NOTICE && self.engine.is_away() {
                    let why = "its process ended while the container engine was away".to_owned();
                    return self.close(
                        run,
                        Ended {
                            exit: Exit::Unseen(why),
                            lasted_ms: None,
                            last_output: String::new(),
                        },
                    );
                }
            }
        }
    }

    async fn list(&self) -> Result<Inventory, RuntimeError> {
        let (records, unreadable) = self.records.all().map_err(|cause| RuntimeError::Machine {
            doing: "reading the records of containers".to_owned(),
            cause,
        })?;
        let mut inventory = Inventory::default();
        for path in unreadable {
            inventory.remarks.push(format!(
                "the record {} cannot be read and was removed; labels of containers say what it said",
                path.display()
            ));
            let _ = std::fs::remove_file(path);
        }
        let mut orders: BTreeMap<RunName, RunOrder> = BTreeMap::new();
        let reached = match self.ours(None).await {
            Ok(containers) => {
                for (_, labelled) in containers {
                    orders.insert(labelled.order.name.clone(), labelled.order);
                }
                true
            }
            Err(EngineError::Away(why)) => {
                self.engine.set_away(true);
                inventory.remarks.push(format!(
                    "{why}; of its containers only what records and /proc show is known until it answers"
                ));
                false
            }
            Err(error) => return Err(failed("listing containers".to_owned(), error)),
        };
        for record in &records {
            // It knows of changed resources, which no label can.
            orders.insert(record.name.clone(), Self::order(record));
        }
        for (name, order) in orders {
            let record = records.iter().find(|it| it.name == name);
            let state = match (reached, record) {
                (true, _) => {
                    if record.is_none() {
                        self.write(&self.record(&order));
                    }
                    self.found(&order)
                        .await
                        .map_err(|it| failed(format!("looking at {name}"), it))?
                }
                (false, Some(record)) => self.remembered(record),
                (false, None) => continue,
            };
            inventory.found.push(Found { order, state });
        }
        Ok(inventory)
    }

    async fn settle(&self, run: &RunName) -> Result<(), RuntimeError> {
        let Some(mut record) = self.records.read(run) else {
            return Ok(());
        };
        if let Some(ended) = &mut record.ended {
            ended.exit = Exit::Stopped;
            self.records
                .write(&record)
                .map_err(|cause| RuntimeError::Machine {
                    doing: format!("writing the record of {run}"),
                    cause,
                })?;
        }
        Ok(())
    }

    async fn remove(&self, run: &RunName) -> Result<(), RuntimeError> {
        if self.knows(run) {
            // Its log has what it wrote before the engine forgets it.
            self.last_line(run).await;
            let container = self.owner.container(run);
            let owned = self.inspect(&container).await;
            let owned = owned.map_err(|it| failed(format!("looking at {run}"), it))?;
            let labels = owned.and_then(|it| it.config?.labels);
            if labels.is_some_and(|it| self.owner.owns(&it)) {
                self.discard(&container)
                    .await
                    .map_err(|it| failed(format!("removing the container of {run}"), it))?;
            }
        }
        self.secrets.take_back(run);
        let _ = std::fs::remove_file(output::position(&self.folder, run));
        self.records
            .remove(run)
            .map_err(|cause| RuntimeError::Machine {
                doing: format!("removing the record of {run}"),
                cause,
            })
    }

    async fn adjust(&self, run: &RunName, resources: Resources) -> Result<(), RuntimeError> {
        let container = self.owner.container(run);
        let limits = create::limits(resources);
        self.engine
            .ask(ASK, async |it| {
                it.update_container(&container, limits).await
            })
            .await
            .map_err(|it| failed(format!("changing the resources of {run}"), it))?;
        if let Some(mut record) = self.records.read(run) {
            if let Some(image) = &mut record.command.image {
                image.resources = resources;
            }
            self.write(&record);
        }
        Ok(())
    }

    async fn usage(&self, run: &RunName) -> Result<Usage, RuntimeError> {
        let refused = |it| failed(format!("measuring {run}"), it);
        let container = self.owner.container(run);
        let options = StatsOptionsBuilder::new()
            .stream(false)
            .one_shot(true)
            .build();
        let stats = self
            .engine
            .ask(ASK, async |it| {
                let mut stream = std::pin::pin!(it.stats(&container, Some(options)));
                stream.next().await.transpose()
            })
            .await
            .map_err(refused)?;
        let stats = stats.unwrap_or_default();
        let cpu = stats.cpu_stats.and_then(|it| it.cpu_usage?.total_usage);
        let memory = stats.memory_stats.unwrap_or_default();
        // What can be dropped at once is not counted, as the engine's own client has it.
        let idle = memory.stats.as_ref().and_then(|it| {
            it.get("total_inactive_file")
                .or_else(|| it.get("inactive_file"))
                .copied()
        });
        let Some(used) = memory.usage else {
            return Err(RuntimeError::Machine {
                doing: format!("measuring {run}"),
                cause: std::io::Error::other("it does not run"),
            });
        };
        Ok(Usage {
            cpu: Duration::from_nanos(cpu.unwrap_or(0)),
            memory_bytes: used.saturating_sub(idle.unwrap_or(0)),
        })
    }

    async fn strays(&self, known: &BTreeSet<RunName>) -> Vec<Stray> {
        let Ok(containers) = self.ours(None).await else {
            return Vec::new();
        };
        let stray = |(summary, labelled): (ContainerSummary, Labelled)| {
            let run = labelled.order.name;
            let lives = summary.state.is_some_and(|it| {
                use bollard::models::ContainerSummaryStateEnum as State;
                !matches!(
                    it,
                    State::CREATED | State::EXITED | State::DEAD | State::EMPTY
                )
            });
            (!known.contains(&run)).then_some(Stray { run, lives })
        };
        containers.into_iter().filter_map(stray).collect()
    }

    async fn reap(&self, run: &RunName) -> Result<(), RuntimeError> {
        self.discard(&self.owner.container(run))
            .await
            .map_err(|it| failed(format!("removing the container of {run}"), it))?;
        self.secrets.take_back(run);
        let _ = std::fs::remove_file(output::position(&self.folder, run));
        let _ = self.records.remove(run);
        Ok(())
    }

    async fn tidy(&self) {
        let instead = match self.options.settings.reap {
            Reaping::On => Instead::Do,
            Reaping::Report => Instead::Tell,
        };
        match self.images.tidy(instead).await {
            Err(RuntimeError::Away(_)) | Ok(()) => {}
            Err(error) => {
                let sentence = format!("old images could not be looked after: {error}");
                self.tell(Event::warn(now().wall, EventKind::Image, sentence));
            }
        }
    }
}

/// A folder of this machine by the name that service files use.
fn volume<'a>(
    volumes: &'a BTreeMap<String, PathBuf>,
    name: &str,
) -> Result<&'a Path, RuntimeError> {
    volumes.get(name).map(PathBuf::as_path).ok_or_else(|| RuntimeError::Field {
        field: "volumes",
        why: format!(
            "this node has no volume `{name}`: add it below [agent.docker.volumes], like {name} = \"/srv/{name}\""
        ),
    })
}
