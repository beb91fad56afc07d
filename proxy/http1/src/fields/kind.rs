//! What the name of a field means here.

use crate::octets::{Run, begins_with};

/// A field that matters to a gateway, by its name in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// All that a gateway passes on unread.
    Other,
    /// Authorization
    Authorization,
    /// Connection
    Connection,
    /// Content-Length
    ContentLength,
    /// Content-Type
    ContentType,
    /// Cookie
    Cookie,
    /// Expect
    Expect,
    /// Host
    Host,
    /// Keep-Alive
    KeepAlive,
    /// Minato-Hops, which only a link between sites may carry, and which says it anew. In an answer 0 says that no instance has had the
    /// request.
    MinatoHops,
    /// Proxy, which CGI hands on as `HTTP_PROXY`.
    Proxy,
    /// Proxy-Connection
    ProxyConnection,
    /// Set-Cookie
    SetCookie,
    /// TE
    Te,
    /// Trailer
    Trailer,
    /// Transfer-Encoding
    TransferEncoding,
    /// Upgrade
    Upgrade,
    /// User-Agent
    UserAgent,
    /// Via
    Via,
    /// X-Forwarded-For
    XForwardedFor,
    /// X-Forwarded-Host
    XForwardedHost,
    /// X-Forwarded-Proto
    XForwardedProto,
    /// Forwarded, X-Real-IP and the other `X-Forwarded-` ones: dropped unless a trusted proxy sent them.
    OtherForwarding,
    /// Proxy-Authenticate, Proxy-Authorization and HTTP2-Settings: they end at this hop (RFC 9110 7.6.1, 11.7), the last
    /// because we never upgrade to h2c.
    OtherHopByHop,
    /// With `_` in its name, which CGI reads as `-`.
    Underscored,
}

/// Several kinds.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kinds(u32);

impl Kinds {
    pub(crate) const fn of(list: &[Kind]) -> Self {
        let mut bits = 0;
        let mut at = 0;
        while at < list.len() {
            bits |= 1 << list[at] as u32;
            at += 1;
        }
        Self(bits)
    }

    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) fn has(self, kind: Kind) -> bool {
        self.0 & (1 << kind as u32) != 0
    }

    pub(crate) fn add(&mut self, kind: Kind) {
        self.0 |= 1 << kind as u32;
    }

    pub(crate) fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// Fields that `Connection` cannot take out of a message: without them it would mean something else, to someone else.
pub(crate) const KEPT: Kinds = Kinds::of(&[
    Kind::Authorization,
    Kind::ContentLength,
    Kind::Cookie,
    Kind::Host,
    Kind::SetCookie,
    Kind::TransferEncoding,
]);

/// Fields that speak of one hop only, beside those that `Connection` names. We send our own framing and `Connection`.
/// `Trailer` is none: it speaks of the message.
pub(crate) const HOP_BY_HOP: Kinds = Kinds::of(&[
    Kind::Connection,
    Kind::KeepAlive,
    Kind::OtherHopByHop,
    Kind::ProxyConnection,
    Kind::Te,
    Kind::TransferEncoding,
    Kind::Upgrade,
]);

impl Kind {
    /// Of any name.
    pub(crate) fn of_any(name: &[u8]) -> Self {
        let run = Run::of(name);
        if run.has_underscore() {
            Self::Underscored
        } else if run.length == name.len() {
            Self::of(name)
        } else {
            Self::Other
        }
    }

