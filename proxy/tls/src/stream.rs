//! A TLS connection over a socket: the engine, driven.
//!
//! Reads give an error where the peer's end of the connection is cut off without its close_notify, so that a truncated body
//! never passes for a whole one. What is written may wait for [`AsyncWrite::poll_flush`]; at most one batch does.

mod buffer;
mod engine;
mod side;

pub use side::Side;

use engine::{Engine, Job};
use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::CertificateDer;
use rustls::server::UnbufferedServerConnection;
use std::fmt;
use std::future::poll_fn;
use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Room that a read from the socket gets beyond what the caller has room for: what surrounds the records.
const AROUND_BYTES: usize = 512;
/// Least room of a read from the socket.
const LEAST_READ: usize = 4 * 1024;
/// Unwritten bytes, of the handshake or the protocol, that may leave together with what the caller writes.
const MOST_JOINED: usize = 16 * 1024;
/// Unwritten bytes past which nothing more is read. A batch of the caller's is far below: two peers that both write much must
/// both go on reading. What is above can only be answers to a peer that asks the protocol and does not listen.
const MOST_UNWRITTEN: usize = 128 * 1024;

/// The server's end over TCP.
pub type ServerStream = TlsStream<UnbufferedServerConnection, TcpStream>;
/// The client's end over TCP.
pub type ClientStream = TlsStream<UnbufferedClientConnection, TcpStream>;

/// One TLS connection.
pub struct TlsStream<S, IO> {
    io: IO,
    engine: Box<Engine<S>>,
    /// The peer's end of the socket is closed.
    is_cut: bool,
}

impl<S, IO: fmt::Debug> fmt::Debug for TlsStream<S, IO> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsStream")
            .field("io", &self.io)
            .finish_non_exhaustive()
    }
}

impl<S: Side, IO: AsyncRead + AsyncWrite + Unpin> TlsStream<S, IO> {
    pub(crate) fn new(session: S, io: IO) -> Self {
        Self {
            io,
            engine: Box::new(Engine::new(session)),
            is_cut: false,
        }
    }

    /// The socket below. Reading or writing it directly breaks the connection.
    pub fn io(&self) -> &IO {
        &self.io
    }

    /// What was agreed by ALPN.
    pub fn alpn(&self) -> Option<&[u8]> {
        self.engine.session().common().alpn_protocol()
    }

    /// The peer's certificates, its own first, checked in the handshake; `None` where it showed none.
    pub fn peer_certificates(&self) -> Option<&[CertificateDer<'static>]> {
        self.engine.session().common().peer_certificates()
    }

    pub(crate) fn session(&self) -> &S {
        self.engine.session()
    }

    pub(crate) fn into_io(self) -> IO {
        self.io
    }

    /// Whether something of the peer's is decrypted and not yet read.
    pub(crate) fn has_plaintext(&self) -> bool {
        !self.engine.plain.is_empty()
    }

