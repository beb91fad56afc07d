//! A request's head: checked, understood, and written anew for an upstream.

mod assemble;
mod onward;
mod target;

pub(crate) use assemble::OF_HTTP1;
pub use assemble::check_trailer;
pub use onward::RequestOnward;
pub(crate) use onward::write_field;

use crate::fields::{Fields, Options, is_name, is_sound, line_end};
use crate::framing::declared;
use crate::method::Written;
use crate::octets::elements;
use crate::refusal::Fault;
use crate::{Field, Framing, Kind, MOST_HEAD_BYTES, Method, Refusal, Version};
use target::Target;

/// A request head that has passed every check.
///
/// Owns its octets and is meant to be reused: reading overwrites what was there, and once warm allocates nothing. After a refusal it
/// says nothing of use. The default one is empty and owns nothing.
#[derive(Debug)]
pub struct RequestHead {
    fields: Fields,
    /// The crumbs of a cookie, while HTTP/2 brings them.
    crumbs: Vec<u8>,
    target: Target,
    method: Method,
    version: Version,
    framing: Framing,
    options: Options,
}

impl Default for RequestHead {
    fn default() -> Self {
        Self {
            fields: Fields::default(),
            crumbs: Vec::new(),
            target: Target::default(),
            method: Method::Other,
            version: Version::Http11,
            framing: Framing::None,
            options: Options::default(),
        }
    }
}

impl RequestHead {
    /// Reads `bytes`, which are exactly one head as [`crate::HeadScan`] cut it, maybe with its one leading CRLF.
    ///
    /// Any other octets are refused as they would be there, so this alone is strict too.
    pub fn read(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        let bytes = bytes.strip_prefix(b"\r\n").unwrap_or(bytes);
        if bytes.len() > MOST_HEAD_BYTES {
            return Err(Refusal::HeadTooLarge);
        }
        let read = self.read_from(bytes).map_err(|refusal| match refusal {
            Refusal::Malformed(_) => refusal,
            _ if is_sound(bytes) => refusal,
            _ => Refusal::Malformed("a control octet, bare CR or bare LF"),
        });
        if read? < bytes.len() {
            return Err(Refusal::Malformed("octets behind a head"));
        }
        Ok(())
    }

    /// Reads the head that `bytes` begin with, in one pass; where it ends. `None` where it is not whole, or not in order: what
    /// it lacks, [`crate::HeadScan`] and [`Self::read`] tell, which would read it as this does.
    pub fn read_whole(&mut self, bytes: &[u8]) -> Option<usize> {
        let window = bytes.get(..MOST_HEAD_BYTES).unwrap_or(bytes);
        self.read_from(window).ok()
    }

    fn read_from(&mut self, bytes: &[u8]) -> Result<usize, Refusal> {
        let line = line_end(bytes, 0)?;
        let (method, target, version) = request_line(&bytes[..line])?;
        let end = self.fields.read(bytes, line + 2)?;
        self.method = Method::of(method);
        if matches!(method, b"CONNECT" | b"TRACE") {
            return Err(Refusal::Method);
        }
        self.version = version;
        self.options = self.fields.connection()?;
        let mut hosts = self.fields.values(Kind::Host);
        let host = hosts.next();
        if hosts.next().is_some() {
            return Err(Refusal::Malformed("several Host fields"));
        }
        if host.is_none() && version == Version::Http11 {
            return Err(Refusal::Malformed("no Host field"));
        }
        self.target.read(self.method, target, host)?;
        if self.method == Method::Other {
            self.target.keep_method(method);
        }
        self.framing = self.declared_framing()?.unwrap_or(Framing::None);
        self.check_expectation()?;
        Ok(end)
    }

    fn declared_framing(&self) -> Result<Option<Framing>, Fault> {
        declared(
            self.version,
            self.fields.values(Kind::ContentLength),
            self.fields.values(Kind::TransferEncoding),
        )
    }

