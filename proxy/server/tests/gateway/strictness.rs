//! Requests with two meanings: each gets its status, and nothing of it reaches an instance.

use crate::peer::{Origin, field};
use crate::setup::{OK, Setup};

/// Lines of "HTTP/1 strictness", each with the status it gets.
const REFUSED: [(&str, u16); 48] = [
    (
        "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        400,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3, 3\r\n\r\nabc",
        400,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: +3\r\n\r\nabc",
        400,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: -3\r\n\r\nabc",
        400,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0x3\r\n\r\nabc",
        400,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 99999999999999999999\r\n\r\nabc",
        400,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length:\r\n\r\nabc",
        400,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: identity\r\n\r\n",
        400,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
        400,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    (
        "POST / HTTP/1.0\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    ("GET / HTTP/1.1\r\nHost: a.test\r\nX: a\rb\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a.test\nX: b\r\n\r\n", 400),
    ("GET / HTTP/1.1\nHost: a.test\n\n", 400),
    ("GET / HTTP/1.1\r\nHost : a.test\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a.test\r\nX: a\r\n b\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a.test\r\nnocolon\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a.test\r\n: x\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\n\r\n", 400),
    (
        "GET / HTTP/1.1\r\nHost: a.test\r\nHost: a.test\r\n\r\n",
        400,
    ),
    ("GET / HTTP/1.1\r\nHost: a.test/x\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: \r\n\r\n", 400),
    ("GET http://a.test/ HTTP/1.1\r\nHost: b.test\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a.test\r\nX: \0\r\n\r\n", 400),
    ("GET /\x01 HTTP/1.1\r\nHost: a.test\r\n\r\n", 400),
    ("GET /a b HTTP/1.1\r\nHost: a.test\r\n\r\n", 400),
    ("GET /a#b HTTP/1.1\r\nHost: a.test\r\n\r\n", 400),
    ("GET /a\\b HTTP/1.1\r\nHost: a.test\r\n\r\n", 400),
    ("GET /a%00 HTTP/1.1\r\nHost: a.test\r\n\r\n", 400),
    ("GET /a%zz HTTP/1.1\r\nHost: a.test\r\n\r\n", 400),
    ("GET a HTTP/1.1\r\nHost: a.test\r\n\r\n", 400),
    ("\r\n\r\nGET / HTTP/1.1\r\nHost: a.test\r\n\r\n", 400),
    ("GET /\r\n\r\n", 400),
    // Sent in one piece, a body is seen before its head goes on.
    (
        "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n;\r\n0\r\n\r\n",
        400,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n3 \r\nabc\r\n0\r\n\r\n",
        400,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n",
        400,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n3;a\x01\r\nabc\r\n0\r\n\r\n",
        400,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
        400,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 3\r\n\r\n",
        400,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\n",
        400,
    ),
    ("GET / HTTP/2.0\r\nHost: a.test\r\n\r\n", 505),
    ("CONNECT a.test:443 HTTP/1.1\r\nHost: a.test\r\n\r\n", 405),
    ("TRACE / HTTP/1.1\r\nHost: a.test\r\n\r\n", 405),
    (
        "GET / HTTP/1.1\r\nHost: a.test\r\nExpect: 200-ok\r\n\r\n",
        417,
    ),
    // The whole preface is HTTP/2; this is not.
    ("PRI * HTTP/2.0\r\n\r\nSN\r\n\r\n", 505),
];

#[tokio::test]
async fn each_gets_its_status_and_nothing_reaches_an_instance() {
    let origin = Origin::start().await;
    let running = Setup::new().start(&[origin.address]).await;
    for (request, status) in REFUSED {
        let mut client = running.client().await;
        client.send(request).await;
        // A second request behind it must find the connection closed.
        client
            .send("GET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n")
            .await;
        client.half_close().await;
        let (got, is_orderly_end) = client.rest().await;
        let got = String::from_utf8(got).unwrap();
        assert!(
            got.starts_with(&format!("HTTP/1.1 {status} ")),
            "{request:?}: {got:?}"
        );
        assert_eq!(
            got.lines().filter(|it| it.starts_with("HTTP/1.1 ")).count(),
            1,
            "{request:?}: {got:?}"
        );
        assert!(
            got.to_lowercase().contains("connection: close\r\n"),
            "{request:?}: {got:?}"
        );
        assert!(is_orderly_end, "{request:?}: a reset");
    }
    assert!(origin.is_left_alone().await);
}

#[tokio::test]
async fn a_body_that_breaks_the_rules_later_is_400_and_ends_there() {
    for bad in [
        "x\r\n",
        "3\nabc\r\n",
        "3\r\nabcd",
        "0\r\nTransfer-Encoding: x\r\n\r\n",
    ] {
        let origin = Origin::start().await;
        let running = Setup::new().start(&[origin.address]).await;
        let mut client = running.client().await;
        client
            .send(
                "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n",
            )
            .await;
        let mut instance = origin.accept().await;
        instance.head().await;
        assert_eq!(instance.bytes(7).await, b"2\r\nhi\r\n");
        client.send(bad).await;
        assert_eq!(client.answer().await.status, 400, "{bad:?}");
        let (rest, _) = instance.rest().await;
        assert!(
            !rest.ends_with(b"0\r\n\r\n"),
            "{bad:?} was ended as if it were whole"
        );
        assert_eq!(running.endpoints[0].failures(), 0);
    }
}

#[tokio::test]
async fn heads_past_the_limits_are_431() {
    let origin = Origin::start().await;
    let running = Setup::new().start(&[origin.address]).await;
    let many = format!(
        "GET / HTTP/1.1\r\nHost: a.test\r\n{}\r\n",
        "X: y\r\n".repeat(100)
    );
    let large = format!(
        "GET / HTTP/1.1\r\nHost: a.test\r\nX: {}\r\n\r\n",
        "y".repeat(40_000)
    );
    let endless = format!("GET /{}", "y".repeat(60_000));
    for request in [many, large, endless] {
        let mut client = running.client().await;
        client.send(&request).await;
        assert_eq!(client.answer().await.status, 431);
        assert!(client.rest().await.1, "a reset");
    }
    assert!(origin.is_left_alone().await);
}

#[tokio::test]
async fn what_is_repaired_has_one_meaning() {
    let origin = Origin::start().await;
    let running = Setup::new().start(&[origin.address]).await;
    let mut client = running.client().await;
    client
        .send(
            "\r\nPOST http://a.test/a/../b/%2e%2e/c?x=/../y HTTP/1.1\r\nHost: a.test\r\nContent-Length: 2\r\nContent-Length: 2\r\n\
             Content_Length: 9\r\nProxy: evil\r\n\r\nhi",
        )
        .await;
    let mut instance = origin.accept().await;
    let head = instance.head().await;
    assert!(head.starts_with("POST /c?x=/../y HTTP/1.1\r\n"), "{head}");
    assert_eq!(
        head.to_lowercase().matches("content-length").count(),
        1,
        "{head}"
    );
    assert_eq!(
        (field(&head, "content_length"), field(&head, "proxy")),
        (None, None)
    );
    assert_eq!(instance.bytes(2).await, b"hi");
    instance.send(OK).await;
    assert_eq!(client.answer().await.status, 200);
}
