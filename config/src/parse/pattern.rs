//! The text of a route: a host pattern and a path prefix, in the one form that requests are matched in.
//!
//! Errors are sentences that say what would be right; whoever reads the field adds its place. What to write instead comes from `mend`.

use super::mend;
use crate::{HostPattern, PathPrefix, RoutePattern};
use std::net::{Ipv4Addr, Ipv6Addr};

/// Bytes of a path prefix.
const LONGEST_PATH: usize = 2_048;

/// Bytes of a suggestion; half of a longer one would only mislead.
const LONGEST_HINT: usize = 400;

/// `example.org`, `*.example.org/library`, `*`
pub(super) fn parse(text: &str) -> Result<RoutePattern, String> {
    strict(text).map_err(|fault| {
        let right = strict(&mend::route(text)).ok();
        instead(fault, right.map(|it| it.to_string()))
    })
}

/// The fault, and the whole text that would be right, where that is known.
fn instead(fault: String, right: Option<String>) -> String {
    match right.filter(|it| it.len() <= LONGEST_HINT) {
        Some(right) => format!("{fault}; write `{right}`"),
        None => fault,
    }
}

fn strict(text: &str) -> Result<RoutePattern, String> {
    if text.contains("://") {
        return Err("a route has no scheme".to_owned());
    }
    let (host, path) = match text.find('/') {
        Some(at) => text.split_at(at),
        None => (text, "/"),
    };
    if host.is_empty() {
        return Err("the host is missing; `*` is any host".to_owned());
    }
    Ok(RoutePattern {
        host: host_pattern(host)?,
        path: path_prefix(path)?,
    })
}

fn host_pattern(text: &str) -> Result<HostPattern, String> {
    if text == "*" {
        return Ok(HostPattern::Any);
    }
    match text.strip_prefix("*.") {
        Some(suffix) => match host(suffix)? {
            suffix if suffix.starts_with('[') || is_ipv4(&suffix) => {
                Err("an IP address has no subdomains".to_owned())
            }
            suffix => Ok(HostPattern::Wildcard(suffix)),
        },
        None => host(text).map(HostPattern::Exact),
    }
}

/// A whole host name: no wildcard, no address, no port.
pub(super) fn dns_name(text: &str) -> Result<String, String> {
    if text.starts_with('[') || is_ipv4(text) || text.parse::<Ipv6Addr>().is_ok() {
        return Err(
            "an address is no name; leave `sni` out, and the certificate must hold the address"
                .to_owned(),
        );
    }
    if text.contains('*') {
        return Err("write one whole name that the certificate's wildcard covers".to_owned());
    }
    host(text)
}

fn is_ipv4(text: &str) -> bool {
    text.parse::<Ipv4Addr>().is_ok()
}

