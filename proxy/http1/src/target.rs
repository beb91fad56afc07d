//! Host and path in the one form that matching uses and instances receive.
//!
//! Both functions are idempotent: what they return they return unchanged. Not here: splitting a request target into host,
//! path and query, and `*` of OPTIONS (`request`).

use std::borrow::Cow;
use std::net::Ipv6Addr;

/// A request target or Host that has no one meaning: answer 400.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTarget {
    /// Not host or host:port.
    #[error("the Host field is not an authority")]
    Host,
    /// Backslash, `%00`, fragment, control character, bad escape, or not starting with `/`.
    #[error("the path holds {0}")]
    Path(&'static str),
}

impl InvalidTarget {
    pub(crate) fn why(&self) -> &'static str {
        match self {
            Self::Host => "the host is none",
            Self::Path(fault) => fault,
        }
    }
}

/// Octets of a host, without port: the longest name that DNS can carry.
const HOST_BYTES: usize = 253;

/// Lower case, without port and trailing dot; IPv6 keeps its brackets, and takes its shortest form (RFC 5952).
///
/// Names are of letters, digits, `-` and `_`, in labels that are not empty, at most 253 octets. RFC 3986 would allow more
/// (escapes, commas, `@` for a user), which no DNS name has and which proxies read differently.
pub fn normalize_host(host: &str) -> Result<Cow<'_, str>, InvalidTarget> {
    if let Some(rest) = host.strip_prefix('[') {
        let (address, port) = rest.split_once(']').ok_or(InvalidTarget::Host)?;
        check_port(port)?;
        let address: Ipv6Addr = address.parse().map_err(|_| InvalidTarget::Host)?;
        return Ok(Cow::Owned(format!("[{address}]")));
    }
    let end = host.find(':').unwrap_or(host.len());
    let (name, port) = host.split_at_checked(end).ok_or(InvalidTarget::Host)?;
    check_port(port)?;
    let name = name.strip_suffix('.').unwrap_or(name);
    let is_label = |label: &str| !label.is_empty() && label.bytes().all(is_name_byte);
    if name.len() > HOST_BYTES || !name.split('.').all(is_label) {
        return Err(InvalidTarget::Host);
    }
    if name.bytes().any(|it| it.is_ascii_uppercase()) {
        Ok(Cow::Owned(name.to_ascii_lowercase()))
    } else {
        Ok(Cow::Borrowed(name))
    }
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

/// Nothing, `:` alone (RFC 3986 allows it), or `:` and a port.
fn check_port(text: &str) -> Result<(), InvalidTarget> {
    let is_port = |digits: &str| {
        digits.is_empty()
            || (digits.bytes().all(|it| it.is_ascii_digit()) && digits.parse::<u16>().is_ok())
    };
    match text.strip_prefix(':') {
        None if text.is_empty() => Ok(()),
        Some(digits) if is_port(digits) => Ok(()),
        _ => Err(InvalidTarget::Host),
    }
}

/// Resolves `.` and `..` segments, encoded ones too (RFC 3986 5.2.4); leaves all other escapes as they are. `path` is without query.
///
/// `//` stays, an empty segment between two others; `%2f` stays encoded and separates nothing. Allocates only where there
/// was something to resolve.
pub fn normalize_path(path: &str) -> Result<Cow<'_, str>, InvalidTarget> {
    let Some(segments) = path.strip_prefix('/') else {
        return Err(InvalidTarget::Path("no leading slash"));
    };
    check_bytes(path.as_bytes())?;
    if segments.split('/').all(|it| dots(it) == Dots::None) {
        return Ok(Cow::Borrowed(path));
    }
    Ok(Cow::Owned(resolve(segments)))
}

fn check_bytes(bytes: &[u8]) -> Result<(), InvalidTarget> {
    for (index, byte) in bytes.iter().enumerate() {
        let fault = match byte {
            b'%' => match bytes.get(index + 1..index + 3) {
                Some(b"00") => "an encoded NUL",
                Some(digits) if digits.iter().all(u8::is_ascii_hexdigit) => continue,
                _ => "a bad escape",
            },
            b'\\' => "a backslash",
            b'#' => "a fragment",
            b'?' => "a query",
            b' ' => "a space",
            0..=0x1f | 0x7f => "a control character",
            _ => continue,
        };
        return Err(InvalidTarget::Path(fault));
    }
    Ok(())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dots {
    None,
    One,
    Two,
}

/// Whether a segment is `.` or `..`, each dot plain or as `%2e`.
fn dots(segment: &str) -> Dots {
    // Most segments begin with a letter.
    if !segment.starts_with(['.', '%']) {
        return Dots::None;
    }
    match after_dot(segment.as_bytes()) {
        Some([]) => Dots::One,
        Some(rest) if after_dot(rest) == Some(&[]) => Dots::Two,
        _ => Dots::None,
    }
}

fn after_dot(bytes: &[u8]) -> Option<&[u8]> {
    match bytes {
        [b'.', rest @ ..] | [b'%', b'2', b'e' | b'E', rest @ ..] => Some(rest),
        _ => None,
    }
}

/// `segments` is the path without its leading slash.
fn resolve(segments: &str) -> String {
    let mut out = String::with_capacity(segments.len() + 1);
    let mut ends_open = false;
    for segment in segments.split('/') {
        let dots = dots(segment);
        match dots {
            Dots::None => {
                out.push('/');
                out.push_str(segment);
            }
            Dots::One => {}
            Dots::Two => out.truncate(out.rfind('/').unwrap_or(0)),
        }
        ends_open = dots != Dots::None;
    }
    // A path that ended in a dot segment names what is below it.
    if ends_open || out.is_empty() {
        out.push('/');
    }
    out
}

#[cfg(test)]
mod tests;
