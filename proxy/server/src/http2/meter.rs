//! Ends connections whose client makes work instead of asking: floods of frames that move nothing, and requests that are
//! reset as soon as they are made, by the client (CVE-2023-44487) or through it by us (CVE-2025-8671).
//!
//! The h2 crate answers each such frame and bounds what it keeps, but not how many it answers. It also calls most
//! connection errors PROTOCOL_ERROR and takes any frame as the first; what RFC 9113 says of sizes and of the first frame
//! is checked here. Pure: sees bytes and a time, says when to stop.
//! Not here: streams, fields, flow control (the h2 crate), and saying GOAWAY (`connection`).

use super::frames::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, Frame, Frames, HEADERS, PING, PRIORITY,
    RST_STREAM, SETTINGS, WINDOW_UPDATE,
};
use h2::Reason;
use std::time::{Duration, Instant};

/// Frames that move nothing: as many at once, and each second.
const FRAMES: Allowance = Allowance {
    most: 2_000,
    each_second: 200,
};
/// Requests that are reset before they were answered: as many at once, and each second.
const RESETS: Allowance = Allowance {
    most: 256,
    each_second: 20,
};
/// What a request earns, for PRIORITY and the like around it.
const OF_REQUEST: u32 = 8;
/// What a frame of ours with data or fields earns: clients answer them with WINDOW_UPDATE, often two for each.
const OF_ANSWER: u32 = 4;
/// DATA with less than this moves next to nothing. h2 has a budget for small pieces; these are no pieces.
const NOTHING: u32 = 1;

/// So many at once, and so many more each second.
#[derive(Debug, Clone, Copy)]
struct Allowance {
    most: u32,
    each_second: u32,
}

/// What is left of an allowance.
#[derive(Debug)]
struct Budget {
    allowance: Allowance,
    left: u32,
    /// Up to when it was refilled.
    at: Instant,
}

impl Budget {
    fn new(allowance: Allowance, now: Instant) -> Self {
        Self {
            allowance,
            left: allowance.most,
            at: now,
        }
    }

    fn earn(&mut self, count: u32) {
        self.left = self.left.saturating_add(count).min(self.allowance.most);
    }

    fn spend(&mut self, now: Instant) -> Result<(), Reason> {
        if self.left == 0 {
            self.refill(now);
        }
        self.left = self.left.checked_sub(1).ok_or(Reason::ENHANCE_YOUR_CALM)?;
        Ok(())
    }

    fn refill(&mut self, now: Instant) {
        let each = self.allowance.each_second;
        let passed = now.saturating_duration_since(self.at);
        let more = passed.as_millis().saturating_mul(u128::from(each)) / 1000;
        if more > 0 {
            self.at = now;
            self.earn(u32::try_from(more).unwrap_or(u32::MAX));
        }
    }
}

/// Watches one connection.
#[derive(Debug)]
pub(crate) struct Meter {
    received: Frames,
    sent: Frames,
    has_begun: bool,
    /// A block of fields is under way.
    is_in_block: bool,
    /// Since when something is half there: the preface, a frame, a block.
    half_since: Option<Instant>,
    frames: Budget,
    resets: Budget,
}

impl Meter {
    /// A connection that begins now.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            received: Frames::of_client(),
            sent: Frames::of_server(),
            has_begun: false,
            is_in_block: false,
            half_since: Some(now),
            frames: Budget::new(FRAMES, now),
            resets: Budget::new(RESETS, now),
        }
    }

    /// These bytes came from the client. An error is the code of the GOAWAY that ends the connection.
    pub(crate) fn receive(&mut self, mut bytes: &[u8], now: Instant) -> Result<(), Reason> {
        while let Some(frame) = self.received.next(&mut bytes) {
            self.half_since = None;
            self.check(frame)?;
            self.count(frame, now)?;
        }
        let is_half = self.is_in_block || !self.has_begun || self.received.is_within();
        if is_half {
            self.half_since.get_or_insert(now);
        } else {
            self.half_since = None;
        }
        Ok(())
    }

    /// These bytes go to the client.
    pub(crate) fn send(&mut self, mut bytes: &[u8], now: Instant) -> Result<(), Reason> {
        while let Some(frame) = self.sent.next(&mut bytes) {
            match frame.kind {
                DATA => self.frames.earn(OF_ANSWER),
                HEADERS => {
                    self.frames.earn(OF_ANSWER);
                    self.resets.earn(1);
                }
                RST_STREAM => self.resets.spend(now)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether something is half there: the preface, a frame that should come at once, a block.
    pub(crate) fn is_half(&self) -> bool {
        self.half_since.is_some()
    }

    /// Whether something has been half there for longer than this.
    pub(crate) fn is_stuck(&self, at_most: Duration, now: Instant) -> bool {
        let since = self.half_since;
        since.is_some_and(|it| now.saturating_duration_since(it) >= at_most)
    }

    /// What h2 does not, or gives another code.
    fn check(&mut self, frame: Frame) -> Result<(), Reason> {
        let is_first = !std::mem::replace(&mut self.has_begun, true);
        if is_first && (frame.kind != SETTINGS || frame.has(ACK)) {
            return Err(Reason::PROTOCOL_ERROR);
        }
        if self.is_in_block && frame.kind != CONTINUATION {
            return Err(Reason::PROTOCOL_ERROR);
        }
        let is_sound = match frame.kind {
            SETTINGS if frame.has(ACK) => frame.length == 0,
            SETTINGS => frame.length.is_multiple_of(6),
            PING => frame.length == 8,
            PRIORITY => frame.length == 5,
            RST_STREAM | WINDOW_UPDATE => frame.length == 4,
            _ => true,
        };
        match is_sound {
            true => Ok(()),
            false => Err(Reason::FRAME_SIZE_ERROR),
        }
    }

    fn count(&mut self, frame: Frame, now: Instant) -> Result<(), Reason> {
        match frame.kind {
            HEADERS => {
                self.frames.earn(OF_REQUEST);
                self.is_in_block = !frame.has(END_HEADERS);
            }
            CONTINUATION => {
                self.is_in_block = !frame.has(END_HEADERS);
                self.frames.spend(now)?;
            }
            RST_STREAM => self.resets.spend(now)?,
            DATA if frame.length >= NOTHING || frame.has(END_STREAM) => {}
            _ => self.frames.spend(now)?,
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
