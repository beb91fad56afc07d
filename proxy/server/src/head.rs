//! Heads: what is refused before anything looks at a request, and how both directions are rewritten.

use crate::answer::Reason;
use http::header;
use minato_proxy::{is_idempotent, normalize_host, normalize_path};
use pingora_core::protocols::http::v1::server::HttpSession;
use pingora_http::{RequestHeader, ResponseHeader};
use std::net::IpAddr;
use std::time::Duration;

/// Fields and bytes of a head at most.
const MOST_FIELDS: usize = 100;
const MOST_BYTES: usize = 32 * 1024;

/// Fields that speak of one hop only (RFC 9110 7.6.1).
const HOP_BY_HOP: [&str; 8] =
    ["connection", "keep-alive", "proxy-connection", "te", "trailer", "upgrade", "proxy-authenticate", "proxy-authorization"];
/// Fields that `Connection` may not name: dropping them would change what a request means.
const NOT_FOR_CONNECTION: [&str; 5] = ["host", "cookie", "authorization", "content-length", "transfer-encoding"];
/// Fields that only a trusted proxy may send.
const FORWARDING: [&str; 5] = ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip"];

/// What the exchange needs to know of a request.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: http::Method,
    /// Lower case, without port.
    pub(crate) host: String,
    /// As the client wrote it, for forwarding.
    pub(crate) authority: String,
    /// Dot segments resolved.
    pub(crate) path: String,
    /// With its `?`, or empty.
    pub(crate) query: String,
    pub(crate) idempotent: bool,
    pub(crate) websocket: bool,
    pub(crate) http10: bool,
    pub(crate) content_length: Option<u64>,
}

/// Refuses a head that is too large or ambiguous. Looks at the bytes as they came, because a parser that repairs
/// them hides what another parser behind us may see.
pub(crate) fn check(session: &HttpSession) -> Result<(), Reason> {
    check_bytes(&session.get_headers_raw_bytes())?;
    let request = session.req_header();
    let fields = |name| request.headers.get_all(name).iter();
    match request.version {
        http::Version::HTTP_10 | http::Version::HTTP_11 => {}
        _ => return Err(Reason::Version),
    }
    if matches!(request.method.as_str(), "CONNECT" | "TRACE") {
        return Err(Reason::Method);
    }
    if fields(header::EXPECT).any(|it| !it.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
        return Err(Reason::Expectation);
    }
    if fields(header::TRANSFER_ENCODING).any(|it| !it.as_bytes().eq_ignore_ascii_case(b"chunked"))
        || fields(header::TRANSFER_ENCODING).count() > 1
    {
        return Err(Reason::Malformed);
    }
    let hosts = fields(header::HOST).count();
    if hosts > 1 || (hosts == 0 && request.version == http::Version::HTTP_11) {
        return Err(Reason::Malformed);
    }
    Ok(())
}

fn check_bytes(raw: &[u8]) -> Result<(), Reason> {
    if raw.len() > MOST_BYTES {
        return Err(Reason::HeadTooLarge);
    }
    let head = raw.strip_prefix(b"\r\n").unwrap_or(raw);
    let head = head.strip_suffix(b"\r\n\r\n").ok_or(Reason::Malformed)?;
    let (mut lengths, mut codings, mut fields) = (Vec::new(), 0, 0);
    for (number, line) in split_lines(head).enumerate() {
        let line = line?;
        if number == 0 {
            if line.iter().any(|b| *b < 0x20 || *b == 0x7f) {
                return Err(Reason::Malformed);
            }
            continue;
        }
        fields += 1;
        let colon = line.iter().position(|b| *b == b':').ok_or(Reason::Malformed)?;
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        let token = |b: &u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b);
        if name.is_empty() || !name.iter().all(token) {
            return Err(Reason::Malformed);
        }
        if value.iter().any(|b| (*b < 0x20 && *b != b'\t') || *b == 0x7f) {
            return Err(Reason::Malformed);
        }
        if name.eq_ignore_ascii_case(b"content-length") {
            if value.is_empty() || !value.iter().all(u8::is_ascii_digit) || value.len() > 18 {
                return Err(Reason::Malformed);
            }
            lengths.push(value);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            codings += 1;
        }
    }
    if fields > MOST_FIELDS {
        return Err(Reason::HeadTooLarge);
    }
    let unequal = lengths.windows(2).any(|pair| pair[0] != pair[1]);
    if unequal || (codings > 0 && !lengths.is_empty()) {
        return Err(Reason::Malformed);
    }
    Ok(())
}

/// Lines that end in CRLF; a bare CR or LF, or a line that begins with white space, has no one meaning.
fn split_lines(head: &[u8]) -> impl Iterator<Item = Result<&[u8], Reason>> {
    head.split(|b| *b == b'\n').enumerate().map(|(number, line)| {
        // The last line's CRLF was taken off with the blank line; all others must end in CR.
        let last = std::ptr::eq(line.as_ptr_range().end, head.as_ptr_range().end);
        let line = if last { line } else { line.strip_suffix(b"\r").ok_or(Reason::Malformed)? };
        let folded = number > 0 && line.first().is_none_or(|b| *b == b' ' || *b == b'\t');
        if line.contains(&b'\r') || folded { Err(Reason::Malformed) } else { Ok(line) }
    })
}

