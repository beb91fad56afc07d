//! A client's stream as a channel: bytes of both bodies, and beside them what HTTP/2 says in frames of its own.
//!
//! Room is given back to the client as its bytes are taken, and only as many bytes are accepted as it has room for, and the
//! connection's output: whoever does not read stops whoever sends.
//! Not here: what an exchange does with it (`exchange`, `relay`, `flow`), how long anybody waits.

use super::halves::Follows;
use super::head::Prepared;
use super::link::{Link, MOST_OUTPUT};
use crate::answer::Own;
use http::HeaderMap;
use minato_http1::{ResponseHead, passes_as_trailer};
use minato_http2::{Code, Key, Then};
use std::io::{self, IoSlice};
use std::rc::Rc;
use std::task::{Context, Poll};
use tokio::io::ReadBuf;

/// A request from a client, and the way for its answer.
#[derive(Debug)]
pub(crate) struct Stream {
    link: Rc<Link>,
    key: Key,
    answer: Answer,
    /// What the stream ends with where its answer does not end whole.
    code: Code,
    /// What follows the last octet of its answer.
    last: Then,
}

#[derive(Debug)]
enum Answer {
    /// No final head was sent; the one that will be, where it is known.
    Awaited(Option<Prepared>),
    /// The head was sent; so many bytes are to follow, where it has said how many.
    Begun(Option<u64>),
    Whole,
}

impl Stream {
    pub(super) fn new(link: &Rc<Link>, key: Key) -> Self {
        Self {
            link: Rc::clone(link),
            key,
            answer: Answer::Awaited(None),
            code: Code::CANCEL,
            last: Then::Ends,
        }
    }

    /// The request is malformed: its answer tells why, and the stream is then reset (RFC 9113 8.1.1).
    pub(super) fn reset_behind_answer(&mut self) {
        (self.code, self.last) = (Code::PROTOCOL_ERROR, Then::GoesOn);
    }

