//! A gateway on port 0 with a hand-made table.

use crate::peer::{Answer, Peer, soon};
use arc_swap::ArcSwap;
use minato_config::{
    Backend, Generation, Health, HealthProbe, HealthTiming, HostPattern, Limits, PathPrefix, Route,
    RouteAction, RoutePattern, Run, Service, ServiceName, SlotIndex, Timeouts,
};
use minato_health::Verdict;
use minato_proxy::{Endpoint, EndpointId, Intake, ServiceEntry, Shared, Table};
use minato_proxy_server::{
    AccessLog, Deadlines, Evidence, Gateway, GatewayOptions, Listener, Metrics, Phase, Redirect,
    SorryPage, listen,
};
use minato_tls::{Acceptor, Certificates};
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

pub(crate) const GET: &str = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
pub(crate) const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// What a test changes before it starts.
pub(crate) struct Setup {
    pub(crate) service: Service,
    pub(crate) deadlines: Deadlines,
    pub(crate) connections: usize,
    pub(crate) workers: usize,
    pub(crate) trusted: Vec<(IpAddr, u8)>,
    pub(crate) intake: Intake,
    pub(crate) drain: Duration,
    pub(crate) access_log: AccessLog,
    /// Each has a listener of its own.
    pub(crate) acceptors: Vec<Acceptor>,
    /// Where these can be had encrypted, plain requests are sent to the first of those listeners.
    pub(crate) redirect: Option<Arc<Certificates>>,
}

pub(crate) fn route(host: &str, path: &str, action: RouteAction) -> Route {
    Route {
        pattern: RoutePattern {
            host: HostPattern::Exact(host.to_owned()),
            path: PathPrefix(path.to_owned()),
        },
        action,
    }
}

impl Setup {
    pub(crate) fn new() -> Self {
        Self {
            service: Service {
                name: ServiceName::parse("library").unwrap(),
                backend: Backend::Endpoints(Vec::new()),
                replicas: 1,
                scale: None,
                routes: vec![route("a.test", "/", RouteAction::Forward { strip: false })],
                health: Health::On {
                    probe: HealthProbe::Tcp,
                    timing: HealthTiming::default(),
                },
                upstream: Default::default(),
                limits: Limits::default(),
                timeouts: Timeouts::default(),
                retries: 1,
                nodes: Default::default(),
                update: Default::default(),
                depends_on: Default::default(),
                sites: None,
            },
            deadlines: Deadlines::default(),
            connections: 10_000,
            workers: 1,
            trusted: Vec::new(),
            intake: Intake::Open,
            drain: Duration::from_secs(5),
            access_log: AccessLog::Off,
            acceptors: Vec::new(),
            redirect: None,
        }
    }

    /// One slot for each address, in order, all up.
    pub(crate) async fn start(self, addresses: &[SocketAddr]) -> Running {
        let endpoint = |(slot, address): (u16, &SocketAddr)| {
            let id = EndpointId {
                service: self.service.name.clone(),
                slot: SlotIndex(slot),
                generation: Generation::default(),
                run: Run(1),
                site: None,
            };
            Endpoint::new(id, *address, 0, Verdict::Up)
        };
        let endpoints: Vec<_> = (0..).zip(addresses).map(endpoint).collect();
        let shared = Shared::new(&self.service);
        let entry = ServiceEntry::new(
            Arc::new(self.service),
            Arc::clone(&shared),
            endpoints.clone(),
            self.intake,
        );
        let table = Arc::new(ArcSwap::from_pointee(Table::default().with(entry)));
        let metrics = Metrics::new().unwrap();
        let (evidence, witnessed) = mpsc::channel(64);
        let mut listeners = Vec::new();
        let mut bind = |acceptor| {
            let socket = listen("127.0.0.1:0".parse().unwrap()).unwrap();
            let address = socket.local_addr().unwrap();
            listeners.push(match acceptor {
                Some(acceptor) => Listener::https(socket, acceptor),
                None => Listener::http(socket),
            });
            address
        };
        let address = bind(None);
        let secure: Vec<_> = self
            .acceptors
            .into_iter()
            .map(|it| bind(Some(it)))
            .collect();
        let redirect = self.redirect.map(|certificates| Redirect {
            certificates,
            port: secure[0].port(),
        });
        let options = GatewayOptions {
            table,
            evidence,
            metrics: Arc::clone(&metrics),
            trusted_proxies: self.trusted,
            sorry: SorryPage::new("<p>sorry</p>"),
            access_log: self.access_log,
            kept_log: None,
            connections: self.connections,
            workers: NonZeroUsize::new(self.workers),
            redirect,
            link: None,
        };
        let gateway = Gateway::with_deadlines(options, self.deadlines);
        let (stop, stopped) = watch::channel(Phase::Serve);
        let serving = tokio::spawn(gateway.serve(listeners, stopped, self.drain));
        Running {
            address,
            secure,
            endpoints,
            shared,
            metrics,
            witnessed,
            stop,
            serving,
        }
    }
}

pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    /// Of the listeners over TLS.
    #[allow(dead_code, reason = "the tests in the clear have none")]
    pub(crate) secure: Vec<SocketAddr>,
    pub(crate) endpoints: Vec<Arc<Endpoint>>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) witnessed: mpsc::Receiver<Evidence>,
    pub(crate) stop: watch::Sender<Phase>,
    pub(crate) serving: JoinHandle<()>,
}

impl Running {
    pub(crate) async fn client(&self) -> Peer {
        Peer::connect(self.address).await
    }

    pub(crate) async fn ask(&self, request: &str) -> Answer {
        self.client().await.ask(request).await
    }

    /// A line of the metrics, by its start.
    pub(crate) fn metric(&self, start: &str) -> f64 {
        let text = self.metrics.text();
        let line = text.lines().find(|it| it.starts_with(start));
        line.map_or(0.0, |it| it.rsplit(' ').next().unwrap().parse().unwrap())
    }

    pub(crate) async fn settles(&self, what: &'static str, holds: impl Fn(&Self) -> bool) {
        soon(what, async {
            while !holds(self) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }

    /// Nothing is left in flight anywhere.
    pub(crate) async fn is_at_rest(&self) {
        self.settles("in flight to go down", |it| {
            it.shared.queue.in_flight() == 0 && it.endpoints.iter().all(|it| it.in_flight() == 0)
        })
        .await;
    }
}
