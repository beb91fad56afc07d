//! One connection: what came, what it means, and what is to be said.

mod receive;
mod send;

pub use send::{Block, Then};

use crate::budget::{Budget, FRAMES, RESETS, TURNED_AWAY};
use crate::frame::{
    HIGHEST, write_goaway, write_head, write_ping, write_reset, write_settings, write_window,
};
use crate::head::Head;
use crate::hpack::{Decoder, Encoder};
use crate::recent::Recent;
use crate::settings::{INITIAL_WINDOW_SIZE, MAX_CONCURRENT_STREAMS, MAX_HEADER_LIST_SIZE};
use crate::streams::{Owner, Side, Streams};
use crate::{Code, Key, MOST_LIST, MOST_STREAMS, STREAM_WINDOW, WINDOW};
use receive::{Half, Payload};
use std::time::{Duration, Instant};

/// The window of a connection, and of streams, before anything is said of it (RFC 9113 6.9.2).
const FIRST_WINDOW: u32 = 65_535;
/// What our PING says whose answer tells that the first GOAWAY was heard.
const HEARD: [u8; 8] = *b"minato\0\x01";

/// What the peer has said. Where it names a stream, that is one which its owner has not removed.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'i> {
    /// Nothing more can be said without more input. What is left of it must be there again, with what comes behind it.
    More,
    /// Something that is dealt with.
    Nothing,
    /// A request, whose fields stand in [`Connection::head`].
    Head {
        /// Its stream, new.
        key: Key,
        /// Whether it ended with its head.
        then: Then,
    },
    /// A piece of a body. Its octets count against the windows until [`Connection::consumed`].
    Data {
        /// Whose.
        key: Key,
        /// May be empty where the stream ends.
        bytes: &'i [u8],
        /// Whether the stream ended with it.
        then: Then,
    },
    /// Fields behind a body, which stand in [`Connection::head`]; the stream ended with them.
    Trailers {
        /// Whose.
        key: Key,
    },
    /// The stream is over, reset by the client, or by us because of what came.
    Reset {
        /// Which.
        key: Key,
        /// Why.
        code: Code,
    },
    /// There may be more room for the octets of one stream.
    Room {
        /// Whose.
        key: Key,
    },
    /// The same of all streams.
    RoomForAll,
}

/// How far the end of a connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leaving {
    No,
    /// GOAWAY was said without a last stream; a PING tells when it was heard.
    Asked,
    /// What is above this stream is not looked at.
    After(u32),
}

/// The server's side of a connection. `T` is what the owner of the streams keeps with each.
///
/// What it says begins with SETTINGS, before anything came. After an error of the connection ([`Connection::fault`]) GOAWAY
/// stands in the output, nothing more is received, and nothing can be sent.
#[derive(Debug)]
pub struct Connection<T> {
    streams: Streams<T>,
    /// The highest number that was seen, and that was served.
    highest: u32,
    served: u32,
    recent: Recent,
    half: Half,
    payload: Option<Payload>,
    /// Since when something is half there: the preface, a frame, a block.
    half_since: Option<Instant>,
    decoder: Decoder,
    head: Head,
    /// Octets that the peer may send, and that were taken without telling it.
    window_in: i32,
    freed: u32,
    encoder: Encoder,
    out: Vec<u8>,
    /// Octets at the front of `out` that are sent.
    sent: usize,
    window_out: i32,
    /// Of a new stream.
    first_window_out: i32,
    frames: Budget,
    resets: Budget,
    leaving: Leaving,
    fault: Option<Code>,
}

