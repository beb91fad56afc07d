//! One HTTP/2 connection of a client: takes its streams, each served by a task of its own, and ends in order.
//!
//! Limits stand in `builder`; what the meter adds is carried out here. At a stop the client hears GOAWAY twice: first
//! that no more should come, then, a round trip later, which was the last; what it has begun ends.

use super::meter::Meter;
use super::servers::{self, Job, Open};
use super::wire::{Watch, Wire};
use crate::clock;
use crate::connection::Client;
use crate::core::Core;
use crate::gateway::Phase;
use crate::note::Note;
use crate::peer::Peer;
use crate::record::Record;
use crate::ticker::Rest;
use crate::ticker::Timer;
use bytes::Bytes;
use h2::RecvStream;
use h2::server::{self, Builder, Connection, SendResponse};
use http::Request;
use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

/// Streams of one connection at once.
const STREAMS: u32 = 128;
/// Bytes of a request's body that may come before any was passed on; of all requests of one connection together.
const STREAM_WINDOW: u32 = 256 * 1024;
const WINDOW: u32 = 1024 * 1024;
/// Bytes of an answer that wait for the socket, for each stream.
const SEND_BUFFER: usize = 64 * 1024;
/// Requests that are reset before they were looked at.
const UNSEEN_RESETS: usize = 64;
/// Streams that are remembered after a reset, for what was under way, and how long.
const RESET_STREAMS: usize = 64;
const RESET_TIME: Duration = Duration::from_secs(1);
/// Between looks at a connection that works, for what nothing tells it.
const LOOK: Duration = Duration::from_secs(1);

/// Speaks HTTP/2 with a client to the end of its connection. What of it was read stands in its input.
pub(crate) async fn serve(client: Client) {
    let (core, peer) = (Rc::clone(&client.core), client.peer);
    let watch = Rc::new(RefCell::new(Watch {
        meter: Meter::new(core.now()),
        verdict: None,
    }));
    let timer = core.ticker.timer();
    let mut beginning = pin!(builder().handshake::<_, Bytes>(Wire::new(client, &watch)));
    timer.set(core.gateway.deadlines.head);
    let begun = poll_fn(|context| match beginning.as_mut().poll(context) {
        Poll::Ready(begun) => Poll::Ready(begun.ok()),
        Poll::Pending if timer.is_due(context) => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    });
    let Some(connection) = begun.await else {
        return;
    };
    let mut driver = Driver {
        core,
        peer,
        connection,
        watch,
        timer,
        open: Rc::default(),
        mode: Mode::New,
    };
    poll_fn(|context| driver.poll(context)).await;
}

fn builder() -> Builder {
    let mut builder = server::Builder::new();
    builder
        .max_concurrent_streams(STREAMS)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_send_buffer_size(SEND_BUFFER)
        .max_header_list_size(super::list_size())
        .max_concurrent_reset_streams(RESET_STREAMS)
        .reset_stream_duration(RESET_TIME)
        .max_pending_accept_reset_streams(UNSEEN_RESETS);
    builder
}

/// What a connection's time is counted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Nothing yet.
    New,
    /// Streams are open, or something is half there.
    Works,
    /// Nothing is.
    Rests,
    /// GOAWAY was said; what is open ends.
    Drains,
    /// It ends now.
    Leaves,
}

struct Driver {
    core: Rc<Core>,
    peer: Peer,
    connection: Connection<Wire, Bytes>,
    watch: Rc<RefCell<Watch>>,
    timer: Timer,
    /// Streams that are served.
    open: Rc<Cell<u32>>,
    mode: Mode,
}

