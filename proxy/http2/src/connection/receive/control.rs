//! Frames that are about a stream or the connection and carry nothing of a request: RST_STREAM, SETTINGS, PING, PRIORITY and
//! WINDOW_UPDATE.

use super::{Outcome, depends_on};
use crate::Code;
use crate::connection::{Connection, Event, HEARD, Leaving};
use crate::frame::{ACK, Frame, HIGHEST, SETTINGS, number, write_goaway, write_head, write_ping};
use crate::settings::{self, Setting, widened};
use crate::streams::Owner;
use std::time::Instant;

impl<T: Default> Connection<T> {
    pub(super) fn reset_by_client<'i>(
        &mut self,
        frame: Frame,
        payload: &[u8],
        now: Instant,
    ) -> Outcome<'i> {
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

    pub(super) fn settings<'i>(
        &mut self,
        frame: Frame,
        payload: &[u8],
        now: Instant,
    ) -> Outcome<'i> {
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

    pub(super) fn ping<'i>(&mut self, frame: Frame, payload: &[u8]) -> Outcome<'i> {
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
    pub(super) fn priority<'i>(
        &mut self,
        frame: Frame,
        payload: &[u8],
        now: Instant,
    ) -> Outcome<'i> {
        if depends_on(payload) != frame.stream {
            return Ok(Event::Nothing);
        }
        match self.streams.find(frame.stream) {
            Some(key) => Ok(self.refuse(key, Code::PROTOCOL_ERROR, now)),
            None => Err(Code::PROTOCOL_ERROR),
        }
    }

    pub(super) fn window_update<'i>(
        &mut self,
        frame: Frame,
        payload: &[u8],
        now: Instant,
    ) -> Outcome<'i> {
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
