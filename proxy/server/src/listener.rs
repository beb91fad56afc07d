//! Sockets that listen, and what is spoken on what they accept.

use minato_tls::Acceptor;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::Duration;

/// Bytes of an answer that the kernel takes before the network has taken those before them. Its own limit is some MiB for each
/// connection, which a few thousand clients that do not read turn into all the memory that it has for TCP.
const UNSENT: u32 = 256 * 1024;

/// Connections that the kernel completes before they are accepted; net.core.somaxconn bounds it too.
const BACKLOG: i32 = 511;

/// Without a byte on a link's connection before it is looked at; from one look to the next; and looks without an answer that end it.
const SILENT: Duration = Duration::from_secs(10);
const PROBE: Duration = Duration::from_secs(5);
const PROBES: u32 = 3;

/// Listens. Connections inherit the options of the socket: two system calls here instead of two for each of them.
///
/// Errors are those of the system: the address is taken, needs a permission, or is not this machine's.
pub fn listen(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // What still ends of the process before is no reason not to begin.
    socket.set_reuse_address(true)?;
    set_options(&SockRef::from(&socket))?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn set_options(socket: &SockRef<'_>) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_notsent_lowat(UNSENT)
}

/// A connection between gateways of two sites over which nothing comes is looked at: where the line, or the other machine, is gone without a
/// word it ends after [`SILENT`] and its probes, 25 s in all. A listener gives this on to what it accepts.
///
/// What is on its way unanswered is the kernel's to give up (`net.ipv4.tcp_retries2`): its shorter limit would also end a connection whose
/// other side is well and does not read for a while.
pub fn watch_link(socket: &impl AsFd) -> io::Result<()> {
    let watch = TcpKeepalive::new()
        .with_time(SILENT)
        .with_interval(PROBE)
        .with_retries(PROBES);
    SockRef::from(socket).set_tcp_keepalive(&watch)
}

/// A listening socket of the gateway.
#[derive(Debug)]
pub struct Listener {
    pub(crate) socket: std::net::TcpListener,
    pub(crate) door: Door,
}

/// What is spoken on what a socket accepts.
#[derive(Debug, Clone)]
pub(crate) enum Door {
    /// HTTP in the clear.
    Http,
    /// HTTP over TLS.
    Https(Acceptor),
    /// What gateways of other sites say, by the link of the gateway.
    Link,
}

impl Listener {
    /// HTTP in the clear.
    pub fn http(socket: std::net::TcpListener) -> Self {
        Self {
            socket,
            door: Door::Http,
        }
    }

    /// HTTP over TLS.
    pub fn https(socket: std::net::TcpListener, acceptor: Acceptor) -> Self {
        Self {
            socket,
            door: Door::Https(acceptor),
        }
    }

    /// Links of other sites' gateways. All that comes is refused where the gateway has no [`crate::Link`].
    pub fn link(socket: std::net::TcpListener) -> Self {
        Self {
            socket,
            door: Door::Link,
        }
    }

    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.socket.local_addr().ok()
    }

    /// Ready to accept on the runtime of this thread.
    pub(crate) fn register(self) -> io::Result<(tokio::net::TcpListener, Door)> {
        self.socket.set_nonblocking(true)?;
        // It may be another program's, systemd's mostly.
        let socket = SockRef::from(&self.socket);
        set_options(&socket)?;
        if matches!(self.door, Door::Link) {
            watch_link(&self.socket)?;
        }
        Ok((tokio::net::TcpListener::from_std(self.socket)?, self.door))
    }
}

/// A connection on its way from the worker that accepted it to the one that serves it.
#[derive(Debug)]
pub(crate) struct Dealt {
    pub(crate) tcp: std::net::TcpStream,
    pub(crate) peer: SocketAddr,
    pub(crate) door: Door,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(door: impl FnOnce(std::net::TcpListener) -> Listener) -> std::net::TcpStream {
        let socket = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = socket.local_addr().unwrap();
        let listener = door(socket);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let (listening, _) = listener.register().unwrap();
            let _called = std::net::TcpStream::connect(address).unwrap();
            listening.accept().await.unwrap().0.into_std().unwrap()
        })
    }

    #[test]
    fn what_links_accept_is_looked_at_when_it_says_nothing_and_ends_within_25_s() {
        let of_link = accepted(Listener::link);
        let socket = SockRef::from(&of_link);
        assert!(socket.keepalive().unwrap());
        let last = socket.tcp_keepalive_time().unwrap()
            + socket.tcp_keepalive_interval().unwrap() * socket.tcp_keepalive_retries().unwrap();
        assert_eq!(last, Duration::from_secs(25));
        let of_visitors = accepted(Listener::http);
        assert!(!SockRef::from(&of_visitors).keepalive().unwrap());
    }
}
