//! Makes the parts of one process from its settings: the gateway with the table of before, its health loop, and what
//! its duties are made from. Nothing listens and nothing is stored yet.

use crate::certificates::Ends;
use crate::clock;
use crate::duties::Charge;
use crate::entrance::Entrance;
use crate::gateway::{
    Courses, GatewayView, HealthLoop, HealthLoopOptions, LastGood, Leading, Orders, Reports, Seen,
    Source, Visits, Wants,
};
use crate::link::{
    Desk, Gathering, Known, LinkNews, LinkView, Links, Outlet, Shelf, StreamGate, Told,
};
use crate::listeners::{Listeners, Role as Listening};
use crate::secure::Secure;
use crate::upgrade::{Draining, Progress, Wanted};
use anyhow::{Context as _, bail};
use arc_swap::ArcSwap;
use minato_config::{NodeId, Role, Settings};
use minato_config_files::Watcher;
use minato_control_agent::Figures;
use minato_control_agent::dependency::Dependencies;
use minato_control_store::keys::Keys;
use minato_proxy::Table;
use minato_proxy_server::{
    AccessLog, Archive, Evidence, Gateway, GatewayOptions, KeptLog, Metrics, SorryPage,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

/// Client connections at most; two descriptors each, and some spare, stay under the usual hard limit of 20,000.
const CONNECTIONS: usize = 9_000;
/// Bytes of other sites' access logs that are kept at least.
const GATHERED: u64 = 1 << 30;
/// Evidence that may wait.
const QUEUE: usize = 1024;

/// See the module.
pub(crate) struct Parts {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) charge: Charge,
    /// Upgrades that somebody wants.
    pub(crate) wishes: mpsc::Receiver<Wanted>,
    /// Only with the gateway's role.
    pub(crate) health: Option<Health>,
}

/// Links to other sites, and where what they hear goes.
struct Linked {
    links: Links,
    told: Told,
    news: mpsc::Sender<LinkNews>,
}

/// The health loop and what it hears.
pub(crate) struct Health {
    health: HealthLoop,
    sources: mpsc::Receiver<Source>,
    evidence: mpsc::Receiver<Evidence>,
    linked: Option<Linked>,
}

impl Health {
    pub(crate) async fn run(self, stop: watch::Receiver<bool>) {
        let health = self.health.run(self.sources, self.evidence, stop.clone());
        match self.linked {
            Some(Linked { links, told, news }) => {
                tokio::join!(health, links.run(told, news, stop));
            }
            None => health.await,
        }
    }
}

/// Shows when the certificates of this process end: those of listeners by their files' names, those of links as `link`,
/// `link/site` and `link/authority`.
fn watch_certificates(
    metrics: &Metrics,
    secure: Option<&Secure>,
    known: Option<&Known>,
) -> anyhow::Result<()> {
    let certificates = secure.map(|it| Arc::clone(&it.certificates));
    let identity = known.map(|it| Arc::clone(&it.identity));
    if certificates.is_none() && identity.is_none() {
        return Ok(());
    }
    metrics.watch_certificates(move || {
        let of_listeners = certificates.iter().flat_map(|it| it.expiries());
        let of_links = identity.iter().flat_map(|it| it.standing().ends());
        let of_links = of_links.map(|(name, end)| (name.to_owned(), end.0));
        of_listeners.chain(of_links).collect()
    })?;
    Ok(())
}

