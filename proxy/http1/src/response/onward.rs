//! What a client receives of a response.

use super::ResponseHead;
use crate::fields::{HOP_BY_HOP, Kinds};
use crate::octets::decimal;
use crate::request::write_field;
use crate::{Framing, Kind, Version, reason};

/// To whom a response goes on, and whether the connection stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResponseOnward {
    /// How the client asked.
    pub client: Version,
    /// What becomes of its connection.
    pub persistence: Persistence,
}

/// What becomes of a connection after a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Persistence {
    /// The next request may come on it.
    KeepAlive,
    /// Nothing more: `Connection: close`.
    Close,
}

/// Fields that stay behind, whatever they say: they end here, or are written anew.
const LEFT: Kinds = HOP_BY_HOP.and(Kinds::of(&[Kind::ContentLength, Kind::MinatoHops]));

impl ResponseHead {
    /// What a client receives beside the status, as calls of `emit(name, value)` in order: the fields that go on, as they
    /// came; Via; Content-Length where a length is declared. No other framing, and no `Connection`: so HTTP/2 takes it.
    pub fn forward(&self, emit: &mut impl FnMut(&[u8], &[u8])) {
        self.emit_fields(self.framing, emit);
        self.emit_length(emit);
    }

    /// As HTTP/1.1 behind what is in `out`, with the status line and the closing blank line. Returns how the body is to be
    /// framed for this client: as a length where one is declared, else in chunks for HTTP/1.1 and until the connection's
    /// end for HTTP/1.0 (which is then told so, whatever was asked).
    ///
    /// An interim response (1xx) gets no `Connection`, and is not for HTTP/1.0; 101 is written as the upgrade to a
    /// WebSocket.
    pub fn write(&self, onward: &ResponseOnward, out: &mut Vec<u8>) -> Framing {
        out.reserve(self.fields.bytes().len() + 128);
        self.write_status_line(out);
        let framing = self.framing_for(onward.client);
        self.fields
            .write_onward(|kind| self.goes_on(kind, framing), out);
        let mut emit = |name: &[u8], value: &[u8]| write_field(name, value, out);
        self.emit_via(&mut emit);
        match framing {
            Framing::Chunked => emit(b"Transfer-Encoding", b"chunked"),
            Framing::UntilClose => {}
            Framing::Length(_) | Framing::None => self.emit_length(&mut emit),
        }
        if self.status == 101 {
            emit(b"Connection", b"Upgrade");
            emit(b"Upgrade", b"websocket");
        } else if self.status >= 200 {
            match onward.persistence {
                _ if framing == Framing::UntilClose => emit(b"Connection", b"close"),
                Persistence::Close => emit(b"Connection", b"close"),
                Persistence::KeepAlive if onward.client == Version::Http10 => {
                    emit(b"Connection", b"keep-alive");
                }
                Persistence::KeepAlive => {}
            }
        }
        out.extend_from_slice(b"\r\n");
        framing
    }

    fn framing_for(&self, client: Version) -> Framing {
        match self.framing {
            Framing::Chunked | Framing::UntilClose if client == Version::Http10 => {
                Framing::UntilClose
            }
            Framing::Chunked | Framing::UntilClose => Framing::Chunked,
            framing => framing,
        }
    }

    fn write_status_line(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"HTTP/1.1 ");
        out.extend_from_slice(decimal(self.status.into(), &mut [0; 20]));
        out.push(b' ');
        let phrase = self.fields.bytes().get(self.reason.clone());
        out.extend_from_slice(match self.version {
            Version::Http2 => reason(self.status).as_bytes(),
            _ => phrase.unwrap_or_default(),
        });
        out.extend_from_slice(b"\r\n");
    }

    fn emit_fields(&self, framing: Framing, emit: &mut impl FnMut(&[u8], &[u8])) {
        for field in self.fields.onward() {
            if self.goes_on(field.kind, framing) {
                emit(field.name, field.value);
            }
        }
        self.emit_via(emit);
    }

    fn goes_on(&self, kind: Kind, framing: Framing) -> bool {
        match kind {
            Kind::Other => true,
            // Announces what only chunks and HTTP/2 can carry.
            Kind::Trailer => {
                framing == Framing::Chunked
                    || (framing == Framing::UntilClose && self.version == Version::Http2)
            }
            kind => !LEFT.has(kind),
        }
    }

    #[inline(always)]
    fn emit_via(&self, emit: &mut impl FnMut(&[u8], &[u8])) {
        if self.status >= 200 {
            emit(b"Via", self.version.via());
        }
    }

    /// Of the body, or of the one that GET would have had (RFC 9110 8.6).
    #[inline(always)]
    fn emit_length(&self, emit: &mut impl FnMut(&[u8], &[u8])) {
        let length = self.field(Kind::ContentLength).unwrap_or_default();
        match self.framing {
            Framing::Length(length) => emit(b"Content-Length", decimal(length, &mut [0; 20])),
            Framing::None if self.status >= 200 && self.status != 204 && !length.is_empty() => {
                emit(b"Content-Length", length);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
