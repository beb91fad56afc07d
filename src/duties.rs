//! What only one process of a node does at a time: it has the store open, keeps the journal, answers the admin API,
//! runs the agent and control.
//!
//! Taken up at the start, laid down at the stop or when another process takes over; taken up again where that comes to
//! nothing. Not here: serving requests, which more than one process may do (`serving`, `gateway`).

use crate::certificates::Ends;
use crate::clock;
use crate::entrance::Entrance;
use crate::gateway::{GatewayView, LastGood, Reporter, Reports, Source};
use crate::link::{Desk, Known, Shelf, StreamGate, Way};
use crate::site_store::{self, SiteStore};
use crate::upgrade::Progress;
use crate::view::ProcessView;
use anyhow::{Context as _, anyhow, bail};
use minato_config::{GatewayId, Mirroring, NodeId, Role, Settings, Timestamp};
use minato_config_files::{Folder, Watcher};
use minato_control::{Event, EventKind, Patience};
use minato_control_agent::dependency::Dependencies;
use minato_control_agent::{AgentError, AgentOptions, Figures, Stop};
use minato_control_hook::Runs;
use minato_control_server::{
    About, Admin, ClaimOptions, Copies, Hook, Journal, JournalOptions, LeadOptions, Peers,
};
use minato_control_store::keys::Keys;
use minato_control_store::{Follower, Guard, SharedStore};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinError, JoinHandle, JoinSet};

/// How long the parts may take to end, and then the journal to be written.
const PARTS: Duration = Duration::from_secs(5);
const JOURNAL: Duration = Duration::from_secs(2);
/// How long the table of before is waited with for a store that does not answer; then it serves on.
const FIRST_WORLD: Duration = Duration::from_secs(3);

/// What the duties of one process are made from, however often they are taken up.
pub(crate) struct Charge {
    pub(crate) settings: Settings,
    pub(crate) node: NodeId,
    /// Who this machine is to other sites; `None` where it has no links.
    pub(crate) known: Option<Known>,
    /// When its certificates end.
    pub(crate) ends: Arc<Ends>,
    /// From which peers are told of this site's services.
    pub(crate) shelf: Shelf,
    /// What the control of peers asks of this site's.
    pub(crate) desk: Desk,
    /// Named streams to and from other sites.
    pub(crate) streams: StreamGate,
    pub(crate) keys: Keys,
    /// When this process began.
    pub(crate) since: Timestamp,
    /// Where the gateway listens.
    pub(crate) listeners: Vec<SocketAddr>,
    /// Only with the agent's role.
    pub(crate) dependencies: Option<Arc<Dependencies>>,
    pub(crate) entrance: Arc<Entrance>,
    pub(crate) gateway: GatewayView,
    pub(crate) reports: Reports,
    pub(crate) upgrade: Arc<Progress>,
    /// What instances of this node use, from the agent to the metrics.
    pub(crate) figures: Figures,
    /// This program's file; keepers of instances are started from it.
    pub(crate) keeper: PathBuf,
    /// To the health loop.
    pub(crate) sources: mpsc::Sender<Source>,
    /// The folder is watched all the time: the one who takes over has read it before.
    pub(crate) watcher: Watcher,
}

/// Duties that were taken up.
pub(crate) struct Duties {
    store: SiteStore,
    guard: Arc<Guard>,
    journal: Arc<Journal>,
    events: mpsc::Sender<Event>,
    stop: watch::Sender<bool>,
    parts: JoinSet<()>,
    agent: Option<JoinHandle<Result<(), AgentError>>>,
    agent_stop: watch::Sender<Stop>,
}

/// What ended without being told to.
pub(crate) enum Failed {
    Agent(anyhow::Result<()>),
    /// Any other part, which never ends by itself.
    Part(Option<JoinError>),
    /// None: the store is another one than these duties began with, and is good. Others are to be taken up with it.
    Renewed,
}

