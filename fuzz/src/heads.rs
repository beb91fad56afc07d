//! A head means the same however it was split, and what is written of it is read with the same meaning.

use super::{Reached, control, cuts};
use minato_http1::{
    BadResponse, Framing, HeadScan, Kind, Method, Persistence, Refusal, RequestHead, RequestOnward,
    ResponseHead, ResponseOnward, Trust, Version,
};
use std::mem::discriminant;

/// Property of a request's head.
pub fn request_head(data: &[u8]) -> Reached {
    let (step, bytes) = control(data);
    let (choice, bytes) = control(bytes);
    let whole = judge_request(bytes, 0);
    let pieces = judge_request(bytes, step);
    let head = match (whole, pieces) {
        (Ok(Some((head, end))), Ok(Some((other, other_end)))) => {
            assert_eq!(end, other_end, "another end in pieces");
            assert_eq!(format!("{head:?}"), format!("{other:?}"));
            head
        }
        (Ok(None), Ok(None)) => return Reached::Unfinished,
        (Err(one), Err(other)) => {
            assert_eq!(discriminant(&one), discriminant(&other), "{one} {other}");
            return Reached::Refused;
        }
        (one, other) => panic!("whole {one:?}, in pieces {other:?}"),
    };
    let onward = onward(&head, choice);
    let mut out = Vec::new();
    head.write(&onward, &mut out);
    check_lines(&out);
    let written = judge_request(&out, 0);
    let Ok(Some((again, end))) = written else {
        // Fields of our own may make it more than a head may hold.
        assert!(
            matches!(written, Err(Refusal::HeadTooLarge)),
            "{written:?}: {}",
            text(&out)
        );
        return Reached::RefusedThere;
    };
    assert_eq!(end, out.len(), "another end: {}", text(&out));
    assert_eq!(again.version(), Version::Http11);
    assert_eq!(again.method_text(), head.method_text());
    assert_eq!((again.path(), again.query()), (head.path(), head.query()));
    if !head.authority().is_empty() {
        assert_eq!(
            (again.host(), again.authority()),
            (head.host(), head.authority())
        );
    }
    assert_eq!(again.framing(), head.framing());
    assert_eq!(again.wants_websocket(), head.wants_websocket());
    assert!(!again.closes());
    check_fields(&head, &again);
    means_the_same_by_http2(&head, &onward);
    Reached::Held
}

/// The same request by HTTP/2, where it can be made there, goes on with the same fields but for Via.
fn means_the_same_by_http2(head: &RequestHead, onward: &RequestOnward<'_>) {
    let lower = |it: &[u8]| it.to_ascii_lowercase();
    let fields: Vec<_> = head.fields().map(|it| (lower(it.name), it.value)).collect();
    let target = format!("{}{}", head.path(), head.query());
    let mut other = RequestHead::default();
    let assembled = other.assemble(
        head.method_text(),
        onward.scheme,
        Some(head.authority()),
        &target,
        fields.iter().map(|it| (&it.0[..], it.1)),
    );
    let of_http1 = |kind| {
        matches!(
            kind,
            Kind::Connection
                | Kind::KeepAlive
                | Kind::ProxyConnection
                | Kind::Te
                | Kind::TransferEncoding
                | Kind::Upgrade
        )
    };
    let cannot = head.fields().any(|it| of_http1(it.kind)) || head.authority().is_empty();
    if cannot {
        return;
    }
    if assembled == Err(Refusal::HeadTooLarge) {
        return;
    }
    assert_eq!(assembled, Ok(()));
    assert_eq!((other.host(), other.path()), (head.host(), head.path()));
    assert_eq!(other.query(), head.query());
    let cookies = head.fields().filter(|it| it.kind == Kind::Cookie);
    let is_joined = cookies.count() > 1 || head.field(Kind::Cookie) == Some(b"");
    let is_old = head.version() == Version::Http10 && head.field(Kind::Expect).is_some();
    if is_joined || is_old {
        return;
    }
    let emitted = |head: &RequestHead| {
        let mut list = Vec::new();
        head.forward_http2(onward, &mut |name, value| {
            // Via names the version; whether trailers are announced hangs on the framing, which HTTP/2 need not say.
            let differs = [&b"via"[..], b"trailer"]
                .iter()
                .any(|it| name.eq_ignore_ascii_case(it));
            if !differs {
                list.push((name.to_ascii_lowercase(), value.to_vec()));
            }
        });
        list.sort();
        list
    };
    assert_eq!(emitted(&other), emitted(head));
}

/// How a request goes on that `choice` chooses.
pub(crate) fn onward(head: &RequestHead, choice: u8) -> RequestOnward<'_> {
    RequestOnward {
        path: head.path(),
        client: [192, 0, 2, 9].into(),
        trust: if choice & 1 == 0 {
            Trust::Unknown
        } else {
            Trust::Trusted
        },
        scheme: if choice & 2 == 0 { "http" } else { "https" },
        hops: None,
        upstream: ([127, 0, 0, 1], 3000).into(),
    }
}

