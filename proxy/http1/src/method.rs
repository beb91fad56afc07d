//! Methods and versions.

/// A request's method, as far as it matters here. Case matters (RFC 9110 9.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// GET
    Get,
    /// HEAD
    Head,
    /// POST
    Post,
    /// PUT
    Put,
    /// DELETE
    Delete,
    /// OPTIONS
    Options,
    /// PATCH
    Patch,
    /// Any other token but CONNECT and TRACE, which are refused.
    Other,
}

impl Method {
    pub(crate) fn of(text: &[u8]) -> Self {
        match text {
            b"GET" => Self::Get,
            b"HEAD" => Self::Head,
            b"POST" => Self::Post,
            b"PUT" => Self::Put,
            b"DELETE" => Self::Delete,
            b"OPTIONS" => Self::Options,
            b"PATCH" => Self::Patch,
            _ => Self::Other,
        }
    }

    /// As it stands in a request; empty for [`Method::Other`].
    pub fn text(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
            Self::Patch => "PATCH",
            Self::Other => "",
        }
    }

    /// Whether sending it twice is as sending it once (RFC 9110 9.2.2).
    pub fn is_idempotent(self) -> bool {
        matches!(
            self,
            Self::Get | Self::Head | Self::Options | Self::Put | Self::Delete
        )
    }
}

/// How a head reached us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
    /// HTTP/2
    Http2,
}

/// A version in the first line of a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    Served(Version),
    /// A version of HTTP, but none of HTTP/1 that we know.
    Unknown,
    Malformed,
}

impl Written {
    pub(crate) fn of(text: &[u8]) -> Self {
        match text {
            b"HTTP/1.1" => Self::Served(Version::Http11),
            b"HTTP/1.0" => Self::Served(Version::Http10),
            [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
                if major.is_ascii_digit() && minor.is_ascii_digit() =>
            {
                Self::Unknown
            }
            _ => Self::Malformed,
        }
    }
}

impl Version {
    /// What `Via` says of a message that came so.
    pub(crate) fn via(self) -> &'static [u8] {
        match self {
            Self::Http10 => b"1.0 minato",
            Self::Http11 => b"1.1 minato",
            Self::Http2 => b"2.0 minato",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_idempotent_as_the_standard_says() {
        for (method, expected) in [
            ("GET", true),
            ("HEAD", true),
            ("OPTIONS", true),
            ("PUT", true),
            ("DELETE", true),
            ("POST", false),
            ("PATCH", false),
            ("get", false),
            ("PURGE", false),
        ] {
            let read = Method::of(method.as_bytes());
            assert_eq!(read.is_idempotent(), expected, "{method}");
            assert!(read == Method::Other || read.text() == method, "{method}");
        }
    }
}