    pub(crate) fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut codec = self.link.codec();
        let is_over = codec.fault().is_some();
        let Some(entry) = codec.owned_mut(self.key) else {
            return Poll::Ready(Err(reset()));
        };
        if entry.is_reset || is_over {
            return Poll::Ready(Err(reset()));
        }
        let bytes = entry.body.first(into.remaining());
        if bytes.is_empty() {
            if entry.has_ended {
                return Poll::Ready(Ok(()));
            }
            entry.remember(context);
            return Poll::Pending;
        }
        let count = bytes.len();
        into.put_slice(bytes);
        entry.body.drop_first(count);
        let before = codec.output().len();
        codec.consumed(self.key, count);
        if codec.output().len() > before {
            self.link.wake_driver();
        }
        Poll::Ready(Ok(()))
    }

    /// Fields after the body, once that has ended.
    pub(crate) fn poll_trailers(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<Option<HeaderMap>>> {
        let mut codec = self.link.codec();
        match codec.owned_mut(self.key) {
            Some(entry) if entry.is_reset => Poll::Ready(Err(reset())),
            Some(entry) if entry.has_ended => Poll::Ready(Ok(entry.trailers.take().map(|it| *it))),
            Some(entry) => {
                entry.remember(context);
                Poll::Pending
            }
            None => Poll::Ready(Err(reset())),
        }
    }

    /// Passes on an interim answer; false where the client is gone.
    pub(crate) fn inform(&mut self, head: &ResponseHead) -> bool {
        if !matches!(self.answer, Answer::Awaited(_)) {
            return false;
        }
        let prepared = Prepared::of(&self.link.core, head, Follows::Something);
        let is_sent = prepared.send(&mut self.link.codec(), self.key, Then::GoesOn);
        prepared.give_back(&self.link.core);
        self.link.wake_driver();
        is_sent
    }

    /// The final head, which goes out with what follows it or with [`Stream::open`].
    pub(crate) fn prepare(&mut self, head: &ResponseHead, follows: Follows) {
        let prepared = Prepared::of(&self.link.core, head, follows);
        self.set_prepared(prepared);
    }

    /// The same, of an answer of our own.
    pub(crate) fn prepare_own(&mut self, own: &Own<'_>, follows: Follows) {
        let prepared = Prepared::own(&self.link.core, own, follows);
        self.set_prepared(prepared);
    }

    fn set_prepared(&mut self, prepared: Prepared) {
        if let Answer::Awaited(awaited) = &mut self.answer {
            *awaited = Some(prepared);
        }
    }

    /// Sends the head that was prepared; whether there was one.
    pub(crate) fn open(&mut self) -> io::Result<bool> {
        let Answer::Awaited(prepared) = &mut self.answer else {
            return Ok(false);
        };
        let prepared = prepared.take().ok_or(io::ErrorKind::InvalidInput)?;
        let is_sent = prepared.send(&mut self.link.codec(), self.key, self.last);
        self.answer = match prepared.follows() {
            Follows::Nothing => Answer::Whole,
            Follows::Bytes(length) => Answer::Begun(Some(length)),
            Follows::Something => Answer::Begun(None),
        };
        prepared.give_back(&self.link.core);
        self.link.wake_driver();
        if is_sent { Ok(true) } else { Err(reset()) }
    }

    /// Writes as much as there is room for; 0 where the body is whole already.
    pub(crate) fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.open()?;
        let wanted: usize = slices.iter().map(|it| it.len()).sum();
        let Answer::Begun(left) = &mut self.answer else {
            return Poll::Ready(Ok(0));
        };
        if wanted == 0 {
            return Poll::Ready(Ok(0));
        }
        let mut codec = self.link.codec();
        let mut taken = 0;
        while taken < wanted && codec.output().len() < MOST_OUTPUT {
            let rest = wanted - taken;
            let is_last = left.is_some_and(|it| it <= rest as u64);
            let then = if is_last { self.last } else { Then::GoesOn };
            let sent = codec.send_data(self.key, skip(slices, taken), then);
            let count = match sent {
                Some(0) => break,
                Some(count) => count,
                None => return Poll::Ready(Err(reset())),
            };
            taken += count;
            if let Some(left) = left {
                *left = left.saturating_sub(count as u64);
            }
            if is_last && count == rest {
                self.answer = Answer::Whole;
                break;
            }
        }
        if taken > 0 {
            self.link.wake_driver();
            return Poll::Ready(Ok(taken));
        }
        if codec.is_over(self.key) {
            return Poll::Ready(Err(reset()));
        }
        if codec.output().len() >= MOST_OUTPUT || codec.room_for_all() == 0 {
            self.link.stand_in_line(&mut codec, self.key);
        } else {
            self.link.pass_on();
        }
        if let Some(entry) = codec.owned_mut(self.key) {
            entry.remember(context);
        }
        Poll::Pending
    }

    /// The body is whole; `fields` follow it, where there are any that may.
    pub(crate) fn finish<'f>(
        &mut self,
        fields: impl Iterator<Item = (&'f [u8], &'f [u8])>,
    ) -> io::Result<()> {
        self.open()?;
        if matches!(self.answer, Answer::Whole) {
            return Ok(());
        }
        self.answer = Answer::Whole;
        let mut trailers = fields.filter(|it| passes_as_trailer(it.0)).peekable();
        let mut codec = self.link.codec();
        let is_sent = if trailers.peek().is_some() {
            let mut lower = Vec::new();
            codec.send_trailers(self.key, |block| {
                for (name, value) in trailers {
                    lower.clear();
                    lower.extend(name.iter().map(u8::to_ascii_lowercase));
                    block.field(&lower, value);
                }
            })
        } else {
            let nothing = std::iter::empty();
            codec.send_data(self.key, nothing, Then::Ends).is_some()
        };
        self.link.wake_driver();
        if is_sent { Ok(()) } else { Err(reset()) }
    }

    /// Ready when the client has reset the stream, or is gone altogether.
    pub(crate) fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut codec = self.link.codec();
        let is_over = codec.fault().is_some();
        match codec.owned_mut(self.key) {
            Some(entry) if !entry.is_reset && !is_over => {
                entry.remember(context);
                Poll::Pending
            }
            _ => Poll::Ready(()),
        }
    }

    /// Where the answer does not end whole, it is not the client that stopped it.
    pub(crate) fn blame_instance(&mut self) {
        self.code = Code::INTERNAL_ERROR;
    }
}

impl Drop for Stream {
    /// An answer that is not whole must not look so. A request that is not whole ends with NO_ERROR after a whole answer (RFC
    /// 9113 8.1).
    fn drop(&mut self) {
        let mut codec = self.link.codec();
        let unread = codec.owned(self.key).map_or(0, |it| it.body.len());
        codec.consumed(self.key, unread);
        codec.remove(self.key, self.code, self.link.core.now());
        self.link.wake_driver();
    }
}

/// All slices, without the first `count` octets of them.
fn skip<'s>(
    slices: &'s [IoSlice<'s>],
    count: usize,
) -> impl Iterator<Item = &'s [u8]> + Clone + 's {
    let mut left = count;
    slices.iter().map(move |slice| {
        let skipped = left.min(slice.len());
        left -= skipped;
        slice.get(skipped..).unwrap_or_default()
    })
}

fn reset() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, "the stream was reset")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_are_skipped_octet_by_octet() {
        let slices = [&b"abc"[..], b"", b"defg", b"h"].map(IoSlice::new);
        for count in 0..=8 {
            let rest: Vec<u8> = skip(&slices, count).flatten().copied().collect();
            assert_eq!(rest, &b"abcdefgh"[count..]);
        }
    }
}
