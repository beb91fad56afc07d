use super::*;

type Fields<'a> = &'a [(&'a str, &'a str)];

fn assemble(
    authority: Option<&str>,
    path: &str,
    fields: Fields<'_>,
) -> Result<RequestHead, Refusal> {
    assemble_by("GET", "https", authority, path, fields)
}

fn assemble_by(
    method: &str,
    scheme: &str,
    authority: Option<&str>,
    path: &str,
    fields: Fields<'_>,
) -> Result<RequestHead, Refusal> {
    let mut head = RequestHead::default();
    let fields = fields.iter().map(|it| (it.0.as_bytes(), it.1.as_bytes()));
    head.assemble(method, scheme, authority, path, fields)
        .map(|()| head)
}

#[test]
fn a_sound_head_is_as_http_1_has_it() {
    let fields = [
        ("accept", "*/*"),
        ("content-length", "5"),
        ("te", "trailers"),
        ("expect", "100-continue"),
    ];
    let head = assemble_by("PROPFIND", "http", Some("A.test:1"), "/a/../b?c", &fields).unwrap();
    assert_eq!(
        (head.method(), head.method_text()),
        (Method::Other, "PROPFIND")
    );
    assert_eq!((head.host(), head.authority()), ("a.test", "A.test:1"));
    assert_eq!((head.path(), head.query()), ("/b", "?c"));
    assert_eq!(
        (head.version(), head.framing()),
        (Version::Http2, Framing::Length(5))
    );
    assert!(
        head.accepts_trailers()
            && head.expects_continue()
            && !head.closes()
            && !head.wants_websocket()
    );
    let by_host = assemble(None, "/", &[("host", "b.test")]).unwrap();
    assert_eq!((by_host.host(), by_host.authority()), ("b.test", "b.test"));
    let both = assemble(Some("b.test"), "/", &[("host", "B.test")]).unwrap();
    assert_eq!(both.authority(), "b.test");
    let star = assemble_by("OPTIONS", "https", Some("a"), "*", &[]).unwrap();
    assert_eq!(star.path(), "*");
}

#[test]
fn a_body_without_length_ends_with_its_stream() {
    let mut head = assemble(Some("a"), "/", &[]).unwrap();
    assert_eq!(head.framing(), Framing::UntilClose);
    head.set_bodiless();
    assert_eq!(head.framing(), Framing::None);
    let mut head = assemble(Some("a"), "/", &[("content-length", "0")]).unwrap();
    head.set_bodiless();
    assert_eq!(head.framing(), Framing::Length(0));
}

#[test]
fn crumbs_are_one_cookie() {
    let fields = [
        ("cookie", "a=1"),
        ("x", "y"),
        ("cookie", ""),
        ("cookie", "b=2; c=3"),
        ("cookie", "d"),
    ];
    let head = assemble(Some("a"), "/", &fields).unwrap();
    assert_eq!(head.field(Kind::Cookie), Some(&b"a=1; b=2; c=3; d"[..]));
    assert_eq!(head.fields().count(), 2);
    let mut head = head;
    head.assemble("GET", "http", Some("a"), "/", std::iter::empty())
        .unwrap();
    assert_eq!(head.fields().count(), 0);
}

