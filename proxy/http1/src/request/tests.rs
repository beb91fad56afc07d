use super::*;
use crate::{HeadScan, MOST_HEAD_BYTES};

/// As a connection does it: find the end, then read.
fn judge(bytes: &[u8]) -> Result<RequestHead, Refusal> {
    let end = HeadScan::default().look(bytes)?.unwrap();
    let mut head = RequestHead::default();
    head.read(&bytes[..end]).map(|()| head)
}

/// The same, octet by octet.
fn judge_slowly(bytes: &[u8]) -> Result<RequestHead, Refusal> {
    let mut scan = HeadScan::default();
    for end in 0..=bytes.len() {
        if let Some(end) = scan.look(&bytes[..end])? {
            let mut head = RequestHead::default();
            return head.read(&bytes[..end]).map(|()| head);
        }
    }
    panic!("it has no end: {:?}", String::from_utf8_lossy(bytes));
}

#[track_caller]
fn reads(text: &str) -> RequestHead {
    let head = judge(text.as_bytes());
    head.unwrap_or_else(|refusal| panic!("{text:?}: {refusal}"))
}

#[track_caller]
fn refused(text: &str, expected: Refusal) {
    let kind =
        |it: Result<RequestHead, Refusal>| it.map(drop).map_err(|it| std::mem::discriminant(&it));
    let expected = kind(Err(expected));
    assert_eq!(kind(judge(text.as_bytes())), expected, "{text:?}");
    assert_eq!(
        kind(judge_slowly(text.as_bytes())),
        expected,
        "{text:?} slowly"
    );
}

const MALFORMED: Refusal = Refusal::Malformed("");

#[test]
fn sound_heads_pass() {
    let plain = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let head = reads(plain);
    assert_eq!(
        (head.method(), head.version()),
        (Method::Get, Version::Http11)
    );
    assert_eq!(head.framing(), Framing::None);
    assert_eq!(reads(&format!("\r\n{plain}")).host(), "a");
    assert_eq!(reads(&format!("{plain}body\n\0")).host(), "a");
    let old = reads("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(
        (old.host(), old.authority(), old.version()),
        ("", "", Version::Http10)
    );
    let chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n";
    assert_eq!(reads(chunked).framing(), Framing::Chunked);
    let twice = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n";
    assert_eq!(reads(twice).framing(), Framing::Length(3));
    let other = reads("PROPFIND /x HTTP/1.1\r\nHost: A.b:80\r\n\r\n");
    assert_eq!(
        (other.method(), other.method_text()),
        (Method::Other, "PROPFIND")
    );
    assert_eq!((other.host(), other.authority()), ("a.b", "A.b:80"));
    assert_eq!(
        reads("get / HTTP/1.1\r\nHost: a\r\n\r\n").method(),
        Method::Other
    );
}

