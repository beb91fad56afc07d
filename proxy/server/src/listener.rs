//! Sockets that listen, and what is spoken on what they accept.

use minato_tls::Acceptor;
use rustix::net::sockopt;
use std::io;
use std::net::SocketAddr;

/// A listening socket of the gateway.
#[derive(Debug)]
pub struct Listener {
    pub(crate) socket: std::net::TcpListener,
    /// Where TLS is spoken.
    pub(crate) acceptor: Option<Acceptor>,
}

impl Listener {
    /// HTTP in the clear.
    pub fn http(socket: std::net::TcpListener) -> Self {
        Self {
            socket,
            acceptor: None,
        }
    }

    /// HTTP over TLS.
    pub fn https(socket: std::net::TcpListener, acceptor: Acceptor) -> Self {
        Self {
            socket,
            acceptor: Some(acceptor),
        }
    }

    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.socket.local_addr().ok()
    }

    /// Ready to accept on the runtime of this thread.
    pub(crate) fn register(self) -> io::Result<(tokio::net::TcpListener, Option<Acceptor>)> {
        self.socket.set_nonblocking(true)?;
        // Connections inherit it: one system call here instead of one for each of them.
        sockopt::set_tcp_nodelay(&self.socket, true)?;
        Ok((
            tokio::net::TcpListener::from_std(self.socket)?,
            self.acceptor,
        ))
    }
}

/// A connection on its way from the worker that accepted it to the one that serves it.
#[derive(Debug)]
pub(crate) struct Dealt {
    pub(crate) tcp: std::net::TcpStream,
    pub(crate) peer: SocketAddr,
    pub(crate) acceptor: Option<Acceptor>,
}