#[test]
fn what_would_mean_something_else_in_http_1_is_malformed() {
    for (name, value) in [
        ("Accept", "x"),
        ("acCept", "x"),
        ("", "x"),
        (":path", "/x"),
        ("a:b", "x"),
        ("a b", "x"),
        ("a\r\nb", "x"),
        ("a\0", "x"),
        ("é", "x"),
        ("x", "a\rb"),
        ("x", "a\nb"),
        ("x", "a\r\nHost: b"),
        ("x", "a\0b"),
        ("x", "a\x7f"),
        ("x", " a"),
        ("x", "a "),
        ("x", "\ta"),
        ("x", "a\t"),
        ("cookie", "a\nb"),
        ("cookie", " a"),
        ("connection", "close"),
        ("connection", ""),
        ("keep-alive", "x"),
        ("proxy-connection", "x"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "websocket"),
        ("te", "gzip"),
        ("te", "trailers, gzip"),
        ("te", ""),
        ("content-length", ""),
        ("content-length", "+1"),
        ("content-length", "1, 1"),
        ("content-length", "18446744073709551616"),
        ("host", "b"),
        ("host", ""),
        ("host", "a, b"),
    ] {
        let head = assemble(Some("a"), "/", &[("ok", "ok"), (name, value)]);
        assert!(
            matches!(head, Err(Refusal::Malformed(_))),
            "{name:?} {value:?}: {head:?}"
        );
    }
    for fields in [
        &[("host", "a"), ("host", "a")][..],
        &[("cookie", "a"), ("cookie", " b")],
        &[("content-length", "1"), ("content-length", "2")],
        &[("te", "trailers"), ("te", "x")],
    ] {
        let head = assemble(Some("a"), "/", fields);
        assert!(
            matches!(head, Err(Refusal::Malformed(_))),
            "{fields:?}: {head:?}"
        );
    }
    for (method, scheme, authority, path) in [
        ("G T", "http", Some("a"), "/"),
        ("", "http", Some("a"), "/"),
        ("GET", "ftp", Some("a"), "/"),
        ("GET", "", Some("a"), "/"),
        ("GET", "http", None, "/"),
        ("GET", "http", Some(""), "/"),
        ("GET", "http", Some("u@a"), "/"),
        ("GET", "http", Some("a\r\nb"), "/"),
        ("GET", "http", Some("a"), ""),
        ("GET", "http", Some("a"), "*"),
        ("GET", "http", Some("a"), "x"),
        ("GET", "http", Some("a"), "http://a/"),
        ("GET", "http", Some("a"), "/a b"),
        ("GET", "http", Some("a"), "/a\r\nx"),
        ("GET", "http", Some("a"), "/?a\tb"),
        ("GET", "http", Some("a"), "/?a b"),
        ("GET", "http", Some("a"), "/?a\nb"),
        ("GET", "http", Some("a"), "/a#b"),
        ("GET", "http", Some("a"), "/a\\b"),
        ("GET", "http", Some("a"), "/a?%00"),
    ] {
        let head = assemble_by(method, scheme, authority, path, &[]);
        assert!(
            matches!(head, Err(Refusal::Malformed(_))),
            "{method} {scheme} {authority:?} {path:?}: {head:?}"
        );
    }
}

#[test]
fn other_refusals_are_those_of_http_1() {
    fn kind(method: &str, fields: Fields<'_>) -> Result<(), Refusal> {
        assemble_by(method, "http", Some("a"), "/", fields).map(drop)
    }
    assert_eq!(kind("CONNECT", &[]), Err(Refusal::Method));
    assert_eq!(kind("TRACE", &[]), Err(Refusal::Method));
    assert_eq!(kind("GET", &[("expect", "x")]), Err(Refusal::Expectation));
    assert_eq!(kind("GET", &[("x", "y"); 100]), Ok(()));
    assert_eq!(kind("GET", &[("x", "y"); 101]), Err(Refusal::HeadTooLarge));
    let long = "x".repeat(MOST_HEAD_BYTES);
    for name in ["x", "cookie"] {
        assert_eq!(
            kind("GET", &[(name, &long)]),
            Err(Refusal::HeadTooLarge),
            "{name}"
        );
        assert_eq!(
            kind("GET", &[(name, &long[..20_000]); 2]),
            Err(Refusal::HeadTooLarge),
            "{name}"
        );
    }
    let both = assemble(
        Some("a"),
        &format!("/{}", &long[..20_000]),
        &[("x", &long[..20_000])],
    );
    assert_eq!(both.map(drop), Err(Refusal::HeadTooLarge));
}
