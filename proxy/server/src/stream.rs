//! A TCP connection, as both halves see it: a handle beside the one that pingora's session owns.
//!
//! Writes gather and never wait, flushing is the relay's: so no write of a session can be cut in half when another
//! branch of a `select!` wins, a head and its body leave as one segment, and every wait for a peer has its own deadline.
//! Whoever writes flushes once [`FULL`] bytes are gathered, so that never more than that and one piece of a body are.

use crate::chunk::{ChunkCheck, Malformed};
use crate::deadline::SLOWEST;
use async_trait::async_trait;
use bytes::{Buf, BytesMut};
use pingora_core::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl,
    TimingDigest, UniqueID, UniqueIDType, raw_connect::ProxyDigest,
};
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Larger writes go straight to the kernel when nothing is gathered.
const DIRECT: usize = 8 * 1024;
/// Gathered bytes that must be flushed before more are written.
const FULL: usize = 64 * 1024;
/// Bytes of one read of a head.
const HEAD_READ: usize = 4 * 1024;

/// A handle on a connection; all handles share one socket.
#[derive(Debug, Clone)]
pub(crate) struct Connection(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    tcp: TcpStream,
    peer: SocketAddr,
    out: Mutex<BytesMut>,
    /// Bytes that the kernel took.
    written: AtomicU64,
    chunks: Mutex<Chunks>,
}

/// The request body that is being read, where it is chunked.
#[derive(Debug, Default)]
struct Chunks {
    check: Option<ChunkCheck>,
    malformed: bool,
}

impl Connection {
    /// Takes a connected socket and turns Nagle's algorithm off.
    pub(crate) fn new(tcp: TcpStream, peer: SocketAddr) -> Self {
        let _ = tcp.set_nodelay(true);
        Self(Arc::new(Inner {
            tcp,
            peer,
            out: Mutex::default(),
            written: AtomicU64::new(0),
            chunks: Mutex::default(),
        }))
    }

    pub(crate) fn peer(&self) -> SocketAddr {
        self.0.peer
    }

    /// Bytes that the kernel took so far.
    pub(crate) fn written(&self) -> u64 {
        self.0.written.load(Ordering::Relaxed)
    }

    /// Looks without consuming: open and silent, as an idle connection should be.
    pub(crate) fn is_quiet(&self) -> bool {
        // Asks the kernel itself: the runtime's cached readiness may not know yet that the peer closed.
        let mut byte = [0_u8; 1];
        let flags = rustix::net::RecvFlags::PEEK | rustix::net::RecvFlags::DONTWAIT;
        // An end, or bytes that nobody asked for: either way not to be used again.
        let seen = rustix::net::recv(&self.0.tcp, &mut byte, flags);
        matches!(seen, Err(rustix::io::Errno::AGAIN))
    }

    /// Whether the peer sent its end or reset the connection, whatever it sent before that.
    pub(crate) fn is_hung_up(&self) -> bool {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let gone = PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR;
        let mut polled = [PollFd::new(&self.0.tcp, PollFlags::RDHUP)];
        let at_once = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        poll(&mut polled, Some(&at_once)).is_ok() && polled[0].revents().intersects(gone)
    }

    /// Appends what has arrived to `into`, waiting for some; 0 at the peer's end.
    pub(crate) async fn read_some(&self, into: &mut BytesMut) -> io::Result<usize> {
        std::future::poll_fn(|context| {
            loop {
                ready!(self.0.tcp.poll_read_ready(context))?;
                into.reserve(HEAD_READ);
                match self.0.tcp.try_read_buf(into) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        // What waits for its next request holds no buffer.
                        if into.is_empty() {
                            *into = BytesMut::new();
                        }
                    }
                    read => return Poll::Ready(read),
                }
            }
        })
        .await
    }

    /// From here on what the session reads is a chunked body, of which `ahead` has been read already.
    pub(crate) fn check_chunks(&self, ahead: &[u8]) -> Result<(), Malformed> {
        let mut check = ChunkCheck::new();
        let checked = check.feed(ahead);
        self.chunks().check = Some(check);
        checked
    }

    /// From here on it is anything else.
    pub(crate) fn check_nothing(&self) {
        self.chunks().check = None;
    }

    /// Whether a chunked body broke its rules; reading it has failed then.
    pub(crate) fn is_malformed(&self) -> bool {
        self.chunks().malformed
    }

    /// Gathers bytes beside a session that has ended.
    pub(crate) fn push(&self, bytes: &[u8]) {
        self.out().extend_from_slice(bytes);
    }

    /// Whether it must be flushed before more is written.
    pub(crate) fn is_full(&self) -> bool {
        self.out().len() >= FULL
    }

    /// Sends all that is gathered, however long it takes. Nothing is lost when it is dropped on the way.
    pub(crate) async fn flushed(&self) -> io::Result<()> {
        std::future::poll_fn(|context| self.poll_drain(context)).await
    }

    /// Sends all that is gathered; gives up on a peer that in `idle` took less than 240 bytes a second.
    pub(crate) async fn flush(&self, idle: Duration) -> io::Result<()> {
        loop {
            let before = self.written();
            if let Ok(done) = timeout(idle, self.flushed()).await {
                return done;
            }
            let moved = self.written() - before;
            if moved == 0 || moved < idle.as_secs().saturating_mul(SLOWEST) {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
    }

    /// Reads and discards at most `limit` bytes until the peer closes: a reset would destroy the answer before it.
    pub(crate) async fn discard(&self, limit: usize) {
        let mut left = limit;
        let mut bytes = BytesMut::new();
        while left > 0 {
            bytes.clear();
            match self.read_some(&mut bytes).await {
                Ok(n @ 1..) => left = left.saturating_sub(n),
                _ => return,
            }
        }
    }

    /// Sends the end of our side; what is still gathered is not sent.
    pub(crate) fn shutdown_write(&self) {
        let _ = rustix::net::shutdown(&self.0.tcp, rustix::net::Shutdown::Write);
    }

    /// Closing will reset the connection, so that what went out cannot pass for the whole.
    pub(crate) fn reset_on_close(&self) {
        let _ = self.0.tcp.set_zero_linger();
    }

    fn out(&self) -> MutexGuard<'_, BytesMut> {
        self.0.out.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn chunks(&self) -> MutexGuard<'_, Chunks> {
        self.0.chunks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note_written(&self, n: usize) {
        self.0.written.fetch_add(n as u64, Ordering::Relaxed);
    }

    fn poll_drain(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut out = self.out();
        while !out.is_empty() {
            ready!(self.0.tcp.poll_write_ready(context))?;
            match self.0.tcp.try_write(&out) {
                Ok(n) => {
                    out.advance(n);
                    self.note_written(n);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        // An idle connection holds no buffer.
        *out = BytesMut::new();
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.0.tcp.poll_read_ready(context))?;
            let before = into.filled().len();
            match self.0.tcp.try_read_buf(into) {
                Ok(_) => {
                    let mut chunks = self.chunks();
                    let bytes = &into.filled()[before..];
                    if chunks
                        .check
                        .as_mut()
                        .is_some_and(|it| it.feed(bytes).is_err())
                    {
                        chunks.malformed = true;
                        return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
                    }
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        _context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut out = self.out();
        if out.is_empty() && bytes.len() >= DIRECT {
            match self.0.tcp.try_write(bytes) {
                Ok(n) => {
                    self.note_written(n);
                    return Poll::Ready(Ok(n));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        out.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shutdown_write();
        Poll::Ready(Ok(()))
    }
}

#[async_trait]
impl Shutdown for Connection {
    async fn shutdown(&mut self) {
        self.shutdown_write();
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
