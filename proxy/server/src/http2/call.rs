//! A request to an instance that speaks HTTP/2, as a channel: one stream of a line that many requests share.

use super::broken;
use super::halves::{Follows, Incoming, Outgoing};
use super::head;
use super::lines::Lease;
use h2::client::ResponseFuture;
use h2::{Error, Reason};
use http::{HeaderMap, Request};
use minato_http1::{BadResponse, Method, ResponseHead};
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::ReadBuf;

/// One request and its answer.
#[derive(Debug)]
pub(crate) struct Call {
    line: Lease,
    request: Option<Box<(Request<()>, Follows)>>,
    out: Option<Outgoing>,
    awaited: Option<ResponseFuture>,
    answer: Option<Incoming>,
    is_refused: bool,
}

/// What came instead of an answer's head.
#[derive(Debug)]
pub(crate) enum NoAnswer {
    /// The stream or its connection broke.
    Broken(io::Error),
    /// What came is no head.
    Bad(BadResponse),
}

impl Call {
    pub(crate) fn new(line: Lease) -> Self {
        Self {
            line,
            request: None,
            out: None,
            awaited: None,
            answer: None,
            is_refused: false,
        }
    }

    /// The request's head, which goes out with [`Call::open`].
    pub(crate) fn prepare(&mut self, request: Request<()>, follows: Follows) {
        self.request = Some(Box::new((request, follows)));
    }

    /// Whether the instance has said that it did nothing with the request (RFC 9113 8.7): it may be sent again, whatever
    /// its method.
    pub(crate) fn is_refused(&self) -> bool {
        self.is_refused
    }

    /// Sends the head that was prepared; whether there was one.
    pub(crate) fn open(&mut self) -> io::Result<bool> {
        let Some(head) = self.request.take() else {
            return Ok(false);
        };
        let (request, follows) = *head;
        let is_last = follows == Follows::Nothing;
        let sent = self.line.sender().send_request(request, is_last);
        let (awaited, body) = sent.map_err(|error| self.fault(error))?;
        self.out = Some(Outgoing::new(body, follows));
        self.awaited = Some(awaited);
        Ok(true)
    }

    pub(crate) fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.open()?;
        let Some(out) = &mut self.out else {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        };
        let written = ready!(out.poll_write(context, slices));
        Poll::Ready(written.map_err(|error| self.fault(error)))
    }

    pub(crate) fn finish(&mut self, trailers: Option<HeaderMap>) -> io::Result<()> {
        self.open()?;
        let out = self.out.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        out.finish(trailers).map_err(|error| self.fault(error))
    }

    /// Ready when a head of an answer, interim or final, stands in `into`.
    pub(crate) fn poll_answer(
        &mut self,
        context: &mut Context<'_>,
        asked: Method,
        into: &mut ResponseHead,
    ) -> Poll<Result<(), NoAnswer>> {
        let Some(awaited) = &mut self.awaited else {
            return Poll::Pending;
        };
        if let Poll::Ready(Some(interim)) = awaited.poll_informational(context) {
            let interim = interim.map_err(|error| NoAnswer::Broken(self.fault(error)))?;
            return Poll::Ready(head::read_answer(&interim, asked, into).map_err(NoAnswer::Bad));
        }
        let response = ready!(Pin::new(awaited).poll(context));
        let response = response.map_err(|error| NoAnswer::Broken(self.fault(error)))?;
        self.awaited = None;
        head::read_answer(&response, asked, into).map_err(NoAnswer::Bad)?;
        let body = response.into_body();
        if body.is_end_stream() {
            into.set_bodiless();
        }
        self.answer = Some(Incoming::new(body));
        Poll::Ready(Ok(()))
    }

    pub(crate) fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.answer {
            Some(answer) => answer.poll_read(context, into).map_err(broken),
            None => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    pub(crate) fn poll_trailers(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<Option<HeaderMap>>> {
        match &mut self.answer {
            Some(answer) => answer.poll_trailers(context).map_err(broken),
            None => Poll::Ready(Ok(None)),
        }
    }

    fn fault(&mut self, error: Error) -> io::Error {
        // h2 tells a stream of a GOAWAY only where that was not the last one dealt with, or came before it.
        let is_past_the_last = error.is_go_away() && error.is_remote();
        let is_reset = error.is_reset() && error.is_remote();
        self.is_refused |=
            is_past_the_last || (is_reset && error.reason() == Some(Reason::REFUSED_STREAM));
        broken(error)
    }
}