impl<T: Default> Connection<T> {
    /// A connection that begins now.
    pub fn new(now: Instant) -> Self {
        let mut out = Vec::new();
        write_settings(
            &[
                (MAX_CONCURRENT_STREAMS, MOST_STREAMS as u32),
                (INITIAL_WINDOW_SIZE, STREAM_WINDOW),
                (MAX_HEADER_LIST_SIZE, MOST_LIST as u32),
            ],
            &mut out,
        );
        write_window(0, WINDOW - FIRST_WINDOW, &mut out);
        Self {
            streams: Streams::default(),
            highest: 0,
            served: 0,
            recent: Recent::default(),
            half: Half::Preface,
            payload: None,
            half_since: Some(now),
            decoder: Decoder::default(),
            head: Head::default(),
            window_in: WINDOW as i32,
            freed: 0,
            encoder: Encoder::default(),
            out,
            sent: 0,
            window_out: FIRST_WINDOW as i32,
            first_window_out: FIRST_WINDOW as i32,
            frames: Budget::new(FRAMES, now),
            resets: Budget::new(RESETS, now),
            leaving: Leaving::No,
            fault: None,
        }
    }

    /// The fields of the last [`Event::Head`] or [`Event::Trailers`].
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// What the owner keeps with a stream.
    pub fn owned(&self, key: Key) -> Option<&T> {
        let stream = self.streams.get(key)?;
        (stream.owner == Owner::Holds).then_some(&stream.owned)
    }

    /// The same, to change it.
    pub fn owned_mut(&mut self, key: Key) -> Option<&mut T> {
        let stream = self.streams.get_mut(key)?;
        (stream.owner == Owner::Holds).then_some(&mut stream.owned)
    }

    /// Shows what is kept with each stream that is not over.
    pub fn each_owned(&mut self, mut each: impl FnMut(&mut T)) {
        for stream in self.streams.open_mut() {
            each(&mut stream.owned);
        }
    }

    /// Streams that are not over on both sides.
    pub fn open_streams(&self) -> usize {
        self.streams.open()
    }

    /// Streams that their owner has not removed, or that are not over.
    pub fn held_streams(&self) -> usize {
        self.streams.held()
    }

    /// All streams that are not over.
    pub fn keys(&self) -> impl Iterator<Item = Key> {
        self.streams.keys()
    }

    /// Whether a stream is over, on both sides, or was removed.
    pub fn is_over(&self, key: Key) -> bool {
        self.fault.is_some() || self.streams.get(key).is_none_or(|it| it.is_over())
    }

    /// Why the connection has to end; GOAWAY stands in the output.
    pub fn fault(&self) -> Option<Code> {
        self.fault
    }

    /// Whether the client has said its preface and its settings.
    pub fn has_begun(&self) -> bool {
        !matches!(self.half, Half::Preface | Half::Settings)
    }

    /// Whether something is half there that should come at once: the preface, a frame but DATA, a block of fields.
    pub fn is_half(&self) -> bool {
        self.half_since.is_some()
    }

    /// Whether something has been half there for longer than this.
    pub fn is_stuck(&self, at_most: Duration, now: Instant) -> bool {
        let since = self.half_since;
        since.is_some_and(|it| now.saturating_duration_since(it) >= at_most)
    }

    /// A request's head has said how long its body is; false where it ended shorter already. From now on a body of another
    /// length resets the stream.
    pub fn expect(&mut self, key: Key, length: u64) -> bool {
        match self.streams.get_mut(key) {
            Some(stream) if stream.incoming == Side::Open => {
                stream.left = Some(length);
                true
            }
            _ => length == 0,
        }
    }

    /// So many octets of a body were taken: as many more may come.
    pub fn consumed(&mut self, key: Key, count: usize) {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        if let Some(stream) = self.streams.get_mut(key)
            && stream.incoming == Side::Open
        {
            stream.freed = stream.freed.saturating_add(count);
            if stream.freed >= STREAM_WINDOW / 2 && self.fault.is_none() {
                stream.window_in = stream.window_in.saturating_add(stream.freed as i32);
                write_window(stream.id, stream.freed, &mut self.out);
                stream.freed = 0;
            }
        }
        self.free(count);
    }

    /// The same, of the connection's window alone.
    fn free(&mut self, count: u32) {
        self.freed = self.freed.saturating_add(count);
        if self.freed >= WINDOW / 2 && self.fault.is_none() {
            self.window_in = self.window_in.saturating_add(self.freed as i32);
            write_window(0, self.freed, &mut self.out);
            self.freed = 0;
        }
    }

    /// A request was malformed: whatever answers it, that is not to be had without end.
    pub fn turned_away(&mut self, now: Instant) {
        if let Err(code) = self.resets.spend(TURNED_AWAY, now) {
            self.fail(code);
        }
    }

