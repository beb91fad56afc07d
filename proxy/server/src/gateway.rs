//! The gateway as one object: what all its cores share, and how it starts and stops.

use crate::access_log::{KeptLog, Sink};
use crate::answer::SorryPage;
use crate::deadline::Deadlines;
use crate::link::Link;
use crate::listener::Listener;
use crate::metrics::Metrics;
use crate::place::Places;
use crate::tls::Redirect;
use crate::worker;
use arc_swap::ArcSwap;
use minato_health::Failure;
use minato_proxy::{Endpoint, ServiceEntry, Table};
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, watch};

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
    /// The same lines on disk, by service.
    pub kept_log: Option<KeptLog>,
    /// Client connections at most.
    pub connections: usize,
    /// Threads that serve; `None`: one for each processor.
    pub workers: Option<NonZeroUsize>,
    /// Where plain requests go that could come encrypted; `None`: they are served.
    pub redirect: Option<Redirect>,
    /// Who this gateway is to other sites; `None`: it has none.
    pub link: Option<Link>,
}

/// Whether requests are logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessLog {
    /// Not.
    Off,
    /// One line each.
    On,
}

/// What a gateway is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Accept and serve.
    Serve,
    /// Another process accepts from now on: what is open goes on, each next answer is the connection's last, and
    /// connections that are idle end at their ordinary time.
    HandOver,
    /// Requests in flight end, idle connections close at once.
    Stop,
}

/// Shared by all cores.
#[derive(Debug)]
pub struct Gateway {
    pub(crate) table: Arc<ArcSwap<Table>>,
    pub(crate) evidence: mpsc::Sender<Evidence>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) trusted_proxies: Vec<(IpAddr, u8)>,
    pub(crate) sorry: SorryPage,
    pub(crate) access_log: Sink,
    pub(crate) deadlines: Deadlines,
    pub(crate) places: Places,
    pub(crate) redirect: Option<Redirect>,
    pub(crate) link: Option<Link>,
    workers: NonZeroUsize,
    /// One for each worker.
    beats: Box<[AtomicU64]>,
}

impl Gateway {
    /// Sets it up with the default deadlines; nothing runs yet.
    pub fn new(options: GatewayOptions) -> Arc<Self> {
        Self::with_deadlines(options, Deadlines::default())
    }

    /// Sets it up; nothing runs yet but the writer of the access log.
    pub fn with_deadlines(options: GatewayOptions, deadlines: Deadlines) -> Arc<Self> {
        let processors = || std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let workers = options.workers.unwrap_or_else(processors);
        Arc::new(Self {
            table: options.table,
            evidence: options.evidence,
            access_log: Sink::open(options.access_log, options.kept_log),
            metrics: options.metrics,
            trusted_proxies: options.trusted_proxies,
            sorry: options.sorry,
            deadlines,
            places: Places::new(options.connections),
            redirect: options.redirect,
            link: options.link,
            workers,
            beats: (0..workers.get()).map(|_| AtomicU64::new(0)).collect(),
        })
    }

    /// A service as the table of this moment has it; as it was where it is there no longer.
    pub(crate) fn current(&self, entry: &Arc<ServiceEntry>) -> Arc<ServiceEntry> {
        let table = self.table.load();
        Arc::clone(table.service(&entry.service.name).unwrap_or(entry))
    }

    /// Accepts on all listeners until it is told otherwise; ends when all connections have, or `drain` after it was told.
    ///
    /// Each worker is a thread with a runtime of its own. A connection stays with the worker that accepted it, except
    /// where an address has fewer sockets than there are workers: then connections are dealt out in turn.
    pub async fn serve(
        self: Arc<Self>,
        listeners: Vec<Listener>,
        told: watch::Receiver<Phase>,
        drain: Duration,
    ) {
        worker::run_all(&self, listeners, &told, drain).await;
        let left = self.metrics.connections();
        if left > 0 {
            tracing::warn!(
                connections = left,
                "drain time is over; what was left has been cut"
            );
        }
    }

    /// How often the clock of each worker has ticked: ten times a second while its thread turns.
    pub fn beats(&self) -> Vec<u64> {
        let beats = self.beats.iter();
        beats.map(|it| it.load(Ordering::Relaxed)).collect()
    }

    /// That of one worker has ticked.
    pub(crate) fn beat(&self, worker: usize) {
        if let Some(beats) = self.beats.get(worker) {
            beats.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn workers(&self) -> usize {
        self.workers.get()
    }
}
