//! What comes from the client, frame by frame.

use super::{Connection, Event, HEARD, Key, Leaving, Then};
use crate::budget::OF_REQUEST;
use crate::frame::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, Frame, GOAWAY, HEADERS, HIGHEST, PADDED,
    PING, PRIORITY, PUSH_PROMISE, RST_STREAM, SETTINGS, WEIGHTED, WINDOW_UPDATE, number,
    write_goaway, write_head, write_ping,
};
use crate::head::Of;
use crate::settings::{self, Setting, widened};
use crate::streams::{Owner, Side};
use crate::{Code, FRAME_HEAD, MOST_BLOCK, MOST_PAYLOAD, PREFACE};
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

/// A block of fields of which not all frames came.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part {
    stream: u32,
    then: Then,
    /// Depends on itself.
    is_loop: bool,
    bytes: Vec<u8>,
}

/// A DATA frame whose payload is under way.
#[derive(Debug)]
pub(super) struct Payload {
    /// None where nobody wants it.
    key: Option<Key>,
    data: usize,
    padding: usize,
    then: Then,
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

    fn data<'i>(
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

    fn headers<'i>(&mut self, frame: Frame, payload: &[u8], now: Instant) -> Outcome<'i> {
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

    fn continuation<'i>(&mut self, frame: Frame, payload: &[u8], now: Instant) -> Outcome<'i> {
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

    fn reset_by_client<'i>(&mut self, frame: Frame, payload: &[u8], now: Instant) -> Outcome<'i> {
        self.resets.spend(1, now)?;
        let code = Code(number(payload).ok_or(Code::FRAME_SIZE_ERROR)?);
        let Some(key) = self.streams.find(frame.stream) else {
            return self.passed_by(frame.stream);
        };
        let is_held = self.is_held(key);
        self.streams.close(key);
        Ok(match is_held {
            true => Event::Reset { key, code },
            false => Event::Nothing,
        })
    }

    /// What may come a moment late on any stream that was there (RFC 9113 5.1).
    fn passed_by<'i>(&self, id: u32) -> Outcome<'i> {
        if id > self.highest || id.is_multiple_of(2) {
            return Err(Code::PROTOCOL_ERROR);
        }
        Ok(Event::Nothing)
    }

    fn settings<'i>(&mut self, frame: Frame, payload: &[u8], now: Instant) -> Outcome<'i> {
        if frame.has(ACK) {
            return Ok(Event::Nothing);
        }
        let mut event = Event::Nothing;
        for setting in settings::read(payload) {
            match setting? {
                Setting::Table(limit) => self.encoder.set_limit(limit),
                Setting::Window(window) => {
                    // Each goes through all streams; one frame has room for thousands.
                    if event != Event::Nothing {
                        self.frames.spend(1, now)?;
                    }
                    let more = i64::from(window) - i64::from(self.first_window_out);
                    self.first_window_out = window;
                    self.widen_all(more)?;
                    event = Event::RoomForAll;
                }
            }
        }
        write_head(0, SETTINGS, ACK, 0, &mut self.out);
        Ok(event)
    }

    /// A change of the first window holds for streams that are open (RFC 9113 6.9.2).
    fn widen_all(&mut self, more: i64) -> Result<(), Code> {
        for stream in self.streams.open_mut() {
            stream.window_out = widened(stream.window_out, more).ok_or(Code::FLOW_CONTROL_ERROR)?;
        }
        Ok(())
    }

    fn ping<'i>(&mut self, frame: Frame, payload: &[u8]) -> Outcome<'i> {
        let payload = payload.first_chunk().ok_or(Code::FRAME_SIZE_ERROR)?;
        if !frame.has(ACK) {
            write_ping(ACK, payload, &mut self.out);
        } else if self.leaving == Leaving::Asked && *payload == HEARD {
            self.leaving = Leaving::After(self.served);
            write_goaway(self.served, Code::NO_ERROR, &mut self.out);
        }
        Ok(Event::Nothing)
    }

    /// Priorities are gone since RFC 9113 5.3.1; what was wrong in RFC 7540 still is. Where there is no stream, none can be reset
    /// (RFC 9113 6.4).
    fn priority<'i>(&mut self, frame: Frame, payload: &[u8], now: Instant) -> Outcome<'i> {
        if depends_on(payload) != frame.stream {
            return Ok(Event::Nothing);
        }
        match self.streams.find(frame.stream) {
            Some(key) => Ok(self.refuse(key, Code::PROTOCOL_ERROR, now)),
            None => Err(Code::PROTOCOL_ERROR),
        }
    }

    fn window_update<'i>(&mut self, frame: Frame, payload: &[u8], now: Instant) -> Outcome<'i> {
        let more = number(payload).ok_or(Code::FRAME_SIZE_ERROR)? & HIGHEST;
        if frame.stream == 0 {
            if more == 0 {
                return Err(Code::PROTOCOL_ERROR);
            }
            let wider = widened(self.window_out, more.into());
            self.window_out = wider.ok_or(Code::FLOW_CONTROL_ERROR)?;
            return Ok(Event::RoomForAll);
        }
        let Some(key) = self.streams.find(frame.stream) else {
            return self.passed_by(frame.stream);
        };
        let Some(stream) = self.streams.get_mut(key) else {
            return Ok(Event::Nothing);
        };
        if more == 0 {
            return Ok(self.refuse(key, Code::PROTOCOL_ERROR, now));
        }
        match widened(stream.window_out, more.into()) {
            Some(wider) => {
                stream.window_out = wider;
                Ok(match stream.owner {
                    Owner::Holds => Event::Room { key },
                    _ => Event::Nothing,
                })
            }
            None => Ok(self.refuse(key, Code::FLOW_CONTROL_ERROR, now)),
        }
    }
}

impl Payload {
    fn is_over(&self) -> bool {
        self.data == 0 && self.padding == 0
    }

    /// How much of `input` is used, and what it means; nothing where more is needed.
    fn take<'i>(&mut self, input: &'i [u8]) -> (usize, Option<Event<'i>>) {
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
