//! Accept loops, and what they do when places or descriptors run out.

use crate::channel::Channel;
use crate::connection;
use crate::core::Core;
use crate::link;
use crate::listener::{Dealt, Door};
use crate::peer::{Origin, Peer, Scheme};
use crate::tls;
use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// How long accepting pauses where it cannot go on.
const PAUSE: Duration = Duration::from_millis(100);
/// Pauses between two warnings that descriptors have run out.
const QUIET: u32 = 100;

/// Who serves what a socket accepts.
#[derive(Debug)]
pub(crate) enum Deal {
    /// The worker that accepts it.
    Keep,
    /// All workers in turn.
    Around(Vec<mpsc::Sender<Dealt>>),
}

/// Accepts until `stop` is ready. What it has accepted by then is served; the socket closes at once.
pub(crate) async fn run(
    core: Rc<Core>,
    socket: TcpListener,
    door: Door,
    deal: Deal,
    stop: impl Future<Output = ()>,
) {
    let mut stop = pin!(stop);
    let mut hands = Hands {
        core,
        door,
        deal,
        turn: 0,
        spare: spare_descriptor(),
        pauses: 0,
    };
    loop {
        let accepted = tokio::select! {
            accepted = socket.accept() => accepted,
            () = &mut stop => return,
        };
        let mut handing = pin!(hands.hand_on(accepted));
        tokio::select! {
            () = &mut handing => {}
            () = &mut stop => {
                // What comes now is another process's, or refused.
                drop(socket);
                return handing.await;
            }
        }
    }
}

/// What one accept loop works with.
struct Hands {
    core: Rc<Core>,
    door: Door,
    deal: Deal,
    /// Whose turn it was.
    turn: usize,
    /// Given up when there is no other descriptor: one request in flight can connect to its instance, or a file be written.
    spare: Option<File>,
    /// Since the last connection.
    pauses: u32,
}

impl Hands {
    async fn hand_on(&mut self, accepted: io::Result<(TcpStream, SocketAddr)>) {
        match accepted {
            Ok((tcp, peer)) => {
                self.pauses = 0;
                self.deal(tcp, peer).await;
            }
            Err(error) if is_shortage(&error) => {
                if self.pauses.is_multiple_of(QUIET) {
                    tracing::warn!(%error, "cannot accept; closing idle connections. Raise the limit of open files");
                }
                self.pauses = self.pauses.wrapping_add(1);
                drop(self.spare.take());
                self.core.relieve();
                // On at once when one has closed; else after a pause.
                let _ = timeout(PAUSE, self.core.one_ends()).await;
                self.spare = spare_descriptor();
            }
            Err(error) => {
                // The connection died before it was taken, mostly.
                tracing::debug!(%error, "a connection was not accepted");
                tokio::task::yield_now().await;
            }
        }
    }

    async fn deal(&mut self, tcp: TcpStream, peer: SocketAddr) {
        let door = self.door.clone();
        let Deal::Around(workers) = &self.deal else {
            return place(&self.core, tcp, peer, door).await;
        };
        self.turn = (self.turn + 1) % workers.len().max(1);
        if let (Some(worker), Ok(tcp)) = (workers.get(self.turn), tcp.into_std()) {
            // It has ended only where all have.
            let _ = worker.send(Dealt { tcp, peer, door }).await;
        }
    }
}

/// Serves what other workers have accepted, until none accepts any more.
pub(crate) async fn take_over(core: Rc<Core>, mut dealt: mpsc::Receiver<Dealt>) {
    while let Some(Dealt { tcp, peer, door }) = dealt.recv().await {
        match TcpStream::from_std(tcp) {
            Ok(tcp) => place(&core, tcp, peer, door).await,
            Err(error) => tracing::debug!(%error, "a connection cannot be registered"),
        }
    }
}

/// Finds a place for a connection and serves it. At the cap the oldest idle one makes room; where all are busy, new ones
/// wait here and in the kernel's queue.
async fn place(core: &Rc<Core>, tcp: TcpStream, address: SocketAddr, door: Door) {
    while !core.gateway.places.take() {
        core.ticker.evict_oldest();
        let _ = timeout(PAUSE, core.one_ends()).await;
    }
    let open = core.opened();
    match door {
        Door::Https(acceptor) => tls::spawn(core, open, acceptor, tcp, address),
        Door::Link => link::spawn(core, open, tcp, address),
        Door::Http => {
            let peer = Peer {
                address,
                scheme: Scheme::Http,
                origin: Origin::Visitor,
            };
            connection::spawn(core, open, Channel::Tcp(tcp), peer);
        }
    }
}

/// Whether this machine, not a peer, ran out of something.
pub(crate) fn is_shortage(error: &io::Error) -> bool {
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

fn spare_descriptor() -> Option<File> {
    File::open("/dev/null").ok()
}
