//! What goes to the client: heads, bodies, trailers.

use super::{Connection, Key, write_head};
use crate::budget::{OF_ANSWER, WORTH};
use crate::frame::{CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS};
use crate::hpack::Encoder;
use crate::streams::{Side, Stream};
use crate::{FRAME_HEAD, MOST_DATA, MOST_PAYLOAD};

/// What follows on a stream, in the same direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// More.
    GoesOn,
    /// Nothing: END_STREAM.
    Ends,
}

/// A block of fields that is written.
#[derive(Debug)]
pub struct Block<'c> {
    encoder: &'c mut Encoder,
    out: &'c mut Vec<u8>,
}

impl Block<'_> {
    /// One field; its name is in lower case.
    pub fn field(&mut self, name: &[u8], value: &[u8]) {
        self.encoder.field(name, value, self.out);
    }
}

impl<T: Default> Connection<T> {
    /// Sends the head of an answer, an interim one (1xx) or the final: `write` is asked for its fields. False where the stream
    /// takes none any more.
    pub fn send_head(
        &mut self,
        key: Key,
        status: u16,
        then: Then,
        write: impl FnOnce(&mut Block<'_>),
    ) -> bool {
        let is_final = status >= 200;
        let is_sent = self.send_block(key, then, |block| {
            block.encoder.status(status, block.out);
            write(block);
        });
        if is_sent && is_final {
            self.resets.earn(1);
        }
        is_sent
    }

    /// Sends fields behind a body, which end the stream. False where it takes none any more.
    pub fn send_trailers(&mut self, key: Key, write: impl FnOnce(&mut Block<'_>)) -> bool {
        self.send_block(key, Then::Ends, write)
    }

    fn send_block(&mut self, key: Key, then: Then, write: impl FnOnce(&mut Block<'_>)) -> bool {
        if self.sending(key).is_none() {
            return false;
        }
        let start = self.out.len();
        write_head(0, HEADERS, 0, key.id, &mut self.out);
        self.encoder.begin(&mut self.out);
        write(&mut Block {
            encoder: &mut self.encoder,
            out: &mut self.out,
        });
        frame_block(&mut self.out, start, key.id, then);
        self.frames.earn(OF_ANSWER);
        self.end_sending(key, then);
        true
    }

    /// How many octets of a body may be sent now.
    pub fn room(&self, key: Key) -> usize {
        let Some(stream) = self.streams.get(key) else {
            return 0;
        };
        let window = stream.window_out.min(self.window_out);
        usize::try_from(window).unwrap_or(0)
    }

    /// How many octets may be sent now on any stream.
    pub fn room_for_all(&self) -> usize {
        usize::try_from(self.window_out).unwrap_or(0)
    }

    /// Sends `pieces` of a body, as far as there is room, in one frame; how many octets it took. The stream ends with them where
    /// that is said and all were taken. None where it takes nothing any more.
    pub fn send_data<'p>(
        &mut self,
        key: Key,
        pieces: impl Iterator<Item = &'p [u8]> + Clone,
        then: Then,
    ) -> Option<usize> {
        self.sending(key)?;
        let wanted: usize = pieces.clone().map(<[u8]>::len).sum();
        let count = wanted.min(self.room(key)).min(MOST_DATA);
        if count < wanted && count == 0 {
            return Some(0);
        }
        let then = match then {
            Then::Ends if count == wanted => Then::Ends,
            _ => Then::GoesOn,
        };
        let flags = match then {
            Then::Ends => END_STREAM,
            Then::GoesOn => 0,
        };
        self.out.reserve(FRAME_HEAD + count);
        write_head(count, DATA, flags, key.id, &mut self.out);
        let mut left = count;
        for piece in pieces {
            let taken = piece.get(..left).unwrap_or(piece);
            self.out.extend_from_slice(taken);
            left -= taken.len();
        }
        // At most MOST_DATA.
        let spent = count as i32;
        self.window_out -= spent;
        if let Some(stream) = self.streams.get_mut(key) {
            stream.window_out -= spent;
        }
        if count >= WORTH || count == wanted {
            self.frames.earn(OF_ANSWER);
        }
        self.end_sending(key, then);
        Some(count)
    }

    fn sending(&self, key: Key) -> Option<&Stream<T>> {
        let stream = self.streams.get(key)?;
        (self.fault.is_none() && stream.outgoing == Side::Open).then_some(stream)
    }

    fn end_sending(&mut self, key: Key, then: Then) {
        if then == Then::GoesOn {
            return;
        }
        if let Some(stream) = self.streams.get_mut(key) {
            stream.outgoing = Side::Closed;
            self.streams.settle(key);
        }
    }
}

/// Makes frames of the block that stands behind room for a head at `start`.
fn frame_block(out: &mut Vec<u8>, start: usize, id: u32, then: Then) {
    let ends = match then {
        Then::Ends => END_STREAM,
        Then::GoesOn => 0,
    };
    let length = out.len() - start - FRAME_HEAD;
    if length <= MOST_PAYLOAD {
        patch(out, start, length, ends | END_HEADERS);
        return;
    }
    let rest = out.split_off(start + FRAME_HEAD + MOST_PAYLOAD);
    patch(out, start, MOST_PAYLOAD, ends);
    let mut pieces = rest.chunks(MOST_PAYLOAD).peekable();
    while let Some(piece) = pieces.next() {
        let flags = if pieces.peek().is_some() {
            0
        } else {
            END_HEADERS
        };
        write_head(piece.len(), CONTINUATION, flags, id, out);
        out.extend_from_slice(piece);
    }
}

fn patch(out: &mut [u8], start: usize, length: usize, flags: u8) {
    let [.., a, b, c] = length.to_be_bytes();
    if let Some([one, two, three, _, own, ..]) = out.get_mut(start..) {
        (*one, *two, *three, *own) = (a, b, c, flags);
    }
}