    /// Ends a stream at once, where it is not over.
    pub fn reset(&mut self, key: Key, code: Code, now: Instant) {
        if self.fault.is_none() && self.streams.close(key) {
            self.say_reset(key.id, code, now);
        }
    }

    /// Its owner is done with a stream. It is reset, with this code, where its answer is not whole. Where it is, and more of the
    /// request would come, that is passed over, and the stream reset a while later ([`Connection::forsake`]): clients that read
    /// both at once take an answer with its reset for none.
    pub fn remove(&mut self, key: Key, code: Code, now: Instant) -> Option<T> {
        let is_faulty = self.fault.is_some();
        let stream = self.streams.get_mut(key)?;
        if stream.owner != Owner::Holds {
            return None;
        }
        let owned = std::mem::take(&mut stream.owned);
        stream.owner = Owner::Gone;
        let goes_on = stream.outgoing == Side::Closed && stream.incoming == Side::Open;
        if !goes_on || is_faulty {
            self.reset(key, code, now);
            self.streams.close(key);
        }
        Some(owned)
    }

    /// To be called now and then: resets, with NO_ERROR (RFC 9113 8.1), streams whose answer was whole at the call before and
    /// whose request still goes on.
    pub fn forsake(&mut self, now: Instant) {
        self.forsake_those(Owner::LongGone, now);
        for stream in self.streams.open_mut() {
            if stream.owner == Owner::Gone {
                stream.owner = Owner::LongGone;
            }
        }
    }

    fn forsake_those(&mut self, owner: Owner, now: Instant) {
        let are_so = |it: &Key| self.streams.get(*it).is_some_and(|it| it.owner == owner);
        let keys: Vec<Key> = self.streams.keys().filter(are_so).collect();
        for key in keys {
            self.reset(key, Code::NO_ERROR, now);
        }
    }

    /// Makes room at once.
    fn forsake_all(&mut self, now: Instant) {
        self.forsake_those(Owner::LongGone, now);
        self.forsake_those(Owner::Gone, now);
    }

    fn say_reset(&mut self, id: u32, code: Code, now: Instant) {
        write_reset(id, code, &mut self.out);
        self.recent.add(id);
        if let Err(code) = self.resets.spend(1, now) {
            self.fail(code);
        }
    }

    /// Ends the connection in order: what the client has begun, or begins before it hears of it, is served.
    pub fn leave(&mut self) {
        if self.leaving == Leaving::No && self.fault.is_none() {
            self.leaving = Leaving::Asked;
            write_goaway(HIGHEST, Code::NO_ERROR, &mut self.out);
            write_ping(0, &HEARD, &mut self.out);
        }
    }

    /// Whether it is over in order: the client knows the last stream, and that has ended. What is in the output may still
    /// have to go.
    pub fn is_done(&self) -> bool {
        matches!(self.leaving, Leaving::After(_)) && self.streams.held() == 0
    }

    /// Ends the connection at once: GOAWAY stands in the output.
    pub fn fail(&mut self, code: Code) {
        if self.fault.is_none() {
            self.fault = Some(code);
            write_goaway(self.served, code, &mut self.out);
        }
    }

    /// What is to be sent next.
    pub fn output(&self) -> &[u8] {
        self.out.get(self.sent..).unwrap_or_default()
    }

    /// So many octets of the output were sent.
    pub fn sent(&mut self, count: usize) {
        self.sent = (self.sent + count).min(self.out.len());
        if self.sent == self.out.len() {
            self.out.clear();
            self.sent = 0;
        } else if self.sent > self.out.len() / 2 {
            self.out.drain(..self.sent);
            self.sent = 0;
        }
    }

    /// Gives back all memory that holds nothing, for a connection that rests.
    pub fn release(&mut self) {
        if self.out.is_empty() {
            self.out = Vec::new();
        }
        if self.half == Half::Nothing {
            self.head.release();
            self.decoder.release();
        }
        self.streams.release();
    }
}

#[cfg(test)]
pub(crate) mod tests;