/// Every line of "HTTP/1 strictness" that a head can break.
#[test]
fn heads_with_two_meanings_are_refused() {
    for fields in [
        "Host: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n",
        "Host: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n",
        "Host: a\r\nContent-Length: 1, 1\r\n",
        "Host: a\r\nContent-Length: +1\r\n",
        "Host: a\r\nContent-Length: -1\r\n",
        "Host: a\r\nContent-Length: 0x1\r\n",
        "Host: a\r\nContent-Length:\r\n",
        "Host: a\r\nContent-Length: 18446744073709551616\r\n",
        "Host: a\r\nTransfer-Encoding: gzip\r\n",
        "Host: a\r\nTransfer-Encoding: identity\r\n",
        "Host: a\r\nTransfer-Encoding: xchunked\r\n",
        "Host: a\r\nTransfer-Encoding: gzip, chunked\r\n",
        "Host: a\r\nTransfer-Encoding: chunked, identity\r\n",
        "Host: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Host: a\r\nTransfer-Encoding:\x0bchunked\r\n",
        "Host: a\r\nTransfer-Encoding:\r\n",
        "Host: a\rb\r\n",
        "Host: a\n",
        "Host: a\r\nx: y\n",
        "Host: a\r\nx: y\r",
        "Host : a\r\n",
        "Host\t: a\r\n",
        " Host: a\r\n",
        "Host: a\r\n folded\r\n",
        "Host: a\r\n\tfolded\r\n",
        "Host: a\r\nnocolon\r\n",
        "Host: a\r\n: value\r\n",
        "Host: a\r\nx\x01: y\r\n",
        "Host: a\r\nx(y): y\r\n",
        "Host: a\r\nxé: y\r\n",
        "Host: a\r\nx: \0\r\n",
        "Host: a\r\nx: \x7f\r\n",
        "Host: a\r\nx: \x0c\r\n",
        "Host: a\r\nHost: a\r\n",
        "Host: \r\n",
        "Host: a/x\r\n",
        "Host: u@a\r\n",
        "Host: a, b\r\n",
        "Host: é\r\n",
        "x: y\r\n",
    ] {
        refused(&format!("GET / HTTP/1.1\r\n{fields}\r\n"), MALFORMED);
    }
    for line in [
        "GET / HTTP/1.0\r\nTransfer-Encoding: chunked",
        "GET / HTTP/1.0\r\nHost: a\r\nHost: a",
        "GET  / HTTP/1.1\r\nHost: a",
        "GET /  HTTP/1.1\r\nHost: a",
        "GET /a b HTTP/1.1\r\nHost: a",
        "GET /\tx HTTP/1.1\r\nHost: a",
        "GET /\x7f HTTP/1.1\r\nHost: a",
        "GET / HTTP/1.1 \r\nHost: a",
        " GET / HTTP/1.1\r\nHost: a",
        "G(T / HTTP/1.1\r\nHost: a",
        "GET /",
        "GET HTTP/1.1",
        "GET  HTTP/1.1",
        "/ HTTP/1.1",
        "GET / HTTP/11",
        "GET / HTTP/1.10",
        "GET / http/1.1\r\nHost: a",
        "\r\n\r\nGET / HTTP/1.1\r\nHost: a",
    ] {
        refused(&format!("{line}\r\n\r\n"), MALFORMED);
    }
}

