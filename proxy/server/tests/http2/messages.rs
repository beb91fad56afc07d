//! RFC 9113 8: requests that are malformed are turned away, and nothing of them reaches the instance.

use crate::case::{Case, Expect, case, run};
use crate::client::Client;
use crate::frame::*;
use crate::subject::Subject;

/// A whole request with these fields and no others.
fn bare(fields: &[(&str, &str)]) -> Vec<u8> {
    headers(WHOLE, 1, &block(fields))
}

/// A whole request for `/bad` with this field beside the ordinary ones.
fn extra(name: &[u8], value: &[u8]) -> Vec<u8> {
    headers(
        WHOLE,
        1,
        &[request("GET", "/bad"), field(name, value)].concat(),
    )
}

fn away(name: &'static str, frames: &[Vec<u8>]) -> Case {
    case(name, frames, Expect::TurnedAway(1))
}

const METHOD: (&str, &str) = (":method", "GET");
const SCHEME: (&str, &str) = (":scheme", "http");
const PATH: (&str, &str) = (":path", "/bad");
const AUTHORITY: (&str, &str) = (":authority", "a.test");

fn pseudo() -> Vec<Case> {
    let path = |name, path| away(name, &[bare(&[METHOD, SCHEME, (":path", path), AUTHORITY])]);
    let authority = |name, text| away(name, &[bare(&[METHOD, SCHEME, PATH, (":authority", text)])]);
    let method = |name, text| away(name, &[bare(&[(":method", text), SCHEME, PATH, AUTHORITY])]);
    vec![
        away("8.3 an unknown pseudo field", &[extra(b":test", b"ok")]),
        away(
            "8.3 a pseudo field of answers",
            &[extra(b":status", b"200")],
        ),
        away(
            "8.3 a pseudo field after others",
            &[bare(&[METHOD, SCHEME, AUTHORITY, ("x-test", "ok"), PATH])],
        ),
        away(
            "8.3 :authority after others",
            &[bare(&[METHOD, SCHEME, PATH, ("x-test", "ok"), AUTHORITY])],
        ),
        path("8.3.1 an empty :path", ""),
        away("8.3.1 no :method", &[bare(&[SCHEME, PATH, AUTHORITY])]),
        away("8.3.1 no :scheme", &[bare(&[METHOD, PATH, AUTHORITY])]),
        away("8.3.1 no :path", &[bare(&[METHOD, SCHEME, AUTHORITY])]),
        away(
            "8.3.1 :method twice",
            &[bare(&[METHOD, METHOD, SCHEME, PATH, AUTHORITY])],
        ),
        away(
            "8.3.1 :scheme twice",
            &[bare(&[METHOD, SCHEME, SCHEME, PATH, AUTHORITY])],
        ),
        away(
            "8.3.1 :path twice",
            &[bare(&[METHOD, SCHEME, PATH, PATH, AUTHORITY])],
        ),
        away(
            "8.3.1 :authority twice",
            &[bare(&[METHOD, SCHEME, PATH, AUTHORITY, AUTHORITY])],
        ),
        away(
            "8.3.1 neither :authority nor host",
            &[bare(&[METHOD, SCHEME, PATH])],
        ),
        away(
            "8.3.1 host disagrees with :authority",
            &[extra(b"host", b"b.test")],
        ),
        away(
            "8.3.1 host twice",
            &[bare(&[
                METHOD,
                SCHEME,
                PATH,
                ("host", "a.test"),
                ("host", "a.test"),
            ])],
        ),
        away(
            "8.3.1 host is empty",
            &[bare(&[METHOD, SCHEME, PATH, ("host", "")])],
        ),
        authority("8.3.1 :authority is empty", ""),
        authority("8.3.1 user information in :authority", "user@a.test"),
        authority("8.3.1 a space in :authority", "a.test b.test"),
        authority("8.3.1 a path in :authority", "a.test/bad"),
        authority("8.3.1 a line in :authority", "a.test\r\nX-Evil: 1"),
        path("8.3.1 a space in :path", "/bad /x"),
        path("8.3.1 a line in :path", "/bad HTTP/1.1\r\nX-Evil: 1"),
        path("8.3.1 NUL in :path", "/bad\0"),
        path("8.3.1 %00 in :path", "/bad%00"),
        path("8.3.1 a backslash in :path", "/bad\\x"),
        path("8.3.1 a fragment in :path", "/bad#x"),
        path("8.3.1 :path without a slash", "bad"),
        path("8.3.1 :path is absolute", "http://a.test/bad"),
        path("8.3.1 `*` with GET", "*"),
        method("8.3.1 a space in :method", "GET /evil"),
        method(
            "8.3.1 a line in :method",
            "GET / HTTP/1.1\r\nX-Evil: 1\r\n\r\nGET",
        ),
        method("8.3.1 :method is empty", ""),
        away(
            "8.3.1 a :scheme of another protocol",
            &[bare(&[METHOD, (":scheme", "ftp"), PATH, AUTHORITY])],
        ),
        away(
            "8.3.1 a line in :scheme",
            &[bare(&[
                METHOD,
                (":scheme", "http\r\nX-Evil: 1"),
                PATH,
                AUTHORITY,
            ])],
        ),
        away(
            "8.3 :protocol without its setting",
            &[bare(&[
                (":method", "CONNECT"),
                (":protocol", "websocket"),
                SCHEME,
                PATH,
                AUTHORITY,
            ])],
        ),
    ]
}