/// Reads host and path in their one form.
pub(crate) fn read(session: &HttpSession) -> Result<Request, Reason> {
    let head = session.req_header();
    let target = std::str::from_utf8(head.raw_path()).map_err(|_| Reason::Malformed)?;
    let field = head.headers.get(header::HOST).map(|it| it.to_str()).transpose().map_err(|_| Reason::Malformed)?;
    let (absolute, rest) = match target.strip_prefix("http://").or_else(|| target.strip_prefix("https://")) {
        Some(rest) => {
            let end = rest.find(['/', '?']).unwrap_or(rest.len());
            (Some(&rest[..end]), if rest[end..].is_empty() { "/" } else { &rest[end..] })
        }
        None => (None, target),
    };
    let host = |text: &str| normalize_host(text).map(|it| it.into_owned()).map_err(|_| Reason::Malformed);
    let authority = absolute.or(field).unwrap_or_default();
    if let (Some(absolute), Some(field)) = (absolute, field)
        && !absolute.eq_ignore_ascii_case(field)
    {
        return Err(Reason::Malformed);
    }
    let named = if authority.is_empty() { String::new() } else { host(authority)? };
    let (path, query) = rest.find('?').map_or((rest, ""), |at| rest.split_at(at));
    if query.contains(['#', '\\']) {
        return Err(Reason::Malformed);
    }
    let path = if path.is_empty() { "/" } else { path };
    let asterisk = path == "*" && head.method == http::Method::OPTIONS;
    let path = if asterisk { "*".to_owned() } else { normalize_path(path).map_err(|_| Reason::Malformed)?.into_owned() };
    let length = head.headers.get(header::CONTENT_LENGTH).and_then(|it| it.to_str().ok()?.parse().ok());
    Ok(Request {
        method: head.method.clone(),
        host: named,
        authority: authority.to_owned(),
        path,
        query: query.to_owned(),
        idempotent: is_idempotent(&head.method),
        websocket: wants_websocket(head),
        http10: head.version == http::Version::HTTP_10,
        content_length: length,
    })
}

fn wants_websocket(head: &RequestHeader) -> bool {
    let names_upgrade = head
        .headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|it| it.to_str().ok())
        .flat_map(|it| it.split(','))
        .any(|it| it.trim().eq_ignore_ascii_case("upgrade"));
    let protocol = head.headers.get(header::UPGRADE).is_some_and(|it| it.as_bytes().eq_ignore_ascii_case(b"websocket"));
    head.version == http::Version::HTTP_11 && names_upgrade && protocol
}

/// Who is asking, for the forwarding fields.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer<'a> {
    pub(crate) address: IpAddr,
    pub(crate) trusted: &'a [(IpAddr, u8)],
}

/// The head that an instance receives.
pub(crate) fn to_upstream(from: &RequestHeader, request: &Request, path: &str, peer: Peer<'_>) -> pingora_core::Result<RequestHeader> {
    let mut head = from.clone();
    head.set_version(http::Version::HTTP_11);
    head.set_raw_path(format!("{path}{}", request.query).as_bytes())?;
    for name in connection_names(&from.headers) {
        head.remove_header(name.as_str());
    }
    for name in HOP_BY_HOP {
        head.remove_header(name);
    }
    head.remove_header("proxy");
    let ambiguous: Vec<String> = from.headers.keys().map(|it| it.as_str().to_owned()).filter(|it| it.contains('_')).collect();
    for name in &ambiguous {
        head.remove_header(name.as_str());
    }
    let trusted = peer.trusted.iter().any(|(net, bits)| contains(*net, *bits, peer.address));
    let before = from.headers.get_all("x-forwarded-for").iter().filter_map(|it| it.to_str().ok()).collect::<Vec<_>>().join(", ");
    if !trusted {
        for name in FORWARDING {
            head.remove_header(name);
        }
    }
    let chain = if trusted && !before.is_empty() { format!("{before}, {}", peer.address) } else { peer.address.to_string() };
    head.insert_header("X-Forwarded-For", chain)?;
    if !trusted || !from.headers.contains_key("x-forwarded-proto") {
        head.insert_header("X-Forwarded-Proto", "http")?;
    }
    if !trusted || !from.headers.contains_key("x-forwarded-host") {
        head.insert_header("X-Forwarded-Host", request.authority.as_str())?;
    }
    head.append_header("Via", if request.http10 { "1.0 minato" } else { "1.1 minato" })?;
    if !request.authority.is_empty() {
        head.insert_header("Host", request.authority.as_str())?;
    }
    if request.websocket {
        head.insert_header("Connection", "Upgrade")?;
        head.insert_header("Upgrade", "websocket")?;
    }
    Ok(head)
}

