//! `minato run`: composes gateway, agent and control into one process.
//!
//! Order of starting: settings, listeners, store; then the gateway with the table of before; then everything else.
//! Order of stopping: the gateway stops accepting and lets requests end, then the agent, then control and the admin API.

use crate::clock;
use crate::gateway::{
    GatewayView, HealthLoop, HealthLoopOptions, LastGood, Reporter, Reports, Seen,
};
use crate::view::ProcessView;
use anyhow::{Context as _, anyhow, bail};
use arc_swap::ArcSwap;
use minato_config::{GatewayId, NodeId, Role, Settings, Timestamp};
use minato_config_files::Watcher;
use minato_control::{Event, EventKind};
use minato_control_agent::{AgentError, AgentOptions, Stop};
use minato_control_server::{About, Admin, ClaimOptions, Journal, JournalOptions, LeadOptions};
use minato_control_store::keys::Keys;
use minato_control_store::{Embedded, SharedStore, StoreError};
use minato_proxy::Table;
use minato_proxy_server::{
    AccessLog, Gateway, GatewayOptions, Listener, Metrics, Phase, SorryPage,
};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};

/// Requests in flight have this long to end when minato stops.
const DRAIN: Duration = Duration::from_secs(90);
/// Client connections at most; two descriptors each, and some spare, stay under the usual hard limit of 20,000.
const CONNECTIONS: usize = 9_000;
/// Events and evidence that may wait.
const QUEUE: usize = 1024;

/// `minato run`
#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    /// Settings file. Default: ./minato.toml, then /etc/minato/minato.toml.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Stop every instance when minato stops; otherwise they go on and the next `minato run` adopts them.
    #[arg(long)]
    stop_instances: bool,
    /// Stop when standard input closes, as it does when the parent process ends.
    #[arg(long, hide = true)]
    exit_with_parent: bool,
}

/// Runs until told to stop. Exit 1 where it cannot begin or go on, 3 where the settings are refused.
pub(crate) fn main(args: &RunArgs) -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("MINATO_LOG")
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info")),
        )
        .with_target(false)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .init();
    let settings = match minato_config_files::read_or_default(args.config.as_deref()) {
        Ok(settings) => settings,
        Err(problems) => {
            for problem in &problems {
                eprintln!("{problem}");
            }
            eprintln!(
                "minato: {} problem(s) in the settings; nothing was started. `minato check` reports on all files",
                problems.len()
            );
            return ExitCode::from(3);
        }
    };
    match run(args, &settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("minato: {error:#}");
            ExitCode::from(1)
        }
    }
}

fn run(args: &RunArgs, settings: &Settings) -> anyhow::Result<()> {
    raise_descriptors();
    let is_gateway = settings.roles.contains(&Role::Gateway);
    let http = if is_gateway {
        bind_all(&settings.gateway.http, "[gateway] http")?
    } else {
        Vec::new()
    };
    let admin = bind(settings.admin, "[admin] listen")?;
    let store = open_store(&settings.data)?;
    let control = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("control")
        .enable_all()
        .build()?;
    let started = Start {
        args,
        settings,
        http,
        admin,
        store: Arc::new(store),
    };
    let result = control.block_on(started.run());
    control.shutdown_timeout(Duration::from_secs(1));
    result
}

fn open_store(data: &Path) -> anyhow::Result<Embedded> {
    match Embedded::open(data, minato_control_store::Options::default()) {
        Err(StoreError::Disk { cause, .. })
            if cause.kind() == std::io::ErrorKind::PermissionDenied =>
        {
            bail!(
                "no permission to use the data folder {}: run as root, or name another with [store] path in minato.toml",
                data.display()
            )
        }
        other => Ok(other?),
    }
}

struct Start<'a> {
    args: &'a RunArgs,
    settings: &'a Settings,
    http: Vec<TcpListener>,
    admin: TcpListener,
    store: Arc<Embedded>,
}

