//! One HTTP/2 connection of a client: reads for all its streams, each of which is served by a task of its own, writes for all
//! of them at once, and ends in order.
//!
//! What frames mean is `minato_http2`'s. At a stop the client hears GOAWAY twice: first that no more should come, then, a
//! round trip later, which was the last; what it has begun ends.

use super::head;
use super::link::{Link, MOST_OUTPUT};
use super::servers::{self, Job};
use super::stream::Stream;
use crate::clock;
use crate::connection::Client;
use crate::gateway::Phase;
use crate::note::Note;
use crate::record::Record;
use crate::ticker::Rest;
use minato_http1::{Framing, Method, Refusal};
use minato_http2::{Code, Event, Key, Then};
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::io::ReadBuf;

/// Octets of output from which on nothing more is read: what is answered to frames of the connection is so bounded.
const MOST_BACKLOG: usize = 2 * MOST_OUTPUT;
/// What a lingering close discards at most.
const LINGER_BYTES: usize = 64 * 1024;
/// Bytes of one read that are discarded.
const DISCARD: usize = 4 * 1024;
/// Between looks at a connection that works, for what nothing tells it.
const LOOK: Duration = Duration::from_secs(1);
/// How long a connection that rests keeps the memory that it worked with.
const WARM: Duration = Duration::from_secs(1);

/// Speaks HTTP/2 with a client to the end of its connection. What of it was read stands in its input.
pub(crate) async fn serve(client: Client) {
    let mut driver = Driver {
        link: Link::new(&client.core),
        client,
        mode: Mode::New,
        is_bulky: false,
        is_unflushed: false,
        blocked_since: None,
    };
    poll_fn(|context| driver.poll(context)).await;
}

/// What a connection's time is counted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Nothing yet.
    New,
    /// Streams are open, or something is half there.
    Works,
    /// Nothing is; since a moment, so that it keeps its memory.
    Warm,
    /// Nothing is.
    Rests,
    /// GOAWAY was said; what is open ends.
    Drains,
    /// It ends once its output is written.
    Leaves,
    /// All is said; so many bytes may still be discarded.
    Closes(usize),
}

struct Driver {
    /// Its input is what was read and not yet used.
    client: Client,
    link: Rc<Link>,
    mode: Mode,
    /// The last read filled all the room there was.
    is_bulky: bool,
    /// The channel may still hold what it took.
    is_unflushed: bool,
    /// Since when the client takes nothing of what waits for it.
    blocked_since: Option<Instant>,
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.link.cut();
    }
}