/// The head that the client receives, and how long the instance keeps its connection.
pub(crate) fn to_client(from: &ResponseHeader, request: &Request) -> pingora_core::Result<(ResponseHeader, Option<Duration>)> {
    let mut head = from.clone();
    let keep_alive = from.headers.get("keep-alive").and_then(|it| it.to_str().ok()).and_then(timeout_of);
    for name in connection_names(&from.headers) {
        head.remove_header(name.as_str());
    }
    for name in HOP_BY_HOP {
        if !(from.status == 101 && name == "upgrade") {
            head.remove_header(name);
        }
    }
    head.set_version(http::Version::HTTP_11);
    let informational = from.status.is_informational();
    if from.status == 101 {
        head.insert_header("Connection", "Upgrade")?;
    } else if !informational {
        head.append_header("Via", "1.1 minato")?;
        let bodiless = matches!(from.status.as_u16(), 204 | 304) || request.method == http::Method::HEAD;
        let framed = head.headers.contains_key(header::CONTENT_LENGTH) || head.headers.contains_key(header::TRANSFER_ENCODING);
        if request.http10 {
            head.remove_header("transfer-encoding");
        } else if !bodiless && !framed {
            head.insert_header("Transfer-Encoding", "chunked")?;
        }
    }
    Ok((head, keep_alive))
}

/// Names in `Connection` that go with the hop.
fn connection_names(headers: &http::HeaderMap) -> Vec<String> {
    headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|it| it.to_str().ok())
        .flat_map(|it| it.split(','))
        .map(|it| it.trim().to_ascii_lowercase())
        .filter(|it| !it.is_empty() && !NOT_FOR_CONNECTION.contains(&it.as_str()))
        .collect()
}

fn timeout_of(keep_alive: &str) -> Option<Duration> {
    keep_alive.split(',').find_map(|it| it.trim().strip_prefix("timeout=")?.parse().ok().map(Duration::from_secs))
}

fn contains(net: IpAddr, bits: u8, address: IpAddr) -> bool {
    match (net, address) {
        (IpAddr::V4(net), IpAddr::V4(address)) => {
            let shift = 32_u32.saturating_sub(bits.into());
            net.to_bits().checked_shr(shift) == address.to_bits().checked_shr(shift)
        }
        (IpAddr::V6(net), IpAddr::V6(address)) => {
            let shift = 128_u32.saturating_sub(bits.into());
            net.to_bits().checked_shr(shift) == address.to_bits().checked_shr(shift)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(head: &str) {
        assert_eq!(check_bytes(head.as_bytes()), Err(Reason::Malformed), "{head:?}");
    }

    #[test]
    fn ambiguous_heads_are_refused_as_they_came() {
        let plain = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        assert_eq!(check_bytes(plain.as_bytes()), Ok(()));
        assert_eq!(check_bytes(format!("\r\n{plain}").as_bytes()), Ok(()));
        refused("GET / HTTP/1.1\nHost: a\r\n\r\n");
        refused("GET / HTTP/1.1\r\nHost: a\n\r\n\r\n");
        refused("GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n");
        refused("GET / HTTP/1.1\r\nHost : a\r\n\r\n");
        refused("GET / HTTP/1.1\r\n Host: a\r\n\r\n");
        refused("GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n");
        refused("GET / HTTP/1.1\r\nHost: a\r\nnocolon\r\n\r\n");
        refused("GET / HTTP/1.1\r\nHost: a\r\nx: \0\r\n\r\n");
        refused("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n");
        refused("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n");
        refused("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\n");
        refused("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999999999999999\r\n\r\n");
        refused("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n");
    }

    #[test]
    fn a_head_past_the_limits_is_431() {
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(101));
        assert_eq!(check_bytes(many.as_bytes()), Err(Reason::HeadTooLarge));
        let large = format!("GET / HTTP/1.1\r\na: {}\r\n\r\n", "b".repeat(MOST_BYTES));
        assert_eq!(check_bytes(large.as_bytes()), Err(Reason::HeadTooLarge));
    }

    #[test]
    fn connection_cannot_name_fields_that_carry_meaning() {
        let mut headers = http::HeaderMap::new();
        headers.insert("connection", http::HeaderValue::from_static("close, Cookie, X-Secret, content-length"));
        assert_eq!(connection_names(&headers), ["close", "x-secret"]);
    }

    #[test]
    fn networks_contain_their_addresses() {
        let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
        assert!(contains(ip("10.0.0.0"), 8, ip("10.9.9.9")));
        assert!(!contains(ip("10.0.0.0"), 8, ip("11.0.0.1")));
        assert!(contains(ip("0.0.0.0"), 0, ip("11.0.0.1")));
        assert!(contains(ip("fd00::"), 8, ip("fd12::1")));
        assert!(!contains(ip("::1"), 128, ip("127.0.0.1")));
    }
}
