//! The gateway as one object: what all its connections share, and how it starts and stops.

use crate::access_log::Sink;
use crate::answer::SorryPage;
use crate::deadline::Deadlines;
use crate::idle::Idle;
use crate::metrics::Metrics;
use crate::pool::Pool;
use crate::{accept, clock};
use arc_swap::ArcSwap;
use minato_health::Failure;
use minato_proxy::{Endpoint, ServiceEntry, Table};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;

/// What real requests say about an instance; for the health loop.
#[derive(Debug, Clone)]
pub enum Evidence {
    /// A connect failed: suspect.
    ConnectFailed(Arc<Endpoint>, Failure),
    /// That many gateway-class failures in a row, at least five.
    Consecutive(Arc<Endpoint>, u32, Failure),
}

/// How a gateway is set up.
#[derive(Debug)]
pub struct GatewayOptions {
    /// The table, swapped by the composition.
    pub table: Arc<ArcSwap<Table>>,
    /// Where evidence goes; never awaited.
    pub evidence: mpsc::Sender<Evidence>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Who may set forwarding fields: address and prefix length.
    pub trusted_proxies: Vec<(IpAddr, u8)>,
    /// What is shown when a service cannot answer.
    pub sorry: SorryPage,
    /// One line per request to standard output.
    pub access_log: AccessLog,
    /// Client connections at most.
    pub connections: usize,
}

/// Whether requests are logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessLog {
    /// Not.
    Off,
    /// One line each.
    On,
}

/// Shared by all connections.
#[derive(Debug)]
pub struct Gateway {
    pub(crate) table: Arc<ArcSwap<Table>>,
    pub(crate) evidence: mpsc::Sender<Evidence>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) pool: Pool,
    pub(crate) idle: Idle,
    pub(crate) trusted_proxies: Vec<(IpAddr, u8)>,
    pub(crate) sorry: SorryPage,
    pub(crate) access_log: Sink,
    pub(crate) deadlines: Deadlines,
    pub(crate) places: Arc<Semaphore>,
}

impl Gateway {
    /// Sets it up with the default deadlines; nothing runs yet.
    pub fn new(options: GatewayOptions) -> Arc<Self> {
        Self::with_deadlines(options, Deadlines::default())
    }

    /// Sets it up; nothing runs yet but the writer of the access log.
    pub fn with_deadlines(options: GatewayOptions, deadlines: Deadlines) -> Arc<Self> {
        Arc::new(Self {
            table: options.table,
            evidence: options.evidence,
            access_log: Sink::open(options.access_log, &options.metrics),
            metrics: options.metrics,
            pool: Pool::default(),
            idle: Idle::default(),
            trusted_proxies: options.trusted_proxies,
            sorry: options.sorry,
            deadlines,
            places: Arc::new(Semaphore::new(
                options.connections.min(Semaphore::MAX_PERMITS),
            )),
        })
    }

    /// A service as the table of this moment has it; as it was where it is there no longer.
    pub(crate) fn current(&self, entry: &Arc<ServiceEntry>) -> Arc<ServiceEntry> {
        let table = self.table.load();
        Arc::clone(table.service(&entry.service.name).unwrap_or(entry))
    }

    /// Accepts on all listeners until `stop` says true; then lets requests in flight end for at most `drain`.
    pub async fn serve(
        self: Arc<Self>,
        listeners: Vec<TcpListener>,
        mut stop: watch::Receiver<bool>,
        drain: Duration,
    ) {
        let mut loops = JoinSet::new();
        for listener in listeners {
            loops.spawn(accept::run(Arc::clone(&self), listener, stop.clone()));
        }
        let mut sweep = tokio::time::interval(Duration::from_secs(1));
        loop {
            tokio::select! {
                _ = stop.wait_for(|it| *it) => break,
                _ = sweep.tick() => {
                    self.pool.sweep(clock::now());
                    self.metrics.pool_idle.set(i64::try_from(self.pool.len()).unwrap_or(i64::MAX));
                }
            }
        }
        let all_ended = async { while loops.join_next().await.is_some() {} };
        if tokio::time::timeout(drain, all_ended).await.is_err() {
            let left = self.metrics.connections.get();
            tracing::warn!(
                connections = left,
                "drain time is over; cutting what is left"
            );
        }
    }

    /// Gives descriptors back: all idle connections to instances, and the oldest idle one of a client.
    pub(crate) fn relieve(&self) {
        self.pool.clear();
        self.idle.evict_oldest();
    }
}