/// Every field that went on came, or is one of ours; none of those that must not go on did.
fn check_fields(from: &RequestHead, to: &RequestHead) {
    const OURS: [&str; 9] = [
        "host",
        "via",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "content-length",
        "transfer-encoding",
        "connection",
        "upgrade",
    ];
    const NEVER: [&str; 5] = [
        "keep-alive",
        "te",
        "proxy-connection",
        "proxy",
        "proxy-authorization",
    ];
    let mut seen = Vec::new();
    for field in to.fields() {
        let name = String::from_utf8_lossy(field.name).to_ascii_lowercase();
        assert!(!NEVER.contains(&name.as_str()), "{name} goes on");
        assert!(!name.contains('_'), "{name} goes on");
        let came = from
            .fields()
            .any(|it| it.name == field.name && it.value == field.value);
        assert!(came || OURS.contains(&name.as_str()), "{name} did not come");
        let is_once = OURS.contains(&name.as_str()) && name != "via";
        assert!(!is_once || !seen.contains(&name), "{name} twice");
        seen.push(name);
    }
}

fn judge_request(bytes: &[u8], step: u8) -> Result<Option<(RequestHead, usize)>, Refusal> {
    let mut scan = HeadScan::default();
    for end in cuts(bytes.len(), step) {
        if let Some(end) = scan.look(&bytes[..end])? {
            let mut head = RequestHead::default();
            let whole = head.read_whole(bytes);
            // In one pass it is read the same, but for a blank line before it.
            let expected = head.read(&bytes[..end]).is_ok() && !bytes.starts_with(b"\r\n");
            assert_eq!(whole, expected.then_some(end));
            head.read(&bytes[..end])?;
            return Ok(Some((head, end)));
        }
    }
    Ok(None)
}

/// Property of a response's head.
pub fn response_head(data: &[u8]) -> Reached {
    let (step, bytes) = control(data);
    let (choice, bytes) = control(bytes);
    let asked = if choice & 1 == 0 {
        Method::Get
    } else {
        Method::Head
    };
    let whole = judge_response(bytes, 0, asked);
    let pieces = judge_response(bytes, step, asked);
    let head = match (whole, pieces) {
        (Ok(Some((head, end))), Ok(Some((other, other_end)))) => {
            assert_eq!(end, other_end, "another end in pieces");
            assert_eq!(format!("{head:?}"), format!("{other:?}"));
            head
        }
        (Ok(None), Ok(None)) => return Reached::Unfinished,
        (Err(_), Err(_)) => return Reached::Refused,
        (one, other) => panic!("whole {one:?}, in pieces {other:?}"),
    };
    let onward = response_onward(choice);
    let mut out = Vec::new();
    let framing = head.write(&onward, &mut out);
    check_lines(&out);
    let written = judge_response(&out, 0, asked);
    let Ok(Some((again, end))) = written else {
        let why = written.err();
        assert_eq!(
            why,
            Some(BadResponse("a head of more than 100 fields or 32 KiB")),
            "{}",
            text(&out)
        );
        return Reached::RefusedThere;
    };
    assert_eq!(end, out.len(), "another end: {}", text(&out));
    assert_eq!(
        (again.status(), again.framing()),
        (head.status(), framing),
        "{}",
        text(&out)
    );
    assert!(head.status() != 101 || again.is_websocket_upgrade());
    if head.status() >= 200 {
        let until_close = framing == Framing::UntilClose;
        let closes = until_close || onward.persistence == Persistence::Close;
        assert_eq!(again.closes(), closes, "{}", text(&out));
    }
    Reached::Held
}

pub(crate) fn response_onward(choice: u8) -> ResponseOnward {
    ResponseOnward {
        client: if choice & 2 == 0 {
            Version::Http11
        } else {
            Version::Http10
        },
        persistence: if choice & 4 == 0 {
            Persistence::KeepAlive
        } else {
            Persistence::Close
        },
    }
}

fn judge_response(
    bytes: &[u8],
    step: u8,
    asked: Method,
) -> Result<Option<(ResponseHead, usize)>, BadResponse> {
    let mut scan = HeadScan::default();
    for end in cuts(bytes.len(), step) {
        if let Some(end) = scan.look_response(&bytes[..end])? {
            let mut head = ResponseHead::default();
            let whole = head.read_whole(bytes, asked);
            let expected = head.read(&bytes[..end], asked).is_ok();
            assert_eq!(whole, expected.then_some(end));
            head.read(&bytes[..end], asked)?;
            return Ok(Some((head, end)));
        }
    }
    Ok(None)
}

/// Lines end in CRLF, and no control octet stands elsewhere.
fn check_lines(out: &[u8]) {
    assert!(out.ends_with(b"\r\n\r\n"), "{}", text(out));
    for (at, byte) in out.iter().enumerate() {
        let fits = match byte {
            b'\r' => out.get(at + 1) == Some(&b'\n'),
            b'\n' => at > 0 && out[at - 1] == b'\r',
            b'\t' => true,
            _ => *byte >= 0x20 && *byte != 0x7f,
        };
        assert!(fits, "{byte:#x} at {at}: {}", text(out));
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}
