//! Heads as the h2 crate has them, to and from `minato_http1`'s, which decides what is right and what goes on.

use crate::answer::Own;
use bytes::BytesMut;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, COOKIE, HeaderMap, HeaderName, HeaderValue};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Response, StatusCode, Uri, request};
use minato_http1::{
    BadResponse, Method, Refusal, RequestHead, RequestOnward, ResponseHead, passes_as_trailer,
};

/// Fields that we add to an answer at most, and octets of each value.
const OURS: usize = 2;
const SHORT_VALUE: usize = 20;

/// Reads a request. What h2 lets through and HTTP/1 must not is refused here (RFC 9113 8.2, 8.3).
pub(crate) fn read(parts: &request::Parts, into: &mut RequestHead) -> Result<(), Refusal> {
    let uri = &parts.uri;
    let path = uri.path_and_query().map_or("", |it| it.as_str());
    let fields = parts.headers.iter();
    into.assemble(
        parts.method.as_str(),
        // h2 has seen one; a URI without authority cannot hold it.
        uri.scheme_str().unwrap_or("http"),
        uri.authority().map(|it| it.as_str()),
        path,
        fields.map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes())),
    )
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

/// What a client receives of an instance's answer.
pub(crate) fn answer(head: &ResponseHead) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = status(head.status());
    let most = head.fields().count() + OURS;
    let mut fields = HeaderMap::with_capacity(most);
    // One piece of memory for all values.
    let mut values = BytesMut::with_capacity(head.bytes().len() + OURS * SHORT_VALUE);
    head.forward(&mut |name, value| {
        values.extend_from_slice(value);
        let value = HeaderValue::from_maybe_shared(values.split().freeze());
        add(&mut fields, name, value.ok());
    });
    *response.headers_mut() = fields;
    response
}

/// An answer of our own.
pub(crate) fn own(own: &Own<'_>) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = status(own.reason.status());
    let fields = response.headers_mut();
    own.fields(&mut |name, value| append(fields, name.as_bytes(), value));
    fields.insert(CONTENT_LENGTH, HeaderValue::from(own.body().len()));
    response
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
    add(fields, name, HeaderValue::from_bytes(value).ok());
}

fn add(fields: &mut HeaderMap, name: &[u8], value: Option<HeaderValue>) {
    if let (Ok(name), Some(value)) = (HeaderName::from_bytes(name), value) {
        // Refuses above 32,768 fields; heads have 100.
        let _ = fields.try_append(name, value);
    }
}

/// Three digits, as checked before.
fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::BAD_GATEWAY)
}
