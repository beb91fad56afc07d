//! Finds where a head ends.

use crate::octets::find_control;
use crate::refusal::Fault;
use crate::{BadResponse, MOST_HEAD_BYTES, Refusal};

/// Finds a head's end in bytes that arrive in pieces.
///
/// A head that is whole at the first look is found at the speed of memory; otherwise each octet is looked at once more.
#[derive(Debug, Default, Clone, Copy)]
pub struct HeadScan {
    /// All before this has been looked at.
    seen: usize,
    /// Where the line began.
    line: usize,
}

/// What may stand before the first line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    /// One blank line (RFC 9112 2.2).
    MayBeBlank,
    Exact,
}

impl HeadScan {
    /// `bytes` is all that arrived since the request's first byte. Where the head ends, its blank line included, or `None` while
    /// it is not whole. One leading CRLF is skipped and counts as part of the head.
    ///
    /// While the head is not whole, a control octet and a bare CR or LF are refused as soon as they are seen. In a whole one
    /// they are left to [`crate::RequestHead::read`].
    pub fn look(&mut self, bytes: &[u8]) -> Result<Option<usize>, Refusal> {
        Ok(self.find(bytes, Start::MayBeBlank)?)
    }

    /// As [`Self::look`], for a response; nothing may stand before it, and what does not begin as one is refused at once.
    pub fn look_response(&mut self, bytes: &[u8]) -> Result<Option<usize>, BadResponse> {
        let begins = bytes.iter().zip(b"HTTP/").all(|(one, other)| one == other);
        if !begins {
            return Err(BadResponse("its first octets are not those of HTTP"));
        }
        Ok(self.find(bytes, Start::Exact)?)
    }

    fn find(&mut self, bytes: &[u8], start: Start) -> Result<Option<usize>, Fault> {
        // What lies behind the limit is not looked at, so that the verdict hangs on no split.
        let window = bytes.get(..MOST_HEAD_BYTES).unwrap_or(bytes);
        if self.seen == 0
            && window.first().is_some_and(|it| *it != b'\r')
            && let Some(at) = memchr::memmem::find(window, b"\r\n\r\n")
        {
            return Ok(Some(at + 4));
        }
        while let Some(at) = find_control(window, self.seen) {
            match (window[at], window.get(at + 1)) {
                (b'\r', None) => {
                    self.seen = at;
                    return whole_within(bytes);
                }
                (b'\r', Some(b'\n')) => {}
                _ => return Err(Fault::Malformed("a control octet, bare CR or bare LF")),
            }
            let next = at + 2;
            let is_blank = at == self.line;
            let skipped = if start == Start::MayBeBlank { 2 } else { 0 };
            if is_blank && at == skipped {
                return Err(Fault::Malformed("a blank line in place of a head"));
            }
            if is_blank && at > 0 {
                return Ok(Some(next));
            }
            (self.seen, self.line) = (next, next);
        }
        self.seen = window.len();
        whole_within(bytes)
    }
}

/// No end was found: it may still come.
fn whole_within(bytes: &[u8]) -> Result<Option<usize>, Fault> {
    if bytes.len() > MOST_HEAD_BYTES {
        Err(Fault::TooLarge)
    } else {
        Ok(None)
    }
}

#[cfg(test)]
mod tests;