impl Duties {
    /// Starts every part on `store` and brings the gateway's table in line with it. `admin`: where the admin API listens;
    /// `saved`: what the process before thought last.
    pub(crate) async fn take_up(
        charge: &Charge,
        store: SiteStore,
        admin: TcpListener,
        saved: LastGood,
    ) -> anyhow::Result<Self> {
        let data = &charge.settings.data;
        let guard = Arc::new(Guard::new(
            store.shared(),
            charge.keys.clone(),
            data,
            charge.node.to_string(),
            clock::wall,
        ));
        let shared: SharedStore = guard.clone();
        let (journal, events) = Journal::open(data, JournalOptions::default())
            .with_context(|| format!("the event journal in {} cannot be opened", data.display()))?;
        if let Some(dependencies) = &charge.dependencies {
            dependencies.herald().attach(events.clone());
        }
        let (stop, stopped) = watch::channel(false);
        let mut parts = JoinSet::new();

        charge.shelf.attach(shared.clone(), charge.keys.clone());
        let is = |role| charge.settings.roles.contains(&role);
        let folder = charge.watcher.subscribe();
        let about = charge.admin(
            admin.local_addr()?,
            &guard,
            &journal,
            &events,
            folder.clone(),
        );
        charge.desk.attach(Arc::clone(&about));
        admin.set_nonblocking(true)?;
        let admin = tokio::net::TcpListener::from_std(admin)?;
        // Without the gateway's role nothing is probed or reported: the store says what other gateways think.
        if is(Role::Gateway) {
            let follower = charge.first_world(&shared, &events).await?;
            let (taken, is_taken) = oneshot::channel();
            let source = Source::Site {
                follower: Box::new(follower),
                events: events.clone(),
                saved,
                taken,
            };
            let sent = charge.sources.send(source).await;
            if sent.is_err() || is_taken.await.is_err() {
                bail!("the gateway's health loop has ended; please report it");
            }
            let reporter = Reporter {
                store: shared.clone(),
                keys: charge.keys.clone(),
                gateway: GatewayId::parse(charge.node.as_str())
                    .context("the node's name does not fit a gateway")?,
                since: charge.since,
                lease: charge.settings.lease,
                reports: charge.reports.clone(),
            };
            parts.spawn(reporter.run(stopped.clone()));
            let names = charge.entrance.move_names(events.clone(), stopped.clone());
            if let Some(names) = names {
                parts.spawn(names);
            }
        }
        let serving = minato_control_server::serve(admin, about, stopped.clone());
        parts.spawn(async move {
            if let Err(error) = serving.await {
                tracing::error!(%error, "the admin API ended");
            }
        });
        if is(Role::Control) {
            parts.spawn(minato_control_server::claim_folder(
                ClaimOptions::new(charge.keys.clone()),
                shared.clone(),
                folder,
                events.clone(),
                stopped.clone(),
            ));
            parts.spawn(minato_control_server::lead(
                charge.lead(),
                shared.clone(),
                events.clone(),
                stopped,
            ));
        }
        let (agent_stop, agent_stopped) = watch::channel(Stop::Run);
        let agent = charge.agent()?;
        let agent = is(Role::Agent).then(|| {
            let run = minato_control_agent::run(agent, shared, events.clone(), agent_stopped);
            tokio::spawn(run)
        });
        Ok(Self {
            store,
            guard,
            journal,
            events,
            stop,
            parts,
            agent,
            agent_stop,
        })
    }

    /// The store, as it is.
    pub(crate) fn shared(&self) -> SharedStore {
        self.store.shared()
    }

    /// Where events go. To be dropped before the duties are laid down.
    pub(crate) fn events(&self) -> &mpsc::Sender<Event> {
        &self.events
    }

