//! The chunked coding (RFC 9112 7.1), read by a parser of our own: what it lets through has one meaning.

use super::trailers::Trailers;
use super::{BadBody, Piece, take};
use crate::Field;
use crate::octets::{is_text, is_token};

/// Hexadecimal digits of a size at most.
const DIGITS: u8 = 15;
/// Octets of all extensions of a body at most. They carry nothing that anyone uses, and cost us and not their sender.
const EXTENSIONS: u32 = 16 * 1024;

/// Follows one body.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    at: Place,
    /// Of the chunk: the size as far as it is read, then the data that is left.
    size: u64,
    extensions: u32,
    /// None for most bodies.
    trailers: Option<Box<Trailers>>,
}

/// What is expected next.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Place {
    #[default]
    FirstDigit,
    Size {
        digits: u8,
    },
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    TrailerStart,
    Trailer,
    TrailerLf,
    LastLf,
    Done,
    Broken(&'static str),
}

impl Chunks {
    pub(super) fn next(&mut self, input: &[u8]) -> Result<Piece, BadBody> {
        if let Some(piece) = self.ready(input)? {
            return Ok(piece);
        }
        for (index, byte) in input.iter().enumerate() {
            match self.step(*byte) {
                // Ends the framing; behind it stands data, or nothing.
                Ok(at @ (Place::Data | Place::Done)) => {
                    self.at = at;
                    return Ok(Piece::Skip(index + 1));
                }
                Ok(at) => self.at = at,
                Err(BadBody(why)) => {
                    self.at = Place::Broken(why);
                    return Err(BadBody(why));
                }
            }
        }
        Ok(Piece::Skip(input.len()))
    }

    /// What needs no look at framing.
    fn ready(&mut self, input: &[u8]) -> Result<Option<Piece>, BadBody> {
        Ok(match self.at {
            Place::Done => Some(Piece::End),
            Place::Broken(why) => return Err(BadBody(why)),
            _ if input.is_empty() => Some(Piece::More),
            Place::Data => {
                let count = take(&mut self.size, input);
                if self.size == 0 {
                    self.at = Place::DataCr;
                }
                Some(Piece::Data(count))
            }
            _ => None,
        })
    }

    fn step(&mut self, byte: u8) -> Result<Place, BadBody> {
        Ok(match (self.at, byte) {
            (Place::FirstDigit, _) => {
                self.size = 0;
                self.add_digit(byte)?;
                Place::Size { digits: 1 }
            }
            (Place::Size { .. }, b';') => Place::Extension,
            (Place::Size { .. } | Place::Extension, b'\r') => Place::SizeLf,
            (Place::Size { digits }, _) if digits < DIGITS => {
                self.add_digit(byte)?;
                Place::Size { digits: digits + 1 }
            }
            (Place::Size { .. }, _) => return Err(BadBody("a chunk's size is too long")),
            (Place::Extension, _) if is_text(byte) => {
                self.extensions += 1;
                if self.extensions > EXTENSIONS {
                    return Err(BadBody("more than 16 KiB of chunk extensions"));
                }
                Place::Extension
            }
            (Place::Extension, _) => return Err(BadBody("a control octet in a chunk's extension")),
            (Place::SizeLf, b'\n') if self.size == 0 => Place::TrailerStart,
            (Place::SizeLf, b'\n') => Place::Data,
            (Place::DataCr, b'\r') => Place::DataLf,
            (Place::DataLf, b'\n') => Place::FirstDigit,
            (Place::DataCr | Place::DataLf, _) => {
                return Err(BadBody("a chunk's data is not followed by CRLF"));
            }
            (Place::TrailerStart, b'\r') => Place::LastLf,
            (Place::TrailerStart, _) if is_token(byte) => {
                self.trailers.get_or_insert_default().push(byte)?;
                Place::Trailer
            }
            (Place::Trailer, b'\r') => Place::TrailerLf,
            (Place::Trailer, _) if is_text(byte) => {
                self.trailers.get_or_insert_default().push(byte)?;
                Place::Trailer
            }
            (Place::TrailerStart | Place::Trailer, _) => {
                return Err(BadBody("a trailer that is no field"));
            }
            (Place::TrailerLf, b'\n') => {
                self.trailers.get_or_insert_default().end_line()?;
                Place::TrailerStart
            }
            (Place::LastLf, b'\n') => Place::Done,
            _ => return Err(BadBody("a bare CR in a chunk's framing")),
        })
    }

    fn add_digit(&mut self, byte: u8) -> Result<(), BadBody> {
        let digit = char::from(byte).to_digit(16);
        let digit = digit.ok_or(BadBody("a chunk's size is not hexadecimal"))?;
        self.size = self.size * 16 + u64::from(digit);
        Ok(())
    }

    pub(super) fn is_done(&self) -> bool {
        self.at == Place::Done
    }

    pub(super) fn sure(&self) -> u64 {
        if self.at == Place::Data { self.size } else { 0 }
    }

    /// So much of the chunk's data went by elsewhere.
    pub(super) fn pass(&mut self, count: u64) {
        if self.at == Place::Data {
            self.size = self.size.saturating_sub(count);
            if self.size == 0 {
                self.at = Place::DataCr;
            }
        }
    }

    /// None before the end.
    pub(super) fn trailers(&self) -> impl Iterator<Item = Field<'_>> {
        let trailers = self.trailers.as_deref().filter(|_| self.is_done());
        trailers.into_iter().flat_map(Trailers::iter)
    }
}
