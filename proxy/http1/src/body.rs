//! Bodies: where data stands among framing, and how chunks are written.

mod chunks;
mod trailers;

pub use trailers::passes_as_trailer;

use crate::Framing;
use crate::fields::is_name;
use crate::octets::{find_control, trim};
use crate::request::write_field;
use chunks::Chunks;

/// A body that breaks the rules, so that where it ends is uncertain, or that ended too early; and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadBody(pub &'static str);

/// What stands at the front of a body's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// So many octets of framing, which the reader has taken in: drop them.
    Skip(usize),
    /// So many octets of data: use and drop them. May be less than all that is there.
    Data(usize),
    /// Nothing can be said without more input.
    More,
    /// The body is over; what else is in the input is not its.
    End,
}

/// Follows one body from its first octet, on any split of its input; never looks past the body's end.
#[derive(Debug)]
pub struct BodyReader(State);

#[derive(Debug)]
enum State {
    /// So many octets are left.
    Length(u64),
    Chunks(Chunks),
    UntilClose,
    /// The connection ended, which ended the body.
    Closed,
}

impl BodyReader {
    /// For a body of this framing.
    pub fn new(framing: Framing) -> Self {
        Self(match framing {
            Framing::None => State::Length(0),
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Chunks(Chunks::default()),
            Framing::UntilClose => State::UntilClose,
        })
    }

    /// What stands at the front of `input`. Call again with what is left after dropping what it names, and with what has
    /// arrived since. An error stays.
    pub fn next(&mut self, input: &[u8]) -> Result<Piece, BadBody> {
        match &mut self.0 {
            State::Length(0) | State::Closed => Ok(Piece::End),
            State::Chunks(chunks) => chunks.next(input),
            State::Length(_) | State::UntilClose if input.is_empty() => Ok(Piece::More),
            State::Length(left) => Ok(Piece::Data(take(left, input))),
            State::UntilClose => Ok(Piece::Data(input.len())),
        }
    }

    /// Whether the body is over.
    pub fn is_done(&self) -> bool {
        match &self.0 {
            State::Length(left) => *left == 0,
            State::Chunks(chunks) => chunks.is_done(),
            State::UntilClose => false,
            State::Closed => true,
        }
    }

    /// Says that the input has ended: an error where the body has not.
    pub fn end(&mut self) -> Result<(), BadBody> {
        match &self.0 {
            State::Length(0) | State::Closed => Ok(()),
            State::Length(_) => Err(BadBody("the body ended before its length")),
            State::Chunks(chunks) if chunks.is_done() => Ok(()),
            State::Chunks(_) => Err(BadBody("the body ended before its last chunk")),
            State::UntilClose => {
                self.0 = State::Closed;
                Ok(())
            }
        }
    }

    /// Octets of data that are sure to come next, without framing between them; `u64::MAX` where only the input's end ends
    /// them.
    pub fn sure(&self) -> u64 {
        match &self.0 {
            State::Length(left) => *left,
            State::Chunks(chunks) => chunks.sure(),
            State::UntilClose => u64::MAX,
            State::Closed => 0,
        }
    }

    /// So many octets of data went by elsewhere, as if [`BodyReader::next`] had named them; at most what is
    /// [`BodyReader::sure`].
    pub fn pass(&mut self, count: u64) {
        match &mut self.0 {
            State::Length(left) => *left = left.saturating_sub(count),
            State::Chunks(chunks) => chunks.pass(count),
            State::UntilClose | State::Closed => {}
        }
    }

    /// The fields behind the last chunk that go on, once the body is over: checked, without those that may not stand
    /// there (see [`passes_as_trailer`]).
    pub fn trailers(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let chunks = match &self.0 {
            State::Chunks(chunks) => Some(chunks),
            _ => None,
        };
        let fields = chunks.into_iter().flat_map(Chunks::trailers);
        fields.map(|it| (it.name, it.value))
    }
}

/// As much of `left` as `input` holds.
fn take(left: &mut u64, input: &[u8]) -> usize {
    let count = usize::try_from(*left).map_or(input.len(), |it| it.min(input.len()));
    *left -= count as u64;
    count
}

/// What stands behind the data of a chunk.
pub const CHUNK_END: &[u8] = b"\r\n";
/// The end of a body without trailers.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// What stands before the data of a chunk of `length` octets. Zero would be the last one: nothing is written.
pub fn write_chunk_line(length: usize, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let digits = (usize::BITS - length.leading_zeros()).div_ceil(4);
    if digits == 0 {
        return;
    }
    for place in (0..digits).rev() {
        out.push(DIGITS[(length >> (place * 4)) & 15]);
    }
    out.extend_from_slice(b"\r\n");
}

/// The end of a body with trailers. Those that may not stand there, or would not be one field, are left out.
pub fn write_last_chunk<'f>(
    trailers: impl Iterator<Item = (&'f [u8], &'f [u8])>,
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(b"0\r\n");
    for (name, value) in trailers {
        let value = trim(value);
        if is_name(name) && passes_as_trailer(name) && find_control(value, 0).is_none() {
            write_field(name, value, out);
        }
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests;
