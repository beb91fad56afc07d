//! Where the body of a message ends, or that it cannot be said (RFC 9112 6).

use crate::octets::trim;
use crate::refusal::Fault;
use crate::{Method, Version};

/// How a body is delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    None,
    /// So many octets.
    Length(u64),
    /// In chunks.
    Chunked,
    /// Whatever comes until the connection closes (responses of HTTP/1), or the stream ends (HTTP/2).
    UntilClose,
}

/// What the fields declare; `None` where they say nothing.
pub(crate) fn declared<'a>(
    version: Version,
    content_lengths: impl IntoIterator<Item = &'a [u8]>,
    transfer_encodings: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Option<Framing>, Fault> {
    let length = length(content_lengths)?;
    let mut codings = transfer_encodings.into_iter();
    let Some(coding) = codings.next() else {
        return Ok(length.map(Framing::Length));
    };
    let why = if length.is_some() {
        "Content-Length beside Transfer-Encoding"
    } else if version == Version::Http10 {
        "Transfer-Encoding in HTTP/1.0"
    } else if codings.next().is_some() || !trim(coding).eq_ignore_ascii_case(b"chunked") {
        "Transfer-Encoding is not `chunked` alone"
    } else {
        return Ok(Some(Framing::Chunked));
    };
    Err(Fault::Malformed(why))
}

/// A response's framing, from what its fields declare.
///
/// A body where there can be none (HEAD, 1xx, 204, 304) is not there, whatever the fields declare; they must be sound
/// all the same. 101 counts as 1xx: what follows it is no message.
pub(crate) fn of_response(asked: Method, status: u16, declared: Option<Framing>) -> Framing {
    if asked == Method::Head || matches!(status, 100..=199 | 204 | 304) {
        Framing::None
    } else {
        declared.unwrap_or(Framing::UntilClose)
    }
}

/// 1*DIGIT, the same in every field, within 64 bits.
fn length<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> Result<Option<u64>, Fault> {
    let mut values = values.into_iter().map(trim);
    let Some(first) = values.next() else {
        return Ok(None);
    };
    let no_number = Fault::Malformed("Content-Length is not a number of octets");
    if first.is_empty() {
        return Err(no_number);
    }
    let mut length: u64 = 0;
    for digit in first {
        let value = digit.wrapping_sub(b'0');
        let longer = length.checked_mul(10);
        length = longer
            .filter(|_| value < 10)
            .and_then(|it| it.checked_add(u64::from(value)))
            .ok_or(no_number)?;
    }
    if values.any(|it| it != first) {
        return Err(Fault::Malformed(
            "several Content-Length fields that differ",
        ));
    }
    Ok(Some(length))
}

#[cfg(test)]
mod tests;
