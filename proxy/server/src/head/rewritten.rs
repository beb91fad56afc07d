//! The heads that the other side receives. Which fields stay behind and what forwarding fields say is decided by
//! `minato_proxy::rewrite`.

use super::Request;
use http::{HeaderMap, Version, header};
use minato_proxy::rewrite;
use pingora_http::{RequestHeader, ResponseHeader};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Who is asking, for the forwarding fields.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer<'a> {
    pub(crate) address: IpAddr,
    pub(crate) trusted: &'a [(IpAddr, u8)],
}

/// The head that an instance at `address` receives.
pub(crate) fn to_upstream(
    from: &RequestHeader,
    request: &Request,
    path: &str,
    peer: Peer<'_>,
    address: SocketAddr,
) -> pingora_core::Result<RequestHeader> {
    let trust = rewrite::trusted(peer.trusted, peer.address);
    let believed = trust == rewrite::Trust::Trusted;
    let mut head = from.clone();
    head.set_version(Version::HTTP_11);
    head.set_raw_path(format!("{path}{}", request.query).as_bytes())?;
    for name in left_behind(&from.headers, |name| {
        rewrite::is_dropped(name) || (!believed && rewrite::is_forwarding(name))
    }) {
        head.remove_header(name.as_str());
    }
    let received = |name| from.headers.get(name).map(|it| it.as_bytes());
    let chain = from
        .headers
        .get_all("x-forwarded-for")
        .iter()
        .map(|it| it.as_bytes());
    head.insert_header(
        "X-Forwarded-For",
        rewrite::forwarded_for(trust, peer.address, chain),
    )?;
    let proto = rewrite::forwarded_proto(trust, "http", received("x-forwarded-proto"));
    head.insert_header("X-Forwarded-Proto", proto)?;
    if request.authority.is_empty() {
        // HTTP/1.0 without a Host.
        head.insert_header("Host", address.to_string())?;
    } else {
        let host = rewrite::forwarded_host(trust, &request.authority, received("x-forwarded-host"));
        head.insert_header("X-Forwarded-Host", host)?;
        head.insert_header("Host", request.authority.as_str())?;
    }
    head.append_header(
        "Via",
        if request.http10 {
            "1.0 minato"
        } else {
            "1.1 minato"
        },
    )?;
    if request.http10 {
        head.remove_header("expect");
    }
    if request.chunked {
        head.insert_header("Transfer-Encoding", "chunked")?;
    } else if let Some(length) = request.content_length {
        // One, where there were several of the same.
        head.insert_header("Content-Length", length)?;
    }
    if request.websocket {
        head.insert_header("Connection", "Upgrade")?;
        head.insert_header("Upgrade", "websocket")?;
    }
    Ok(head)
}

/// What becomes of an instance's head.
#[derive(Debug)]
pub(crate) struct ToClient {
    pub(crate) head: ResponseHeader,
    /// How long the instance keeps its connection, where it says so; zero: not at all.
    pub(crate) keep_alive: Option<Duration>,
    /// The client sees the body's end only in the connection's.
    pub(crate) until_close: bool,
}

/// The head that the client receives.
pub(crate) fn to_client(
    from: &ResponseHeader,
    request: &Request,
) -> pingora_core::Result<ToClient> {
    let mut head = from.clone();
    for name in left_behind(&from.headers, |_| false) {
        head.remove_header(name.as_str());
    }
    head.set_version(Version::HTTP_11);
    let status = from.status.as_u16();
    let mut until_close = false;
    if status == 101 {
        head.insert_header("Connection", "Upgrade")?;
        head.insert_header("Upgrade", "websocket")?;
    } else if !from.status.is_informational() {
        let via = if from.version == Version::HTTP_10 {
            "1.0 minato"
        } else {
            "1.1 minato"
        };
        head.append_header("Via", via)?;
        let bodiless = matches!(status, 204 | 304) || request.method == http::Method::HEAD;
        let length = from.headers.get(header::CONTENT_LENGTH).cloned();
        if status == 204 {
            head.remove_header("content-length");
        } else if let Some(length) = length {
            head.insert_header("Content-Length", length)?;
        } else if !bodiless && request.http10 {
            until_close = true;
        } else if !bodiless {
            head.insert_header("Transfer-Encoding", "chunked")?;
        }
    }
    Ok(ToClient {
        head,
        keep_alive: keep_alive(&from.headers),
        until_close,
    })
}

/// Whether a 101 switches to what was asked for.
pub(crate) fn is_matching_upgrade(head: &ResponseHeader) -> bool {
    let protocol = head.headers.get(header::UPGRADE);
    protocol.is_some_and(|it| it.as_bytes().eq_ignore_ascii_case(b"websocket"))
        && names_token(&head.headers, "upgrade")
}

/// Whether `Connection` names a token, in any of its fields.
pub(crate) fn names_token(headers: &HeaderMap, token: &str) -> bool {
    let values = headers.get_all(header::CONNECTION).iter();
    let mut tokens = values.flat_map(|it| it.as_bytes().split(|byte| *byte == b','));
    tokens.any(|it| it.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

/// Names of fields that end at this hop. `Trailer` is one because trailers are not passed on.
fn left_behind(headers: &HeaderMap, also: impl Fn(&str) -> bool) -> Vec<String> {
    let values = headers
        .get_all(header::CONNECTION)
        .iter()
        .map(|it| it.as_bytes());
    let named = rewrite::connection_names(values).map(str::to_owned);
    let ends = |name: &str| rewrite::is_hop_by_hop(name) || name == "trailer" || also(name);
    let hop = headers
        .keys()
        .map(|it| it.as_str())
        .filter(|it| ends(it))
        .map(str::to_owned);
    hop.chain(named).collect()
}

fn keep_alive(headers: &HeaderMap) -> Option<Duration> {
    if names_token(headers, "close") {
        return Some(Duration::ZERO);
    }
    let value = headers.get("keep-alive")?.to_str().ok()?;
    value.split(',').find_map(|it| {
        it.trim()
            .strip_prefix("timeout=")?
            .parse()
            .ok()
            .map(Duration::from_secs)
    })
}