    /// Waits for something that should not happen. Cancel-safe.
    pub(crate) async fn failed(&mut self) -> Failed {
        tokio::select! {
            ended = join(&mut self.agent) => Failed::Agent(ended),
            Some(ended) = self.parts.join_next() => Failed::Part(ended.err()),
            () = self.guard.renewed() => Failed::Renewed,
        }
    }

    /// Ends every part, the store last. `how`: what becomes of the instances.
    pub(crate) async fn lay_down(mut self, charge: &Charge, how: Stop) -> anyhow::Result<()> {
        charge.shelf.detach();
        charge.desk.detach();
        let _ = self.agent_stop.send(how);
        let result = match self.agent {
            Some(_) => join(&mut self.agent).await,
            None => Ok(()),
        };
        let _ = self.stop.send(true);
        let ended = async { while self.parts.join_next().await.is_some() {} };
        if tokio::time::timeout(PARTS, ended).await.is_err() {
            tracing::warn!("a part of minato does not end; it is cut off");
            self.parts.shutdown().await;
        }
        charge.leave_to_another().await;
        if let Some(dependencies) = &charge.dependencies {
            dependencies.herald().detach();
        }
        drop(self.events);
        let _ = tokio::time::timeout(JOURNAL, self.journal.closed()).await;
        self.store.close().await;
        result
    }
}

impl Charge {
    /// Makes the health loop let go of store and journal, and follow what another process saves.
    async fn leave_to_another(&self) {
        let (left, is_left) = oneshot::channel();
        if self.sources.send(Source::Saved { left }).await.is_ok() {
            let _ = is_left.await;
        }
    }

    /// Follows the store, listed where it answers soon. Where it does not, the gateway goes on with what it knows.
    async fn first_world(
        &self,
        store: &SharedStore,
        events: &mpsc::Sender<Event>,
    ) -> anyhow::Result<Follower> {
        let mut follower = Follower::begin(store.clone(), self.keys.clone());
        match tokio::time::timeout(FIRST_WORLD, follower.next()).await {
            Ok(listed) => drop(listed?),
            Err(_) => {
                let why = store.trouble().unwrap_or_else(|| {
                    format!(
                        "the store ({}) does not answer",
                        site_store::name(&self.settings)
                    )
                });
                let message = format!("the gateway serves with the table of before: {why}");
                // Of kind `store` it would stand as trouble until somebody says that it has ended, and nobody here could.
                let event = Event::warn(clock::wall(), EventKind::Process, message);
                let _ = events.try_send(event);
            }
        }
        Ok(follower)
    }