/// A host name or address in the form that matching uses: lower case, without port, without final dot.
fn host(text: &str) -> Result<String, String> {
    if let Some(inner) = text.strip_prefix('[') {
        return ipv6(inner);
    }
    if text.contains('*') {
        return Err("`*` may only be the whole first label, as in `*.example.org`".to_owned());
    }
    if let Some((_, port)) = text.split_once(':') {
        return Err(match port.contains(':') {
            true => "an IPv6 address stands in brackets".to_owned(),
            false => "a route takes every port and names none".to_owned(),
        });
    }
    if !text.is_ascii() {
        let form = "write the host as it goes over the wire, in punycode (`xn--...`)";
        return Err(form.to_owned());
    }
    if text.bytes().any(|it| it.is_ascii_uppercase()) {
        return Err("hosts are matched in lower case".to_owned());
    }
    if text.ends_with('.') {
        return Err("hosts are matched without the final dot".to_owned());
    }
    let label = |it: &str| {
        let inner = it.bytes();
        let mut inner = inner.map(|it| matches!(it, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'));
        (1..=63).contains(&it.len())
            && inner.all(|it| it)
            && !it.starts_with('-')
            && !it.ends_with('-')
    };
    if text.len() > 253 || !text.split('.').all(label) {
        let form = "a host is labels of a-z, 0-9, `-` and `_` with dots between, at most 253 bytes";
        return Err(form.to_owned());
    }
    Ok(text.to_owned())
}

fn ipv6(inner: &str) -> Result<String, String> {
    let Some((inner, rest)) = inner.split_once(']') else {
        return Err("the closing `]` is missing".to_owned());
    };
    let Ok(ip) = inner.parse::<Ipv6Addr>() else {
        return Err(format!(
            "`{}` is not an IPv6 address",
            super::show_text(inner)
        ));
    };
    if rest.starts_with(':') {
        return Err("a route takes every port and names none".to_owned());
    }
    if !rest.is_empty() {
        return Err("the host ends with `]`".to_owned());
    }
    if ip.to_string() != inner {
        return Err("clients write this address in its shortest form".to_owned());
    }
    Ok(format!("[{ip}]"))
}

/// A path of whole segments; one final `/` means the same as none.
fn path_prefix(text: &str) -> Result<PathPrefix, String> {
    if text == "/" {
        return Ok(PathPrefix("/".to_owned()));
    }
    if text.len() > LONGEST_PATH {
        return Err(format!("a path has at most {LONGEST_PATH} bytes"));
    }
    if text.contains(['?', '#']) {
        return Err("queries and fragments are not matched".to_owned());
    }
    let path = text.strip_suffix('/').unwrap_or(text);
    for segment in path.split('/').skip(1) {
        segment_fault(segment).map_or(Ok(()), Err)?;
    }
    Ok(PathPrefix(path.to_owned()))
}

/// Why no request can have this segment in the path that is matched.
fn segment_fault(segment: &str) -> Option<String> {
    if segment.is_empty() {
        return Some("no segment may be empty".to_owned());
    }
    if segment == "*" {
        return Some("a path takes everything below it without `*`".to_owned());
    }
    let dots = segment.to_ascii_lowercase().replace("%2e", ".");
    if dots == "." || dots == ".." {
        return Some("dot segments are resolved before matching".to_owned());
    }
    let bytes = segment.as_bytes();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'%' => {
                let code = segment.get(at + 1..at + 3);
                let code = code.filter(|it| it.bytes().all(|it| it.is_ascii_hexdigit()));
                match code.and_then(|it| u8::from_str_radix(it, 16).ok()) {
                    None => {
                        return Some("`%` must be followed by two hexadecimal digits".to_owned());
                    }
                    Some(0) => return Some("`%00` is refused in requests".to_owned()),
                    Some(plain) if is_unreserved(plain) => {
                        let plain = char::from(plain);
                        return Some(format!("clients send `{plain}` as it is"));
                    }
                    Some(_) => at += 3,
                }
            }
            b'\\' => return Some("backslashes are refused in requests".to_owned()),
            _ if is_path_byte(*byte) => at += 1,
            _ => {
                let rest = segment.get(at..).and_then(|it| it.chars().next());
                let bad = rest.unwrap_or(char::REPLACEMENT_CHARACTER);
                let mut buffer = [0; 4];
                let coded = bad.encode_utf8(&mut buffer).bytes();
                let coded: String = coded.map(|it| format!("%{it:02X}")).collect();
                let bad = bad.escape_debug();
                return Some(format!("clients send `{bad}` as `{coded}`"));
            }
        }
    }
    None
}

/// RFC 3986, 2.3
pub(super) fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// RFC 3986, 3.3: pchar without `%`
pub(super) fn is_path_byte(byte: u8) -> bool {
    is_unreserved(byte) || b"!$&'()*+,;=:@".contains(&byte)
}

/// The target of a redirect: `http://` or `https://`, host, optional port, optional path; no final `/`.
pub(super) fn redirect(text: &str) -> Result<String, String> {
    strict_redirect(text).map_err(|fault| {
        let right = mend::redirect(text);
        instead(fault, right.and_then(|it| strict_redirect(&it).ok()))
    })
}

fn strict_redirect(text: &str) -> Result<String, String> {
    const FORM: &str = "write an absolute URL, like `https://example.org/new`";
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err(FORM.to_owned());
    };
    let lower = scheme.to_ascii_lowercase();
    if scheme != lower && matches!(lower.as_str(), "http" | "https") {
        return Err("the scheme stands in lower case".to_owned());
    }
    if scheme != "http" && scheme != "https" {
        return Err(format!("{FORM}; only http and https"));
    }
    let (authority, path) = match rest.find(['/', '?', '#']) {
        Some(at) => rest.split_at(at),
        None => (rest, "/"),
    };
    if authority.contains('@') {
        return Err(
            "user names and passwords do not belong in a redirect; leave them out".to_owned(),
        );
    }
    let (name, port) = split_port(authority);
    host(name)?;
    if port.is_some_and(|it| !it.parse::<u16>().is_ok_and(|it| it > 0)) {
        return Err("the port must be a number from 1 to 65535".to_owned());
    }
    if path.contains(['?', '#']) {
        let hint = "the request's own query is appended; leave `?` and `#` out";
        return Err(hint.to_owned());
    }
    let path = path_prefix(path)?.0;
    let path = if path == "/" { "" } else { &path };
    Ok(format!("{scheme}://{authority}{path}"))
}

/// Host and port of an authority; the host keeps the brackets of an IPv6 address.
pub(super) fn split_port(authority: &str) -> (&str, Option<&str>) {
    let host_end = authority.rfind(']').map_or(0, |at| at + 1);
    match authority.get(host_end..).and_then(|it| it.find(':')) {
        Some(at) => {
            let at = host_end + at;
            (&authority[..at], authority.get(at + 1..))
        }
        None => (authority, None),
    }
}