    /// Writes what waits as far as the socket takes it at once. Always ready; a failure shows at the next write.
    pub(crate) fn poll_offer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let _ = self.poll_drain(cx);
        Poll::Ready(())
    }

    /// Until the handshake is over; what it wants to say last waits for a flush, a write, or a read that waits.
    ///
    /// After an error of the protocol the alert for the peer is written where that needs no waiting.
    pub(crate) async fn handshake(&mut self, mut turned: impl FnMut()) -> io::Result<()> {
        poll_fn(|cx| self.poll_handshake(cx, &mut turned)).await
    }

    fn poll_handshake(
        &mut self,
        cx: &mut Context<'_>,
        turned: &mut impl FnMut(),
    ) -> Poll<io::Result<()>> {
        loop {
            let turn = self.engine.run(Job::Settle);
            turned();
            if let Err(error) = turn {
                let _ = self.poll_drain(cx);
                return Poll::Ready(Err(failed(error)));
            }
            if !self.engine.is_handshaking() {
                return Poll::Ready(Ok(()));
            }
            ready!(self.poll_drain(cx))?;
            if ready!(self.poll_fill(cx, LEAST_READ))? == 0 {
                return Poll::Ready(Err(ErrorKind::UnexpectedEof.into()));
            }
        }
    }

    /// Reads from the socket; 0 where the peer closed it.
    fn poll_fill(&mut self, cx: &mut Context<'_>, wanted: usize) -> Poll<io::Result<usize>> {
        let room = self.engine.incoming.room(wanted);
        if room.is_empty() {
            let message = "a TLS message is longer than any may be";
            return Poll::Ready(Err(io::Error::new(ErrorKind::InvalidData, message)));
        }
        let mut buffer = ReadBuf::new(room);
        let read = Pin::new(&mut self.io).poll_read(cx, &mut buffer);
        let count = buffer.filled().len();
        self.engine.incoming.add(count);
        match read {
            Poll::Pending => {
                self.engine.incoming.rest();
                Poll::Pending
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) => {
                self.engine.is_fresh |= count > 0;
                self.is_cut |= count == 0;
                Poll::Ready(Ok(count))
            }
        }
    }

    /// Writes what waits to the socket.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.engine.outgoing.is_empty() {
            let bytes = self.engine.outgoing.filled();
            match Pin::new(&mut self.io).poll_write(cx, bytes) {
                Poll::Pending => {
                    self.engine.outgoing.rest();
                    return Poll::Pending;
                }
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(count)) => self.engine.outgoing.discard(count),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Reads plaintext; nothing read means that the peer ended its side in order.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof`: the connection ended without the peer's close_notify, so what was read may be cut short.
    /// `InvalidData`: the peer broke the protocol; the cause is a [`rustls::Error`].
    pub fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        if into.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        loop {
            let plain = &mut self.engine.plain;
            if !plain.is_empty() {
                let count = plain.len().min(into.remaining());
                into.put_slice(plain.filled().get(..count).unwrap_or_default());
                plain.discard(count);
                return Poll::Ready(Ok(()));
            }
            if self.engine.is_fresh {
                let turn = self.engine.run(Job::Read(into));
                if into.filled().len() > before {
                    return Poll::Ready(Ok(()));
                }
                if let Err(error) = turn {
                    let _ = self.poll_drain(cx);
                    return Poll::Ready(Err(failed(error)));
                }
            }
            if self.engine.peer_closed {
                return Poll::Ready(Ok(()));
            }
            if self.is_cut {
                let message = "the connection ended without close_notify";
                return Poll::Ready(Err(io::Error::new(ErrorKind::UnexpectedEof, message)));
            }
            if self.engine.outgoing.len() > MOST_UNWRITTEN {
                ready!(self.poll_drain(cx))?;
            }
            let wanted = into.remaining().max(LEAST_READ) + AROUND_BYTES;
            match self.poll_fill(cx, wanted) {
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    // Nothing to read for now: the moment for what could wait. A failed write shows at the next one.
                    let _ = self.poll_drain(cx);
                    return Poll::Pending;
                }
            }
        }
    }

    /// Encrypts the front of `slices` and writes it, as far as the socket takes it; the rest waits for
    /// [`AsyncWrite::poll_flush`] or the next write.
    ///
    /// Short slices share a record. At most 64 KiB are taken at once.
    pub fn poll_write_vectored(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.engine.closed {
            return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
        }
        // What the handshake or the protocol left may leave with the first record; a batch goes out first.
        if self.engine.outgoing.len() > MOST_JOINED || self.engine.is_writing {
            ready!(self.poll_drain(cx))?;
            self.engine.is_writing = false;
        }
        let mut taken = 0;
        self.engine
            .run(Job::Write(slices, &mut taken))
            .map_err(failed)?;
        self.engine.is_writing = match self.poll_drain(cx) {
            Poll::Ready(done) => {
                done?;
                false
            }
            Poll::Pending => true,
        };
        Poll::Ready(Ok(taken))
    }

    /// Writes what still waits to the socket.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(cx))?;
        self.engine.is_writing = false;
        Pin::new(&mut self.io).poll_flush(cx)
    }

    /// Says close_notify: what was written is whole. The socket stays as it is.
    pub fn poll_close_notify(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.engine.closed {
            // A session that failed has nothing to say any more.
            let _ = self.engine.run(Job::Close);
        }
        self.poll_drain(cx)
    }

    /// Says close_notify, then closes the writing side of the socket. Reading goes on.
    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_close_notify(cx))?;
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

impl<S: Side> TlsStream<S, TcpStream> {
    /// Whether a connection that should be idle still is: open, with nothing to read but what TLS itself says. Never waits.
    ///
    /// A peek at the socket cannot tell, since servers send tickets whenever they like.
    pub fn is_idle(&mut self) -> bool {
        loop {
            if self.engine.is_fresh && self.engine.run(Job::Settle).is_err() {
                return false;
            }
            let engine = &mut self.engine;
            if engine.peer_closed || !engine.plain.is_empty() || self.is_cut {
                return false;
            }
            match self.io.try_read(engine.incoming.room(LEAST_READ)) {
                Ok(0) => self.is_cut = true,
                Ok(count) => {
                    engine.incoming.add(count);
                    engine.is_fresh = true;
                }
                Err(error) => {
                    engine.incoming.add(0);
                    engine.incoming.rest();
                    return error.kind() == ErrorKind::WouldBlock;
                }
            }
        }
    }
}

fn failed(error: rustls::Error) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, error)
}

impl<S: Side + Unpin, IO: AsyncRead + AsyncWrite + Unpin> AsyncRead for TlsStream<S, IO> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.get_mut().poll_read(cx, into)
    }
}

impl<S: Side + Unpin, IO: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TlsStream<S, IO> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.get_mut()
            .poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_shutdown(cx)
    }
}