fn fields() -> Vec<Case> {
    let one = |name, field: &[u8], value: &[u8]| away(name, &[extra(field, value)]);
    vec![
        one("8.2.1 an upper-case name", b"X-TEST", b"ok"),
        one("8.2.1 one upper-case letter", b"x-tesT", b"ok"),
        one("8.2.1 `:` in a name", b"x:test", b"ok"),
        one("8.2.1 a space in a name", b"x test", b"ok"),
        one(
            "8.2.1 a space at the end of a name",
            b"transfer-encoding ",
            b"chunked",
        ),
        one("8.2.1 a line in a name", b"x-test\r\nx-evil", b"ok"),
        one("8.2.1 NUL in a name", b"x\0test", b"ok"),
        one("8.2.1 an empty name", b"", b"ok"),
        one("8.2.1 a name above ASCII", b"x-t\xffst", b"ok"),
        one("8.2.1 CR and LF in a value", b"x-test", b"a\r\nX-Evil: 1"),
        one("8.2.1 CR in a value", b"x-test", b"a\rb"),
        one("8.2.1 LF in a value", b"x-test", b"a\nb"),
        one("8.2.1 NUL in a value", b"x-test", b"a\0b"),
        one("8.2.1 a space before a value", b"x-test", b" a"),
        one("8.2.1 a space after a value", b"x-test", b"a "),
        one("8.2.1 a tab after a value", b"x-test", b"a\t"),
        one("8.2.2 connection", b"connection", b"keep-alive"),
        one(
            "8.2.2 connection that names a field",
            b"connection",
            b"x-forwarded-for",
        ),
        one("8.2.2 proxy-connection", b"proxy-connection", b"keep-alive"),
        one("8.2.2 keep-alive", b"keep-alive", b"timeout=5"),
        one("8.2.2 transfer-encoding", b"transfer-encoding", b"chunked"),
        one("8.2.2 upgrade", b"upgrade", b"h2c"),
        one("8.2.2 te with another value", b"te", b"trailers, deflate"),
        one("8.2.2 te: chunked", b"te", b"chunked"),
    ]
}

fn bodies() -> Vec<Case> {
    let sized = |lengths: &[&str]| {
        let mut block = request("POST", "/bad");
        for length in lengths {
            block.extend(field(b"content-length", length.as_bytes()));
        }
        block
    };
    let one = |name, length: &str| {
        away(
            name,
            &[
                headers(END_HEADERS, 1, &sized(&[length])),
                data(END_STREAM, 1, b"test"),
            ],
        )
    };
    vec![
        away(
            "8.1.1 content-length without a body",
            &[headers(WHOLE, 1, &sized(&["4"]))],
        ),
        away(
            "8.1.1 two content-lengths",
            &[
                headers(END_HEADERS, 1, &sized(&["4", "5"])),
                data(END_STREAM, 1, b"test"),
            ],
        ),
        one("8.1.1 a list of content-lengths", "4, 4"),
        one("8.1.1 a content-length that is no number", "four"),
        one("8.1.1 a content-length with a sign", "+4"),
        one("8.1.1 a negative content-length", "-4"),
        one("8.1.1 a content-length in hexadecimal", "0x4"),
        one("8.1.1 an empty content-length", ""),
        one(
            "8.1.1 a content-length that overflows",
            "18446744073709551620",
        ),
        away(
            "8.1 a CONNECT with a :path",
            &[bare(&[(":method", "CONNECT"), SCHEME, PATH, AUTHORITY])],
        ),
    ]
}