impl Start<'_> {
    async fn run(self) -> anyhow::Result<()> {
        let asked = asked_to_stop(self.args.exit_with_parent)?;
        let settings = self.settings;
        let since = clock::wall();
        let node = node_id(settings)?;
        let keys = Keys::new(&settings.site);
        let (journal, events) = Journal::open(&settings.data, JournalOptions::default())
            .with_context(|| {
                format!(
                    "the event journal in {} cannot be opened",
                    settings.data.display()
                )
            })?;
        let (stop, stopped) = watch::channel(Phase::Serve);
        let shared: SharedStore = self.store.clone();

        let table = Arc::new(ArcSwap::from_pointee(Table::default()));
        let metrics = Metrics::new().context("metrics cannot be registered")?;
        let (evidence, witnessed) = mpsc::channel(QUEUE);
        let (seen, reports) = (Seen::default(), Reports::default());
        let health = HealthLoop::new(HealthLoopOptions {
            table: Arc::clone(&table),
            metrics: Arc::clone(&metrics),
            seen: seen.clone(),
            reports: reports.clone(),
            events: events.clone(),
            data: settings.data.clone(),
            last_good: LastGood::load(&settings.data),
        });
        let gateway = Gateway::new(GatewayOptions {
            table: Arc::clone(&table),
            evidence,
            metrics: Arc::clone(&metrics),
            trusted_proxies: settings.gateway.trusted_proxies.clone(),
            sorry: sorry_page(settings)?,
            access_log: if settings.gateway.access_log {
                AccessLog::On
            } else {
                AccessLog::Off
            },
            connections: CONNECTIONS,
            workers: settings.gateway.workers,
        });
        let listeners: Vec<SocketAddr> = self
            .http
            .iter()
            .filter_map(|it| it.local_addr().ok())
            .collect();
        // Requests have threads of their own: probes, the store and the API never hold them up.
        let listening = self.http.into_iter().map(Listener::http).collect();
        let serving = tokio::spawn(gateway.serve(listening, stopped, DRAIN));

        let follower = minato_control_store::follow(shared.clone(), keys.clone()).await?;
        let watcher = Watcher::start(settings, clock::wall)
            .context("no thread for watching the folder of services")?;
        let folder = watcher.subscribe();
        let admin_address = self.admin.local_addr()?;
        self.admin.set_nonblocking(true)?;
        let admin = Arc::new(Admin {
            about: About {
                site: settings.site.clone(),
                node: node.clone(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                pid: std::process::id(),
                since,
                listeners: listeners.clone(),
                admin: admin_address,
                folder: settings.services.clone(),
                store: settings.data.clone(),
            },
            store: shared.clone(),
            keys: keys.clone(),
            journal: Arc::clone(&journal),
            events: events.clone(),
            folder: folder.clone(),
            view: Arc::new(ProcessView {
                gateway: GatewayView {
                    table,
                    metrics,
                    seen,
                },
                data: settings.data.clone(),
            }),
        });
        let (late_stop, late_stopped) = watch::channel(false);
        let mut late = JoinSet::new();
        let listener = tokio::net::TcpListener::from_std(self.admin)?;
        let serving_admin = minato_control_server::serve(listener, admin, late_stopped.clone());
        late.spawn(async move {
            if let Err(error) = serving_admin.await {
                tracing::error!(%error, "the admin API ended");
            }
        });
        // Without the gateway's role nothing is probed or reported: the store says what other gateways think.
        if settings.roles.contains(&Role::Gateway) {
            let gateway = GatewayId::parse(node.as_str())
                .context("the node's name does not fit a gateway")?;
            let reporter = Reporter {
                store: shared.clone(),
                keys: keys.clone(),
                gateway,
                since,
                reports,
            };
            late.spawn(reporter.run(late_stopped.clone()));
            late.spawn(health.run(follower, witnessed, late_stopped.clone()));
        }
        if settings.roles.contains(&Role::Control) {
            let claim = ClaimOptions::new(keys.clone());
            late.spawn(minato_control_server::claim_folder(
                claim,
                shared.clone(),
                folder,
                events.clone(),
                late_stopped.clone(),
            ));
            let options = LeadOptions::new(keys.clone(), node.clone());
            late.spawn(minato_control_server::lead(
                options,
                shared.clone(),
                events.clone(),
                late_stopped,
            ));
        }
        let (agent_stop, agent_stopped) = watch::channel(Stop::Run);
        let agent = agent_options(settings, node, keys)?;
        let mut agent = settings.roles.contains(&Role::Agent).then(|| {
            tokio::spawn(minato_control_agent::run(
                agent,
                shared,
                events.clone(),
                agent_stopped,
            ))
        });
        announce(&events, &listeners, admin_address, since);

        let end = tokio::select! {
            why = asked => {
                tracing::info!(why, "stopping");
                End::Asked
            }
            ended = join(&mut agent) => End::Agent(ended),
            Some(ended) = late.join_next() => End::Part(ended.err()),
        };
        let _ = stop.send(Phase::Stop);
        if serving.await.is_err() {
            tracing::error!("the gateway ended with a panic");
        }
        let how = match end {
            End::Asked if self.args.stop_instances => Stop::StopInstances,
            _ => Stop::LeaveInstances,
        };
        let _ = agent_stop.send(how);
        let result = match end {
            End::Agent(ended) => ended,
            End::Asked if agent.is_none() => Ok(()),
            End::Asked => join(&mut agent).await,
            End::Part(cause) => {
                if agent.is_some() {
                    let _ = join(&mut agent).await;
                }
                Err(cause.map_or_else(|| anyhow!("ended"), anyhow::Error::new))
                    .context("a part of minato that should go on has ended; start minato again, and report this as a bug")
            }
        };
        let _ = late_stop.send(true);
        let _ = tokio::time::timeout(Duration::from_secs(5), async {
            while late.join_next().await.is_some() {}
        })
        .await;
        drop((watcher, events));
        let _ = tokio::time::timeout(Duration::from_secs(2), journal.closed()).await;
        self.store.close().await;
        result
    }
}