    /// Of a name of token octets without `_`.
    pub(super) fn of(name: &[u8]) -> Self {
        let first = name.first().map_or(0, |it| it | 0x20);
        // Length and first letter rule out nearly every name.
        let (is_it, kind) = match (name.len(), first) {
            (2, b't') => (begins_with(name, b"te"), Self::Te),
            (3, b'v') => (begins_with(name, b"via"), Self::Via),
            (4, b'h') => (begins_with(name, b"host"), Self::Host),
            (5, b'p') => (begins_with(name, b"proxy"), Self::Proxy),
            (6, b'c') => (begins_with(name, b"cookie"), Self::Cookie),
            (6, b'e') => (begins_with(name, b"expect"), Self::Expect),
            (7, b't') => (begins_with(name, b"trailer"), Self::Trailer),
            (7, b'u') => (begins_with(name, b"upgrade"), Self::Upgrade),
            (9, b'f') => (begins_with(name, b"forwarded"), Self::OtherForwarding),
            (9, b'x') => (begins_with(name, b"x-real-ip"), Self::OtherForwarding),
            (10, b'c') => (begins_with(name, b"connection"), Self::Connection),
            (10, b'k') => (begins_with(name, b"keep-alive"), Self::KeepAlive),
            (10, b's') => (begins_with(name, b"set-cookie"), Self::SetCookie),
            (10, b'u') => (begins_with(name, b"user-agent"), Self::UserAgent),
            (11, b'm') => (begins_with(name, b"minato-hops"), Self::MinatoHops),
            (12, b'c') => (begins_with(name, b"content-type"), Self::ContentType),
            (13, b'a') => (begins_with(name, b"authorization"), Self::Authorization),
            (14, b'c') => (begins_with(name, b"content-length"), Self::ContentLength),
            (14, b'h') => (begins_with(name, b"http2-settings"), Self::OtherHopByHop),
            (15, b'x') if begins_with(name, b"x-forwarded-for") => (true, Self::XForwardedFor),
            (16, b'x') if begins_with(name, b"x-forwarded-host") => (true, Self::XForwardedHost),
            (16, b'p') => (
                begins_with(name, b"proxy-connection"),
                Self::ProxyConnection,
            ),
            (17, b't') => (
                begins_with(name, b"transfer-encoding"),
                Self::TransferEncoding,
            ),
            (17, b'x') if begins_with(name, b"x-forwarded-proto") => (true, Self::XForwardedProto),
            (18, b'p') => (
                begins_with(name, b"proxy-authenticate"),
                Self::OtherHopByHop,
            ),
            (19, b'p') => (
                begins_with(name, b"proxy-authorization"),
                Self::OtherHopByHop,
            ),
            (12.., b'x') => (begins_with(name, b"x-forwarded-"), Self::OtherForwarding),
            _ => return Self::Other,
        };
        if is_it { kind } else { Self::Other }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_in_any_case() {
        for (name, kind) in [
            ("Host", Kind::Host),
            ("CONNECTION", Kind::Connection),
            ("content-length", Kind::ContentLength),
            ("Transfer-encoding", Kind::TransferEncoding),
            ("tE", Kind::Te),
            ("Upgrade", Kind::Upgrade),
            ("Keep-Alive", Kind::KeepAlive),
            ("Minato-HOPS", Kind::MinatoHops),
            ("Minato-Hope", Kind::Other),
            ("Expect", Kind::Expect),
            ("Via", Kind::Via),
            ("Trailer", Kind::Trailer),
            ("Cookie", Kind::Cookie),
            ("Set-Cookie", Kind::SetCookie),
            ("Authorization", Kind::Authorization),
            ("Content-Type", Kind::ContentType),
            ("User-Agent", Kind::UserAgent),
            ("Proxy", Kind::Proxy),
            ("Proxy-Connection", Kind::ProxyConnection),
            ("Proxy-Authenticate", Kind::OtherHopByHop),
            ("Proxy-Authorization", Kind::OtherHopByHop),
            ("HTTP2-Settings", Kind::OtherHopByHop),
            ("X-Forwarded-For", Kind::XForwardedFor),
            ("x-forwarded-host", Kind::XForwardedHost),
            ("X-FORWARDED-PROTO", Kind::XForwardedProto),
            ("X-Forwarded-", Kind::OtherForwarding),
            ("X-Forwarded-Port", Kind::OtherForwarding),
            ("X-Forwarded-Fox", Kind::OtherForwarding),
            ("X-Forwarded-Prefix", Kind::OtherForwarding),
            ("Forwarded", Kind::OtherForwarding),
            ("X-Real-IP", Kind::OtherForwarding),
            ("X-Forwarded", Kind::Other),
            ("Hosts", Kind::Other),
            ("Hosh", Kind::Other),
            ("Proxys", Kind::Other),
            ("Connection2", Kind::Other),
            ("Content-Lengtg", Kind::Other),
            ("x", Kind::Other),
            ("", Kind::Other),
        ] {
            assert_eq!(Kind::of(name.as_bytes()), kind, "{name}");
        }
    }

    #[test]
    fn kinds_are_a_set() {
        let mut kinds = Kinds::of(&[Kind::Host, Kind::Underscored]);
        assert!(kinds.has(Kind::Host) && kinds.has(Kind::Underscored) && !kinds.has(Kind::Other));
        assert!(!kinds.meets(Kinds::of(&[Kind::Via])));
        kinds.add(Kind::Via);
        assert!(kinds.meets(Kinds::of(&[Kind::Via])));
    }
}