/// What is wrong shows only after the head: the instance may have seen that, but never a whole request.
fn late() -> Vec<Case> {
    let sized = |length: &str| {
        let block = [
            request("POST", "/late"),
            field(b"content-length", length.as_bytes()),
        ]
        .concat();
        headers(END_HEADERS, 1, &block)
    };
    let trailers = |flags, fields: &[(&str, &str)]| {
        [
            post(1, "/late"),
            data(0, 1, b"test"),
            headers(flags, 1, &block(fields)),
        ]
    };
    let away = |name, frames: &[Vec<u8>]| case(name, frames, Expect::TurnedAway(1));
    vec![
        away(
            "8.1.1 less than content-length",
            &[sized("5"), data(END_STREAM, 1, b"test")],
        ),
        away(
            "8.1.1 more than content-length",
            &[sized("3"), data(END_STREAM, 1, b"test")],
        ),
        away(
            "8.1.1 more than content-length, in two",
            &[sized("5"), data(0, 1, b"tes"), data(END_STREAM, 1, b"ting")],
        ),
        away(
            "8.1.1 less than content-length, in two",
            &[sized("9"), data(0, 1, b"tes"), data(END_STREAM, 1, b"ting")],
        ),
        away(
            "8.1 a second head without END_STREAM",
            &trailers(END_HEADERS, &[("x-test", "ok")]),
        ),
        away(
            "8.1 an upper-case name in trailers",
            &trailers(WHOLE, &[("X-Test", "1")]),
        ),
        away(
            "8.1 a line in trailers",
            &trailers(WHOLE, &[("x-test", "1\r\nX-Evil: 1")]),
        ),
        away(
            "8.1 a pseudo field in trailers",
            &trailers(WHOLE, &[(":path", "/evil"), ("x-sum", "7")]),
        ),
        away(
            "8.1 transfer-encoding in trailers",
            &trailers(WHOLE, &[("transfer-encoding", "chunked")]),
        ),
    ]
}

#[tokio::test]
async fn pseudo_fields_are_there_once_and_first() {
    run(pseudo()).await;
}

#[tokio::test]
async fn fields_that_another_parser_would_read_otherwise_are_refused() {
    run(fields()).await;
}

#[tokio::test]
async fn lengths_agree_with_bodies() {
    run(bodies()).await;
    run(late()).await;
}

/// Whoever wrote the client reads why, and the stream is reset all the same (RFC 9113 8.1.1).
#[tokio::test]
async fn a_malformed_request_is_told_so_before_its_reset() {
    let subject = Subject::start().await;
    let mut client = Client::connect(subject.address).await;
    for (stream, method, text) in [
        (1, "GET", "400 the request is malformed\n"),
        (3, "HEAD", ""),
    ] {
        let block = [request(method, "/bad"), field(b"te", b"x")].concat();
        client.send(headers(WHOLE, stream, &block)).await;
        let answer = client.ended(stream).await;
        assert_eq!(
            (answer.status, answer.reset, answer.is_ended),
            (Some(400), Some(PROTOCOL), false),
            "{method}"
        );
        assert_eq!(answer.body, text.as_bytes(), "{method}");
        assert_eq!(answer.field("content-length"), Some("29"), "{method}");
    }
    assert!(client.is_alive().await);
}

/// Also over the limit (RFC 9113 6.5.2, 10.5.1).
#[tokio::test]
async fn heads_past_the_limits_are_431() {
    let subject = Subject::start().await;
    let mut client = Client::connect(subject.address).await;
    let base = request("GET", "/bad");
    let many: Vec<u8> = (0..101).flat_map(|_| field(b"x", b"y")).collect();
    client
        .send(headers(WHOLE, 1, &[&base[..], &many].concat()))
        .await;
    assert_eq!(client.ended(1).await.status, Some(431));
    let large = |stream: u32, bytes: usize| {
        let block = [&base[..], &field(b"x", &vec![b'y'; bytes])].concat();
        let mut pieces = block.chunks(1 << 14).peekable();
        let mut frames = headers(END_STREAM, stream, pieces.next().unwrap());
        while let Some(piece) = pieces.next() {
            let flags = if pieces.peek().is_some() {
                0
            } else {
                END_HEADERS
            };
            frames.extend(continuation(flags, stream, piece));
        }
        frames
    };
    for (stream, bytes) in [(3, 33_000), (5, 40_000), (7, 60_000)] {
        client.send(large(stream, bytes)).await;
        assert_eq!(client.ended(stream).await.status, Some(431), "{bytes}");
    }
    assert!(client.is_alive().await, "{}", client.account());
    assert_eq!(subject.paths(), ["/probe"]);
}

/// The same head through HTTP/1 would be whole: so much passes here too.
#[tokio::test]
async fn heads_within_the_limits_pass() {
    let subject = Subject::start().await;
    let mut client = Client::connect(subject.address).await;
    let many: Vec<u8> = (0..95)
        .flat_map(|it| field(format!("x{it}").as_bytes(), &[b'y'; 170]))
        .collect();
    let block = [&request("GET", "/")[..], &many].concat();
    assert!(block.len() > 1 << 14 && block.len() < 1 << 15);
    client
        .send(
            [
                headers(END_STREAM, 1, &block[..1 << 14]),
                continuation(END_HEADERS, 1, &block[1 << 14..]),
            ]
            .concat(),
        )
        .await;
    assert_eq!(client.ended(1).await.status, Some(200));
}
