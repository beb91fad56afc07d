//! What an upstream receives of a request.

use super::RequestHead;
use crate::fields::{HOP_BY_HOP, Kinds};
use crate::forwarding::{chain, forwarded_host, forwarded_proto};
use crate::octets::decimal;
use crate::scratch::Scratch;
use crate::{Framing, Kind, Method, Trust, Version};
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

/// Where a request goes on to, and what is said of where it came from.
#[derive(Debug, Clone, Copy)]
pub struct RequestOnward<'a> {
    /// The path to ask for, after stripping; the query is the head's own.
    pub path: &'a str,
    /// Who connected to us.
    pub client: IpAddr,
    /// Whether it is believed about earlier hops.
    pub trust: Trust,
    /// `http` or `https`: how it reached us.
    pub scheme: &'a str,
    /// How many links between sites it will have gone over, where it goes over one; a client's own word of that stays behind.
    pub hops: Option<u8>,
    /// Named in Host where an HTTP/1.0 client sent none.
    pub upstream: SocketAddr,
}

/// How the upstream is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hop {
    Http1,
    Http2,
}

/// Fields that stay behind, whatever they say: they end here, or are written anew, or confuse CGI.
const LEFT: Kinds = HOP_BY_HOP.and(Kinds::of(&[
    Kind::ContentLength,
    Kind::Host,
    Kind::MinatoHops,
    Kind::Proxy,
    Kind::Underscored,
    Kind::XForwardedFor,
    Kind::XForwardedHost,
    Kind::XForwardedProto,
]));

impl RequestHead {
    /// What an HTTP/1 upstream receives, the request line apart, as calls of `emit(name, value)` in order: Host; the fields
    /// that go on, as they came; the forwarding fields; Via; the framing; and of a WebSocket its upgrade.
    pub fn forward(&self, onward: &RequestOnward<'_>, emit: &mut impl FnMut(&[u8], &[u8])) {
        self.forward_by(Hop::Http1, onward, emit);
    }

    /// As [`Self::forward`], for an HTTP/2 upstream: without Host (`:authority` is [`Self::authority`]), transfer coding and
    /// upgrade; with `te: trailers` where the client takes them. Names are still in the case they came in.
    pub fn forward_http2(&self, onward: &RequestOnward<'_>, emit: &mut impl FnMut(&[u8], &[u8])) {
        self.forward_by(Hop::Http2, onward, emit);
    }

    /// As [`Self::forward`], as HTTP/1.1 behind what is in `out`: with the request line and the closing blank line.
    pub fn write(&self, onward: &RequestOnward<'_>, out: &mut Vec<u8>) {
        out.reserve(self.fields.bytes().len() + 256);
        out.extend_from_slice(self.method_text().as_bytes());
        out.push(b' ');
        out.extend_from_slice(onward.path.as_bytes());
        out.extend_from_slice(self.query().as_bytes());
        out.extend_from_slice(b" HTTP/1.1\r\n");
        self.emit_host(onward, &mut |name, value| write_field(name, value, out));
        self.fields
            .write_onward(|kind| self.goes_on(kind, onward), out);
        self.emit_ours(Hop::Http1, onward, &mut |name, value| {
            write_field(name, value, out);
        });
        out.extend_from_slice(b"\r\n");
    }

    fn forward_by(
        &self,
        hop: Hop,
        onward: &RequestOnward<'_>,
        emit: &mut impl FnMut(&[u8], &[u8]),
    ) {
        if hop == Hop::Http1 {
            self.emit_host(onward, emit);
        }
        for field in self.fields.onward() {
            if self.goes_on(field.kind, onward) {
                emit(field.name, field.value);
            }
        }
        self.emit_ours(hop, onward, emit);
    }

    fn goes_on(&self, kind: Kind, onward: &RequestOnward<'_>) -> bool {
        match kind {
            Kind::Other => true,
            Kind::OtherForwarding => onward.trust == Trust::Trusted,
            Kind::Expect => self.version > Version::Http10,
            Kind::Trailer => matches!(self.framing, Framing::Chunked | Framing::UntilClose),
            kind => !LEFT.has(kind),
        }
    }

    /// What we add behind the client's fields.
    #[inline(always)]
    fn emit_ours(&self, hop: Hop, onward: &RequestOnward<'_>, emit: &mut impl FnMut(&[u8], &[u8])) {
        self.emit_origin(onward, emit);
        emit(b"Via", self.version.via());
        if let Some(hops) = onward.hops {
            emit(b"Minato-Hops", decimal(hops.into(), &mut [0; 20]));
        }
        self.emit_framing(hop, emit);
        match hop {
            Hop::Http1 if self.wants_websocket() => {
                emit(b"Connection", b"Upgrade");
                emit(b"Upgrade", b"websocket");
            }
            Hop::Http2 if self.accepts_trailers() => emit(b"te", b"trailers"),
            _ => {}
        }
    }

    #[inline(always)]
    fn emit_host(&self, onward: &RequestOnward<'_>, emit: &mut impl FnMut(&[u8], &[u8])) {
        let authority = self.authority();
        if authority.is_empty() {
            let mut host = Scratch::new();
            // Writing to it does not fail.
            let _ = write!(host, "{}", onward.upstream);
            emit(b"Host", host.as_bytes());
        } else {
            emit(b"Host", authority.as_bytes());
        }
    }

    /// Where the request came from.
    #[inline(always)]
    fn emit_origin(&self, onward: &RequestOnward<'_>, emit: &mut impl FnMut(&[u8], &[u8])) {
        let trust = onward.trust;
        let received = self.fields.values(Kind::XForwardedFor);
        let earlier = chain(trust, onward.client, received);
        emit(b"X-Forwarded-For", earlier.as_bytes());
        let received = self.field(Kind::XForwardedProto);
        let proto = forwarded_proto(trust, onward.scheme, received);
        emit(b"X-Forwarded-Proto", proto.as_bytes());
        let authority = self.authority();
        if !authority.is_empty() {
            let received = self.field(Kind::XForwardedHost);
            let host = forwarded_host(trust, authority, received);
            emit(b"X-Forwarded-Host", host.as_bytes());
        }
    }

    #[inline(always)]
    fn emit_framing(&self, hop: Hop, emit: &mut impl FnMut(&[u8], &[u8])) {
        match (self.framing, hop) {
            (Framing::Length(length), _) => {
                // One, where there were several of the same.
                emit(b"Content-Length", decimal(length, &mut [0; 20]));
            }
            (Framing::Chunked | Framing::UntilClose, Hop::Http1) => {
                emit(b"Transfer-Encoding", b"chunked");
            }
            // HTTP/2 says by the stream's end what HTTP/1 says so (RFC 9110 8.6).
            (Framing::None, Hop::Http1)
                if self.version == Version::Http2
                    && matches!(self.method, Method::Post | Method::Put | Method::Patch) =>
            {
                emit(b"Content-Length", b"0");
            }
            _ => {}
        }
    }
}

/// Inlined, so that names and values which are literals are written as such.
#[inline(always)]
pub(crate) fn write_field(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests;
