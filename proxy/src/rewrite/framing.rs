//! Where the body of a message ends, or that it cannot be said (RFC 9112 6).

use http::{Method, StatusCode, Version};

/// How a body is delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    None,
    /// So many octets.
    Length(u64),
    /// In chunks.
    Chunked,
    /// Whatever comes until the connection closes; responses only.
    UntilClose,
}

/// A message whose end two readers could see in different places: a request is answered 400, a response 502, and the
/// connection closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Ambiguous {
    /// Both fields are there.
    #[error("Content-Length beside Transfer-Encoding")]
    LengthBesideCoding,
    /// Several that are not the same, digit for digit.
    #[error("several Content-Length fields that differ")]
    UnequalLengths,
    /// Not 1*DIGIT, a list, or past 64 bits.
    #[error("Content-Length is not a number of octets")]
    Length,
    /// Anything but one final `chunked`.
    #[error("Transfer-Encoding is not `chunked` alone")]
    Coding,
    /// HTTP/1.0 has no transfer codings.
    #[error("Transfer-Encoding in HTTP/1.0")]
    CodingInHttp10,
}

/// The framing of a request; without either field it has no body, whatever its method.
pub fn request_framing<'a>(
    version: Version,
    content_lengths: impl IntoIterator<Item = &'a [u8]>,
    transfer_encodings: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Framing, Ambiguous> {
    let declared = declared(version, content_lengths, transfer_encodings)?;
    Ok(declared.unwrap_or(Framing::None))
}

/// The framing of a final or interim response to a request with `method`.
///
/// A body where there can be none (HEAD, 1xx, 204, 304) is not there, whatever the fields declare; they must be sound
/// all the same. 101 counts as 1xx: what follows it is no message.
pub fn response_framing<'a>(
    method: &Method,
    status: StatusCode,
    version: Version,
    content_lengths: impl IntoIterator<Item = &'a [u8]>,
    transfer_encodings: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Framing, Ambiguous> {
    let declared = declared(version, content_lengths, transfer_encodings)?;
    let is_empty = *method == Method::HEAD
        || status.is_informational()
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if is_empty {
        return Ok(Framing::None);
    }
    Ok(declared.unwrap_or(Framing::UntilClose))
}

fn declared<'a>(
    version: Version,
    content_lengths: impl IntoIterator<Item = &'a [u8]>,
    transfer_encodings: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Option<Framing>, Ambiguous> {
    let length = length(content_lengths)?;
    let mut codings = transfer_encodings.into_iter();
    let Some(coding) = codings.next() else {
        return Ok(length.map(Framing::Length));
    };
    if length.is_some() {
        return Err(Ambiguous::LengthBesideCoding);
    }
    if version < Version::HTTP_11 {
        return Err(Ambiguous::CodingInHttp10);
    }
    if codings.next().is_some() || !trim(coding).eq_ignore_ascii_case(b"chunked") {
        return Err(Ambiguous::Coding);
    }
    Ok(Some(Framing::Chunked))
}

fn length<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> Result<Option<u64>, Ambiguous> {
    let mut values = values.into_iter().map(trim);
    let Some(first) = values.next() else {
        return Ok(None);
    };
    if first.is_empty() || !first.iter().all(u8::is_ascii_digit) {
        return Err(Ambiguous::Length);
    }
    let digits = std::str::from_utf8(first).map_err(|_| Ambiguous::Length)?;
    let length = digits.parse().map_err(|_| Ambiguous::Length)?;
    if values.any(|it| it != first) {
        return Err(Ambiguous::UnequalLengths);
    }
    Ok(Some(length))
}

