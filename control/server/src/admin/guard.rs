//! Who may call: only programs that mean this address, never a page of another origin in an operator's browser. Pure.
//!
//! A page on the Internet can make a browser send requests to loopback, and with a name that resolves to 127.0.0.1 it
//! can read the answers (DNS rebinding). The Host names an address of loopback, so the second fails; the Origin and
//! the fetch metadata name the page, so the first does.

use super::answer::Refusal;
use http::{HeaderMap, Method, StatusCode, Uri, header};
use std::net::{Ipv4Addr, Ipv6Addr};

/// Bytes of a request's body.
pub(super) const BODY: usize = 64 << 10;

/// Refuses what did not mean this API. `port` is the port of the listener.
pub(super) fn check(
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    port: u16,
) -> Result<(), Refusal> {
    let host = host(uri, headers)?;
    if !is_local(&host, port) {
        return Err(forbidden(format!(
            "this API answers only to its own loopback address, not to Host `{}`",
            clip(&host)
        ))
        .hint(format!(
            "use http://127.0.0.1:{port}/ or http://localhost:{port}/"
        )));
    }
    if let Some(origin) = single(headers, "origin")? {
        let own = format!("http://{host}");
        if !origin.eq_ignore_ascii_case(&own) {
            return Err(forbidden(format!(
                "pages of another origin (`{}`) may not call this API",
                clip(origin)
            )));
        }
    }
    if let Some(site) = single(headers, "sec-fetch-site")?
        && !matches!(site, "same-origin" | "none")
    {
        return Err(forbidden(format!(
            "pages of another site may not call this API (Sec-Fetch-Site: {})",
            clip(site)
        ))
        .hint("type the address into the browser yourself"));
    }
    if *method != Method::GET && *method != Method::HEAD {
        let kind = single(headers, header::CONTENT_TYPE.as_str())?.unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/json") {
            return Err(
                Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the body must be JSON")
                    .hint("send Content-Type: application/json"),
            );
        }
    }
    Ok(())
}

/// The one Host; an absolute target must agree with it.
fn host(uri: &Uri, headers: &HeaderMap) -> Result<String, Refusal> {
    let host = single(headers, header::HOST.as_str())?
        .ok_or_else(|| forbidden("a request without Host is not answered"))?;
    match uri.authority() {
        Some(target) if target.as_str() != host => Err(forbidden(
            "the target and the Host name different addresses",
        )),
        _ => Ok(host.to_owned()),
    }
}

fn single<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Refusal> {
    let mut all = headers.get_all(name).iter();
    match (all.next(), all.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value
            .to_str()
            .map(Some)
            .map_err(|_| forbidden(format!("the field {name} is not text"))),
        (Some(_), Some(_)) => Err(forbidden(format!("several fields {name}"))),
    }
}

fn forbidden(error: impl Into<String>) -> Refusal {
    Refusal::new(StatusCode::FORBIDDEN, error)
}

/// `localhost`, an address of 127.0.0.0/8, or `[::1]`, with the right port or none.
fn is_local(host: &str, port: u16) -> bool {
    let (name, given) = match host.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((name, rest)) => (name, rest),
            None => return false,
        },
        None => match host.find(':') {
            Some(at) => host.split_at(at),
            None => (host, ""),
        },
    };
    let is_port = given.is_empty() || given.strip_prefix(':') == Some(port.to_string().as_str());
    let is_name = if host.starts_with('[') {
        name.parse() == Ok(Ipv6Addr::LOCALHOST)
    } else {
        name.eq_ignore_ascii_case("localhost")
            || name.parse::<Ipv4Addr>().is_ok_and(|it| it.is_loopback())
    };
    is_port && is_name
}

/// What a refusal repeats of a caller's field.
fn clip(text: &str) -> String {
    text.chars()
        .filter(|it| !it.is_control())
        .take(80)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn answer(method: &Method, target: &str, fields: &[(&str, &str)]) -> u16 {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            let name: http::HeaderName = name.parse().unwrap();
            headers.append(name, value.parse().unwrap());
        }
        match check(method, &target.parse().unwrap(), &headers, 7070) {
            Ok(()) => 200,
            Err(refusal) => refusal.status.as_u16(),
        }
    }

    #[test]
    fn only_loopback_hosts_with_the_right_port_or_none() {
        let cases = [
            ("127.0.0.1:7070", 200),
            ("127.0.0.1", 200),
            ("127.8.9.10:7070", 200),
            ("localhost:7070", 200),
            ("LocalHost", 200),
            ("[::1]:7070", 200),
            ("[::1]", 200),
            ("127.0.0.1:7071", 403),
            ("127.0.0.1:", 403),
            ("127.0.0.1:07070", 403),
            ("localhost.:7070", 403),
            ("localhost.example.org:7070", 403),
            ("evil.example.org", 403),
            ("128.0.0.1", 403),
            ("0.0.0.0:7070", 403),
            ("[::2]:7070", 403),
            ("[::1", 403),
            ("::1", 403),
            ("[127.0.0.1]", 403),
            ("user@127.0.0.1:7070", 403),
            ("127.1", 403),
            ("", 403),
        ];
        for (host, expected) in cases {
            assert_eq!(
                answer(&Method::GET, "/", &[("host", host)]),
                expected,
                "{host}"
            );
        }
        assert_eq!(answer(&Method::GET, "/", &[]), 403);
        let twice = [("host", "localhost"), ("host", "localhost")];
        assert_eq!(answer(&Method::GET, "/", &twice), 403);
    }

    #[test]
    fn an_absolute_target_agrees_with_the_host() {
        let host = [("host", "localhost:7070")];
        assert_eq!(answer(&Method::GET, "http://localhost:7070/", &host), 200);
        assert_eq!(answer(&Method::GET, "http://evil.example/", &host), 403);
    }

    #[test]
    fn pages_of_other_origins_are_refused() {
        let cases = [
            ("origin", "http://127.0.0.1:7070", 200),
            ("origin", "http://localhost:7070", 403),
            ("origin", "http://127.0.0.1:8080", 403),
            ("origin", "https://127.0.0.1:7070", 403),
            ("origin", "http://evil.example", 403),
            ("origin", "null", 403),
            ("origin", "", 403),
            ("sec-fetch-site", "same-origin", 200),
            ("sec-fetch-site", "none", 200),
            ("sec-fetch-site", "same-site", 403),
            ("sec-fetch-site", "cross-site", 403),
        ];
        for (field, value, expected) in cases {
            let fields = [("host", "127.0.0.1:7070"), (field, value)];
            assert_eq!(
                answer(&Method::GET, "/", &fields),
                expected,
                "{field}: {value}"
            );
        }
    }

    #[test]
    fn a_post_is_json() {
        let cases = [
            (Some("application/json"), 200),
            (Some("Application/JSON; charset=utf-8"), 200),
            (Some("text/plain"), 415),
            (Some("application/x-www-form-urlencoded"), 415),
            (Some("text/plain; application/json"), 415),
            (None, 415),
        ];
        for (kind, expected) in cases {
            let mut fields = vec![("host", "localhost")];
            fields.extend(kind.map(|it| ("content-type", it)));
            assert_eq!(
                answer(&Method::POST, "/v1/x", &fields),
                expected,
                "{kind:?}"
            );
        }
    }
}
