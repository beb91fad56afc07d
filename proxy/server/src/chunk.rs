//! Checks the framing of a chunked request body as its bytes pass by (RFC 9112 7.1).
//!
//! The parser behind it takes empty sizes, spaces and any octet in an extension, and drops trailers unread; what this
//! refuses never has two meanings. Not here: decoding.

/// The body breaks the rules, and so where it ends is uncertain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Hexadecimal digits of a size at most.
const DIGITS: u8 = 15;
/// Bytes of a trailer name that are kept; the names that matter are shorter.
const NAME: usize = 20;

/// Follows one body from its first byte; what comes after its end is not looked at.
#[derive(Debug)]
pub(crate) struct ChunkCheck {
    state: State,
    size: u64,
    name: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Size { digits: u8 },
    Extension,
    SizeEnd,
    Data,
    DataCr,
    DataLf,
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerEnd,
    LastLf,
    Done,
    Broken,
}

impl ChunkCheck {
    pub(crate) fn new() -> Self {
        Self {
            state: State::Size { digits: 0 },
            size: 0,
            name: Vec::new(),
        }
    }

    /// Takes the next bytes of the connection.
    pub(crate) fn feed(&mut self, mut bytes: &[u8]) -> Result<(), Malformed> {
        while let Some((first, rest)) = bytes.split_first() {
            if self.state == State::Done {
                return Ok(());
            }
            if self.state == State::Data {
                let step = usize::try_from(self.size).map_or(bytes.len(), |it| it.min(bytes.len()));
                self.size -= step as u64;
                bytes = &bytes[step..];
                if self.size == 0 {
                    self.state = State::DataCr;
                }
                continue;
            }
            let next = self.step(*first);
            self.state = next.unwrap_or(State::Broken);
            next.ok_or(Malformed)?;
            bytes = rest;
        }
        Ok(())
    }

    fn step(&mut self, byte: u8) -> Option<State> {
        Some(match (self.state, byte) {
            (State::Size { digits }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F')
                if digits < DIGITS =>
            {
                let digit = char::from(byte).to_digit(16)?;
                self.size = self.size * 16 + u64::from(digit);
                State::Size { digits: digits + 1 }
            }
            (State::Size { digits: 1.. }, b';') => State::Extension,
            (State::Size { digits: 1.. } | State::Extension, b'\r') => State::SizeEnd,
            (State::Extension, _) if is_text(byte) => State::Extension,
            (State::SizeEnd, b'\n') if self.size == 0 => State::TrailerStart,
            (State::SizeEnd, b'\n') => State::Data,
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => State::Size { digits: 0 },
            (State::TrailerStart, b'\r') => State::LastLf,
            (State::TrailerStart | State::TrailerName, _) if super::head::is_token(byte) => {
                if self.name.len() < NAME {
                    self.name.push(byte.to_ascii_lowercase());
                }
                State::TrailerName
            }
            (State::TrailerName, b':') => {
                let name = std::mem::take(&mut self.name);
                let frames = name == b"content-length" || name == b"transfer-encoding";
                (!frames).then_some(State::TrailerValue)?
            }
            (State::TrailerValue, b'\r') => State::TrailerEnd,
            (State::TrailerValue, _) if is_text(byte) => State::TrailerValue,
            (State::TrailerEnd, b'\n') => State::TrailerStart,
            (State::LastLf, b'\n') => State::Done,
            _ => return None,
        })
    }
}

fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= 0x20 && byte != 0x7f)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(body: &str, expected: Result<(), Malformed>) {
        let whole = ChunkCheck::new().feed(body.as_bytes());
        assert_eq!(whole, expected, "{body:?}");
        let mut check = ChunkCheck::new();
        let each = body.bytes().try_for_each(|it| check.feed(&[it]));
        assert_eq!(each, expected, "{body:?} byte by byte");
    }

    #[test]
    fn sound_bodies_pass_in_any_pieces() {
        for body in [
            "0\r\n\r\n",
            "5\r\nhello\r\n0\r\n\r\n",
            "a;name=\"v\"\r\n0123456789\r\nF\r\n0123456789abcde\r\n000\r\n\r\n",
            "1\r\n\n\r\n0\r\nX-Sum: 1\r\nY:\r\n\r\n",
            "0\r\n\r\nGET / HTTP/1.1\nanything",
        ] {
            check(body, Ok(()));
        }
    }

    #[test]
    fn bodies_with_two_meanings_do_not() {
        for body in [
            "\r\n",
            ";x\r\n",
            " 5\r\nhello\r\n",
            "5 \r\nhello\r\n",
            "5 ;x\r\nhello\r\n",
            "0x5\r\nhello\r\n",
            "+5\r\nhello\r\n",
            "g\r\n",
            "5\nhello\r\n",
            "5\rhello\r\n",
            "5;a\x01b\r\nhello\r\n",
            "5;a\nb\r\nhello\r\n",
            "5\r\nhello0\r\n\r\n",
            "5\r\nhello\n0\r\n\r\n",
            "5\r\nhello\r0\r\n\r\n",
            "1111111111111111\r\n",
            "0\r\nContent-Length: 3\r\n\r\n",
            "0\r\ntransfer-Encoding: chunked\r\n\r\n",
            "0\r\nX : y\r\n\r\n",
            "0\r\n: y\r\n\r\n",
            "0\r\nX: y\n\r\n",
            "0\r\nnocolon\r\n\r\n",
            "0\r\n\n",
        ] {
            check(body, Err(Malformed));
        }
    }

    #[test]
    fn once_broken_it_stays_broken() {
        let mut check = ChunkCheck::new();
        assert_eq!(check.feed(b"x"), Err(Malformed));
        assert_eq!(check.feed(b"0\r\n\r\n"), Err(Malformed));
    }
}