/// Optional white space is SP and HTAB, no more (RFC 9110 5.6.3).
fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    type Case = (
        &'static [&'static [u8]],
        &'static [&'static [u8]],
        Result<Framing, Ambiguous>,
    );

    const REQUESTS: [Case; 26] = [
        (&[], &[], Ok(Framing::None)),
        (&[b"0"], &[], Ok(Framing::Length(0))),
        (&[b"5"], &[], Ok(Framing::Length(5))),
        (&[b" 5\t"], &[], Ok(Framing::Length(5))),
        (
            &[b"18446744073709551615"],
            &[],
            Ok(Framing::Length(u64::MAX)),
        ),
        (&[b"5", b"5"], &[], Ok(Framing::Length(5))),
        (&[], &[b"chunked"], Ok(Framing::Chunked)),
        (&[], &[b" Chunked "], Ok(Framing::Chunked)),
        (&[b"18446744073709551616"], &[], Err(Ambiguous::Length)),
        (&[b""], &[], Err(Ambiguous::Length)),
        (&[b"+5"], &[], Err(Ambiguous::Length)),
        (&[b"-5"], &[], Err(Ambiguous::Length)),
        (&[b"0x5"], &[], Err(Ambiguous::Length)),
        (&[b"5 5"], &[], Err(Ambiguous::Length)),
        (&[b"5, 5"], &[], Err(Ambiguous::Length)),
        (&[b"5\x0b"], &[], Err(Ambiguous::Length)),
        (&[b"5", b"6"], &[], Err(Ambiguous::UnequalLengths)),
        (&[b"5", b"05"], &[], Err(Ambiguous::UnequalLengths)),
        (&[b"5"], &[b"chunked"], Err(Ambiguous::LengthBesideCoding)),
        (&[b"0"], &[b"identity"], Err(Ambiguous::LengthBesideCoding)),
        (&[], &[b""], Err(Ambiguous::Coding)),
        (&[], &[b"identity"], Err(Ambiguous::Coding)),
        (&[], &[b"gzip, chunked"], Err(Ambiguous::Coding)),
        (&[], &[b"chunked, chunked"], Err(Ambiguous::Coding)),
        (&[], &[b"chunked", b"chunked"], Err(Ambiguous::Coding)),
        (&[], &[b"\x0bchunked"], Err(Ambiguous::Coding)),
    ];

    fn copied(values: &'static [&'static [u8]]) -> impl Iterator<Item = &'static [u8]> {
        values.iter().copied()
    }

    #[test]
    fn a_request_ends_in_one_place_or_is_refused() {
        for (lengths, codings, expected) in REQUESTS {
            let framing = request_framing(Version::HTTP_11, copied(lengths), copied(codings));
            assert_eq!(framing, expected, "{lengths:?} {codings:?}");
        }
    }

    #[test]
    fn http_1_0_has_lengths_and_no_codings() {
        for (lengths, codings, expected) in REQUESTS {
            let framing = request_framing(Version::HTTP_10, copied(lengths), copied(codings));
            let expected = match expected {
                Ok(Framing::Chunked) | Err(Ambiguous::Coding) => Err(Ambiguous::CodingInHttp10),
                other => other,
            };
            assert_eq!(framing, expected, "{lengths:?} {codings:?}");
        }
    }

    #[test]
    fn a_response_obeys_the_same_rules_or_runs_until_close() {
        for (lengths, codings, expected) in REQUESTS {
            let get = |status, method: &Method| {
                let version = Version::HTTP_11;
                response_framing(method, status, version, copied(lengths), copied(codings))
            };
            let with_body = match expected {
                Ok(Framing::None) => Ok(Framing::UntilClose),
                other => other,
            };
            assert_eq!(get(StatusCode::OK, &Method::GET), with_body);
            assert_eq!(get(StatusCode::BAD_GATEWAY, &Method::POST), with_body);
            let without = expected.map(|_| Framing::None);
            assert_eq!(get(StatusCode::OK, &Method::HEAD), without);
            for status in [100, 103, 204, 304] {
                let status = StatusCode::from_u16(status).unwrap();
                assert_eq!(get(status, &Method::GET), without, "{status}");
            }
        }
    }
}
