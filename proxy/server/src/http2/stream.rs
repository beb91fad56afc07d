//! A client's stream as a channel: bytes of both bodies, and beside them what HTTP/2 says in frames of its own.
//!
//! Not here: what an exchange does with it (`exchange`, `relay`, `flow`), how long anybody waits.

use super::broken;
use super::halves::{Follows, Incoming, Outgoing};
use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{HeaderMap, Response};
use std::io::{self, IoSlice};
use std::task::{Context, Poll};
use tokio::io::ReadBuf;

/// A request from a client, and the way for its answer.
#[derive(Debug)]
pub(crate) struct Stream {
    body: Incoming,
    answer: Answer,
    /// What the stream ends with where its answer does not end whole.
    reason: Reason,
}

#[derive(Debug)]
enum Answer {
    /// No final head was sent; the one that will be, where it is known.
    Awaited(SendResponse<Bytes>, Option<Box<Head>>),
    /// The head was sent.
    Begun(Outgoing),
}

#[derive(Debug)]
struct Head {
    response: Response<()>,
    follows: Follows,
}

impl Stream {
    pub(crate) fn new(body: RecvStream, answer: SendResponse<Bytes>) -> Self {
        Self {
            body: Incoming::new(body),
            answer: Answer::Awaited(answer, None),
            reason: Reason::CANCEL,
        }
    }

    pub(crate) fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.body.poll_read(context, into).map_err(broken)
    }

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
            Answer::Begun(_) => false,
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
        let is_last = head.follows == Follows::Nothing;
        let body = answer.send_response(head.response, is_last);
        self.answer = Answer::Begun(Outgoing::new(body.map_err(broken)?, head.follows));
        Ok(true)
    }

    pub(crate) fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.open()?;
        match &mut self.answer {
            Answer::Begun(body) => body.poll_write(context, slices).map_err(broken),
            Answer::Awaited(..) => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    pub(crate) fn finish(&mut self, trailers: Option<HeaderMap>) -> io::Result<()> {
        self.open()?;
        match &mut self.answer {
            Answer::Begun(body) => body.finish(trailers).map_err(broken),
            Answer::Awaited(..) => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    /// Ready when the client has reset the stream, or is gone altogether.
    pub(crate) fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match &mut self.answer {
            Answer::Awaited(answer, _) => answer.poll_reset(context).map(drop),
            Answer::Begun(body) => body.poll_gone(context),
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
            Answer::Begun(body) if body.is_whole() => {}
            Answer::Begun(body) => body.reset(self.reason),
        }
    }
}