    fn check_expectation(&self) -> Result<(), Refusal> {
        let mut expectations = self.fields.values(Kind::Expect);
        if expectations.any(|it| !it.eq_ignore_ascii_case(b"100-continue")) {
            Err(Refusal::Expectation)
        } else {
            Ok(())
        }
    }

    /// How it reached us.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Its method, as far as it matters here.
    pub fn method(&self) -> Method {
        self.method
    }

    /// Its method as it was written.
    pub fn method_text(&self) -> &str {
        match self.method {
            Method::Other => self.target.method(),
            known => known.text(),
        }
    }

    /// Lower case, without port; empty for HTTP/1.0 without Host.
    pub fn host(&self) -> &str {
        self.target.host()
    }

    /// Host and port as the client wrote them; empty for HTTP/1.0 without Host.
    pub fn authority(&self) -> &str {
        self.target.authority()
    }

    /// Dot segments resolved; or `*`.
    pub fn path(&self) -> &str {
        self.target.path()
    }

    /// With its `?`, or empty.
    pub fn query(&self) -> &str {
        self.target.query()
    }

    /// Where the body ends. [`Framing::UntilClose`] comes from HTTP/2 only: no length was given, and the stream goes on.
    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// Says that the stream of HTTP/2 ended with this head. A declared length stays as it is.
    pub fn set_bodiless(&mut self) {
        if self.framing == Framing::UntilClose {
            self.framing = Framing::None;
        }
    }

    /// Whether the client asks for nothing more on this connection: `Connection: close`, or HTTP/1.0 without `keep-alive`.
    pub fn closes(&self) -> bool {
        match self.version {
            Version::Http10 => self.options.close || !self.options.keep_alive,
            Version::Http11 => self.options.close,
            Version::Http2 => false,
        }
    }

    /// Whether it asks for a WebSocket, and for nothing else: GET by HTTP/1.1 without a body.
    pub fn wants_websocket(&self) -> bool {
        let mut protocols = self.fields.values(Kind::Upgrade);
        let protocol = protocols.next();
        self.options.upgrade
            && self.method == Method::Get
            && self.version == Version::Http11
            && matches!(self.framing, Framing::None | Framing::Length(0))
            && protocol.is_some_and(|it| it.eq_ignore_ascii_case(b"websocket"))
            && protocols.next().is_none()
    }

    /// Whether the client waits for a 100 before it sends the body. Of HTTP/1.0 it means nothing (RFC 9110 10.1.1).
    pub fn expects_continue(&self) -> bool {
        self.version > Version::Http10 && self.fields.kinds().has(Kind::Expect)
    }

    /// Whether the client takes trailers: `TE: trailers`.
    pub fn accepts_trailers(&self) -> bool {
        let mut codings = self.fields.values(Kind::Te).flat_map(elements);
        self.version > Version::Http10 && codings.any(|it| it.eq_ignore_ascii_case(b"trailers"))
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

/// `method SP target SP version`.
fn request_line(line: &[u8]) -> Result<(&[u8], &[u8], Version), Refusal> {
    let malformed = Refusal::Malformed("the request line is not method, target and version");
    let first = memchr::memchr(b' ', line).ok_or(malformed)?;
    let last = memchr::memrchr(b' ', line).ok_or(malformed)?;
    let (method, version) = (&line[..first], &line[last + 1..]);
    let target = line.get(first + 1..last).unwrap_or_default();
    let is_method = Method::of(method) != Method::Other || is_name(method);
    // There is no control octet in the line but HTAB.
    let is_one = memchr::memchr2(b' ', b'\t', target).is_none();
    if !is_method || target.is_empty() || !is_one {
        return Err(malformed);
    }
    match Written::of(version) {
        Written::Served(version) => Ok((method, target, version)),
        Written::Unknown => Err(Refusal::Version),
        Written::Malformed => Err(malformed),
    }
}

#[cfg(test)]
mod tests;
