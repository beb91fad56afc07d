//! Heads as bytes, before a parser repairs them and so hides what another parser behind us may see.

use crate::answer::Reason;
use http::{Method, StatusCode, Version};
use minato_proxy::rewrite::{Ambiguous, Framing, request_framing, response_framing};

/// Fields and bytes of a head at most.
const MOST_FIELDS: usize = 100;
const MOST_BYTES: usize = 32 * 1024;

/// Whether a byte may stand in a method or in the name of a field (RFC 9110 5.6.2).
pub(crate) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Finds the end of a head that arrives in pieces; each byte is looked at once.
#[derive(Debug, Default)]
pub(crate) struct HeadScan {
    /// All before this has been looked at.
    seen: usize,
    /// Where the line began.
    line: usize,
}

impl HeadScan {
    /// `bytes` is all that arrived since the head's first byte. Where the head ends, its blank line included, or `None` while it is
    /// not whole. A control octet, a bare CR or LF are refused as soon as they are seen.
    pub(crate) fn look(&mut self, bytes: &[u8]) -> Result<Option<usize>, Reason> {
        let is_control = |it: &u8| (*it < 0x20 && *it != b'\t') || *it == 0x7f;
        while let Some(offset) = bytes
            .get(self.seen..)
            .and_then(|it| it.iter().position(is_control))
        {
            let at = self.seen + offset;
            match (bytes[at], bytes.get(at + 1)) {
                (b'\r', None) => {
                    self.seen = at;
                    return within(bytes.len()).map(|()| None);
                }
                (b'\r', Some(b'\n')) => {}
                _ => return Err(Reason::Malformed),
            }
            let next = at + 2;
            let is_blank = at == self.line;
            // One blank line before the request is skipped (RFC 9112 2.2).
            if is_blank && at == 2 {
                return Err(Reason::Malformed);
            }
            if is_blank && at > 2 {
                return within(next).map(|()| Some(next));
            }
            (self.seen, self.line) = (next, next);
        }
        self.seen = bytes.len();
        within(bytes.len()).map(|()| None)
    }
}

fn within(length: usize) -> Result<(), Reason> {
    if length > MOST_BYTES {
        Err(Reason::HeadTooLarge)
    } else {
        Ok(())
    }
}

/// What the bytes of a request head say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Checked<'a> {
    /// Where the body ends.
    pub(crate) framing: Framing,
    /// As it came: the parser drops fragments and escapes what it does not like.
    pub(crate) target: &'a str,
}

/// Refuses a request head that is too large, ambiguous, or asks for what is not served here.
pub(crate) fn check_request(head: &[u8]) -> Result<Checked<'_>, Reason> {
    let head = head.strip_prefix(b"\r\n").unwrap_or(head);
    let lines = Lines::of(head)?;
    let (method, target, version) = request_line(lines.first)?;
    let fields = lines.fields()?;
    if matches!(method, b"CONNECT" | b"TRACE") {
        return Err(Reason::Method);
    }
    let named = |name: &'static str| {
        fields
            .iter()
            .filter(move |it| it.0.eq_ignore_ascii_case(name.as_bytes()))
    };
    let values = |name| named(name).map(|it| it.1);
    let framing = request_framing(
        version,
        values("content-length"),
        values("transfer-encoding"),
    );
    let framing = framing.map_err(|_: Ambiguous| Reason::Malformed)?;
    let hosts = named("host").count();
    if hosts > 1 || (hosts == 0 && version == Version::HTTP_11) {
        return Err(Reason::Malformed);
    }
    if values("expect").any(|it| !it.eq_ignore_ascii_case(b"100-continue")) {
        return Err(Reason::Expectation);
    }
    Ok(Checked { framing, target })
}

