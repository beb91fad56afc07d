//! One direction of a body: decodes what comes in, encodes what goes out, holds at most one buffer between.
//!
//! A step sends what is gathered before it reads more, so nothing waits for what has not arrived, and whoever does not
//! read stops whoever sends. Bodies of known length move through one buffer and are never copied; short pieces are
//! gathered so that a head and a small body leave in one write.
//! Not here: deadlines, and what a fault means (`until_answer`, `answer_body`, `tunnel`).

use crate::buffer::{Buffer, Buffers};
use crate::channel::Channel;
use crate::http2::pairs;
use crate::splice::{self, Pipes, Splice};
use http::HeaderMap;
use minato_http1::{
    BadBody, BodyReader, CHUNK_END, Framing, Piece, write_chunk_line, write_last_chunk,
};
use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

/// Pieces up to this are copied behind what is gathered; larger ones are sent from where they are.
const SHORT: usize = 4 * 1024;
/// Gathered bytes that are sent before more are gathered.
const GATHERED: usize = 16 * 1024;

/// What is left of a body of known length from here up is spliced, to its end.
const LONG: u64 = 32 * 1024;

/// What a core lends to its flows.
#[derive(Debug, Default)]
pub(crate) struct Means {
    pub(crate) buffers: Buffers,
    pub(crate) pipes: Pipes,
}

/// How the body goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coding {
    /// As it is: its length was said, or the connection's end is its end.
    Plain,
    /// In chunks.
    Chunked,
}

impl Coding {
    /// How a body that is framed so goes out.
    pub(crate) fn of(framing: Framing) -> Self {
        if framing == Framing::Chunked {
            Self::Chunked
        } else {
            Self::Plain
        }
    }
}

/// Why bytes stopped.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The sender's connection broke.
    Read(io::Error),
    /// What the sender sends breaks the rules.
    Body(BadBody),
    /// The sender ended within its body.
    Cut(BadBody),
    /// The body is larger than allowed.
    TooLarge,
    /// The receiver's connection broke.
    Write,
}

/// Whom a flow waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waits {
    /// Whoever sends.
    Sender,
    /// Whoever receives.
    Receiver,
}

/// One direction.
#[derive(Debug)]
pub(crate) struct Flow {
    reader: BodyReader,
    /// Read, and not yet sent.
    pub(crate) input: Buffer,
    coding: Coding,
    /// Goes out before the piece: heads, chunk lines, short pieces.
    gathered: Vec<u8>,
    sent: usize,
    /// Bytes of data at the front of `input` that go out next.
    piece: usize,
    /// Goes out after the piece.
    tail: &'static [u8],
    is_last: bool,
    is_touched: bool,
    has_sent: bool,
    /// The receiver may still hold what it took.
    is_unflushed: bool,
    steps: u32,
    waits: Waits,
    body_bytes: u64,
    /// Bytes of the body at most; 0: no limit.
    limit: u64,
    splice: Option<Splice>,
    may_splice: bool,
    /// Bytes that must be left at least, so that they are spliced.
    least_spliced: u64,
    /// What came after the body, beside its bytes.
    trailers: Option<Box<HeaderMap>>,
}

impl Flow {
    /// A body that is framed so, of which `input` has come already.
    pub(crate) fn new(framing: Framing, input: Buffer) -> Self {
        Self {
            reader: BodyReader::new(framing),
            input,
            coding: Coding::of(framing),
            gathered: Vec::new(),
            sent: 0,
            piece: 0,
            tail: b"",
            is_last: false,
            is_touched: false,
            has_sent: false,
            is_unflushed: false,
            steps: 0,
            waits: Waits::Sender,
            body_bytes: 0,
            limit: 0,
            splice: None,
            may_splice: true,
            least_spliced: LONG,
            trailers: None,
        }
    }

    /// Refuses bodies of more bytes than this; 0: no limit.
    pub(crate) fn limit(&mut self, bytes: u64) {
        self.limit = bytes;
    }

    /// Puts a head before it; what an earlier attempt gathered is forgotten. The memory comes back with [`Flow::release`].
    pub(crate) fn begin(&mut self, head: Vec<u8>, coding: Coding) {
        (self.gathered, self.sent, self.coding) = (head, 0, coding);
        (self.piece, self.tail) = (0, b"");
        self.has_sent = false;
    }