impl Driver {
    /// Ready when the connection is over.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.link.driver_runs(context);
        loop {
            if let Mode::Closes(left) = self.mode {
                return self.poll_close(context, left);
            }
            if self.poll_output(context).is_err() {
                return Poll::Ready(());
            }
            if self.mode == Mode::Leaves {
                if self.has_output() {
                    return self.until_due(context);
                }
                self.client.channel.shutdown_write();
                self.mode = Mode::Closes(LINGER_BYTES);
                continue;
            }
            if self.is_at_its_end() {
                continue;
            }
            self.link.let_go_on(&mut self.link.codec());
            match self.poll_input(context) {
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(()),
                Poll::Ready(Ok(_)) => {
                    self.take();
                    continue;
                }
                Poll::Pending => {}
            }
            if self.settle() {
                continue;
            }
            match self.mode {
                Mode::Works | Mode::Drains if self.client.timer.is_due(context) => {
                    self.link.codec().forsake(self.client.core.now());
                    if self.mode == Mode::Drains && self.link.codec().held_streams() == 0 {
                        return Poll::Ready(());
                    }
                    self.client.timer.set(self.look());
                }
                Mode::Warm | Mode::Rests if self.client.timer.rests(context) == Rest::Over => {
                    match self.mode {
                        Mode::Warm => self.become_mode(Mode::Rests),
                        _ => self.leave(),
                    }
                }
                _ => return Poll::Pending,
            }
        }
    }

    fn has_output(&self) -> bool {
        self.is_unflushed || !self.link.codec().output().is_empty()
    }

    /// Writes what there is, as far as the channel takes it.
    fn poll_output(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        let mut codec = self.link.codec();
        let channel = &mut self.client.channel;
        while !codec.output().is_empty() {
            match channel.poll_write(context, &[IoSlice::new(codec.output())]) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(count)) => {
                    codec.sent(count);
                    (self.is_unflushed, self.blocked_since) = (true, None);
                }
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => {
                    self.blocked_since.get_or_insert(self.client.core.now());
                    return Ok(());
                }
            }
        }
        if self.is_unflushed && channel.poll_flush(context)?.is_ready() {
            self.is_unflushed = false;
            self.blocked_since = None;
        } else if self.is_unflushed {
            self.blocked_since.get_or_insert(self.client.core.now());
        }
        Ok(())
    }

    /// Reads once; 0 at the client's end.
    fn poll_input(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.link.codec().output().len() > MOST_BACKLOG {
            return Poll::Pending;
        }
        let Client {
            channel,
            input,
            core,
            ..
        } = &mut self.client;
        // What was read before it was known that HTTP/2 is spoken.
        if self.mode == Mode::New && !input.is_empty() {
            self.become_mode(Mode::Works);
            return Poll::Ready(Ok(self.client.input.len()));
        }
        match self.is_bulky {
            true => core.means.buffers.lend_large(input),
            false => core.means.buffers.lend_small(input),
        }
        let read = channel.poll_read(context, input);
        match &read {
            Poll::Ready(_) => self.is_bulky = input.is_full(),
            Poll::Pending => core.means.buffers.reclaim(input),
        }
        read
    }

    /// Takes in what was read, until more is needed or the connection has to end.
    fn take(&mut self) {
        let now = self.client.core.now();
        let link = Rc::clone(&self.link);
        let mut codec = link.codec();
        let mut used = 0;
        loop {
            let rest = self.client.input.data().get(used..).unwrap_or_default();
            let Ok((count, event)) = codec.receive(rest, now) else {
                break;
            };
            used += count;
            match event {
                Event::More => break,
                Event::Nothing => {}
                Event::Head { key, then } => self.begin(&mut codec, key, then),
                Event::Data { key, bytes, then } => {
                    let Some(entry) = codec.owned_mut(key).filter(|it| !it.is_reset) else {
                        codec.consumed(key, bytes.len());
                        continue;
                    };
                    entry.body.push(bytes);
                    entry.has_ended |= then == Then::Ends;
                    entry.wake();
                }
                Event::Trailers { key } => match head::read_trailers(codec.head()) {
                    Some(fields) => {
                        if let Some(entry) = codec.owned_mut(key) {
                            entry.has_ended = true;
                            entry.trailers = (!fields.is_empty()).then(|| Box::new(fields));
                            entry.wake();
                        }
                    }
                    None => {
                        codec.reset(key, Code::PROTOCOL_ERROR, now);
                        over(&mut codec, key);
                    }
                },
                Event::Reset { key, .. } => over(&mut codec, key),
                Event::Room { key } => {
                    if let Some(entry) = codec.owned(key) {
                        entry.wake();
                    }
                }
                Event::RoomForAll => {
                    link.let_go_on(&mut codec);
                    // Each may have had to wait for its own window.
                    codec.each_owned(|entry| entry.wake());
                }
            }
        }
        self.client.input.consume(used);
    }

    /// Serves one stream.
    fn begin(&mut self, codec: &mut super::link::Codec, key: Key, then: Then) {
        let core = &self.client.core;
        let mut desk = core.take_desk();
        let mut read = head::read(codec.head(), &mut desk.request);
        if read.is_ok() {
            if then == Then::Ends {
                desk.request.set_bodiless();
            }
            if let Framing::Length(length) = desk.request.framing()
                && !codec.expect(key, length)
            {
                read = Err(Refusal::Malformed("a length without a body"));
            }
        }
        if matches!(read, Err(Refusal::Malformed(_) | Refusal::HeadTooLarge)) {
            codec.turned_away(core.now());
        }
        let method = match codec.head().method() {
            b"HEAD" => Method::Head,
            _ => Method::Other,
        };
        if let Some(entry) = codec.owned_mut(key) {
            entry.has_ended = then == Then::Ends;
        }
        let mut stream = Stream::new(&self.link, key);
        if matches!(read, Err(Refusal::Malformed(_))) {
            stream.reset_behind_answer();
        }
        let job = Job {
            peer: self.client.peer,
            stream,
            desk,
            read: read.map_err(|refusal| (refusal, method)),
        };
        servers::serve(core, job);
    }

    /// Whether it has just been told to end, so that it has to be polled again.
    fn is_at_its_end(&mut self) -> bool {
        let (head, idle) = {
            let deadlines = &self.client.core.gateway.deadlines;
            (deadlines.head, deadlines.idle)
        };
        let now = self.client.core.now();
        let mut codec = self.link.codec();
        if codec.fault().is_none() && codec.is_stuck(head, now) {
            codec.fail(Code::ENHANCE_YOUR_CALM);
        }
        let is_blocked = self
            .blocked_since
            .is_some_and(|it| now.saturating_duration_since(it) >= idle);
        let (fault, has_begun) = (codec.fault(), codec.has_begun());
        let is_done = codec.is_done() && codec.output().is_empty() && !self.is_unflushed;
        drop(codec);
        match fault {
            // One that only came slowly is no flood.
            Some(code) if has_begun || code != Code::ENHANCE_YOUR_CALM => self.note(code),
            Some(_) => {}
            None if is_done || is_blocked => {}
            None => return false,
        }
        self.become_mode(Mode::Leaves);
        if fault.is_some() || is_blocked {
            self.link.cut();
        }
        true
    }

    /// One line of the access log, and a count, for a connection that had to end.
    fn note(&self, code: Code) {
        let mut record = Record::new(self.client.peer.address, clock::now());
        record.note = match code {
            Code::ENHANCE_YOUR_CALM => Note::Flooded,
            _ => Note::BrokeRules,
        };
        record.finish(&self.client.core, None);
    }

    /// Finds out what time is counted for now; whether that is another than before.
    fn settle(&mut self) -> bool {
        let before = self.mode;
        let phase = self.client.core.phase();
        let is_busy = {
            let codec = self.link.codec();
            codec.held_streams() > 0 || codec.is_half() || !codec.output().is_empty()
        };
        match self.mode {
            Mode::Leaves | Mode::Closes(_) | Mode::Drains => {}
            _ if phase == Phase::Stop || (phase == Phase::HandOver && is_busy) => self.leave(),
            Mode::New | Mode::Warm | Mode::Rests if is_busy => self.become_mode(Mode::Works),
            Mode::New | Mode::Works if !is_busy => self.become_mode(Mode::Warm),
            _ => {}
        }
        self.mode != before
    }

    /// Says GOAWAY; what the client has begun, or begins before it hears that, is served.
    fn leave(&mut self) {
        self.link.codec().leave();
        self.become_mode(Mode::Drains);
    }

    fn become_mode(&mut self, mode: Mode) {
        let deadlines = &self.client.core.gateway.deadlines;
        let timer = &self.client.timer;
        match mode {
            Mode::New | Mode::Closes(_) => {}
            Mode::Works => {
                timer.work();
                timer.set(self.look());
            }
            Mode::Warm => timer.rest(WARM.min(deadlines.keep_alive)),
            Mode::Rests => {
                self.link.codec().release();
                timer.rest(deadlines.keep_alive.saturating_sub(WARM));
            }
            Mode::Drains | Mode::Leaves => {
                timer.work();
                timer.set(deadlines.linger);
            }
        }
        self.mode = mode;
    }

    fn look(&self) -> Duration {
        LOOK.min(self.client.core.gateway.deadlines.head)
    }

    fn until_due(&self, context: &Context<'_>) -> Poll<()> {
        match self.client.timer.is_due(context) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }

    /// Lets what was said last arrive: closing with input unread would reset the connection and destroy it.
    fn poll_close(&mut self, context: &mut Context<'_>, mut left: usize) -> Poll<()> {
        let mut bytes = [0; DISCARD];
        while left > 0 && !self.client.timer.is_due(context) {
            let mut room = ReadBuf::new(&mut bytes);
            let read = ready!(self.client.channel.poll_read_into(context, &mut room));
            if read.is_err() || room.filled().is_empty() {
                break;
            }
            left = left.saturating_sub(room.filled().len());
            self.mode = Mode::Closes(left);
        }
        Poll::Ready(())
    }
}

/// A stream was reset: nobody takes what came of it.
fn over(codec: &mut super::link::Codec, key: Key) {
    let Some(entry) = codec.owned_mut(key) else {
        return;
    };
    entry.is_reset = true;
    let unread = entry.body.len();
    entry.body.drop_first(unread);
    entry.wake();
    codec.consumed(key, unread);
}
