//! DATA: where the octets of a body belong, what they cost of the windows, and the payload that is under way.

use super::ends;
use crate::connection::{Connection, Event, Key, Then};
use crate::frame::{Frame, PADDED};
use crate::streams::{Owner, Side};
use crate::{Code, FRAME_HEAD};
use std::time::Instant;

/// A DATA frame whose payload is under way.
#[derive(Debug)]
pub(in crate::connection) struct Payload {
    /// None where nobody wants it.
    key: Option<Key>,
    data: usize,
    padding: usize,
    then: Then,
}

impl<T: Default> Connection<T> {
    pub(super) fn data<'i>(
        &mut self,
        frame: Frame,
        rest: &'i [u8],
        now: Instant,
    ) -> Result<(usize, Event<'i>), Code> {
        let (used, padding) = if frame.has(PADDED) {
            if frame.length == 0 {
                return Err(Code::FRAME_SIZE_ERROR);
            }
            let Some(padding) = rest.first() else {
                return Ok((0, Event::More));
            };
            (1, usize::from(*padding))
        } else {
            (0, 0)
        };
        let data = frame.length.checked_sub(used + padding);
        let data = data.ok_or(Code::PROTOCOL_ERROR)?;
        self.half_since = None;
        let then = ends(frame);
        if data == 0 && then == Then::GoesOn {
            self.frames.spend(1, now)?;
        }
        // Padding counts too (RFC 9113 6.9.1); at most MOST_PAYLOAD.
        let length = frame.length as i32;
        self.window_in -= length;
        if self.window_in < 0 {
            return Err(Code::FLOW_CONTROL_ERROR);
        }
        let (key, event) = self.place(frame, data, now)?;
        let unwanted = match key {
            Some(_) => frame.length - data,
            None => frame.length,
        };
        self.free(unwanted as u32);
        self.payload = Some(Payload {
            key,
            data,
            padding,
            then,
        });
        Ok((FRAME_HEAD + used, event))
    }

    /// Where the data of a frame belong; none where they are not wanted, and what is to be told of that.
    fn place<'i>(
        &mut self,
        frame: Frame,
        data: usize,
        now: Instant,
    ) -> Result<(Option<Key>, Event<'i>), Code> {
        let Some(key) = self.streams.find(frame.stream) else {
            self.check_closed(frame.stream)?;
            self.frames.spend(1, now)?;
            return Ok((None, Event::Nothing));
        };
        let Some(stream) = self.streams.get_mut(key) else {
            return Ok((None, Event::Nothing));
        };
        let length = frame.length as i32;
        stream.window_in -= length;
        let fault = if stream.incoming == Side::Closed {
            Some(Code::STREAM_CLOSED)
        } else if stream.window_in < 0 {
            Some(Code::FLOW_CONTROL_ERROR)
        } else {
            let left = stream.left.map(|it| it.checked_sub(data as u64));
            match left {
                Some(None) => Some(Code::PROTOCOL_ERROR),
                Some(Some(left)) if left > 0 && ends(frame) == Then::Ends => {
                    Some(Code::PROTOCOL_ERROR)
                }
                left => {
                    stream.left = left.flatten();
                    None
                }
            }
        };
        if let Some(code) = fault {
            return Ok((None, self.refuse(key, code, now)));
        }
        // What is no data is given back at once.
        stream.freed = stream.freed.saturating_add((frame.length - data) as u32);
        let is_held = stream.owner == Owner::Holds;
        if ends(frame) == Then::Ends {
            stream.incoming = Side::Closed;
            self.streams.settle(key);
        }
        if !is_held {
            return Ok((None, Event::Nothing));
        }
        Ok((Some(key), Event::Nothing))
    }
}

impl Payload {
    pub(super) fn is_over(&self) -> bool {
        self.data == 0 && self.padding == 0
    }

    /// How much of `input` is used, and what it means; nothing where more is needed.
    pub(super) fn take<'i>(&mut self, input: &'i [u8]) -> (usize, Option<Event<'i>>) {
        let Some(key) = self.key else {
            let used = input.len().min(self.data);
            self.data -= used;
            return self.skip(input, used);
        };
        let (now, rest) = input.split_at(input.len().min(self.data));
        self.data -= now.len();
        if self.data > 0 {
            let event = (!now.is_empty()).then_some(Event::Data {
                key,
                bytes: now,
                then: Then::GoesOn,
            });
            return (now.len(), event);
        }
        // The last of it, or an end without any.
        self.key = None;
        let (used, _) = self.skip(rest, 0);
        if now.is_empty() && self.then == Then::GoesOn {
            return (used, Some(Event::Nothing));
        }
        let event = Event::Data {
            key,
            bytes: now,
            then: self.then,
        };
        (now.len() + used, Some(event))
    }

    /// Passes over padding behind `used` octets.
    fn skip<'i>(&mut self, input: &'i [u8], used: usize) -> (usize, Option<Event<'i>>) {
        let rest = input.len() - used;
        let skipped = if self.data == 0 {
            rest.min(self.padding)
        } else {
            0
        };
        self.padding -= skipped;
        let used = used + skipped;
        (used, (used > 0 || self.is_over()).then_some(Event::Nothing))
    }
}
