//! The gateway as one object: what all its connections share, its accept loops, and how it stops.

use crate::answer::SorryPage;
use crate::metrics::Metrics;
use crate::pool::Pool;
use crate::{clock, connection};
use arc_swap::ArcSwap;
use minato_health::Failure;
use minato_proxy::{Endpoint, Table};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
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
    pub(crate) trusted_proxies: Vec<(IpAddr, u8)>,
    pub(crate) sorry: SorryPage,
    pub(crate) access_log: AccessLog,
    connections: Arc<Semaphore>,
}

impl Gateway {
    /// Sets it up; nothing runs yet.
    pub fn new(options: GatewayOptions) -> Arc<Self> {
        Arc::new(Self {
            table: options.table,
            evidence: options.evidence,
            metrics: options.metrics,
            pool: Pool::default(),
            trusted_proxies: options.trusted_proxies,
            sorry: options.sorry,
            access_log: options.access_log,
            connections: Arc::new(Semaphore::new(options.connections)),
        })
    }

    /// Accepts on all listeners until `stop` says true; then lets requests in flight end for at most `drain`.
    pub async fn serve(self: Arc<Self>, listeners: Vec<TcpListener>, mut stop: watch::Receiver<bool>, drain: Duration) {
        let mut loops = JoinSet::new();
        for listener in listeners {
            loops.spawn(Arc::clone(&self).accept(listener, stop.clone()));
        }
        let pool = Arc::clone(&self);
        let mut sweep = tokio::time::interval(Duration::from_secs(1));
        loop {
            tokio::select! {
                _ = stop.wait_for(|it| *it) => break,
                _ = sweep.tick() => {
                    pool.pool.sweep(clock::now());
                    pool.metrics.pool_idle.set(i64::try_from(pool.pool.len()).unwrap_or(i64::MAX));
                }
            }
        }
        let all_ended = async { while loops.join_next().await.is_some() {} };
        if tokio::time::timeout(drain, all_ended).await.is_err() {
            tracing::warn!(connections = self.metrics.connections.get(), "drain time is over; cutting what is left");
        }
    }

    async fn accept(self: Arc<Self>, listener: TcpListener, mut stop: watch::Receiver<bool>) {
        let mut connections = JoinSet::new();
        loop {
            let permit = tokio::select! {
                _ = stop.wait_for(|it| *it) => break,
                // At the cap new connections wait in the kernel's queue instead of being refused.
                permit = Arc::clone(&self.connections).acquire_owned() => permit,
                Some(_) = connections.join_next() => continue,
            };
            let accepted = tokio::select! {
                _ = stop.wait_for(|it| *it) => break,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((tcp, peer)) => {
                    let gateway = Arc::clone(&self);
                    let stop = stop.clone();
                    connections.spawn(async move {
                        let _permit = permit;
                        gateway.hold(tcp, peer, stop).await;
                    });
                }
                Err(error) => {
                    // Out of descriptors, or the connection died before we took it: never spin on it.
                    tracing::warn!(%error, "cannot accept; trying again in 100 ms");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
            while connections.try_join_next().is_some() {}
        }
        // The listener closes here: the kernel refuses new connections while those that are open end.
        drop(listener);
        while connections.join_next().await.is_some() {}
    }

    async fn hold(self: Arc<Self>, tcp: TcpStream, peer: std::net::SocketAddr, stop: watch::Receiver<bool>) {
        self.metrics.accepted.inc();
        self.metrics.connections.inc();
        connection::run(&self, tcp, peer, stop).await;
        self.metrics.connections.dec();
    }
}
