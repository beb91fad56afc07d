//! Which fields stay behind.

/// Fields that speak of one hop only (RFC 9110 7.6.1), beside those that `Connection` names.
///
/// `Trailer` is none: it speaks of the message. `HTTP2-Settings` is one because we never upgrade to h2c.
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// Fields that `Connection` cannot take out of a message: without them it would mean something else, to someone else.
const NOT_FOR_CONNECTION: [&str; 6] = [
    "authorization",
    "content-length",
    "cookie",
    "host",
    "set-cookie",
    "transfer-encoding",
];

/// Whether a field ends at this hop. The server sends its own framing and `Connection` in their place. Any case.
pub fn is_hop_by_hop(name: &str) -> bool {
    is_one_of(&HOP_BY_HOP, name)
}

/// Whether a field is dropped from every request: with `_` in its name (CGI reads `X_Y` as `X-Y`), or `Proxy` (which
/// CGI hands on as `HTTP_PROXY`).
pub fn is_dropped(name: &str) -> bool {
    name.contains('_') || name.eq_ignore_ascii_case("proxy")
}

/// Whether a field says where a request came from: dropped unless a trusted proxy sent it.
pub fn is_forwarding(name: &str) -> bool {
    let prefix = "x-forwarded-";
    let starts = name
        .get(..prefix.len())
        .is_some_and(|it| it.eq_ignore_ascii_case(prefix));
    starts || is_one_of(&["forwarded", "x-real-ip"], name)
}

/// The fields that the values of `Connection` take out of a message, as they were written.
///
/// Left out: `close` and `keep-alive`, which are no fields; tokens that are no names; and Host, Cookie, Set-Cookie, Authorization and the
/// framing fields, which stay whatever `Connection` says.
pub fn connection_names<'a>(
    values: impl IntoIterator<Item = &'a [u8]>,
) -> impl Iterator<Item = &'a str> {
    values
        .into_iter()
        .flat_map(|value| value.split(|it| *it == b','))
        .filter_map(|token| std::str::from_utf8(token.trim_ascii()).ok())
        .filter(|token| !token.is_empty() && token.bytes().all(is_token_byte))
        .filter(|token| !is_one_of(&["close", "keep-alive"], token))
        .filter(|token| !is_one_of(&NOT_FOR_CONNECTION, token))
}

/// RFC 9110 5.6.2.
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn is_one_of(names: &[&str], name: &str) -> bool {
    names.iter().any(|it| it.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_one_hop_end_here_in_any_case() {
        let ends = [
            "Connection",
            "KEEP-ALIVE",
            "TE",
            "upgrade",
            "Proxy-Connection",
            "HTTP2-Settings",
            "Transfer-Encoding",
        ];
        let goes_on = [
            "Trailer",
            "Content-Length",
            "Host",
            "Via",
            "Connection2",
            "",
        ];
        ends.iter()
            .for_each(|it| assert!(is_hop_by_hop(it), "{it}"));
        goes_on
            .iter()
            .for_each(|it| assert!(!is_hop_by_hop(it), "{it}"));
    }

    #[test]
    fn names_that_cgi_would_confuse_are_dropped() {
        for name in ["X_Forwarded_For", "a_", "_", "Proxy", "pROXY"] {
            assert!(is_dropped(name), "{name}");
        }
        for name in ["X-Forwarded-For", "Proxy-Connection", "Proxys", ""] {
            assert!(!is_dropped(name), "{name}");
        }
    }

    #[test]
    fn forwarding_fields_are_known_by_their_prefix() {
        for name in [
            "Forwarded",
            "X-Forwarded-For",
            "x-forwarded-prefix",
            "X-Real-IP",
        ] {
            assert!(is_forwarding(name), "{name}");
        }
        for name in ["X-Forwarded", "Via", "X-Forwardedé", "é-forwarded-for", ""] {
            assert!(!is_forwarding(name), "{name}");
        }
    }

    #[test]
    fn connection_names_fields_but_not_those_that_carry_the_meaning() {
        let table: [(&[&[u8]], &[&str]); 7] = [
            (&[b"close"], &[]),
            (&[b"keep-alive, X-Hop"], &["X-Hop"]),
            (&[b"a,,b ,\tc", b"d"], &["a", "b", "c", "d"]),
            (
                &[b"Host, Cookie, AUTHORIZATION, content-length, transfer-encoding, x"],
                &["x"],
            ),
            (&[b"bad name, \xff, x:y, ok"], &["ok"]),
            (&[b""], &[]),
            (&[], &[]),
        ];
        for (values, expected) in table {
            let names: Vec<_> = connection_names(values.iter().copied()).collect();
            assert_eq!(names, expected, "{values:?}");
        }
    }
}
