//! One stream as a channel: bytes of bodies in both directions, under flow control, and what HTTP/2 says beside them.
//!
//! Room is given back to the sender as its bytes are taken, and only as many bytes are taken from an instance as the
//! client has room for: whoever does not read stops whoever sends.
//! Not here: what an exchange does with it (`exchange`, `relay`, `flow`), how long anybody waits.

use bytes::{Buf, Bytes, BytesMut};
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Response};
use minato_http1::Framing;
use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};
use tokio::io::ReadBuf;

/// Bytes of one DATA frame, or a little more: what is copied at a time.
const PIECE: usize = 64 * 1024;

/// A request from a client, and the way for its answer.
#[derive(Debug)]
pub(crate) struct Stream {
    body: RecvStream,
    /// Of the body: here, and not yet taken.
    ahead: Bytes,
    answer: Answer,
    /// Bytes of the answer's body that its head has said are still to come.
    left: Option<u64>,
    /// What the stream ends with where its answer does not end whole.
    reason: Reason,
}

#[derive(Debug)]
enum Answer {
    /// No final head was sent; the one that will be, where it is known.
    Awaited(SendResponse<Bytes>, Option<Box<Head>>),
    /// The head was sent, and the body goes on until `is_whole`.
    Begun {
        body: SendStream<Bytes>,
        is_whole: bool,
    },
}

#[derive(Debug)]
struct Head {
    response: Response<()>,
    follows: Follows,
}

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

impl Stream {
    pub(crate) fn new(body: RecvStream, answer: SendResponse<Bytes>) -> Self {
        Self {
            body,
            ahead: Bytes::new(),
            answer: Answer::Awaited(answer, None),
            left: None,
            reason: Reason::CANCEL,
        }
    }

    /// Reads of the body; nothing is put into `into` at its end.
    pub(crate) fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.ahead.is_empty() {
            match ready!(self.body.poll_data(context)) {
                Some(bytes) => self.ahead = bytes.map_err(broken)?,
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
    ) -> Poll<io::Result<Option<HeaderMap>>> {
        self.body.poll_trailers(context).map_err(broken)
    }

    /// Passes on an interim answer; false where the client is gone.
    pub(crate) fn inform(&mut self, response: Response<()>) -> bool {
        match &mut self.answer {
            Answer::Awaited(answer, _) => answer.send_informational(response).is_ok(),
            Answer::Begun { .. } => false,
        }
    }

    /// The final head, which goes out with what follows it or with [`Stream::open`].
    pub(crate) fn prepare(&mut self, response: Response<()>, follows: Follows) {
        if let Answer::Awaited(_, head) = &mut self.answer {
            *head = Some(Box::new(Head { response, follows }));
        }
    }

    /// Sends the head that was prepared; whether there was one.
    pub(crate) fn open(&mut self) -> io::Result<bool> {
        let Answer::Awaited(answer, head) = &mut self.answer else {
            return Ok(false);
        };
        let head = head.take().ok_or(io::ErrorKind::InvalidInput)?;
        let is_whole = head.follows == Follows::Nothing;
        let body = answer.send_response(head.response, is_whole);
        self.answer = Answer::Begun {
            body: body.map_err(broken)?,
            is_whole,
        };
        if let Follows::Bytes(length) = head.follows {
            self.left = Some(length);
        }
        Ok(true)
    }

    /// Writes of the answer's body, as much as the client has room for.
    pub(crate) fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.open()?;
        let Answer::Begun { body, is_whole } = &mut self.answer else {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        };
        let wanted = slices.iter().map(|it| it.len()).sum::<usize>().min(PIECE);
        if *is_whole || wanted == 0 {
            return Poll::Ready(Ok(0));
        }
        body.reserve_capacity(wanted);
        while body.capacity() == 0 {
            match ready!(body.poll_capacity(context)) {
                Some(more) => more.map_err(broken)?,
                None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            };
        }
        let bytes = gather(slices, wanted.min(body.capacity()));
        let count = bytes.len();
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(count as u64);
        }
        *is_whole = self.left == Some(0);
        body.send_data(bytes, *is_whole).map_err(broken)?;
        Poll::Ready(Ok(count))
    }

    /// The answer's body is whole.
    pub(crate) fn finish(&mut self, trailers: Option<HeaderMap>) -> io::Result<()> {
        self.open()?;
        let Answer::Begun { body, is_whole } = &mut self.answer else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        if std::mem::replace(is_whole, true) {
            return Ok(());
        }
        match trailers {
            Some(trailers) => body.send_trailers(trailers),
            None => body.send_data(Bytes::new(), true),
        }
        .map_err(broken)
    }

    /// Ready when the client has reset the stream, or is gone altogether.
    pub(crate) fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match &mut self.answer {
            Answer::Awaited(answer, _) => answer.poll_reset(context).map(drop),
            Answer::Begun { body, .. } => body.poll_reset(context).map(drop),
        }
    }

    /// Where the answer does not end whole, it is not the client that stopped it.
    pub(crate) fn blame_instance(&mut self) {
        self.reason = Reason::INTERNAL_ERROR;
    }
}

impl Drop for Stream {
    /// An answer that is not whole must not look so. A request that is not whole h2 ends itself: with NO_ERROR after a
    /// whole answer (RFC 9113 8.1).
    fn drop(&mut self) {
        match &mut self.answer {
            Answer::Awaited(answer, _) => answer.send_reset(self.reason),
            Answer::Begun { is_whole: true, .. } => {}
            Answer::Begun { body, .. } => body.send_reset(self.reason),
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

fn broken(error: h2::Error) -> io::Error {
    match error.into_io() {
        Some(error) => error,
        None => io::ErrorKind::ConnectionReset.into(),
    }
}