/// Makes them. `last_good`: the table to begin with; probes of its instances begin at once.
pub(crate) fn parts(
    settings: &Settings,
    listeners: &Listeners,
    secure: Option<&Secure>,
    draining: Arc<Draining>,
    last_good: LastGood,
) -> anyhow::Result<Parts> {
    let since = clock::wall();
    let table = Arc::new(ArcSwap::from_pointee(Table::default()));
    let metrics = Metrics::new().context("metrics cannot be registered")?;
    let (evidence, witnessed) = mpsc::channel(QUEUE);
    let (sources, sourced) = mpsc::channel(1);
    let (seen, reports) = (Seen::default(), Reports::default());
    let is_gateway = settings.roles.contains(&Role::Gateway);
    let node = node_id(settings)?;
    let known = Known::open(settings, &node)
        .context("no thread for following the certificates of links")?;
    watch_certificates(&metrics, secure, known.as_ref())?;
    let (shelf, desk) = (Shelf::default(), Desk::default());
    let (orders, visits) = (Orders::default(), Visits::default());
    let links = known.as_ref().filter(|_| is_gateway);
    let (links, link) = links
        .map(|it| Links::open(&it.identity, settings, &node))
        .unzip();
    let (wants, courses) = (Wants::default(), Courses::default());
    let link_view = LinkView::new(&settings.sites);
    let (link_news, link_heard) = mpsc::channel(QUEUE);
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
        kept_log: (settings.gateway.access_log_bytes > 0).then(|| KeptLog {
            folder: access_log_folder(&settings.data),
            bytes: settings.gateway.access_log_bytes,
        }),
        connections: CONNECTIONS,
        workers: settings.gateway.workers,
        redirect: secure.and_then(|it| it.redirect(listeners)),
        link,
    });
    let gathering = links.as_ref().map(|it| {
        let archive = Archive::new(access_log_folder(&settings.data));
        // As much as its own, and something where it keeps none of its own.
        let most = settings.gateway.access_log_bytes.max(GATHERED);
        Gathering::new(&it.identity, &settings.sites, archive, most)
    });
    let (gatherer, gathering) = gathering.unzip();
    let (outlets, streams) = (outlets(settings, listeners)?, StreamGate::new());
    let linked = links.zip(gathering).map(|(links, gathering)| Linked {
        links,
        told: Told {
            gathering,
            outlets,
            gate: streams.clone(),
            archive: (settings.gateway.access_log_bytes > 0)
                .then(|| Archive::new(access_log_folder(&settings.data))),
            table: Arc::clone(&table),
            shelf: shelf.clone(),
            links: link_view.clone(),
            wants: wants.clone(),
            orders: orders.clone(),
            visits: visits.clone(),
            desk: desk.clone(),
        },
        news: link_news,
    });
    let entrance = Arc::new(Entrance::open(settings, &node, listeners));
    let health = is_gateway.then(|| {
        let options = HealthLoopOptions {
            table: Arc::clone(&table),
            metrics: Arc::clone(&metrics),
            seen: seen.clone(),
            reports: reports.clone(),
            data: settings.data.clone(),
            last_good,
            site: settings.site.clone(),
            node: node.clone(),
            links: link_heard,
            link_view: link_view.clone(),
            orders,
            visits,
            wants,
            courses: courses.clone(),
            leading: Leading::new(
                entrance.names(),
                settings.sites.keys().cloned(),
                clock::now(),
            ),
            gatherer: gatherer.clone(),
        };
        Health {
            health: HealthLoop::new(options),
            sources: sourced,
            evidence: witnessed,
            linked,
        }
    });
    let (upgrade, wishes) = Progress::new(draining);
    let is_agent = settings.roles.contains(&Role::Agent);
    let dependencies = is_agent.then(|| dependencies(settings, listeners));
    let dependencies = dependencies.transpose()?.map(Arc::new);
    let ends = Ends {
        listeners: secure.map(|it| Arc::clone(&it.certificates)),
        identity: known.as_ref().map(|it| Arc::clone(&it.identity)),
    };
    let charge = Charge {
        settings: settings.clone(),
        node,
        known,
        ends: Arc::new(ends),
        shelf,
        desk,
        streams,
        keys: Keys::new(&settings.site),
        since,
        listeners: [Listening::Http, Listening::Https]
            .into_iter()
            .flat_map(|it| listeners.addresses(it))
            .collect(),
        dependencies,
        entrance,
        gateway: GatewayView {
            table,
            metrics,
            seen,
            links: link_view,
            courses,
            gatherer,
        },
        reports,
        upgrade: Arc::new(upgrade),
        figures: Figures::default(),
        keeper: std::env::current_exe()
            .context("this program's own path is unknown; it is needed to keep instances")?,
        sources,
        watcher: Watcher::start(settings, clock::wall)
            .context("no thread for watching the folder of services")?,
    };
    Ok(Parts {
        gateway,
        charge,
        wishes,
        health,
    })
}

/// Watched from now on, so that relays need neither the store nor anything else of minato.
fn dependencies(settings: &Settings, listeners: &Listeners) -> anyhow::Result<Dependencies> {
    let mut open = listeners.of_asked(Listening::Relay)?;
    let mut of_relays = Vec::new();
    for (name, dependency) in &settings.dependencies {
        let wanted = dependency.relay.iter().flat_map(|it| &it.listen);
        for address in wanted {
            // Several may ask for port 0; each gets one.
            if let Some(place) = open.iter().position(|it| it.0 == *address) {
                of_relays.push((name.clone(), open.swap_remove(place).1));
            }
        }
    }
    Dependencies::start(&settings.dependencies, of_relays, &settings.data)
        .context("relays cannot accept")
}

/// Where programs of this machine find what other sites offer.
fn outlets(settings: &Settings, listeners: &Listeners) -> anyhow::Result<Vec<Outlet>> {
    let mut open = listeners.of_asked(Listening::Stream)?;
    let mut outlets = Vec::new();
    for (site, peer) in &settings.sites {
        for (name, address) in &peer.streams {
            let place = open.iter().position(|it| it.0 == *address);
            outlets.extend(place.map(|place| Outlet {
                site: site.clone(),
                gateways: peer.gateways.clone(),
                name: name.clone(),
                listener: open.swap_remove(place).1,
            }));
        }
    }
    Ok(outlets)
}

fn sorry_page(settings: &Settings) -> anyhow::Result<SorryPage> {
    match minato_config_files::read_sorry_page(settings) {
        Ok(page) => Ok(page.map_or_else(SorryPage::default, |html| SorryPage::new(&html))),
        Err(problem) => bail!("{problem}"),
    }
}

/// Where access logs are kept.
pub(crate) fn access_log_folder(data: &Path) -> PathBuf {
    data.join("access")
}

/// The configured name, else the machine's host name with everything else than letters and digits made `-`.
pub(crate) fn node_id(settings: &Settings) -> anyhow::Result<NodeId> {
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
