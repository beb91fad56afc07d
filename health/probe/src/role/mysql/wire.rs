//! Packets of MySQL's protocol: how they are framed, and what they are made of. Nothing that a server sends is trusted: every
//! length is checked, and no packet is longer than what is asked for here needs.
//!
//! Source: the protocol's own documentation, "Client/Server Protocol", basic packets and basic types.
//! Not here: what packets mean (`login`, `answer`).

use minato_health::{Failure, Layer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Octets of one packet. What is asked for here has some hundred.
const MOST: usize = 64 * 1024;
/// Three octets of length, one of the sequence.
const HEAD: usize = 4;

/// A connection, packet by packet.
#[derive(Debug)]
pub(super) struct Wire<S> {
    stream: S,
    /// Of the next packet, whoever sends it.
    sequence: u8,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            sequence: 0,
        }
    }

    /// The same exchange over another stream: `secured` makes it of this one.
    pub(super) async fn over<T, E>(
        self,
        secured: impl AsyncFnOnce(S) -> Result<T, E>,
    ) -> Result<Wire<T>, E> {
        Ok(Wire {
            stream: secured(self.stream).await?,
            sequence: self.sequence,
        })
    }

    /// A new command begins.
    pub(super) fn begin(&mut self) {
        self.sequence = 0;
    }

    /// The next packet's content, never empty.
    pub(super) async fn read(&mut self) -> Result<Vec<u8>, Failure> {
        let mut head = [0; HEAD];
        self.stream
            .read_exact(&mut head)
            .await
            .map_err(|it| lost(&it))?;
        let [a, b, c, sequence] = head;
        let length = usize::try_from(u32::from_le_bytes([a, b, c, 0])).unwrap_or(usize::MAX);
        if sequence != self.sequence || length == 0 {
            return Err(strange("a packet out of turn; is that a MySQL server?"));
        }
        if length > MOST {
            return Err(strange("a packet that is far too long"));
        }
        self.sequence = self.sequence.wrapping_add(1);
        let mut content = vec![0; length];
        self.stream
            .read_exact(&mut content)
            .await
            .map_err(|it| lost(&it))?;
        Ok(content)
    }

    pub(super) async fn write(&mut self, content: &[u8]) -> Result<(), Failure> {
        let length = u32::try_from(content.len()).unwrap_or(u32::MAX);
        if content.len() > MOST {
            return Err(strange("more to send than fits into one packet"));
        }
        let [a, b, c, _] = length.to_le_bytes();
        let mut packet = Vec::with_capacity(HEAD + content.len());
        packet.extend([a, b, c, self.sequence]);
        packet.extend(content);
        self.sequence = self.sequence.wrapping_add(1);
        self.stream
            .write_all(&packet)
            .await
            .map_err(|it| lost(&it))?;
        self.stream.flush().await.map_err(|it| lost(&it))
    }
}

fn lost(error: &std::io::Error) -> Failure {
    Failure::new(Layer::NoAnswer, format!("connection lost: {error}"))
}

/// What no server should say.
pub(super) fn strange(what: &str) -> Failure {
    Failure::new(Layer::NoAnswer, format!("the server sent {what}"))
}

/// Takes a packet apart from its beginning; every step answers `None` where the packet is too short.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a>(pub(super) &'a [u8]);

impl<'a> Cursor<'a> {
    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        Some(u16::from_le_bytes(self.take(2)?.try_into().ok()?))
    }

    /// Up to a zero, which is taken too.
    pub(super) fn until_zero(&mut self) -> Option<&'a [u8]> {
        let end = self.0.iter().position(|it| *it == 0)?;
        let text = self.take(end)?;
        self.take(1)?;
        Some(text)
    }

    /// A number of one to nine octets.
    pub(super) fn number(&mut self) -> Option<u64> {
        let octets = match self.u8()? {
            small @ 0..=0xfa => return Some(u64::from(small)),
            0xfc => 2,
            0xfd => 3,
            0xfe => 8,
            // NULL, and what begins an error.
            0xfb | 0xff => return None,
        };
        let mut number = [0; 8];
        number
            .get_mut(..octets)?
            .copy_from_slice(self.take(octets)?);
        Some(u64::from_le_bytes(number))
    }

    /// A text behind its length.
    pub(super) fn text(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        self.take(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_all_lengths() {
        for (octets, expected) in [
            (&[5][..], Some(5)),
            (&[0xfc, 1, 1], Some(257)),
            (&[0xfd, 0, 0, 1], Some(1 << 16)),
            (&[0xfe, 0, 0, 0, 0, 1, 0, 0, 0], Some(1 << 32)),
            (&[0xfb], None),
            (&[0xff, 1], None),
            (&[0xfe, 0, 0], None),
            (&[], None),
        ] {
            assert_eq!(Cursor(octets).number(), expected, "{octets:?}");
        }
    }

    #[test]
    fn a_text_is_never_longer_than_its_packet() {
        assert_eq!(Cursor(&[2, b'a', b'b', b'c']).text(), Some(&b"ab"[..]));
        assert_eq!(Cursor(&[4, b'a', b'b', b'c']).text(), None);
        let huge = [0xfe, 255, 255, 255, 255, 255, 255, 255, 255, b'a'];
        assert_eq!(Cursor(&huge).text(), None);
    }

    #[tokio::test]
    async fn packets_out_of_turn_too_long_or_cut_short_are_named() {
        for (octets, expected) in [
            (&[1, 0, 0, 1, b'a'][..], "out of turn"),
            (&[0, 0, 0, 0], "out of turn"),
            (&[255, 255, 255, 0, b'a'], "far too long"),
            (&[2, 0, 0, 0, b'a'], "connection lost"),
            (b"HTTP/1.1 400 Bad Request\r\n\r\n", "out of turn"),
        ] {
            let (ours, mut theirs) = tokio::io::duplex(1024);
            theirs.write_all(octets).await.unwrap();
            drop(theirs);
            let failure = Wire::new(ours).read().await.unwrap_err();
            assert!(failure.to_string().contains(expected), "{failure}");
        }
    }
}
