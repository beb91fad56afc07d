//! Host and path in the one form that matching uses and instances receive.
//!
//! Both functions are idempotent: what they return they return unchanged. Not here: splitting a request target into host,
//! path and query, and `*` of OPTIONS (`request`).

use crate::octets::{LabelCase, is_plain_path, label_case};
use std::borrow::Cow;
use std::fmt::Write as _;
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

/// A host in the form it takes.
enum Host<'a> {
    AsItIs(&'a str),
    Lower(&'a str),
    Address(Ipv6Addr),
}

/// Lower case, without port and trailing dot; IPv6 keeps its brackets, and takes its shortest form (RFC 5952).
///
/// Names are of letters, digits, `-` and `_`, in labels that are not empty, at most 253 octets. RFC 3986 would allow more
/// (escapes, commas, `@` for a user), which no DNS name has and which proxies read differently.
pub fn normalize_host(host: &str) -> Result<Cow<'_, str>, InvalidTarget> {
    Ok(match read_host(host)? {
        Host::AsItIs(name) => Cow::Borrowed(name),
        Host::Lower(name) => Cow::Owned(name.to_ascii_lowercase()),
        Host::Address(address) => Cow::Owned(format!("[{address}]")),
    })
}

/// Writes what [`normalize_host`] returns behind what is in `out`.
pub(crate) fn push_host(host: &str, out: &mut String) -> Result<(), InvalidTarget> {
    match read_host(host)? {
        Host::AsItIs(name) => out.push_str(name),
        Host::Lower(name) => {
            let start = out.len();
            out.push_str(name);
            if let Some(name) = out.get_mut(start..) {
                name.make_ascii_lowercase();
            }
        }
        // Writing to a String does not fail.
        Host::Address(address) => drop(write!(out, "[{address}]")),
    }
    Ok(())
}

fn read_host(host: &str) -> Result<Host<'_>, InvalidTarget> {
    if let Some(rest) = host.strip_prefix('[') {
        let (address, port) = rest.split_once(']').ok_or(InvalidTarget::Host)?;
        check_port(port)?;
        let address = address.parse().map_err(|_| InvalidTarget::Host)?;
        return Ok(Host::Address(address));
    }
    let end = memchr::memchr(b':', host.as_bytes()).unwrap_or(host.len());
    let (name, port) = host.split_at_checked(end).ok_or(InvalidTarget::Host)?;
    check_port(port)?;
    let name = name.strip_suffix('.').unwrap_or(name);
    match label_case(name.as_bytes()) {
        Some(LabelCase::Lower) if name.len() <= HOST_BYTES => Ok(Host::AsItIs(name)),
        Some(LabelCase::Mixed) if name.len() <= HOST_BYTES => Ok(Host::Lower(name)),
        _ => Err(InvalidTarget::Host),
    }
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
    Ok(match segments_to_resolve(path)? {
        None => Cow::Borrowed(path),
        Some(segments) => {
            let mut out = String::with_capacity(path.len());
            resolve(segments, &mut out);
            Cow::Owned(out)
        }
    })
}

/// Writes what [`normalize_path`] returns behind what is in `out`.
pub(crate) fn push_path(path: &str, out: &mut String) -> Result<(), InvalidTarget> {
    match segments_to_resolve(path)? {
        None => out.push_str(path),
        Some(segments) => resolve(segments, out),
    }
    Ok(())
}

/// Checks a path; what is behind its first slash, if that holds a dot segment.
fn segments_to_resolve(path: &str) -> Result<Option<&str>, InvalidTarget> {
    let Some(segments) = path.strip_prefix('/') else {
        return Err(InvalidTarget::Path("no leading slash"));
    };
    if is_plain_path(path.as_bytes()) {
        return Ok(None);
    }
    check_bytes(path.as_bytes())?;
    let has_dots = segments.split('/').any(|it| dots(it) != Dots::None);
    Ok(has_dots.then_some(segments))
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
fn resolve(segments: &str, out: &mut String) {
    let start = out.len();
    let mut ends_open = false;
    for segment in segments.split('/') {
        let dots = dots(segment);
        match dots {
            Dots::None => {
                out.push('/');
                out.push_str(segment);
            }
            Dots::One => {}
            Dots::Two => {
                let last = out.get(start..).and_then(|it| it.rfind('/'));
                out.truncate(start + last.unwrap_or(0));
            }
        }
        ends_open = dots != Dots::None;
    }
    // A path that ended in a dot segment names what is below it.
    if ends_open || out.len() == start {
        out.push('/');
    }
}

#[cfg(test)]
mod tests;
