//! A two-way stream of bytes, whatever carries it. Owned by the one task that uses it.
//!
//! Not here: what the bytes mean (`flow`, `minato_http1`), and how long anybody waits.

use crate::buffer::Buffer;
use crate::http2::{Call, Stream, trailers};
#[cfg(any(test, feature = "fuzzing"))]
use crate::memory::Near;
use http::HeaderMap;
use minato_tls::{ClientStream, ServerStream};
use rustix::io::Errno;
use rustix::net::RecvFlags;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

/// What carries the bytes.
#[derive(Debug)]
pub(crate) enum Channel {
    /// Plain TCP.
    Tcp(TcpStream),
    /// TLS with a client.
    Tls(Box<ServerStream>),
    /// TLS with an instance.
    TlsUpstream(Box<ClientStream>),
    /// A stream of HTTP/2: bodies only, heads go beside it.
    Stream(Box<Stream>),
    /// One to an instance, of a connection that others share.
    Call(Box<Call>),
    /// A script.
    #[cfg(any(test, feature = "fuzzing"))]
    Memory(Near),
}

impl Channel {
    /// Reads once into what room `into` has; 0 at the peer's end.
    pub(crate) fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        into: &mut Buffer,
    ) -> Poll<io::Result<usize>> {
        let mut room = ReadBuf::new(into.space());
        let read = self.poll_read_into(context, &mut room);
        let count = room.filled().len();
        into.filled(count);
        read.map_ok(|()| count)
    }

    /// The same, into any memory.
    pub(crate) fn poll_read_into(
        &mut self,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(tcp) => Pin::new(tcp).poll_read(context, into),
            Self::Tls(tls) => tls.poll_read(context, into),
            Self::TlsUpstream(tls) => tls.poll_read(context, into),
            Self::Stream(stream) => stream.poll_read(context, into),
            Self::Call(call) => call.poll_read(context, into),
            #[cfg(any(test, feature = "fuzzing"))]
            Self::Memory(near) => near.poll_read(context, into),
        }
    }

    /// Fields that came after the peer's end, beside the bytes.
    pub(crate) fn poll_trailers(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<Option<HeaderMap>>> {
        match self {
            Self::Tcp(_) | Self::Tls(_) | Self::TlsUpstream(_) => Poll::Ready(Ok(None)),
            Self::Stream(stream) => stream.poll_trailers(context),
            Self::Call(call) => call.poll_trailers(context),
            #[cfg(any(test, feature = "fuzzing"))]
            Self::Memory(_) => Poll::Ready(Ok(None)),
        }
    }

    /// Sends a head that goes beside the bytes and was not sent yet; whether there was one.
    pub(crate) fn open(&mut self) -> io::Result<bool> {
        match self {
            Self::Tcp(_) | Self::Tls(_) | Self::TlsUpstream(_) => Ok(false),
            Self::Stream(stream) => stream.open(),
            Self::Call(call) => call.open(),
            #[cfg(any(test, feature = "fuzzing"))]
            Self::Memory(_) => Ok(false),
        }
    }

    /// Whether the peer has said that it did nothing with what was sent.
    pub(crate) fn is_refused(&self) -> bool {
        match self {
            Self::Tcp(_) | Self::Tls(_) | Self::TlsUpstream(_) | Self::Stream(_) => false,
            Self::Call(call) => call.is_refused(),
            #[cfg(any(test, feature = "fuzzing"))]
            Self::Memory(_) => false,
        }
    }

    /// All bytes of a message were written; `trailers` go beside them, where they can.
    pub(crate) fn finish<'f>(
        &mut self,
        fields: impl Iterator<Item = (&'f [u8], &'f [u8])>,
    ) -> io::Result<()> {
        match self {
            Self::Tcp(_) | Self::Tls(_) | Self::TlsUpstream(_) => Ok(()),
            Self::Stream(stream) => stream.finish(fields),
            Self::Call(call) => call.finish(trailers(fields)),
            #[cfg(any(test, feature = "fuzzing"))]
            Self::Memory(_) => Ok(()),
        }
    }

    /// Writes once, as much as there is room for; never 0 unless all slices are empty.
    pub(crate) fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match (self, slices) {
            (Self::Tcp(tcp), [one]) => Pin::new(tcp).poll_write(context, one),
            (Self::Tcp(tcp), _) => Pin::new(tcp).poll_write_vectored(context, slices),
            (Self::Tls(tls), _) => tls.poll_write_vectored(context, slices),
            (Self::TlsUpstream(tls), _) => tls.poll_write_vectored(context, slices),
            (Self::Stream(stream), _) => stream.poll_write(context, slices),
            (Self::Call(call), _) => call.poll_write(context, slices),
            #[cfg(any(test, feature = "fuzzing"))]
            (Self::Memory(near), _) => near.poll_write(context, slices),
        }
    }

    /// Sends what was taken and still waits to be sent; without it some of what was written may wait for the next write.
    pub(crate) fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(_) | Self::Stream(_) | Self::Call(_) => Poll::Ready(Ok(())),
            Self::Tls(tls) => tls.poll_flush(context),
            Self::TlsUpstream(tls) => tls.poll_flush(context),
            #[cfg(any(test, feature = "fuzzing"))]
            Self::Memory(_) => Poll::Ready(Ok(())),
        }
    }

    /// Writes all of it.
    pub(crate) fn poll_write_all(
        &mut self,
        context: &mut Context<'_>,
        bytes: &[u8],
        written: &mut usize,
    ) -> Poll<io::Result<()>> {
        while let Some(rest @ [_, ..]) = bytes.get(*written..) {
            match self.poll_write(context, &[IoSlice::new(rest)]) {
                Poll::Ready(Ok(count)) => *written += count,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        self.poll_flush(context)
    }

    /// Whether nothing has come and the peer has not closed, as far as the runtime has heard. Costs no system call on
    /// plain TCP, but where the last read took no less than it asked for, so that the runtime cannot know.
    pub(crate) fn seems_quiet(&mut self) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        match self {
            Self::Tcp(tcp) => tcp.poll_read_ready(&mut context).is_pending() || is_drained(tcp),
            Self::Tls(tls) => tls.is_idle(),
            Self::TlsUpstream(tls) => tls.is_idle(),
            Self::Stream(_) | Self::Call(_) => false,
            #[cfg(any(test, feature = "fuzzing"))]
            Self::Memory(near) => near.is_quiet(),
        }
    }

    /// The same, asked of the kernel: open and silent, as an idle connection should be.
    pub(crate) fn is_quiet(&mut self) -> bool {
        match self {
            Self::Tcp(tcp) => matches!(peek(tcp), Err(Errno::AGAIN)),
            Self::Tls(tls) => tls.is_idle(),
            Self::TlsUpstream(tls) => tls.is_idle(),
            Self::Stream(_) | Self::Call(_) => false,
            #[cfg(any(test, feature = "fuzzing"))]
            Self::Memory(near) => near.is_quiet(),
        }
    }

    /// Sends the end of our side: over TLS its close_notify before it, as far as the socket takes it at once.
    pub(crate) fn shutdown_write(&mut self) {
        let mut context = Context::from_waker(Waker::noop());
        match self {
            Self::Tcp(tcp) => {
                let _ = rustix::net::shutdown(tcp, rustix::net::Shutdown::Write);
            }
            Self::Tls(tls) => drop(tls.poll_shutdown(&mut context)),
            Self::TlsUpstream(tls) => drop(tls.poll_shutdown(&mut context)),
            Self::Stream(_) | Self::Call(_) => {}
            #[cfg(any(test, feature = "fuzzing"))]
            Self::Memory(near) => near.shutdown_write(),
        }
    }

    /// Ends our side as it broke off on the other: over TLS without the close_notify that would call it whole.
    pub(crate) fn break_off(&mut self) {
        let tcp = match self {
            Self::Tls(tls) => tls.io(),
            Self::TlsUpstream(tls) => tls.io(),
            _ => return self.shutdown_write(),
        };
        let _ = rustix::net::shutdown(tcp, rustix::net::Shutdown::Write);
    }

    /// Before it is closed in order: what needs an end of its own says it. Plain TCP needs none.
    pub(crate) fn farewell(&mut self) {
        let mut context = Context::from_waker(Waker::noop());
        match self {
            Self::Tls(tls) => drop(tls.poll_close_notify(&mut context)),
            Self::TlsUpstream(tls) => drop(tls.poll_close_notify(&mut context)),
            _ => {}
        }
    }

    /// Closing will reset the connection, so that what went out cannot pass for the whole.
    pub(crate) fn reset_on_close(&mut self) {
        match self {
            Self::Tcp(tcp) => {
                let _ = tcp.set_zero_linger();
            }
            Self::Tls(tls) => {
                let _ = tls.io().set_zero_linger();
            }
            Self::Stream(stream) => stream.blame_instance(),
            Self::TlsUpstream(_) | Self::Call(_) => {}
            #[cfg(any(test, feature = "fuzzing"))]
            Self::Memory(near) => near.reset_on_close(),
        }
    }
}

/// Whether all that has come was read and the peer has not closed; the runtime hears of it too.
fn is_drained(tcp: &TcpStream) -> bool {
    let seen = tcp.try_io(Interest::READABLE, || Ok(peek(tcp)?));
    matches!(seen, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

/// What stands first in what came; 0 at the peer's end. Either way a connection that should be silent is not to be used again.
fn peek(tcp: &TcpStream) -> rustix::io::Result<usize> {
    let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
    rustix::net::recv(tcp, &mut [0_u8; 1][..], flags).map(|(count, _)| count)
}