#[test]
fn what_is_not_served_says_so() {
    refused("GET / HTTP/1.2\r\nHost: a\r\n\r\n", Refusal::Version);
    refused("GET / HTTP/0.9\r\n\r\n", Refusal::Version);
    refused("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Refusal::Version);
    refused("CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", Refusal::Method);
    refused("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", Refusal::Method);
    refused(
        "GET / HTTP/1.1\r\nHost: a\r\nExpect: cookies\r\n\r\n",
        Refusal::Expectation,
    );
}

/// However a head was split, the worse fault decides.
#[test]
fn a_control_octet_outweighs_other_refusals() {
    for head in [
        "GET / HTTP/1.2\r\nHost: a\r\nX: \0\r\n\r\n",
        "CONNECT a:443 HTTP/1.1\r\nHost: a\r\nX: a\nb\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nExpect: x\r\nX: a\rb\r\n\r\n",
    ] {
        refused(head, MALFORMED);
    }
    let many = "a: b\r\n".repeat(101);
    refused(
        &format!("GET / HTTP/1.1\r\n{many}x: \x01\r\n\r\n"),
        MALFORMED,
    );
}

#[test]
fn a_head_past_the_limits_is_431() {
    let with = |count: usize| {
        format!(
            "GET / HTTP/1.1\r\nHost: a\r\n{}\r\n",
            "a: b\r\n".repeat(count)
        )
    };
    refused(&with(100), Refusal::HeadTooLarge);
    assert_eq!(reads(&with(99)).fields().count(), 100);
    let long = "b".repeat(MOST_HEAD_BYTES);
    refused(
        &format!("GET / HTTP/1.1\r\na: {long}\r\n\r\n"),
        Refusal::HeadTooLarge,
    );
    let mut head = RequestHead::default();
    let unscanned = head.read(format!("GET / HTTP/1.1\r\na: {long}\r\n\r\n").as_bytes());
    assert_eq!(unscanned, Err(Refusal::HeadTooLarge));
    let options = "a,".repeat(101);
    refused(
        &format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: {options}\r\n\r\n"),
        Refusal::HeadTooLarge,
    );
}

#[test]
fn octets_that_are_no_head_are_refused_unscanned() {
    let whole = "GET /a?b HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n";
    for end in 0..whole.len() {
        let read = RequestHead::default().read(&whole.as_bytes()[..end]);
        assert!(
            matches!(read, Err(Refusal::Malformed(_))),
            "{end}: {read:?}"
        );
    }
    for behind in ["\r\n", "x", "x: y\r\n\r\n"] {
        let read = RequestHead::default().read(format!("{whole}{behind}").as_bytes());
        assert!(matches!(read, Err(Refusal::Malformed(_))), "{behind:?}");
    }
}

#[track_caller]
fn asks(target: &str, host: Option<&str>) -> Result<(String, String, String), Refusal> {
    let (host, version) = match host {
        Some(host) => (format!("Host: {host}\r\n"), "1.1"),
        None => (String::new(), "1.0"),
    };
    let head = judge(format!("GET {target} HTTP/{version}\r\n{host}\r\n").as_bytes())?;
    let owned = |it: &str| it.to_owned();
    Ok((owned(head.host()), owned(head.path()), owned(head.query())))
}

#[test]
fn targets_have_one_form() {
    let ok = |host: &str, path: &str, query: &str| {
        Ok((host.to_owned(), path.to_owned(), query.to_owned()))
    };
    assert_eq!(
        asks("/a/../b?x=/../y", Some("A.test:80")),
        ok("a.test", "/b", "?x=/../y")
    );
    assert_eq!(
        asks("http://a.test/x", Some("A.test")),
        ok("a.test", "/x", "")
    );
    assert_eq!(
        asks("HTTP://a.test?q", Some("a.test")),
        ok("a.test", "/", "?q")
    );
    assert_eq!(
        asks("https://[::0:1]:8/x?", Some("[::0:1]:8")),
        ok("[::1]", "/x", "?")
    );
    assert_eq!(asks("http://a.test/x", None), ok("a.test", "/x", ""));
    assert_eq!(asks("/%2e%2E/x", None), ok("", "/x", ""));
    assert_eq!(asks("//a.test/x", Some("b")), ok("b", "//a.test/x", ""));
    assert_eq!(asks("/?a?b/../c", Some("b.")), ok("b", "/", "?a?b/../c"));
    assert_eq!(asks("/é?é", Some("b")), ok("b", "/é", "?é"));
}

#[test]
fn targets_with_two_meanings_are_refused() {
    for (target, host) in [
        ("http://a.test/x", "b.test"),
        ("http://a.test:81/x", "a.test"),
        ("http://user@a.test/", "user@a.test"),
        ("http:///x", ""),
        ("http://a.test#x", "a.test"),
        ("ftp://a.test/x", "a.test"),
        ("/", ""),
        ("/", "a b"),
        ("/", "a.test, b.test"),
        ("/a#b", "a.test"),
        ("/a?b#c", "a.test"),
        ("/a\\b", "a.test"),
        ("/a?b\\c", "a.test"),
        ("/a%00", "a.test"),
        ("/a?b%00", "a.test"),
        ("/a%zz", "a.test"),
        ("a", "a.test"),
        ("*", "a.test"),
    ] {
        let asked = asks(target, Some(host));
        assert!(
            matches!(asked, Err(Refusal::Malformed(_))),
            "{target} {host}: {asked:?}"
        );
    }
    let broken = [
        b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\xff\r\n\r\n",
    ];
    for head in broken {
        assert!(matches!(judge(head), Err(Refusal::Malformed(_))));
    }
}

#[test]
fn an_asterisk_is_for_options() {
    for (target, path) in [
        ("*", "*"),
        ("/*", "/*"),
        ("http://a", "*"),
        ("http://a/", "/"),
    ] {
        let head = reads(&format!("OPTIONS {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!(head.path(), path, "{target}");
    }
    refused("OPTIONS *?a HTTP/1.1\r\nHost: a\r\n\r\n", MALFORMED);
    refused("OPTIONS ** HTTP/1.1\r\nHost: a\r\n\r\n", MALFORMED);
}

#[track_caller]
fn with(version: &str, fields: &str) -> RequestHead {
    reads(&format!("GET / HTTP/{version}\r\nHost: a\r\n{fields}\r\n"))
}

#[test]
fn a_connection_stays_as_both_versions_have_it() {
    for (version, fields, closes) in [
        ("1.1", "", false),
        ("1.1", "Connection: close\r\n", true),
        ("1.1", "Connection: x, CLOSE\r\n", true),
        ("1.1", "Connection: x\r\nConnection: close\r\n", true),
        ("1.1", "Connection: keep-alive, close\r\n", true),
        ("1.1", "Connection: closed\r\n", false),
        ("1.0", "", true),
        ("1.0", "Connection: keep-alive\r\n", false),
        ("1.0", "Connection: Keep-Alive, close\r\n", true),
    ] {
        assert_eq!(
            with(version, fields).closes(),
            closes,
            "{version} {fields:?}"
        );
    }
}

#[test]
fn a_websocket_is_asked_for_in_one_way() {
    const ASKED: &str = "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n";
    assert!(with("1.1", ASKED).wants_websocket());
    assert!(with("1.1", &format!("{ASKED}Content-Length: 0\r\n")).wants_websocket());
    assert!(!with("1.0", ASKED).wants_websocket());
    assert!(!reads(&format!("POST / HTTP/1.1\r\nHost: a\r\n{ASKED}\r\n")).wants_websocket());
    for fields in [
        "Upgrade: websocket\r\n",
        "Connection: upgrade\r\n",
        "Connection: upgrade\r\nUpgrade: h2c\r\n",
        "Connection: upgrade\r\nUpgrade: websocket, h2c\r\n",
        "Connection: upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n",
        "Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n",
        "Connection: upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\n",
    ] {
        assert!(!with("1.1", fields).wants_websocket(), "{fields:?}");
    }
}

#[test]
fn expectations_and_trailers_are_of_http_1_1() {
    assert!(with("1.1", "Expect: 100-Continue\r\n").expects_continue());
    assert!(!with("1.0", "Expect: 100-continue\r\n").expects_continue());
    assert!(!with("1.1", "").expects_continue());
    assert!(with("1.1", "TE: gzip;q=0.5, Trailers\r\n").accepts_trailers());
    assert!(!with("1.1", "TE: gzip, xtrailers\r\n").accepts_trailers());
    assert!(!with("1.0", "TE: trailers\r\n").accepts_trailers());
}

#[test]
fn fields_are_as_they_came() {
    let head = with(
        "1.1",
        "X-A:  b c\t\r\nX-Empty:\r\nVia:x\r\nvia: y\r\nX_Y: é\r\n",
    );
    let fields: Vec<_> = head.fields().collect();
    let expected: [(Kind, &str, &str); 6] = [
        (Kind::Host, "Host", "a"),
        (Kind::Other, "X-A", "b c"),
        (Kind::Other, "X-Empty", ""),
        (Kind::Via, "Via", "x"),
        (Kind::Via, "via", "y"),
        (Kind::Underscored, "X_Y", "é"),
    ];
    let expected = expected.map(|(kind, name, value)| Field {
        kind,
        name: name.as_bytes(),
        value: value.as_bytes(),
    });
    assert_eq!(fields, expected);
    assert_eq!(head.field(Kind::Via), Some(&b"x"[..]));
    assert_eq!(head.field(Kind::Expect), None);
}

#[test]
fn what_was_read_before_leaves_no_trace() {
    let long = "POST /a/../long?query HTTP/1.0\r\nHost: LONG.test\r\nConnection: keep-alive, upgrade, x\r\nX: y\r\nContent-Length: 5\r\n\r\n";
    let short = "GET / HTTP/1.1\r\nHost: a\r\nX: z\r\n\r\n";
    let mut head = reads(long);
    head.read(short.as_bytes()).unwrap();
    assert_eq!(format!("{head:?}"), format!("{:?}", reads(short)));
    assert!(head.read(b"GET\r\n\r\n").is_err());
    head.read(short.as_bytes()).unwrap();
    assert_eq!(format!("{head:?}"), format!("{:?}", reads(short)));
}