    fn admin(
        &self,
        address: SocketAddr,
        guard: &Arc<Guard>,
        journal: &Arc<Journal>,
        events: &mpsc::Sender<Event>,
        folder: watch::Receiver<Arc<Folder>>,
    ) -> Arc<Admin> {
        let settings = &self.settings;
        Arc::new(Admin {
            about: About {
                site: settings.site.clone(),
                node: self.node.clone(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                pid: std::process::id(),
                since: self.since,
                listeners: self.listeners.clone(),
                admin: address,
                folder: settings.services.clone(),
                store: site_store::name(settings),
            },
            store: guard.clone(),
            guard: Some(Arc::clone(guard)),
            keys: self.keys.clone(),
            journal: Arc::clone(journal),
            events: events.clone(),
            folder,
            view: Arc::new(ProcessView {
                gateway: self.gateway.clone(),
                data: settings.data.clone(),
                keeps_access_log: settings.gateway.access_log_bytes > 0,
                upgrade: Arc::clone(&self.upgrade),
                entrance: Arc::clone(&self.entrance),
                figures: self.figures.clone(),
                identity: self.known.as_ref().map(|it| Arc::clone(&it.identity)),
                dependencies: self
                    .dependencies
                    .as_ref()
                    .map(|it| it.views())
                    .unwrap_or_default(),
            }),
            peers: self.peers(),
            certificates: Some(self.ends.clone()),
            quiet: self.quiet(),
            copies: self.copies(),
        })
    }

    fn lead(&self) -> LeadOptions {
        let (control, hooks) = (self.settings.control, &self.settings.hooks);
        LeadOptions {
            lease: control.lease,
            keep_alive: control.lease / 3,
            scale_period: control.scale_interval,
            scale_window: control.scale_window,
            patience: Patience {
                grace: control.node_grace,
                after_election: control.election_grace,
            },
            hook: (!hooks.add_nodes.is_empty()).then(|| Hook {
                command: hooks.add_nodes.clone(),
                timeout: hooks.timeout,
                every: hooks.every,
            }),
            site: self.settings.site.clone(),
            decisions: Some(self.settings.data.join("decisions")),
            peers: self.peers(),
            doors: Some(self.entrance.clone()),
            certificates: Some(self.ends.clone()),
            copies: self.copies(),
            ..LeadOptions::new(self.keys.clone(), self.node.clone())
        }
    }

    /// What may copy data of services that move here; nothing where the data folder has no absolute path.
    fn copies(&self) -> Option<Copies> {
        let data = std::path::absolute(&self.settings.data).ok()?;
        let keeper = vec![self.keeper.clone().into_os_string(), "hook".into()];
        Some(Copies::new(
            Runs::new(&data, keeper),
            self.settings.hooks.run.clone(),
            self.node.clone(),
            self.settings.site.clone(),
        ))
    }

    /// How long the entrance of a site that was left must be quiet: twice what answers of name servers live.
    fn quiet(&self) -> Duration {
        let names = self.settings.entrance.dns.values();
        names
            .map(|it| it.ttl * 2)
            .max()
            .unwrap_or(Duration::from_secs(120))
    }

    /// Whose services are mirrored.
    fn peers(&self) -> Option<Peers> {
        let known = self.known.as_ref()?;
        let sites = &self.settings.sites;
        Some(Peers {
            sites: sites.keys().cloned().collect(),
            unmirrored: sites
                .iter()
                .filter(|(_, it)| it.mirror == Mirroring::Off)
                .map(|(site, _)| site.clone())
                .collect(),
            way: Arc::new(Way::new(Arc::clone(&known.identity), sites)),
        })
    }

    fn agent(&self) -> anyhow::Result<AgentOptions> {
        let data = &self.settings.data;
        let data = std::path::absolute(data)
            .with_context(|| format!("{} has no absolute path", data.display()))?;
        Ok(AgentOptions {
            site: self.settings.site.clone(),
            node: self.node.clone(),
            runtime: self.settings.agent.runtime.clone(),
            keys: self.keys.clone(),
            data,
            ports: self.settings.agent.ports,
            log_bytes: self.settings.agent.log_bytes,
            shim: vec![self.keeper.clone().into_os_string(), "shim".into()],
            address: self.settings.agent.advertise,
            lease: self.settings.lease,
            labels: self.settings.agent.labels.clone(),
            overcommit: self.settings.agent.overcommit,
            figures: self.figures.clone(),
            dependencies: self.dependencies.as_ref().map(|it| it.standings()),
        })
    }
}

impl Failed {
    /// The end of minato that it leads to.
    pub(crate) fn into_result(self) -> anyhow::Result<()> {
        match self {
            Self::Agent(ended) => ended,
            Self::Part(cause) => Err(cause.map_or_else(|| anyhow!("ended"), anyhow::Error::new))
                .context("a part of minato that should go on has ended; start minato again, and report this as a bug"),
            Self::Renewed => Ok(()),
        }
    }
}

/// Waits for the agent's end; for ever where there is none.
async fn join(agent: &mut Option<JoinHandle<Result<(), AgentError>>>) -> anyhow::Result<()> {
    let Some(task) = agent else {
        return std::future::pending().await;
    };
    let ended = task.await.context("the agent ended with a panic")?;
    *agent = None;
    ended.context("the agent cannot go on")
}
