//! A response's head: checked, understood, and written anew for a client.

mod onward;

pub use onward::{Persistence, ResponseOnward};

use crate::fields::{Fields, Options, line_end};
use crate::framing::{declared, of_response};
use crate::method::Written;
use crate::octets::{elements, is_text};
use crate::refusal::Fault;
use crate::request::OF_HTTP1;
use crate::{BadResponse, Field, Framing, Kind, MOST_HEAD_BYTES, Method, Version};
use std::ops::Range;
use std::time::Duration;

/// A response head that has passed every check.
///
/// Owns its octets and is meant to be reused: reading overwrites what was there, and once warm allocates nothing. After an error it
/// says nothing of use. The default one is empty and owns nothing.
#[derive(Debug)]
pub struct ResponseHead {
    fields: Fields,
    status: u16,
    version: Version,
    framing: Framing,
    options: Options,
    /// In the octets of the fields; of HTTP/2 empty.
    reason: Range<usize>,
}

impl Default for ResponseHead {
    fn default() -> Self {
        Self {
            fields: Fields::default(),
            status: 0,
            version: Version::Http11,
            framing: Framing::None,
            options: Options::default(),
            reason: 0..0,
        }
    }
}

impl ResponseHead {
    /// Reads `bytes`, which are exactly one head as [`crate::HeadScan`] cut it; `asked` is the method of its request.
    pub fn read(&mut self, bytes: &[u8], asked: Method) -> Result<(), BadResponse> {
        if bytes.len() > MOST_HEAD_BYTES {
            return Err(Fault::TooLarge.into());
        }
        if self.read_from(bytes, asked)? < bytes.len() {
            return Err(BadResponse("octets behind a head"));
        }
        Ok(())
    }

    /// Reads the head that `bytes` begin with, in one pass; where it ends. `None` where it is not whole, or not in order: what
    /// it lacks, [`crate::HeadScan`] and [`Self::read`] tell, which would read it as this does.
    pub fn read_whole(&mut self, bytes: &[u8], asked: Method) -> Option<usize> {
        let window = bytes.get(..MOST_HEAD_BYTES).unwrap_or(bytes);
        self.read_from(window, asked).ok()
    }

    fn read_from(&mut self, bytes: &[u8], asked: Method) -> Result<usize, BadResponse> {
        let end = line_end(bytes, 0)?;
        let line = status_line(&bytes[..end]);
        let (version, status) = line.ok_or(BadResponse("its status line is none"))?;
        let whole = self.fields.read(bytes, end + 2)?;
        (self.version, self.status) = (version, status);
        // `HTTP/1.1 200 `
        self.reason = 13.min(end)..end;
        self.options = self.fields.connection()?;
        self.frame(asked)?;
        Ok(whole)
    }

    /// From an HTTP/2 upstream: `:status` and the fields in order. Without `content-length` the framing is
    /// [`Framing::UntilClose`]; call [`Self::set_bodiless`] where the stream ends with its head.
    pub fn assemble<'f>(
        &mut self,
        status: u16,
        asked: Method,
        fields: impl Iterator<Item = (&'f [u8], &'f [u8])>,
    ) -> Result<(), BadResponse> {
        self.fields.clear();
        if !(100..=999).contains(&status) || status == 101 {
            return Err(BadResponse("a status that HTTP/2 does not have"));
        }
        for (name, value) in fields {
            self.fields.push(name, value)?;
        }
        if self.fields.kinds().meets(OF_HTTP1) {
            return Err(BadResponse("a field of HTTP/1 connections in HTTP/2"));
        }
        (self.version, self.status) = (Version::Http2, status);
        (self.reason, self.options) = (0..0, Options::default());
        self.frame(asked)
    }

    fn frame(&mut self, asked: Method) -> Result<(), BadResponse> {
        let declared = declared(
            self.version,
            self.fields.values(Kind::ContentLength),
            self.fields.values(Kind::TransferEncoding),
        )?;
        self.framing = of_response(asked, self.status, declared);
        Ok(())
    }

    /// Three digits.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// How it reached us.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Where the body ends. Of HTTP/2, [`Framing::UntilClose`] means that the stream goes on and no length was given.
    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// Says that the stream of HTTP/2 ended with this head. A declared length stays as it is.
    pub fn set_bodiless(&mut self) {
        if self.framing == Framing::UntilClose {
            self.framing = Framing::Length(0);
        }
    }

    /// Whether the upstream's connection carries nothing more after this: `Connection: close`, HTTP/1.0 without `keep-alive`,
    /// or a body that only the connection's end ends.
    pub fn closes(&self) -> bool {
        match self.version {
            Version::Http2 => false,
            _ if self.framing == Framing::UntilClose || self.options.close => true,
            Version::Http10 => !self.options.keep_alive,
            Version::Http11 => false,
        }
    }

    /// How long the upstream keeps the connection, where it says so: `Keep-Alive: timeout=N`.
    pub fn keep_alive(&self) -> Option<Duration> {
        let mut parameters = self.fields.values(Kind::KeepAlive).flat_map(elements);
        parameters.find_map(|it| {
            let text = std::str::from_utf8(it).ok()?;
            let (name, seconds) = text.split_once('=')?;
            let is_it = name.trim_end().eq_ignore_ascii_case("timeout");
            let seconds = seconds.trim().parse::<u32>().ok().filter(|_| is_it)?;
            Some(Duration::from_secs(seconds.into()))
        })
    }

    /// Whether a 101 switches to a WebSocket and to nothing else.
    pub fn is_websocket_upgrade(&self) -> bool {
        let mut protocols = self.fields.values(Kind::Upgrade);
        let protocol = protocols.next();
        self.status == 101
            && self.version == Version::Http11
            && self.options.upgrade
            && protocol.is_some_and(|it| it.eq_ignore_ascii_case(b"websocket"))
            && protocols.next().is_none()
    }

    /// Whether the body is silent by nature: `text/event-stream`.
    pub fn is_event_stream(&self) -> bool {
        const KIND: &[u8] = b"text/event-stream";
        let value = self.field(Kind::ContentType).unwrap_or_default();
        let Some((kind, rest)) = value.split_at_checked(KIND.len()) else {
            return false;
        };
        kind.eq_ignore_ascii_case(KIND) && matches!(rest.first(), None | Some(b';' | b' ' | b'\t'))
    }

    /// Its octets: of HTTP/1 the whole head, of HTTP/2 names and values.
    pub fn bytes(&self) -> &[u8] {
        self.fields.bytes()
    }

    /// All fields, as they came.
    pub fn fields(&self) -> impl Iterator<Item = Field<'_>> {
        self.fields.iter()
    }

    /// The value of the first field of a kind.
    pub fn field(&self, kind: Kind) -> Option<&[u8]> {
        self.fields.values(kind).next()
    }
}

/// `version SP status [SP reason]`.
fn status_line(line: &[u8]) -> Option<(Version, u16)> {
    let (version, rest) = line.split_at_checked(8)?;
    let Written::Served(version) = Written::of(version) else {
        return None;
    };
    let [b' ', digits @ ..] = rest else {
        return None;
    };
    let (digits, reason) = digits.split_first_chunk::<3>()?;
    if !matches!(reason.first(), None | Some(b' ')) || !reason.iter().all(|it| is_text(*it)) {
        return None;
    }
    let mut status = 0;
    for digit in digits {
        status = status * 10 + u16::from(digit.is_ascii_digit().then(|| digit - b'0')?);
    }
    (status >= 100).then_some((version, status))
}

#[cfg(test)]
mod tests;
