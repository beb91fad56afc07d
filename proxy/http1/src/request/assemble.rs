//! Request heads that HTTP/2 brought.

use super::RequestHead;
use super::target::cut_query;
use crate::fields::{Fields, Kinds, Options, check_value, is_name};
use crate::octets::find_control;
use crate::refusal::Fault;
use crate::{Framing, Kind, MOST_HEAD_BYTES, Method, Refusal, Version};

/// Fields of one connection, which HTTP/2 does not have (RFC 9113 8.2.2).
pub(crate) const OF_HTTP1: Kinds = Kinds::of(&[
    Kind::Connection,
    Kind::KeepAlive,
    Kind::ProxyConnection,
    Kind::TransferEncoding,
    Kind::Upgrade,
]);

/// Whether a field that HTTP/2 brought behind a body may be one at all (RFC 9113 8.2.1, 8.2.2); whether it goes on,
/// [`crate::passes_as_trailer`] says.
pub fn check_trailer(name: &[u8], value: &[u8]) -> Result<(), Refusal> {
    if !is_name(name) || name.iter().any(u8::is_ascii_uppercase) {
        return Err(Refusal::Malformed(
            "a field's name is no token in lower case",
        ));
    }
    if OF_HTTP1.has(Kind::of_any(name)) {
        return Err(Refusal::Malformed(
            "a field of HTTP/1 connections in HTTP/2",
        ));
    }
    Ok(check_value(value)?)
}

impl RequestHead {
    /// From what HTTP/2 brought: pseudo fields, each of which came at most once, and the fields in order.
    ///
    /// Every rule of RFC 9113 8.2 and 8.3 that keeps a request from meaning something else in HTTP/1 is enforced. Crumbs of
    /// cookies become one field (8.2.3). Without `content-length` the framing is [`Framing::UntilClose`]; call
    /// [`RequestHead::set_bodiless`] where the stream ends with its head.
    pub fn assemble<'f>(
        &mut self,
        method: &str,
        scheme: &str,
        authority: Option<&str>,
        path: &str,
        fields: impl Iterator<Item = (&'f [u8], &'f [u8])>,
    ) -> Result<(), Refusal> {
        self.fields.clear();
        let own = method.len() + authority.map_or(0, str::len) + path.len();
        if own > MOST_HEAD_BYTES {
            return Err(Refusal::HeadTooLarge);
        }
        if !is_name(method.as_bytes()) {
            return Err(Refusal::Malformed("the method is no token"));
        }
        if matches!(method, "CONNECT" | "TRACE") {
            return Err(Refusal::Method);
        }
        if !["http", "https"].contains(&scheme) {
            return Err(Refusal::Malformed("the scheme is neither http nor https"));
        }
        if path.bytes().any(|it| it == b' ')
            || find_control(path.as_bytes(), 0).is_some()
            || path.contains('\t')
        {
            return Err(Refusal::Malformed(
                "white space or a control octet in :path",
            ));
        }
        self.method = Method::of(method.as_bytes());
        self.version = Version::Http2;
        self.options = Options::default();
        self.gather(fields)?;
        if self.fields.kinds().meets(OF_HTTP1) {
            return Err(Refusal::Malformed(
                "a field of HTTP/1 connections in HTTP/2",
            ));
        }
        let mut codings = self.fields.values(Kind::Te);
        if codings.any(|it| !it.eq_ignore_ascii_case(b"trailers")) {
            return Err(Refusal::Malformed("TE of more than `trailers` in HTTP/2"));
        }
        if own + self.fields.bytes().len() > MOST_HEAD_BYTES {
            return Err(Refusal::HeadTooLarge);
        }
        let authority = one_authority(authority, &self.fields)?;
        self.target.set(self.method, authority, cut_query(path))?;
        if self.method == Method::Other {
            self.target.keep_method(method.as_bytes());
        }
        let declared = self.declared_framing()?;
        self.framing = declared.unwrap_or(Framing::UntilClose);
        self.check_expectation()
    }

    /// Takes the fields, and joins the crumbs of the cookie behind the others.
    fn gather<'f>(
        &mut self,
        fields: impl Iterator<Item = (&'f [u8], &'f [u8])>,
    ) -> Result<(), Fault> {
        self.crumbs.clear();
        for (name, value) in fields {
            if name != b"cookie" {
                self.fields.push(name, value)?;
                continue;
            }
            check_value(value)?;
            if value.is_empty() {
                continue;
            }
            if !self.crumbs.is_empty() {
                self.crumbs.extend_from_slice(b"; ");
            }
            self.crumbs.extend_from_slice(value);
            if self.crumbs.len() > MOST_HEAD_BYTES {
                return Err(Fault::TooLarge);
            }
        }
        if self.crumbs.is_empty() {
            return Ok(());
        }
        self.fields.push(b"cookie", &self.crumbs)
    }
}

/// `:authority`, or else Host; where both are there they agree (RFC 9113 8.3.1).
fn one_authority<'a>(
    authority: Option<&'a str>,
    fields: &'a Fields,
) -> Result<Option<&'a str>, Refusal> {
    let mut hosts = fields.values(Kind::Host);
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(Refusal::Malformed("several Host fields"));
    }
    let host = host.map(std::str::from_utf8).transpose();
    let host = host.map_err(|_| Refusal::Malformed("a Host that is not UTF-8"))?;
    match (authority, host) {
        (None, None) => Err(Refusal::Malformed("neither :authority nor Host")),
        (Some(authority), Some(host)) if !authority.eq_ignore_ascii_case(host) => {
            Err(Refusal::Malformed(":authority disagrees with Host"))
        }
        (authority, host) => Ok(authority.or(host)),
    }
}

#[cfg(test)]
mod tests;
