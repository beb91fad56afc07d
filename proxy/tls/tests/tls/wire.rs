//! Connections in memory that do to the bytes what networks and enemies do.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

/// One end of a connection; what it reads is changed on the way.
pub(crate) struct Wire {
    inner: DuplexStream,
    /// Bytes that one read or write passes at most, after the first `whole` bytes.
    pub(crate) piece: usize,
    /// Bytes read until the one split.
    pub(crate) split: Option<usize>,
    /// Bits to flip in what is read: position and mask.
    pub(crate) flip: Option<(usize, u8)>,
    /// Bytes read so far.
    pub(crate) read: usize,
    /// All that was written.
    pub(crate) written: Vec<u8>,
    /// In how many writes.
    pub(crate) writes: usize,
    /// Whether the next read, and the next write, pauses first.
    pauses: [bool; 2],
}

/// Two ends, with room for `room` bytes in each direction.
pub(crate) fn pair(room: usize) -> (Wire, Wire) {
    let (one, other) = tokio::io::duplex(room);
    (Wire::new(one), Wire::new(other))
}

impl Wire {
    fn new(inner: DuplexStream) -> Self {
        Self {
            inner,
            piece: usize::MAX,
            split: None,
            flip: None,
            read: 0,
            written: Vec::new(),
            writes: 0,
            pauses: [true; 2],
        }
    }

    /// Nothing more comes for a moment, and the next bytes after that.
    fn pause(&mut self, way: usize, cx: &mut Context<'_>) -> bool {
        let pauses = self.piece < usize::MAX && self.pauses[way];
        self.pauses[way] = !pauses;
        if pauses {
            cx.waker().wake_by_ref();
        }
        pauses
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let mut most = this.piece.min(into.remaining());
        if let Some(split) = this.split {
            match split.checked_sub(this.read) {
                Some(0) => {
                    this.split = None;
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Some(left) => most = most.min(left),
                None => {}
            }
        }
        if this.pause(0, cx) {
            return Poll::Pending;
        }
        let mut bytes = vec![0; most];
        let mut buffer = ReadBuf::new(&mut bytes);
        if Pin::new(&mut this.inner)
            .poll_read(cx, &mut buffer)?
            .is_pending()
        {
            return Poll::Pending;
        }
        let count = buffer.filled().len();
        if let Some((at, mask)) = this.flip
            && let Some(byte) = at.checked_sub(this.read).and_then(|it| bytes.get_mut(it))
        {
            *byte ^= mask;
        }
        this.read += count;
        into.put_slice(&bytes[..count]);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.pause(1, cx) {
            return Poll::Pending;
        }
        let bytes = &bytes[..this.piece.min(bytes.len())];
        let written = Pin::new(&mut this.inner).poll_write(cx, bytes)?;
        if let Poll::Ready(count) = written {
            this.written.extend(&bytes[..count]);
            this.writes += 1;
        }
        written.map(Ok)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}
