//! What comes from the client, frame by frame.
//!
//! Here: which frame may come now, and whether its head is sound. In the folder: what frames do, by kind.

mod control;
mod data;
mod fields;

pub(super) use data::Payload;

use super::{Connection, Event, Key, Leaving, Then};
use crate::frame::{
    ACK, CONTINUATION, DATA, END_STREAM, Frame, GOAWAY, HEADERS, HIGHEST, PING, PRIORITY,
    PUSH_PROMISE, RST_STREAM, SETTINGS, WINDOW_UPDATE, number,
};
use crate::streams::Owner;
use crate::{Code, FRAME_HEAD, MOST_PAYLOAD, PREFACE};
use fields::Part;
use std::time::Instant;

/// What has begun and is not whole, beside the frame that is left in the input.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Half {
    /// What a client says first.
    Preface,
    /// The first frame is awaited, which must be SETTINGS.
    Settings,
    Nothing,
    /// A block of fields.
    Block(Box<Part>),
}

/// What a frame comes to: the event, or an error of the connection.
type Outcome<'i> = Result<Event<'i>, Code>;

impl<T: Default> Connection<T> {
    /// What the octets of `input` mean first, and how many of them that used up. Call again with the rest until
    /// [`Event::More`]. At most a frame's head and [`MOST_PAYLOAD`] octets are ever left over.
    ///
    /// # Errors
    ///
    /// The code that GOAWAY, which stands in the output, says to the client. Nothing more is received.
    pub fn receive<'i>(
        &mut self,
        input: &'i [u8],
        now: Instant,
    ) -> Result<(usize, Event<'i>), Code> {
        if let Some(code) = self.fault {
            return Err(code);
        }
        let received = self.take(input, now);
        match (received, self.fault) {
            (Ok(_), Some(code)) => Err(code),
            (Ok((used, event)), None) => {
                if event == Event::More {
                    let is_within = used < input.len() && self.payload.is_none();
                    if is_within || self.half != Half::Nothing {
                        self.half_since.get_or_insert(now);
                    } else {
                        self.half_since = None;
                    }
                }
                Ok((used, event))
            }
            (Err(code), _) => {
                self.fail(code);
                Err(code)
            }
        }
    }

    fn take<'i>(&mut self, input: &'i [u8], now: Instant) -> Result<(usize, Event<'i>), Code> {
        if let Some(payload) = &mut self.payload {
            let (used, event) = payload.take(input);
            if payload.is_over() && event.is_some() {
                self.payload = None;
            }
            return Ok((used, event.unwrap_or(Event::More)));
        }
        if self.half == Half::Preface {
            return self.preface(input);
        }
        let Some((frame, rest)) = Frame::read(input) else {
            return Ok((0, Event::More));
        };
        self.check(frame)?;
        if frame.kind == DATA {
            return self.data(frame, rest, now);
        }
        let Some(payload) = rest.get(..frame.length) else {
            return Ok((0, Event::More));
        };
        // A block has one time for all of its frames.
        if !matches!(self.half, Half::Block(_)) {
            self.half_since = None;
        }
        if self.half == Half::Settings {
            self.half = Half::Nothing;
        }
        if !matches!(frame.kind, HEADERS | RST_STREAM) {
            self.frames.spend(1, now)?;
        }
        let event = match frame.kind {
            HEADERS => self.headers(frame, payload, now),
            CONTINUATION => self.continuation(frame, payload, now),
            RST_STREAM => self.reset_by_client(frame, payload, now),
            SETTINGS => self.settings(frame, payload, now),
            PING => self.ping(frame, payload),
            PRIORITY => self.priority(frame, payload, now),
            WINDOW_UPDATE => self.window_update(frame, payload, now),
            GOAWAY if frame.stream != 0 => Err(Code::PROTOCOL_ERROR),
            GOAWAY if payload.len() < 8 => Err(Code::FRAME_SIZE_ERROR),
            // Clients are pushed nothing, and push nothing.
            PUSH_PROMISE => Err(Code::PROTOCOL_ERROR),
            _ => Ok(Event::Nothing),
        }?;
        Ok((FRAME_HEAD + frame.length, event))
    }

    fn preface<'i>(&mut self, input: &[u8]) -> Result<(usize, Event<'i>), Code> {
        let compared = input.len().min(PREFACE.len());
        if input.get(..compared) != PREFACE.get(..compared) {
            return Err(Code::PROTOCOL_ERROR);
        }
        if compared < PREFACE.len() {
            return Ok((0, Event::More));
        }
        self.half = Half::Settings;
        Ok((compared, Event::Nothing))
    }

    /// What a frame's head says already.
    fn check(&self, frame: Frame) -> Result<(), Code> {
        let Frame { kind, length, .. } = frame;
        match &self.half {
            Half::Settings if kind != SETTINGS || frame.has(ACK) => {
                return Err(Code::PROTOCOL_ERROR);
            }
            Half::Block(part) if kind != CONTINUATION || frame.stream != part.stream => {
                return Err(Code::PROTOCOL_ERROR);
            }
            _ => {}
        }
        let is_sound = length <= MOST_PAYLOAD
            && match kind {
                SETTINGS if frame.has(ACK) => length == 0,
                SETTINGS => length.is_multiple_of(6),
                PING => length == 8,
                PRIORITY => length == 5,
                RST_STREAM | WINDOW_UPDATE => length == 4,
                _ => true,
            };
        if !is_sound {
            return Err(Code::FRAME_SIZE_ERROR);
        }
        let is_placed = match kind {
            DATA | HEADERS | PRIORITY | RST_STREAM | CONTINUATION => frame.stream != 0,
            SETTINGS | PING => frame.stream == 0,
            _ => true,
        };
        if is_placed {
            Ok(())
        } else {
            Err(Code::PROTOCOL_ERROR)
        }
    }

    /// Of a stream that is not among the open ones: whether what comes on it may be passed over.
    fn check_closed(&self, id: u32) -> Result<(), Code> {
        if id > self.highest || id.is_multiple_of(2) {
            // It was never opened.
            Err(Code::PROTOCOL_ERROR)
        } else if self.recent.may_hold(id) || self.is_past_the_last(id) {
            Ok(())
        } else {
            Err(Code::STREAM_CLOSED)
        }
    }

    /// Whether a stream is one that the client was told is not looked at.
    fn is_past_the_last(&self, id: u32) -> bool {
        matches!(self.leaving, Leaving::After(last) if id > last)
    }

    /// Ends a stream because of what came on it.
    fn refuse<'i>(&mut self, key: Key, code: Code, now: Instant) -> Event<'i> {
        let is_held = self.is_held(key);
        self.reset(key, code, now);
        match is_held {
            true => Event::Reset { key, code },
            false => Event::Nothing,
        }
    }

    fn is_held(&self, key: Key) -> bool {
        let stream = self.streams.get(key);
        stream.is_some_and(|it| it.owner == Owner::Holds)
    }
}

fn ends(frame: Frame) -> Then {
    if frame.has(END_STREAM) {
        Then::Ends
    } else {
        Then::GoesOn
    }
}

/// The stream that a priority depends on.
fn depends_on(priority: &[u8]) -> u32 {
    number(priority).unwrap_or(0) & HIGHEST
}
