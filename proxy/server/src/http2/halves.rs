//! The two directions of a call to an instance: bytes under flow control.
//!
//! Room is given back to the sender as its bytes are taken, and only as many bytes are accepted as the receiver has room
//! for: whoever does not read stops whoever sends.

use bytes::{Buf, Bytes, BytesMut};
use h2::{Error, Reason, RecvStream, SendStream};
use http::HeaderMap;
use minato_http1::Framing;
use std::io::IoSlice;
use std::task::{Context, Poll, ready};
use tokio::io::ReadBuf;

/// Bytes that are copied at a time.
const PIECE: usize = 64 * 1024;

/// Whether a body follows a head, and how long it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Follows {
    /// None.
    Nothing,
    /// So many bytes.
    Bytes(u64),
    /// Until it ends.
    Something,
}

impl From<Framing> for Follows {
    fn from(framing: Framing) -> Self {
        match framing {
            Framing::None | Framing::Length(0) => Self::Nothing,
            Framing::Length(length) => Self::Bytes(length),
            Framing::Chunked | Framing::UntilClose => Self::Something,
        }
    }
}

/// What comes.
#[derive(Debug)]
pub(crate) struct Incoming {
    body: RecvStream,
    /// Here, and not yet taken.
    ahead: Bytes,
}

impl Incoming {
    pub(crate) fn new(body: RecvStream) -> Self {
        Self {
            body,
            ahead: Bytes::new(),
        }
    }

    /// Reads of the body; nothing is put into `into` at its end.
    pub(crate) fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<Result<(), Error>> {
        while self.ahead.is_empty() {
            match ready!(self.body.poll_data(context)) {
                Some(bytes) => self.ahead = bytes?,
                None => return Poll::Ready(Ok(())),
            }
        }
        let count = self.ahead.len().min(into.remaining());
        into.put_slice(self.ahead.get(..count).unwrap_or_default());
        self.ahead.advance(count);
        // What h2 itself has dropped, as padding, it has given back itself.
        let _ = self.body.flow_control().release_capacity(count);
        Poll::Ready(Ok(()))
    }

    /// Fields after the body, once that has ended.
    pub(crate) fn poll_trailers(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<HeaderMap>, Error>> {
        self.body.poll_trailers(context)
    }
}

/// What goes, after its head.
#[derive(Debug)]
pub(crate) struct Outgoing {
    body: SendStream<Bytes>,
    /// Bytes that the head has said are still to come.
    left: Option<u64>,
    is_whole: bool,
}

impl Outgoing {
    /// After a head that was sent, with the stream's end where nothing follows.
    pub(crate) fn new(body: SendStream<Bytes>, follows: Follows) -> Self {
        let left = match follows {
            Follows::Bytes(length) => Some(length),
            _ => None,
        };
        Self {
            body,
            left,
            is_whole: follows == Follows::Nothing,
        }
    }

    /// Writes as much as the receiver has room for; 0 where the body is whole already.
    pub(crate) fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<Result<usize, Error>> {
        let wanted = slices.iter().map(|it| it.len()).sum::<usize>().min(PIECE);
        if self.is_whole || wanted == 0 {
            return Poll::Ready(Ok(0));
        }
        self.body.reserve_capacity(wanted);
        while self.body.capacity() == 0 {
            match ready!(self.body.poll_capacity(context)) {
                Some(more) => more?,
                None => return Poll::Ready(Err(Reason::CANCEL.into())),
            };
        }
        let bytes = gather(slices, wanted.min(self.body.capacity()));
        let count = bytes.len();
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(count as u64);
        }
        self.is_whole = self.left == Some(0);
        self.body.send_data(bytes, self.is_whole)?;
        Poll::Ready(Ok(count))
    }

    /// The body is whole.
    pub(crate) fn finish(&mut self, trailers: Option<HeaderMap>) -> Result<(), Error> {
        if std::mem::replace(&mut self.is_whole, true) {
            return Ok(());
        }
        match trailers {
            Some(trailers) => self.body.send_trailers(trailers),
            None => self.body.send_data(Bytes::new(), true),
        }
    }
}

/// The first `count` bytes of all slices.
fn gather(slices: &[IoSlice<'_>], count: usize) -> Bytes {
    let mut bytes = BytesMut::with_capacity(count);
    for slice in slices {
        let wanted = (count - bytes.len()).min(slice.len());
        bytes.extend_from_slice(slice.get(..wanted).unwrap_or_default());
    }
    bytes.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_are_gathered_up_to_what_fits() {
        let slices = [&b"abc"[..], b"", b"defg", b"h"].map(IoSlice::new);
        for count in 0..=8 {
            assert_eq!(gather(&slices, count), &b"abcdefgh"[..count]);
        }
    }
}
