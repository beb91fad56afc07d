//! HEADERS and CONTINUATION: a block of fields, and the request or the trailers that it is.
//!
//! Not here: what the fields say (`head`), how they are packed (`hpack`).

use super::{Half, Outcome, depends_on, ends};
use crate::budget::OF_REQUEST;
use crate::connection::{Connection, Event, Key, Then};
use crate::frame::{END_HEADERS, Frame, PADDED, WEIGHTED};
use crate::head::Of;
use crate::streams::{Owner, Side};
use crate::{Code, MOST_BLOCK};
use std::time::Instant;

/// A block of fields of which not all frames came.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::connection) struct Part {
    pub(super) stream: u32,
    then: Then,
    /// Depends on itself.
    is_loop: bool,
    bytes: Vec<u8>,
}

impl<T: Default> Connection<T> {
    pub(super) fn headers<'i>(
        &mut self,
        frame: Frame,
        payload: &[u8],
        now: Instant,
    ) -> Outcome<'i> {
        let mut fragment = payload;
        if frame.has(PADDED) {
            let (padding, rest) = fragment.split_first().ok_or(Code::FRAME_SIZE_ERROR)?;
            let kept = rest.len().checked_sub(usize::from(*padding));
            fragment = rest
                .get(..kept.ok_or(Code::PROTOCOL_ERROR)?)
                .unwrap_or_default();
        }
        let mut is_loop = false;
        if frame.has(WEIGHTED) {
            let (priority, rest) = fragment.split_at_checked(5).ok_or(Code::FRAME_SIZE_ERROR)?;
            is_loop = depends_on(priority) == frame.stream;
            fragment = rest;
        }
        let then = ends(frame);
        if frame.has(END_HEADERS) {
            return self.block(frame.stream, then, is_loop, fragment, now);
        }
        self.half = Half::Block(Box::new(Part {
            stream: frame.stream,
            then,
            is_loop,
            bytes: fragment.to_vec(),
        }));
        Ok(Event::Nothing)
    }

    pub(super) fn continuation<'i>(
        &mut self,
        frame: Frame,
        payload: &[u8],
        now: Instant,
    ) -> Outcome<'i> {
        let Half::Block(part) = &mut self.half else {
            return Err(Code::PROTOCOL_ERROR);
        };
        if part.bytes.len() + payload.len() > MOST_BLOCK {
            return Err(Code::ENHANCE_YOUR_CALM);
        }
        part.bytes.extend_from_slice(payload);
        if !frame.has(END_HEADERS) {
            return Ok(Event::Nothing);
        }
        let Half::Block(part) = std::mem::replace(&mut self.half, Half::Nothing) else {
            return Err(Code::INTERNAL_ERROR);
        };
        self.half_since = None;
        self.block(part.stream, part.then, part.is_loop, &part.bytes, now)
    }

    /// A whole block of fields.
    fn block<'i>(
        &mut self,
        id: u32,
        then: Then,
        is_loop: bool,
        block: &[u8],
        now: Instant,
    ) -> Outcome<'i> {
        let known = self.streams.find(id);
        self.head.begin(match known {
            Some(_) => Of::Trailers,
            None => Of::Request,
        });
        let head = &mut self.head;
        head.shrink();
        // Whatever becomes of it: the table must stay what the client thinks it is.
        self.decoder
            .decode(block, &mut |name, value| head.push(name, value))?;
        head.end();
        match known {
            Some(key) => self.trailers(key, then, now),
            None => self.request(id, then, is_loop, now),
        }
    }

    fn request<'i>(&mut self, id: u32, then: Then, is_loop: bool, now: Instant) -> Outcome<'i> {
        if id <= self.highest {
            self.check_closed(id)?;
            self.frames.spend(1, now)?;
            return Ok(Event::Nothing);
        }
        if id.is_multiple_of(2) {
            return Err(Code::PROTOCOL_ERROR);
        }
        self.highest = id;
        if self.is_past_the_last(id) {
            self.frames.spend(1, now)?;
            return Ok(Event::Nothing);
        }
        if !self.streams.has_room() {
            self.forsake_all(now);
        }
        if is_loop || !self.streams.has_room() {
            let code = match is_loop {
                true => Code::PROTOCOL_ERROR,
                false => Code::REFUSED_STREAM,
            };
            self.say_reset(id, code, now);
            return Ok(Event::Nothing);
        }
        self.served = id;
        self.frames.earn(OF_REQUEST);
        let incoming = match then {
            Then::Ends => Side::Closed,
            Then::GoesOn => Side::Open,
        };
        let key = self.streams.insert(id, incoming, self.first_window_out);
        Ok(Event::Head { key, then })
    }

    fn trailers<'i>(&mut self, key: Key, then: Then, now: Instant) -> Outcome<'i> {
        let Some(stream) = self.streams.get_mut(key) else {
            return Ok(Event::Nothing);
        };
        let is_sound = then == Then::Ends
            && self.head.fault().is_none()
            && !self.head.is_too_large()
            && stream.left.unwrap_or(0) == 0;
        if stream.incoming == Side::Closed {
            return Ok(self.refuse(key, Code::STREAM_CLOSED, now));
        }
        if !is_sound {
            return Ok(self.refuse(key, Code::PROTOCOL_ERROR, now));
        }
        let is_held = stream.owner == Owner::Holds;
        stream.incoming = Side::Closed;
        self.streams.settle(key);
        Ok(match is_held {
            true => Event::Trailers { key },
            false => Event::Nothing,
        })
    }
}
