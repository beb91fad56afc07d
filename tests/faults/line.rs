//! A long way between a machine and a server: what is sent over it arrives, in order and whole, but later, also what its sender has
//! given up waiting for.

use crate::network::Host;
use crate::support::clock::{now, pause};
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

/// Pieces on their way; past it the sender waits.
const UNDER_WAY: usize = 1024;

/// See the module. Dropping it ends it.
pub(crate) struct Line {
    address: SocketAddr,
    host: Host,
    shared: Arc<Shared>,
}

struct Shared {
    delay_ms: AtomicU64,
    ended: AtomicBool,
}

/// Bytes and when they arrive; none: the end.
type Piece = (Instant, Vec<u8>);

impl Line {
    /// From a port of `host`'s loopback to `server`, without delay yet.
    pub(crate) fn to(host: &Host, server: SocketAddr) -> Self {
        let shared = Arc::new(Shared {
            delay_ms: AtomicU64::new(0),
            ended: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&shared);
        let address = host.inside(move || {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let address = listener.local_addr().unwrap();
            std::thread::spawn(move || {
                for client in listener.incoming().map_while(Result::ok) {
                    if accepting.ended.load(Ordering::SeqCst) {
                        return;
                    }
                    let _ = join(client, server, &accepting);
                }
            });
            address
        });
        Self {
            address,
            host: host.clone(),
            shared,
        }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What is sent from now on takes this long, in each direction.
    pub(crate) fn delay(&self, delay: Duration) {
        let millis = u64::try_from(delay.as_millis()).unwrap();
        self.shared.delay_ms.store(millis, Ordering::SeqCst);
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts.
        let address = self.address;
        let _ = self.host.inside(move || TcpStream::connect(address));
    }
}

fn join(client: TcpStream, server: SocketAddr, shared: &Arc<Shared>) -> io::Result<()> {
    let server = TcpStream::connect(server)?;
    for (from, to) in [(client.try_clone()?, server.try_clone()?), (server, client)] {
        to.set_nodelay(true)?;
        let (sender, receiver) = sync_channel(UNDER_WAY);
        let shared = Arc::clone(shared);
        std::thread::spawn(move || send(from, &sender, &shared));
        std::thread::spawn(move || arrive(to, &receiver));
    }
    Ok(())
}

fn send(mut from: TcpStream, pieces: &SyncSender<Piece>, shared: &Shared) {
    let mut bytes = vec![0; 64 << 10];
    loop {
        let count = from.read(&mut bytes).unwrap_or_default();
        let delay = Duration::from_millis(shared.delay_ms.load(Ordering::SeqCst));
        let sent = pieces.send((now() + delay, bytes[..count].to_vec()));
        if count == 0 || sent.is_err() {
            return;
        }
    }
}

fn arrive(mut to: TcpStream, pieces: &Receiver<Piece>) {
    for (at, bytes) in pieces {
        pause(at.saturating_duration_since(now()));
        if bytes.is_empty() || to.write_all(&bytes).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
