//! Sockets that listen, and what is spoken on what they accept.

use minato_tls::Acceptor;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::io;
use std::net::SocketAddr;

/// Bytes of an answer that the kernel takes before the network has taken those before them. Its own limit is some MiB for each
/// connection, which a few thousand clients that do not read turn into all the memory that it has for TCP.
const UNSENT: u32 = 256 * 1024;

/// Connections that the kernel completes before they are accepted; net.core.somaxconn bounds it too.
const BACKLOG: i32 = 511;

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
        set_options(&SockRef::from(&self.socket))?;
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