impl Driver {
    /// Ready when the connection is over.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            while let Some(accepted) = ready_or_none(self.connection.poll_accept(context)) {
                match accepted {
                    Some(Ok((request, answer))) => self.begin(request, answer),
                    // Said to the client already, and flushed.
                    Some(Err(error)) => {
                        self.tell(&error);
                        return Poll::Ready(());
                    }
                    None => return Poll::Ready(()),
                }
            }
            if self.leaves_at_once() || self.settle() == Some(Mode::Drains) {
                continue;
            }
            match self.mode {
                Mode::New => {}
                Mode::Works if self.timer.is_due(context) => {
                    self.timer.set(self.look());
                    continue;
                }
                Mode::Rests if self.timer.rests(context) == Rest::Over => {
                    self.leave();
                    continue;
                }
                Mode::Drains | Mode::Leaves if self.timer.is_due(context) => {
                    if self.mode == Mode::Leaves || self.open.get() == 0 {
                        return Poll::Ready(());
                    }
                    self.timer.set(self.look());
                    continue;
                }
                _ => {}
            }
            return Poll::Pending;
        }
    }

    /// Whether it has just been told to end, so that it has to be polled again.
    fn leaves_at_once(&mut self) -> bool {
        if self.mode == Mode::Leaves {
            return false;
        }
        let head = self.core.gateway.deadlines.head;
        let watch = self.watch.borrow();
        let is_stuck = watch.meter.is_stuck(head, self.core.now());
        let verdict = watch.verdict;
        drop(watch);
        let reason = match verdict {
            Some(reason) => reason,
            None if is_stuck => h2::Reason::ENHANCE_YOUR_CALM,
            None => return false,
        };
        self.connection.abrupt_shutdown(reason);
        self.become_mode(Mode::Leaves);
        self.note(reason);
        true
    }

    /// A connection that h2 ended because its client broke the rules.
    fn tell(&self, error: &h2::Error) {
        match error.reason() {
            Some(reason) if self.mode != Mode::Leaves && !error.is_remote() => self.note(reason),
            _ => {}
        }
    }

    /// One line of the access log, and a count, for a connection that had to end.
    fn note(&self, reason: h2::Reason) {
        let mut record = Record::new(self.peer.address, clock::now());
        record.note = match reason {
            h2::Reason::NO_ERROR => return,
            h2::Reason::ENHANCE_YOUR_CALM => Note::Flooded,
            _ => Note::BrokeRules,
        };
        record.finish(&self.core, None);
    }

    /// Finds out what time is counted for now; the mode if it is another than before.
    fn settle(&mut self) -> Option<Mode> {
        let before = self.mode;
        let phase = self.core.phase();
        let is_busy = self.open.get() > 0 || self.watch.borrow().meter.is_half();
        match self.mode {
            Mode::Leaves | Mode::Drains => {}
            _ if phase == Phase::Stop || (phase == Phase::HandOver && is_busy) => self.leave(),
            Mode::New | Mode::Rests if is_busy => self.become_mode(Mode::Works),
            Mode::New | Mode::Works if !is_busy => self.become_mode(Mode::Rests),
            _ => {}
        }
        (self.mode != before).then_some(self.mode)
    }

    /// Says GOAWAY; what the client has begun, or begins before it hears that, is served.
    fn leave(&mut self) {
        self.connection.graceful_shutdown();
        self.become_mode(Mode::Drains);
    }

    fn become_mode(&mut self, mode: Mode) {
        let deadlines = &self.core.gateway.deadlines;
        match mode {
            Mode::New => {}
            Mode::Works => {
                self.timer.work();
                self.timer.set(self.look());
            }
            Mode::Rests => self.timer.rest(deadlines.keep_alive),
            Mode::Drains | Mode::Leaves => {
                self.timer.work();
                self.timer.set(deadlines.linger);
            }
        }
        self.mode = mode;
    }

    fn look(&self) -> Duration {
        LOOK.min(self.core.gateway.deadlines.head)
    }

    /// Serves one stream.
    fn begin(&mut self, request: Request<RecvStream>, answer: SendResponse<Bytes>) {
        if self.mode == Mode::Leaves {
            // Dropped, and so reset.
            return;
        }
        servers::serve(
            &self.core,
            Job {
                peer: self.peer,
                request,
                answer,
                open: Open::new(&self.open),
            },
        );
    }
}

fn ready_or_none<T>(poll: Poll<T>) -> Option<T> {
    match poll {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}