/// Why minato ends.
enum End {
    Asked,
    Agent(anyhow::Result<()>),
    /// Any other part, which never ends by itself.
    Part(Option<tokio::task::JoinError>),
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

/// Listens from now on: a signal that comes while everything starts is kept. The future ends when one has come.
fn asked_to_stop(with_parent: bool) -> anyhow::Result<impl Future<Output = &'static str>> {
    use tokio::signal::unix::{SignalKind, signal};
    let listen = |kind| signal(kind).context("signals cannot be received");
    let mut terminate = listen(SignalKind::terminate())?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    let parent = async move {
        if with_parent {
            let mut input = tokio::io::stdin();
            let mut nothing = [0; 64];
            while tokio::io::AsyncReadExt::read(&mut input, &mut nothing)
                .await
                .is_ok_and(|n| n > 0)
            {}
        } else {
            std::future::pending::<()>().await;
        }
    };
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "Ctrl-C",
            () = parent => "the parent process ended",
        }
    })
}

fn announce(
    events: &mpsc::Sender<Event>,
    listeners: &[SocketAddr],
    admin: SocketAddr,
    since: Timestamp,
) {
    let serving: Vec<String> = listeners.iter().map(|it| format!("http://{it}")).collect();
    let message = format!(
        "minato {} serves {}; status page http://{admin}/",
        env!("CARGO_PKG_VERSION"),
        serving.join(", ")
    );
    let _ = events.try_send(Event::info(since, EventKind::Process, message));
}

fn bind_all(addresses: &[SocketAddr], field: &str) -> anyhow::Result<Vec<TcpListener>> {
    addresses.iter().map(|it| bind(*it, field)).collect()
}

fn bind(address: SocketAddr, field: &str) -> anyhow::Result<TcpListener> {
    match TcpListener::bind(address) {
        Ok(listener) => Ok(listener),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            bail!(
                "{address} is taken by another program (`ss -ltnp 'sport = :{}'` names it): stop that one, or change {field}",
                address.port()
            )
        }
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            bail!(
                "no permission to listen on {address}: ports below 1024 need root or CAP_NET_BIND_SERVICE; or change {field}"
            )
        }
        Err(error) if error.kind() == std::io::ErrorKind::AddrNotAvailable => {
            bail!(
                "no interface of this machine has {}; change {field}",
                address.ip()
            )
        }
        Err(error) => {
            Err(error).with_context(|| format!("cannot listen on {address}; change {field}"))
        }
    }
}

fn sorry_page(settings: &Settings) -> anyhow::Result<SorryPage> {
    match minato_config_files::read_sorry_page(settings) {
        Ok(page) => Ok(page.map_or_else(SorryPage::default, |html| SorryPage::new(&html))),
        Err(problem) => bail!("{problem}"),
    }
}

fn agent_options(settings: &Settings, node: NodeId, keys: Keys) -> anyhow::Result<AgentOptions> {
    let program = std::env::current_exe()
        .context("this program's own path is unknown; it is needed to keep instances")?;
    Ok(AgentOptions {
        node,
        keys,
        data: absolute(&settings.data)?,
        ports: settings.agent.ports,
        log_bytes: settings.agent.log_bytes,
        shim: vec![program.into_os_string(), "shim".into()],
        address: IpAddr::V4(Ipv4Addr::LOCALHOST),
    })
}

fn absolute(path: &Path) -> anyhow::Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("{} has no absolute path", path.display()))
}

/// The configured name, else the machine's host name with everything else than letters and digits made `-`.
fn node_id(settings: &Settings) -> anyhow::Result<NodeId> {
    if let Some(node) = &settings.node {
        return Ok(node.clone());
    }
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .unwrap_or_default()
        .to_ascii_lowercase();
    let short = host.trim().split('.').next().unwrap_or_default();
    let name: String = short
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .take(63)
        .collect();
    let name = name.trim_matches('-');
    NodeId::parse(if name.is_empty() { "node" } else { name })
        .context("the host name gives no node name; set `node` in the settings")
}

/// Two descriptors for each client connection: as many as the system lets us have.
fn raise_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the limit on open files stays as it is");
    }
}
