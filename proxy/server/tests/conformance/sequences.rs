//! Exchanges with an order to them: pipelining, 100-continue, half-close, upgrades, event streams, HTTP/1.0.

use crate::capture::Capture;
use crate::message::{Body, Message};
use crate::peer::{Origin, Peer, field};
use crate::setup::{GET, OK, Running, Setup};
use crate::stage::{Stage, answers, beat, text};

const EXPECTS: &str =
    "POST / HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
const UPGRADE: &str = "GET /socket HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n";
const SWITCHED: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: y\r\n\r\n";

async fn one() -> (Origin, Running) {
    let origin = Origin::start().await;
    let running = Setup::new().start(&[origin.address]).await;
    (origin, running)
}

#[tokio::test]
async fn a_hundred_requests_in_one_segment() {
    let origin = Capture::start().await;
    let running = Setup::new().start(&[origin.address]).await;
    let requests: Vec<String> = (0..100).map(numbered).collect();
    let mut client = running.client().await;
    client.send(requests.concat()).await;
    client.half_close().await;
    let (got, is_orderly) = client.rest().await;
    assert!(is_orderly);
    assert_eq!(answers(&got).len(), 100);
    drop(running);
    let streams = origin.take_when(|it| it.len() == 1).await;
    let crate::capture::Stream::Whole(bytes) = &streams[0] else {
        panic!("unfinished: {streams:?}");
    };
    let order: Vec<usize> = text(bytes).split("n=").skip(1).map(number).collect();
    assert_eq!(order, (0..100).collect::<Vec<_>>());
}

