//! Heads between HTTP/2 and `minato_http1`'s, which decides what is right and what goes on: those of clients as our codec has
//! them, those of instances as the h2 crate has them.

use super::halves::Follows;
use super::link::Codec;
use crate::answer::Own;
use crate::core::Core;
use http::header::{AUTHORIZATION, COOKIE, HeaderMap, HeaderName, HeaderValue};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Response, Uri};
use minato_http1::{
    BadResponse, Method, Refusal, RequestHead, RequestOnward, ResponseHead, check_trailer,
    passes_as_trailer,
};
use minato_http2::{Key, Then};

/// Octets of memory for a prepared head that are kept for the next; and how many of them.
const KEPT: usize = 4 * 1024;
const SPARE: usize = 256;

/// Reads a request: what HTTP/1 must not get is refused here (RFC 9113 8.2, 8.3).
pub(super) fn read(head: &minato_http2::Head, into: &mut RequestHead) -> Result<(), Refusal> {
    if head.is_too_large() {
        return Err(Refusal::HeadTooLarge);
    }
    if let Some(why) = head.fault() {
        return Err(Refusal::Malformed(why));
    }
    let authority = head.authority().map(text).transpose()?;
    into.assemble(
        text(head.method())?,
        text(head.scheme())?,
        authority,
        text(head.path())?,
        head.fields(),
    )
}

fn text(bytes: &[u8]) -> Result<&str, Refusal> {
    let malformed = Refusal::Malformed("a pseudo field that is not UTF-8");
    std::str::from_utf8(bytes).map_err(|_| malformed)
}

/// Fields behind a request's body; nothing where they make the request malformed.
pub(super) fn read_trailers(head: &minato_http2::Head) -> Option<HeaderMap> {
    let mut all = HeaderMap::new();
    for (name, value) in head.fields() {
        check_trailer(name, value).ok()?;
        append(&mut all, name, value);
    }
    Some(all)
}

/// The head of an answer, kept until something follows it.
#[derive(Debug)]
pub(super) struct Prepared {
    status: u16,
    follows: Follows,
    /// Of each field the lengths of name and value, four octets each, then both; the name is in lower case.
    fields: Vec<u8>,
}

impl Prepared {
    /// Of an instance's answer, as it goes on.
    pub(super) fn of(core: &Core, head: &ResponseHead, follows: Follows) -> Self {
        let mut prepared = Self::new(core, head.status(), follows);
        head.forward(&mut |name, value| prepared.push(name, value));
        prepared
    }

    /// Of an answer of our own.
    pub(super) fn own(core: &Core, own: &Own<'_>, follows: Follows) -> Self {
        let mut prepared = Self::new(core, own.reason.status(), follows);
        own.fields(&mut |name, value| prepared.push(name.as_bytes(), value));
        let length = own.body().len().to_string();
        prepared.push(b"content-length", length.as_bytes());
        prepared
    }

    fn new(core: &Core, status: u16, follows: Follows) -> Self {
        let fields = core.servers.spare.borrow_mut().pop().unwrap_or_default();
        Self {
            status,
            follows,
            fields,
        }
    }

    pub(super) fn follows(&self) -> Follows {
        self.follows
    }

    fn push(&mut self, name: &[u8], value: &[u8]) {
        // Heads are at most 32 KiB long, and our own shorter than 4 GiB.
        for length in [name.len() as u32, value.len() as u32] {
            self.fields.extend_from_slice(&length.to_ne_bytes());
        }
        let start = self.fields.len();
        self.fields.extend_from_slice(name);
        if let Some(name) = self.fields.get_mut(start..) {
            name.make_ascii_lowercase();
        }
        self.fields.extend_from_slice(value);
    }

    /// Puts it into the output, and `last` with it where nothing follows; false where the stream takes none any more.
    pub(super) fn send(&self, codec: &mut Codec, key: Key, last: Then) -> bool {
        let then = match self.follows {
            Follows::Nothing => last,
            _ => Then::GoesOn,
        };
        codec.send_head(key, self.status, then, |block| {
            let mut rest = &self.fields[..];
            while let Some((name, value, behind)) = field(rest) {
                block.field(name, value);
                rest = behind;
            }
        })
    }

    /// Gives its memory back.
    pub(super) fn give_back(self, core: &Core) {
        let mut fields = self.fields;
        let mut spare = core.servers.spare.borrow_mut();
        if spare.len() < SPARE && fields.capacity() <= KEPT {
            fields.clear();
            spare.push(fields);
        }
    }
}

/// The field that `bytes` begin with, and what is behind it.
fn field(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (name, rest) = bytes.split_first_chunk()?;
    let (value, rest) = rest.split_first_chunk()?;
    let (name, rest) = rest.split_at_checked(u32::from_ne_bytes(*name) as usize)?;
    let (value, rest) = rest.split_at_checked(u32::from_ne_bytes(*value) as usize)?;
    Some((name, value, rest))
}

/// What an instance receives of a request; none where it cannot be said in HTTP/2.
pub(crate) fn onward(head: &RequestHead, onward: &RequestOnward<'_>) -> Option<Request<()>> {
    let mut uri = http::uri::Parts::default();
    uri.scheme = Some(Scheme::try_from(onward.scheme).ok()?);
    uri.authority = Some(match head.authority() {
        "" => Authority::try_from(onward.upstream.to_string()).ok()?,
        authority => Authority::try_from(authority).ok()?,
    });
    let target = format!("{}{}", onward.path, head.query());
    uri.path_and_query = Some(PathAndQuery::try_from(target).ok()?);
    let mut request = Request::new(());
    *request.method_mut() = http::Method::from_bytes(head.method_text().as_bytes()).ok()?;
    *request.uri_mut() = Uri::from_parts(uri).ok()?;
    let fields = request.headers_mut();
    head.forward_http2(onward, &mut |name, value| append(fields, name, value));
    // Many clients share a connection's table of fields: what proves who they are stays out of it (RFC 7541 7.1.3).
    for name in [AUTHORIZATION, COOKIE] {
        if let Some(value) = fields.get_mut(name) {
            value.set_sensitive(true);
        }
    }
    Some(request)
}

/// Reads the head of an instance's answer.
pub(crate) fn read_answer<T>(
    response: &Response<T>,
    asked: Method,
    into: &mut ResponseHead,
) -> Result<(), BadResponse> {
    into.assemble(response.status().as_u16(), asked, pairs(response.headers()))
}

/// Trailers that may go on; none where there are none.
pub(crate) fn trailers<'f>(
    fields: impl Iterator<Item = (&'f [u8], &'f [u8])>,
) -> Option<HeaderMap> {
    let mut all = HeaderMap::new();
    for (name, value) in fields.filter(|it| passes_as_trailer(it.0)) {
        append(&mut all, name, value);
    }
    (!all.is_empty()).then_some(all)
}

/// As pairs of octets.
pub(crate) fn pairs(fields: &HeaderMap) -> impl Iterator<Item = (&[u8], &[u8])> {
    let all = fields.iter();
    all.map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()))
}

/// A field that has passed the checks of HTTP/1 is one of HTTP/2 in lower case; what is not is left out.
fn append(fields: &mut HeaderMap, name: &[u8], value: &[u8]) {
    let value = HeaderValue::from_bytes(value);
    if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), value) {
        // Refuses above 32,768 fields; heads have 100.
        let _ = fields.try_append(name, value);
    }
}