    /// The memory that [`Flow::begin`] was given.
    pub(crate) fn release(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.gathered)
    }

    /// Whether what has come of the body before the first [`Flow::poll`] breaks the rules.
    pub(crate) fn is_malformed(&self) -> bool {
        if self.coding != Coding::Chunked {
            return false;
        }
        let mut reader = BodyReader::new(Framing::Chunked);
        let mut rest = self.input.data();
        loop {
            match reader.next(rest) {
                Ok(Piece::Skip(count) | Piece::Data(count)) => {
                    rest = rest.get(count..).unwrap_or_default();
                }
                Ok(Piece::More | Piece::End) => return false,
                Err(_) => return true,
            }
        }
    }

    /// Whether some of the body was taken, so that it cannot be sent again.
    pub(crate) fn is_touched(&self) -> bool {
        self.is_touched
    }

    /// Whether any byte of the head or the body was handed on since [`Flow::begin`].
    pub(crate) fn has_sent(&self) -> bool {
        self.has_sent
    }

    /// Whether all was handed on.
    pub(crate) fn is_done(&self) -> bool {
        self.is_last && self.is_flushed()
    }

    /// Whether the whole body has come and left `input`, so that what stands there is not its.
    pub(crate) fn is_read(&self) -> bool {
        self.reader.is_done() && self.piece == 0
    }

    /// Whether more is sure to come of the body than stands in `input`.
    pub(crate) fn lacks(&self) -> bool {
        let sure = self.reader.sure();
        sure != u64::MAX && sure > self.input.len() as u64
    }

    /// Reads and writes so far: whether it moves.
    pub(crate) fn steps(&self) -> u32 {
        self.steps
    }

    /// Whom it waits for, once it is pending.
    pub(crate) fn waits(&self) -> Waits {
        self.waits
    }

    /// Bytes of the body that were taken from the sender.
    pub(crate) fn body_bytes(&self) -> u64 {
        self.body_bytes
    }

    /// Moves what can be moved; ready when all has been handed on.
    pub(crate) fn poll(
        &mut self,
        context: &mut Context<'_>,
        from: &mut Channel,
        to: &mut Channel,
        means: &Means,
    ) -> Poll<Result<(), Fault>> {
        let buffers = &means.buffers;
        loop {
            if self.splice.as_ref().is_some_and(Splice::is_holding) {
                self.waits = Waits::Receiver;
                ready!(self.poll_splice_out(context, from, to)).map_err(|_| Fault::Write)?;
                continue;
            }
            self.gather()?;
            self.has_sent |= to.open().map_err(|_| Fault::Write)?;
            if !self.is_flushed() {
                self.waits = Waits::Receiver;
                ready!(self.poll_send(context, to)).map_err(|_| Fault::Write)?;
                continue;
            }
            if self.is_unflushed {
                self.waits = Waits::Receiver;
                ready!(to.poll_flush(context)).map_err(|_| Fault::Write)?;
                self.is_unflushed = false;
            }
            if self.is_last {
                to.finish(self.trailers()).map_err(|_| Fault::Write)?;
                buffers.reclaim(&mut self.input);
                self.end_splice(&means.pipes);
                return Poll::Ready(Ok(()));
            }
            self.waits = Waits::Sender;
            if self.begin_splice(from, to, means) {
                let filled = self.poll_splice_in(context, from, to);
                if filled.is_pending() {
                    // What may wait for long keeps no descriptors.
                    self.end_splice(&means.pipes);
                }
                ready!(filled)?;
                continue;
            }
            let count = ready!(self.poll_fill(context, from, buffers)).map_err(Fault::Read)?;
            if count == 0 {
                let trailers = ready!(from.poll_trailers(context)).map_err(Fault::Read)?;
                self.trailers = trailers.map(Box::new);
                self.reader.end().map_err(Fault::Cut)?;
            }
        }
    }

    /// Whether what comes next is spliced.
    fn begin_splice(&mut self, from: &Channel, to: &Channel, means: &Means) -> bool {
        let sure = self.reader.sure();
        let pays = self.may_splice
            && self.coding == Coding::Plain
            && (self.least_spliced..u64::MAX).contains(&sure)
            && self.input.is_empty()
            && splice::sockets(from, to).is_some();
        if !pays {
            self.end_splice(&means.pipes);
            return false;
        }
        means.buffers.reclaim(&mut self.input);
        if self.splice.is_none() {
            self.splice = means.pipes.take();
        }
        if self.splice.is_some() {
            self.least_spliced = 1;
        }
        self.splice.is_some()
    }

    fn end_splice(&mut self, pipes: &Pipes) {
        if let Some(splice) = self.splice.take() {
            pipes.give(splice);
        }
    }

    fn poll_splice_in(
        &mut self,
        context: &mut Context<'_>,
        from: &Channel,
        to: &Channel,
    ) -> Poll<Result<(), Fault>> {
        let (Some(splice), Some((from, _))) = (&mut self.splice, splice::sockets(from, to)) else {
            return Poll::Ready(Ok(()));
        };
        match ready!(splice.poll_fill(context, from, self.reader.sure())) {
            Ok(0) => self.reader.end().map_err(Fault::Cut)?,
            Ok(count) => {
                self.is_touched = true;
                self.steps = self.steps.wrapping_add(1);
                self.body_bytes += count as u64;
                self.reader.pass(count as u64);
            }
            Err(error) if splice::is_unsupported(&error) => self.may_splice = false,
            Err(error) => return Poll::Ready(Err(Fault::Read(error))),
        }
        Poll::Ready(Ok(()))
    }

    fn poll_splice_out(
        &mut self,
        context: &mut Context<'_>,
        from: &Channel,
        to: &Channel,
    ) -> Poll<io::Result<()>> {
        let (Some(splice), Some((_, to))) = (&mut self.splice, splice::sockets(from, to)) else {
            return Poll::Ready(Ok(()));
        };
        ready!(splice.poll_drain(context, to))?;
        self.has_sent = true;
        self.steps = self.steps.wrapping_add(1);
        Poll::Ready(Ok(()))
    }

    fn poll_fill(
        &mut self,
        context: &mut Context<'_>,
        from: &mut Channel,
        buffers: &Buffers,
    ) -> Poll<io::Result<usize>> {
        buffers.lend_large(&mut self.input);
        if self.input.is_full() {
            // The reader leaves nothing standing that is as long as this; should it ever, that must not spin.
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        let read = from.poll_read(context, &mut self.input);
        match &read {
            Poll::Pending => buffers.reclaim(&mut self.input),
            Poll::Ready(_) => self.steps = self.steps.wrapping_add(1),
        }
        read
    }

    fn is_flushed(&self) -> bool {
        self.gathered.len() == self.sent && self.piece == 0 && self.tail.is_empty()
    }

    /// Decodes what has come until something is to be sent first.
    fn gather(&mut self) -> Result<(), Fault> {
        if self.is_flushed() && self.sent > 0 {
            self.gathered.clear();
            self.sent = 0;
        }
        while self.piece == 0
            && self.tail.is_empty()
            && self.sent == 0
            && self.gathered.len() < GATHERED
            && !self.is_last
        {
            match self.reader.next(self.input.data()).map_err(Fault::Body)? {
                Piece::Skip(count) => {
                    self.is_touched = true;
                    self.input.consume(count);
                }
                Piece::Data(count) => {
                    self.body_bytes += count as u64;
                    if self.limit > 0 && self.body_bytes > self.limit {
                        return Err(Fault::TooLarge);
                    }
                    self.take(count);
                }
                Piece::More => return Ok(()),
                Piece::End => {
                    self.is_last = true;
                    if self.coding == Coding::Chunked {
                        let mut gathered = std::mem::take(&mut self.gathered);
                        write_last_chunk(self.trailers(), &mut gathered);
                        self.gathered = gathered;
                    }
                }
            }
        }
        Ok(())
    }

    /// Fields after the body, whichever way they came.
    fn trailers(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let beside = self.trailers.iter().flat_map(|it| pairs(it));
        self.reader.trailers().chain(beside)
    }

    fn take(&mut self, count: usize) {
        self.is_touched = true;
        if self.coding == Coding::Chunked {
            write_chunk_line(count, &mut self.gathered);
        }
        if count > SHORT {
            self.piece = count;
            if self.coding == Coding::Chunked {
                self.tail = CHUNK_END;
            }
            return;
        }
        let data = self.input.data().get(..count).unwrap_or_default();
        self.gathered.extend_from_slice(data);
        self.input.consume(count);
        if self.coding == Coding::Chunked {
            self.gathered.extend_from_slice(CHUNK_END);
        }
    }

    fn poll_send(&mut self, context: &mut Context<'_>, to: &mut Channel) -> Poll<io::Result<()>> {
        let head = self.gathered.get(self.sent..).unwrap_or_default();
        let piece = self.input.data().get(..self.piece).unwrap_or_default();
        let sent = match (head, piece, self.tail) {
            (one, [], []) | ([], one, []) | ([], [], one) => {
                to.poll_write(context, &[IoSlice::new(one)])
            }
            (head, piece, tail) => {
                let slices = [head, piece, tail].map(IoSlice::new);
                to.poll_write(context, &slices)
            }
        };
        let mut count = ready!(sent)?;
        if count == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.steps = self.steps.wrapping_add(1);
        (self.has_sent, self.is_unflushed) = (true, true);
        let of_head = count.min(head.len());
        self.sent += of_head;
        count -= of_head;
        let of_piece = count.min(self.piece);
        self.piece -= of_piece;
        self.input.consume(of_piece);
        count -= of_piece;
        self.tail = self.tail.get(count..).unwrap_or_default();
        Poll::Ready(Ok(()))
    }
}
