//! Heads of both directions: what is refused, what a request asks for, and what the other side receives.

mod raw;
mod rewritten;

pub(crate) use raw::{HeadScan, check_request, check_response, is_token};
pub(crate) use rewritten::{Peer, is_matching_upgrade, to_client, to_upstream};

use crate::answer::Reason;
use http::header;
use minato_proxy::{is_idempotent, normalize_host, normalize_path};
use pingora_http::RequestHeader;

/// What the exchange needs to know of a request.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: http::Method,
    /// Lower case, without port; empty in HTTP/1.0 without Host.
    pub(crate) host: String,
    /// As the client wrote it, for forwarding.
    pub(crate) authority: String,
    /// Dot segments resolved; or `*`.
    pub(crate) path: String,
    /// With its `?`, or empty.
    pub(crate) query: String,
    pub(crate) idempotent: bool,
    pub(crate) websocket: bool,
    pub(crate) http10: bool,
    pub(crate) chunked: bool,
    pub(crate) content_length: Option<u64>,
    /// The client asked for no further requests.
    pub(crate) closes: bool,
}

/// Reads host and path in their one form, from a head that [`check_request`] has passed.
/// `target` is the request's as it came.
pub(crate) fn read(head: &RequestHeader, target: &str) -> Result<Request, Reason> {
    let field = head.headers.get(header::HOST);
    let field = field
        .map(|it| it.to_str())
        .transpose()
        .map_err(|_| Reason::Malformed)?;
    let (absolute, rest) = split_target(target);
    if let (Some(absolute), Some(field)) = (absolute, field)
        && !absolute.eq_ignore_ascii_case(field)
    {
        return Err(Reason::Malformed);
    }
    let authority = absolute.or(field);
    let host = match authority {
        Some(authority) => normalize_host(authority)
            .map_err(|_| Reason::Malformed)?
            .into_owned(),
        None => String::new(),
    };
    let (path, query) = rest.find('?').map_or((rest, ""), |at| rest.split_at(at));
    if query.contains(['#', '\\']) {
        return Err(Reason::Malformed);
    }
    let asterisk = path == "*" && head.method == http::Method::OPTIONS && query.is_empty();
    let path = match path {
        "" => "/".to_owned(),
        "*" if asterisk => path.to_owned(),
        _ => normalize_path(path)
            .map_err(|_| Reason::Malformed)?
            .into_owned(),
    };
    let length = head.headers.get(header::CONTENT_LENGTH);
    let content_length = length.and_then(|it| it.to_str().ok()?.trim().parse().ok());
    let chunked = head.headers.contains_key(header::TRANSFER_ENCODING);
    let bodiless = !chunked && content_length.unwrap_or(0) == 0;
    Ok(Request {
        method: head.method.clone(),
        host,
        authority: authority.unwrap_or_default().to_owned(),
        path,
        query: query.to_owned(),
        idempotent: is_idempotent(&head.method),
        websocket: bodiless && wants_websocket(head),
        http10: head.version == http::Version::HTTP_10,
        chunked,
        content_length,
        closes: rewritten::names_token(&head.headers, "close"),
    })
}

/// The authority of an absolute target, and the rest.
fn split_target(target: &str) -> (Option<&str>, &str) {
    let after = |scheme: &str| {
        let (start, rest) = target.split_at_checked(scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then_some(rest)
    };
    match after("http://").or_else(|| after("https://")) {
        Some(rest) => {
            let end = rest.find(['/', '?']).unwrap_or(rest.len());
            (Some(&rest[..end]), &rest[end..])
        }
        None => (None, target),
    }
}

fn wants_websocket(head: &RequestHeader) -> bool {
    let mut protocols = head.headers.get_all(header::UPGRADE).iter();
    let protocol = protocols
        .next()
        .is_some_and(|it| it.as_bytes().eq_ignore_ascii_case(b"websocket"));
    let one = protocols.next().is_none();
    let get = head.method == http::Method::GET && head.version == http::Version::HTTP_11;
    get && protocol && one && rewritten::names_token(&head.headers, "upgrade")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn reads(target: &str, host: Option<&str>) -> Result<(String, String, String), Reason> {
        let mut head = RequestHeader::build("GET", target.as_bytes(), None).unwrap();
        if let Some(host) = host {
            head.insert_header("Host", host).unwrap();
        }
        read(&head, target).map(|it| (it.host, it.path, it.query))
    }

    #[test]
    fn targets_have_one_form() {
        let ok = |host: &str, path: &str, query: &str| {
            Ok((host.to_owned(), path.to_owned(), query.to_owned()))
        };
        assert_eq!(
            reads("/a/../b?x=/../y", Some("A.test:80")),
            ok("a.test", "/b", "?x=/../y")
        );
        assert_eq!(
            reads("http://a.test/x", Some("A.test")),
            ok("a.test", "/x", "")
        );
        assert_eq!(
            reads("HTTP://a.test?q", Some("a.test")),
            ok("a.test", "/", "?q")
        );
        assert_eq!(reads("/%2e%2E/x", None), ok("", "/x", ""));
    }

    #[test]
    fn targets_with_two_meanings_are_refused() {
        for (target, host) in [
            ("http://a.test/x", "b.test"),
            ("http://a.test:81/x", "a.test"),
            ("http://user@a.test/", "user@a.test"),
            ("http:///x", ""),
            ("/", ""),
            ("/", "a b"),
            ("/", "a.test, b.test"),
            ("/a#b", "a.test"),
            ("/a?b#c", "a.test"),
            ("/a\\b", "a.test"),
            ("/a?b\\c", "a.test"),
            ("/a%00", "a.test"),
            ("a", "a.test"),
            ("*", "a.test"),
        ] {
            assert_eq!(
                reads(target, Some(host)),
                Err(Reason::Malformed),
                "{target} {host}"
            );
        }
    }
}
