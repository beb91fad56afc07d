//! A TCP connection, as both halves see it: buffered writes with a handle beside the one that pingora's session owns.
//!
//! The session writes a head and a body as separate calls; they leave as one segment because writes gather until
//! someone flushes. The second handle lets the relay flush, wait for readability and look for a hang-up meanwhile.

use async_trait::async_trait;
use bytes::{Buf, BytesMut};
use pingora_core::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, TimingDigest, UniqueID,
    UniqueIDType, raw_connect::ProxyDigest,
};
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Writes gather up to this many bytes.
const GATHER: usize = 64 * 1024;
/// Larger writes go straight to the kernel when nothing is gathered.
const DIRECT: usize = 8 * 1024;

/// A handle on a connection; all handles share one socket.
#[derive(Debug, Clone)]
pub(crate) struct Connection(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    tcp: TcpStream,
    peer: SocketAddr,
    out: Mutex<BytesMut>,
}

impl Connection {
    /// Takes a connected socket and turns Nagle's algorithm off.
    pub(crate) fn new(tcp: TcpStream, peer: SocketAddr) -> Self {
        let _ = tcp.set_nodelay(true);
        Self(Arc::new(Inner { tcp, peer, out: Mutex::new(BytesMut::new()) }))
    }

    pub(crate) fn peer(&self) -> SocketAddr {
        self.0.peer
    }

    /// Waits until bytes, an end or an error can be read.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        self.0.tcp.readable().await
    }

    /// Looks without consuming: open and silent, as an idle connection should be.
    pub(crate) fn is_quiet(&self) -> bool {
        // Asks the kernel itself: the runtime's cached readiness may not know yet that the peer closed.
        let mut byte = [0_u8; 1];
        let flags = rustix::net::RecvFlags::PEEK | rustix::net::RecvFlags::DONTWAIT;
        // An end, or bytes that nobody asked for: either way not to be used again.
        matches!(rustix::net::recv(&self.0.tcp, &mut byte, flags), Err(rustix::io::Errno::AGAIN))
    }

    /// Sends all that is gathered.
    pub(crate) async fn flush(&self) -> io::Result<()> {
        std::future::poll_fn(|context| self.poll_drain(context)).await
    }

    /// Answers whose request was not read to its end: no more writing, then read and discard at most `limit` bytes
    /// until the peer closes. A reset would destroy the answer.
    pub(crate) async fn discard(&self, limit: usize) {
        let mut left = limit;
        let mut buffer = [0; 4096];
        while left > 0 && self.0.tcp.readable().await.is_ok() {
            match self.0.tcp.try_read(&mut buffer) {
                Ok(0) => return,
                Ok(n) => left = left.saturating_sub(n),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    }

    /// Sends the end of our side.
    pub(crate) async fn shutdown_write(&self) {
        let _ = self.flush().await;
        let _ = rustix::net::shutdown(&self.0.tcp, rustix::net::Shutdown::Write);
    }

    fn out(&self) -> MutexGuard<'_, BytesMut> {
        self.0.out.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn poll_drain(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut out = self.out();
        while !out.is_empty() {
            ready!(self.0.tcp.poll_write_ready(context))?;
            match self.0.tcp.try_write(&out) {
                Ok(n) => out.advance(n),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.0.tcp.poll_read_ready(context))?;
            match self.0.tcp.try_read(into.initialize_unfilled()) {
                Ok(n) => {
                    into.advance(n);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.out().len() >= GATHER {
            ready!(self.poll_drain(context))?;
        }
        let mut out = self.out();
        if out.is_empty() && bytes.len() >= DIRECT {
            loop {
                ready!(self.0.tcp.poll_write_ready(context))?;
                match self.0.tcp.try_write(bytes) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    other => return Poll::Ready(other),
                }
            }
        }
        let taken = bytes.len().min(GATHER.saturating_sub(out.len()));
        out.extend_from_slice(&bytes[..taken]);
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_drain(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(context))?;
        Poll::Ready(rustix::net::shutdown(&self.0.tcp, rustix::net::Shutdown::Write).map_err(Into::into))
    }
}

#[async_trait]
impl Shutdown for Connection {
    async fn shutdown(&mut self) {
        self.shutdown_write().await;
    }
}

impl UniqueID for Connection {
    fn id(&self) -> UniqueIDType {
        self.0.tcp.as_raw_fd()
    }
}

impl Ssl for Connection {}
impl Peek for Connection {}

impl GetTimingDigest for Connection {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl GetProxyDigest for Connection {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        None
    }
}

impl GetSocketDigest for Connection {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        None
    }
}