/// Refuses a response head by the same rules; says why.
pub(crate) fn check_response(head: &[u8], method: &Method) -> Result<Framing, String> {
    let broken = |_| "its head breaks the rules of HTTP".to_owned();
    let lines = Lines::of(head).map_err(broken)?;
    let (version, status) = status_line(lines.first).ok_or("its status line is none")?;
    let fields = lines.fields().map_err(broken)?;
    let values = |name: &'static str| {
        let named = fields
            .iter()
            .filter(move |it| it.0.eq_ignore_ascii_case(name.as_bytes()));
        named.map(|it| it.1)
    };
    response_framing(
        method,
        status,
        version,
        values("content-length"),
        values("transfer-encoding"),
    )
    .map_err(|ambiguous| ambiguous.to_string())
}

/// `method SP target SP version`, each of visible octets only.
fn request_line(line: &[u8]) -> Result<(&[u8], &str, Version), Reason> {
    let mut parts = line.split(|it| *it == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Reason::Malformed);
    };
    let is_visible = |it: &u8| *it > 0x20 && *it != 0x7f;
    if method.is_empty()
        || !method.iter().all(|it| is_token(*it))
        || target.is_empty()
        || !target.iter().all(is_visible)
    {
        return Err(Reason::Malformed);
    }
    let target = std::str::from_utf8(target).map_err(|_| Reason::Malformed)?;
    version_of(version).map(|version| (method, target, version))
}

fn version_of(text: &[u8]) -> Result<Version, Reason> {
    match text {
        b"HTTP/1.1" => Ok(Version::HTTP_11),
        b"HTTP/1.0" => Ok(Version::HTTP_10),
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Err(Reason::Version)
        }
        _ => Err(Reason::Malformed),
    }
}

/// `version SP status [SP reason]`.
fn status_line(line: &[u8]) -> Option<(Version, StatusCode)> {
    let mut parts = line.splitn(3, |it| *it == b' ');
    let version = version_of(parts.next()?).ok()?;
    let status = StatusCode::from_bytes(parts.next()?).ok()?;
    Some((version, status))
}

type Field<'a> = (&'a [u8], &'a [u8]);

/// A head that ends in a blank line, as its first line and the others.
struct Lines<'a> {
    first: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Lines<'a> {
    fn of(head: &'a [u8]) -> Result<Self, Reason> {
        within(head.len())?;
        let head = head.strip_suffix(b"\r\n").ok_or(Reason::Malformed)?;
        let (first, rest) = cut_line(head)?;
        Ok(Self { first, rest })
    }

    /// Names as they were written, and values without the white space around them.
    fn fields(&self) -> Result<Vec<Field<'a>>, Reason> {
        let mut fields = Vec::with_capacity(16);
        let mut rest = self.rest;
        while !rest.is_empty() {
            let (line, next) = cut_line(rest)?;
            if fields.len() == MOST_FIELDS {
                return Err(Reason::HeadTooLarge);
            }
            fields.push(field(line)?);
            rest = next;
        }
        Ok(fields)
    }
}

/// Cuts the first line off, which must end in CRLF and hold neither elsewhere.
fn cut_line(bytes: &[u8]) -> Result<(&[u8], &[u8]), Reason> {
    let end = bytes
        .iter()
        .position(|it| *it == b'\n')
        .ok_or(Reason::Malformed)?;
    let line = bytes[..end].strip_suffix(b"\r").ok_or(Reason::Malformed)?;
    if line.contains(&b'\r') {
        Err(Reason::Malformed)
    } else {
        Ok((line, &bytes[end + 1..]))
    }
}

/// White space before the name is obs-fold, after it a smuggler's; neither is a token.
fn field(line: &[u8]) -> Result<Field<'_>, Reason> {
    let colon = line
        .iter()
        .position(|it| *it == b':')
        .ok_or(Reason::Malformed)?;
    let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
    let is_text = |it: &u8| *it == b'\t' || (*it >= 0x20 && *it != 0x7f);
    if name.is_empty() || !name.iter().all(|it| is_token(*it)) || !value.iter().all(is_text) {
        return Err(Reason::Malformed);
    }
    Ok((name, value))
}

#[cfg(test)]
mod tests;