/// Every third one with a body, of either framing.
fn numbered(n: usize) -> String {
    let host = "HTTP/1.1\r\nHost: a.test\r\n";
    match n % 3 {
        0 => format!("GET /?n={n} {host}\r\n"),
        1 => format!("PUT /?n={n} {host}Content-Length: 5\r\n\r\nhello"),
        _ => format!("PUT /?n={n} {host}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
    }
}

fn number(text: &str) -> usize {
    let end = text.find(' ').unwrap();
    text[..end].parse().unwrap()
}

/// The client waits, and the instance says go.
#[tokio::test]
async fn a_body_that_waits_for_100() {
    let (origin, running) = one().await;
    let mut client = running.client().await;
    client.send(EXPECTS).await;
    let mut instance = origin.accept().await;
    let head = instance.head().await;
    assert_eq!(field(&head, "expect"), Some("100-continue"));
    instance.send("HTTP/1.1 100 Continue\r\n\r\n").await;
    assert_eq!(client.head().await, "HTTP/1.1 100 Continue\r\n\r\n");
    client.send(format!("hello{GET}")).await;
    assert_eq!(instance.bytes(5).await, b"hello");
    instance.send(OK).await;
    assert_eq!(client.answer().await.text(), "ok");
    instance.head().await;
    instance.send(OK).await;
    assert_eq!(client.answer().await.text(), "ok");
}

/// The client does not wait; the instance says go all the same, or not at all.
#[tokio::test]
async fn a_body_that_does_not_wait_for_100() {
    for go in ["HTTP/1.1 100 Continue\r\n\r\n", ""] {
        let (origin, running) = one().await;
        let mut client = running.client().await;
        client.send(format!("{EXPECTS}hello{GET}")).await;
        let mut instance = origin.accept().await;
        instance.head().await;
        instance.send(go).await;
        assert_eq!(instance.bytes(5).await, b"hello");
        instance.send(OK).await;
        if !go.is_empty() {
            assert_eq!(client.head().await, go);
        }
        assert_eq!(client.answer().await.text(), "ok");
        instance.head().await;
        instance.send(OK).await;
        assert_eq!(client.answer().await.text(), "ok");
    }
}

/// Not met: whatever comes of the body afterwards is no request.
#[tokio::test]
async fn a_body_that_is_not_wanted_is_never_a_request() {
    let (origin, running) = one().await;
    let mut client = running.client().await;
    client.send(EXPECTS).await;
    let mut instance = origin.accept().await;
    instance.head().await;
    instance
        .send("HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n")
        .await;
    let answer = client.answer().await;
    assert_eq!(
        (answer.status, answer.field("connection")),
        (417, Some("close"))
    );
    client.try_send(format!("hello{GET}")).await;
    assert_eq!(client.rest().await, (Vec::new(), true));
    assert_eq!(text(&instance.rest().await.0), "");
    assert!(origin.is_left_alone().await);
}

#[tokio::test]
async fn trailers_both_ways() {
    let (origin, running) = one().await;
    let mut client = running.client().await;
    client
        .send("POST / HTTP/1.1\r\nHost: a.test\r\nTE: trailers\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await;
    client
        .send("5\r\nhello\r\n0\r\nX-Sum: 1\r\nHost: evil\r\n\r\n")
        .await;
    let mut instance = origin.accept().await;
    assert_eq!(field(&instance.head().await, "trailer"), Some("X-Sum"));
    let (body, trailers) = instance.chunks().await;
    assert_eq!(
        (text(&body).as_str(), trailers),
        ("hello", vec!["X-Sum: 1".to_owned()])
    );
    instance
        .send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-End\r\n\r\n2\r\nok\r\n0\r\nX-End: 2\r\n\r\n")
        .await;
    client.head().await;
    let (body, trailers) = client.chunks().await;
    assert_eq!(
        (text(&body).as_str(), trailers),
        ("ok", vec!["X-End: 2".to_owned()])
    );
    // HTTP/1.0 has no place for them.
    let mut old = running.client().await;
    old.send("GET / HTTP/1.0\r\nHost: a.test\r\n\r\n").await;
    instance.head().await;
    instance
        .send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-End\r\n\r\n2\r\nok\r\n0\r\nX-End: 2\r\n\r\n")
        .await;
    let head = old.head().await;
    assert_eq!(
        (field(&head, "trailer"), field(&head, "connection")),
        (None, Some("close"))
    );
    assert_eq!(old.rest().await, (b"ok".to_vec(), true));
}

/// The end of what a client says, at every place of a request: whole ones are answered, others never begin or are cut.
#[tokio::test]
async fn a_half_close_at_every_place() {
    let mut stage = Stage::start().await;
    let request = "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello";
    for cut in 0..=request.len() {
        let mut client = stage.running.client().await;
        client.send(&request[..cut]).await;
        stage.pulse().await;
        client.half_close().await;
        let (got, _) = client.rest().await;
        let statuses: Vec<_> = answers(&got).iter().filter_map(Message::status).collect();
        let expected = if cut == request.len() {
            vec![204]
        } else {
            vec![]
        };
        assert_eq!(statuses, expected, "{:?}", &request[..cut]);
    }
    stage.running.is_at_rest().await;
    // Of half a body the instance sees no end.
    let streams = stage.origin.take_when(|it| !it.is_empty()).await;
    let whole = streams
        .iter()
        .filter(|it| matches!(it, crate::capture::Stream::Whole(_)));
    assert_eq!(whole.count(), 1);
}

async fn switch(origin: &Origin, running: &Running, behind: &str, answer: &str) -> (Peer, Peer) {
    let mut client = running.client().await;
    client.send(format!("{UPGRADE}{behind}")).await;
    let mut instance = origin.accept().await;
    let head = instance.head().await;
    assert_eq!(
        (field(&head, "connection"), field(&head, "upgrade")),
        (Some("Upgrade"), Some("websocket"))
    );
    instance.send(answer).await;
    (client, instance)
}

/// Bytes of the tunnel may stand right behind the heads, however they are cut.
#[tokio::test]
async fn an_upgrade_with_bytes_right_behind_it() {
    let (origin, running) = one().await;
    let answer = format!("{SWITCHED}\x01\x02\0hello");
    for cut in 0..answer.len() {
        let (mut client, mut instance) = switch(&origin, &running, "\0early", &answer[..cut]).await;
        beat(&mut running.client().await).await;
        instance.send(&answer[cut..]).await;
        let head = client.head().await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        assert_eq!(field(&head, "sec-websocket-accept"), Some("y"));
        assert_eq!(client.bytes(8).await, b"\x01\x02\0hello", "cut at {cut}");
        assert_eq!(instance.bytes(6).await, b"\0early");
        // Either side may end first; the other goes on.
        client.half_close().await;
        assert_eq!(text(&instance.rest().await.0), "");
        instance.send("late").await;
        drop(instance);
        assert_eq!(client.rest().await, (b"late".to_vec(), true));
    }
    running.is_at_rest().await;
}

/// An upgrade that is not granted leaves HTTP/1.1 as it was.
#[tokio::test]
async fn an_upgrade_that_is_refused() {
    let (origin, running) = one().await;
    let (mut client, mut instance) = switch(&origin, &running, GET, OK).await;
    assert_eq!(client.answer().await.text(), "ok");
    let head = instance.head().await;
    assert_eq!(field(&head, "upgrade"), None);
    instance.send(OK).await;
    assert_eq!(client.answer().await.text(), "ok");
}

#[tokio::test]
async fn events_without_length_arrive_one_by_one() {
    let (origin, running) = one().await;
    let mut client = running.client().await;
    client.send(GET).await;
    let mut instance = origin.accept().await;
    instance.head().await;
    instance
        .send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        .await;
    let head = client.head().await;
    assert_eq!(field(&head, "transfer-encoding"), Some("chunked"));
    for event in ["data: 1\n\n", "data: 2\n\n"] {
        instance.send(event).await;
        assert_eq!(client.line().await, format!("{:X}", event.len()));
        assert_eq!(
            client.bytes(event.len() + 2).await,
            format!("{event}\r\n").as_bytes()
        );
    }
    drop(instance);
    assert_eq!(client.chunks().await.0, b"");
}

/// Answers in any framing, kept alive or not, to HTTP/1.0 and HTTP/1.1.
#[tokio::test]
async fn framing_as_each_version_understands_it() {
    let framings = [
        ("Content-Length: 5\r\n\r\nhello", true),
        (
            "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            false,
        ),
        ("Connection: close\r\n\r\nhello", false),
    ];
    for (framing, has_length) in framings {
        for (asked, may_stay) in [
            ("GET / HTTP/1.0\r\nHost: a.test\r\n\r\n", false),
            (
                "GET / HTTP/1.0\r\nHost: a.test\r\nConnection: keep-alive\r\n\r\n",
                has_length,
            ),
            ("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", true),
            (
                "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n",
                false,
            ),
        ] {
            let (origin, running) = one().await;
            let mut client = running.client().await;
            client.send(asked).await;
            let mut instance = origin.accept().await;
            instance.head().await;
            instance.send(format!("HTTP/1.1 200 OK\r\n{framing}")).await;
            drop(instance);
            let head = client.head().await;
            let is_old = asked.contains("HTTP/1.0");
            if may_stay {
                let connection = is_old.then_some("keep-alive");
                assert_eq!(
                    field(&head, "connection"),
                    connection,
                    "{asked:?} {framing:?}"
                );
                let body = if has_length {
                    client.bytes(5).await
                } else {
                    client.chunks().await.0
                };
                assert_eq!(body, b"hello", "{asked:?} {framing:?}");
                beat(&mut client).await;
            } else {
                assert_eq!(
                    field(&head, "connection"),
                    Some("close"),
                    "{asked:?} {framing:?}"
                );
                let (rest, is_orderly) = client.rest().await;
                assert!(is_orderly);
                let whole = [head.as_bytes(), &rest].concat();
                let body = if is_old && !has_length {
                    rest
                } else {
                    Message::cut(&whole, Body::Declared).unwrap().0.body
                };
                assert_eq!(body, b"hello", "{asked:?} {framing:?}");
            }
        }
    }
}
