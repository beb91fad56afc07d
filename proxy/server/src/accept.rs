//! Accept loops, and what they do when places or descriptors run out.

use crate::connection;
use crate::gateway::Gateway;
use std::fs::File;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout;

/// How long accepting pauses where it cannot go on.
const PAUSE: Duration = Duration::from_millis(100);
/// Pauses between two warnings that descriptors have run out.
const QUIET: u32 = 100;

/// Accepts until `stop` says true, then waits for what is open.
pub(crate) async fn run(
    gateway: Arc<Gateway>,
    listener: TcpListener,
    mut stop: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    // Given up when there is no other: one request in flight can connect to its instance, or a file be written.
    let mut spare = spare_descriptor();
    let mut pauses: u32 = 0;
    loop {
        let accepted = tokio::select! {
            biased;
            _ = stop.wait_for(|it| *it) => break,
            Some(ended) = connections.join_next() => {
                report(ended);
                continue;
            }
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((tcp, peer)) => {
                let permit = tokio::select! {
                    _ = stop.wait_for(|it| *it) => break,
                    permit = place(&gateway) => permit,
                };
                pauses = 0;
                connections.spawn(hold(Arc::clone(&gateway), tcp, peer, stop.clone(), permit));
            }
            Err(error) if is_shortage(&error) => {
                if pauses.is_multiple_of(QUIET) {
                    tracing::warn!(%error, "cannot accept; closing idle connections. Raise the limit of open files");
                }
                pauses = pauses.wrapping_add(1);
                drop(spare.take());
                gateway.relieve();
                // On at once when one has closed; else after a pause.
                if let Ok(ended) = timeout(PAUSE, ended(&mut connections)).await {
                    report(ended);
                }
                spare = spare_descriptor();
            }
            Err(error) => {
                // The connection died before it was taken, mostly.
                tracing::debug!(%error, "a connection was not accepted");
                tokio::task::yield_now().await;
            }
        }
    }
    // The listener closes here: the kernel refuses new connections while those that are open end.
    drop(listener);
    while let Some(ended) = connections.join_next().await {
        report(ended);
    }
}

/// A place for one connection. At the cap the oldest idle one makes room; where all are busy, new ones wait here and in
/// the kernel's queue.
async fn place(gateway: &Gateway) -> Option<OwnedSemaphorePermit> {
    loop {
        if let Ok(permit) = Arc::clone(&gateway.places).try_acquire_owned() {
            return Some(permit);
        }
        gateway.idle.evict_oldest();
        if let Ok(permit) = timeout(PAUSE, Arc::clone(&gateway.places).acquire_owned()).await {
            return permit.ok();
        }
    }
}

/// Whether this machine, not a peer, ran out of something.
pub(crate) fn is_shortage(error: &std::io::Error) -> bool {
    use rustix::io::Errno;
    let shortages = [
        Errno::MFILE,
        Errno::NFILE,
        Errno::NOBUFS,
        Errno::NOMEM,
        Errno::ADDRNOTAVAIL,
    ];
    error
        .raw_os_error()
        .is_some_and(|it| shortages.iter().any(|one| one.raw_os_error() == it))
}

/// The next connection that ends; for ever where there is none.
async fn ended(connections: &mut JoinSet<()>) -> Result<(), JoinError> {
    match connections.join_next().await {
        Some(ended) => ended,
        None => std::future::pending().await,
    }
}

fn spare_descriptor() -> Option<File> {
    File::open("/dev/null").ok()
}

fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a connection ended in a panic; please report it");
    }
}

async fn hold(
    gateway: Arc<Gateway>,
    tcp: TcpStream,
    peer: SocketAddr,
    stop: watch::Receiver<bool>,
    permit: Option<OwnedSemaphorePermit>,
) {
    let _permit = permit;
    let _counted = Counted::new(&gateway);
    connection::run(&gateway, tcp, peer, stop).await;
}

/// One open connection in the gauge; taken back however its task ends.
struct Counted<'a>(&'a Gateway);

impl<'a> Counted<'a> {
    fn new(gateway: &'a Gateway) -> Self {
        gateway.metrics.accepted.inc();
        gateway.metrics.connections.inc();
        Self(gateway)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.metrics.connections.dec();
    }
}
