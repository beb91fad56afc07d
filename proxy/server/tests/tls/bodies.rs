//! Bodies over TLS on both sides: large ones byte for byte, trailers, many at once.

use crate::client::Client;
use crate::frame::{END_HEADERS, END_STREAM, block, data, get, headers, post, request};
use crate::link::Said;
use crate::peer::{Origin, field};
use crate::setup::{GET, OK, Running};
use crate::stage::{Stage, Visit, Visitor};
use minato_config::UpstreamProtocol;
use minato_proxy_server::Phase;

const LARGE: usize = 5_000_000;

fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    std::iter::repeat_with(|| random.u8(..))
        .take(length)
        .collect()
}

/// Uploads in frames; the answer is left to the caller.
async fn upload(client: &mut Client<Visit>, stream: u32, body: &[u8]) {
    client.send(post(stream, "/up")).await;
    for piece in body.chunks(16_000) {
        client.send_within_window(stream, piece).await;
    }
    client.send(data(END_STREAM, stream, b"")).await;
}

/// The body of the answer to an upload, by either version.
async fn exchanged(visitor: &Visitor, running: &Running, up: &[u8], version: Version) -> Vec<u8> {
    match version {
        Version::Http2 => {
            let mut client = visitor.connect_http2(running).await;
            upload(&mut client, 1, up).await;
            let answer = client.ended(1).await;
            assert_eq!((answer.status, answer.reset), (Some(200), None));
            assert!(answer.is_ended);
            answer.body
        }
        Version::Http1 => {
            let mut client = visitor.connect(running).await;
            let length = up.len();
            let head =
                format!("POST /up HTTP/1.1\r\nHost: a.test\r\nContent-Length: {length}\r\n\r\n");
            client.send(head).await;
            client.send(up).await;
            client.answer().await.body
        }
    }
}

/// What a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    Http1,
    Http2,
}

#[tokio::test]
async fn five_megabytes_each_way_arrive_as_they_were() {
    let stage = Stage::new();
    let (up, down) = (noise(1, LARGE), noise(2, LARGE));
    for version in [Version::Http1, Version::Http2] {
        let instance = stage.instance().await;
        let setup = stage.setup_to(UpstreamProtocol::Http1);
        let running = setup.start(&[instance.address]).await;
        let visitor = stage.visitor();
        let asked = exchanged(&visitor, &running, &up, version);
        let served = async {
            let mut peer = instance.accept().await;
            let head = peer.head().await;
            let came = match field(&head, "content-length") {
                Some(length) => peer.bytes(length.parse().unwrap()).await,
                None => peer.chunks().await.0,
            };
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n");
            peer.send(head).await;
            peer.send(&down).await;
            came
        };
        let (back, came) = tokio::join!(asked, served);
        assert!(came == up, "upload, {version:?}");
        assert!(back == down, "download, {version:?}");
    }
}

#[tokio::test]
async fn five_megabytes_each_way_by_http2_to_the_instance() {
    let stage = Stage::new();
    let up = noise(3, LARGE);
    for version in [Version::Http1, Version::Http2] {
        let instance = stage.instance().await;
        let setup = stage.setup_to(UpstreamProtocol::Http2);
        let running = setup.start(&[instance.address]).await;
        let visitor = stage.visitor();
        let asked = exchanged(&visitor, &running, &up, version);
        let served = async {
            let mut link = instance.accept_http2().await;
            let (stream, ..) = link.request().await;
            let mut came = Vec::new();
            while let Said::Data { bytes, is_last } = link.said().await {
                came.extend(bytes);
                if is_last {
                    break;
                }
            }
            link.answer(stream, "taken").await;
            // Until the other side has its answer.
            (came, link)
        };
        let (back, (came, _link)) = tokio::join!(asked, served);
        assert!(came == up, "upload, {version:?}");
        assert_eq!(back, b"taken");
    }
}

#[tokio::test]
async fn trailers_go_both_ways_in_chunks() {
    let stage = Stage::new();
    let instance = stage.instance().await;
    let setup = stage.setup_to(UpstreamProtocol::Http1);
    let running = setup.start(&[instance.address]).await;
    let mut client = stage.visitor().connect(&running).await;
    client
        .send("POST / HTTP/1.1\r\nHost: a.test\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nping\r\n0\r\nx-up: 1\r\n\r\n")
        .await;
    let mut peer = instance.accept().await;
    peer.head().await;
    assert_eq!(
        peer.chunks().await,
        (b"ping".to_vec(), vec!["x-up: 1".to_owned()])
    );
    peer.send("HTTP/1.1 200 OK\r\nTrailer: x-down\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npong\r\n0\r\nx-down: 2\r\n\r\n")
        .await;
    client.head().await;
    assert_eq!(
        client.chunks().await,
        (b"pong".to_vec(), vec!["x-down: 2".to_owned()])
    );
}

#[tokio::test]
async fn a_call_as_grpc_makes_it() {
    let stage = Stage::new();
    let instance = stage.instance().await;
    let setup = stage.setup_to(UpstreamProtocol::Http2);
    let running = setup.start(&[instance.address]).await;
    let mut client = stage.visitor().connect_http2(&running).await;
    let grpc = block(&[("content-type", "application/grpc"), ("te", "trailers")]);
    let head = [request("POST", "/library.Books/Find"), grpc].concat();
    client.send(headers(END_HEADERS, 1, &head)).await;
    client.send(data(0, 1, b"\0\0\0\0\x01a")).await;
    let mut link = instance.accept_http2().await;
    let (stream, fields, _) = link.request().await;
    let has = |name: &str, value: &str| fields.iter().any(|it| it.0 == name && it.1 == value);
    assert!(
        has(":scheme", "https") && has("x-forwarded-proto", "https"),
        "{fields:?}"
    );
    assert!(has("te", "trailers"), "{fields:?}");
    assert!(matches!(link.said().await, Said::Data { bytes, .. } if bytes == b"\0\0\0\0\x01a"));
    // Messages go both ways before either side has ended.
    let ok = block(&[(":status", "200"), ("content-type", "application/grpc")]);
    link.send(headers(END_HEADERS, stream, &ok)).await;
    link.send(data(0, stream, b"\0\0\0\0\x01b")).await;
    client
        .until("the first message", |it| {
            it.answer(1).body == b"\0\0\0\0\x01b"
        })
        .await;
    client.send(data(END_STREAM, 1, b"\0\0\0\0\x01c")).await;
    assert!(matches!(link.said().await, Said::Data { bytes, .. } if bytes == b"\0\0\0\0\x01c"));
    let end = block(&[("grpc-status", "0")]);
    link.send(headers(END_HEADERS | END_STREAM, stream, &end))
        .await;
    let answer = client.ended(1).await;
    assert_eq!(
        answer.trailers,
        [("grpc-status".to_owned(), "0".to_owned())]
    );
    assert!(answer.is_ended && answer.reset.is_none());
}

#[tokio::test]
async fn requests_in_one_record_are_answered_in_order() {
    let stage = Stage::new();
    let origin = Origin::start().await;
    let running = stage.setup().start(&[origin.address]).await;
    let mut client = stage.visitor().connect(&running).await;
    let three = ["/1", "/2", "/3"]
        .map(|it| GET.replacen('/', it, 1))
        .concat();
    client.send(three).await;
    let mut peer = origin.accept().await;
    for path in ["/1", "/2", "/3"] {
        let head = peer.head().await;
        assert!(head.starts_with(&format!("GET {path} ")), "{head}");
        peer.send(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{path}"
        ))
        .await;
    }
    for path in ["/1", "/2", "/3"] {
        assert_eq!(client.answer().await.text(), path);
    }
}

#[tokio::test]
async fn a_hundred_streams_at_once() {
    let stage = Stage::new();
    let body: &'static str = Box::leak("x".repeat(20_000).into_boxed_str());
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let origin = Origin::start()
        .await
        .always(Box::leak(answer.into_boxed_str()));
    let running = stage.setup().start(&[origin]).await;
    let mut client = stage.visitor().connect_http2(&running).await;
    let streams: Vec<u32> = (0..100).map(|it| 2 * it + 1).collect();
    let all: Vec<u8> = streams.iter().flat_map(|it| get(*it, "/")).collect();
    client.send(all).await;
    for stream in streams {
        let answer = client.ended(stream).await;
        assert_eq!(answer.status, Some(200), "{stream}");
        assert!(
            answer.is_ended && answer.body == body.as_bytes(),
            "{stream}"
        );
    }
    assert!(client.is_open().await);
    running.is_at_rest().await;
}

#[tokio::test]
async fn a_connection_that_rests_too_long_is_ended_in_order() {
    let stage = Stage::new();
    let mut setup = stage.setup();
    setup.deadlines.keep_alive = std::time::Duration::from_millis(200);
    let running = setup.start(&[Origin::start().await.always(OK)]).await;
    let mut client = stage.visitor().connect(&running).await;
    assert_eq!(client.ask(GET).await.text(), "ok");
    // With close_notify: who waits for the next answer need not ask whether it was cut off.
    assert_eq!(client.rest().await, (Vec::new(), true));
    let mut client = stage.visitor().connect_http2(&running).await;
    assert_eq!(client.end().await, crate::client::Closed::Orderly);
}

#[tokio::test]
async fn at_the_stop_idle_connections_end_in_order() {
    let stage = Stage::new();
    let running = stage
        .setup()
        .start(&[Origin::start().await.always(OK)])
        .await;
    let mut unused = stage.visitor().connect(&running).await;
    let mut kept = stage.visitor().connect(&running).await;
    assert_eq!(kept.ask(GET).await.text(), "ok");
    let mut streams = stage.visitor().connect_http2(&running).await;
    assert_eq!(streams.get(1, "/").await.body, b"ok");
    running.stop.send(Phase::Stop).unwrap();
    assert_eq!(unused.rest().await, (Vec::new(), true));
    assert_eq!(kept.rest().await, (Vec::new(), true));
    assert_eq!(streams.end().await, crate::client::Closed::Orderly);
    crate::peer::soon("the end", running.serving).await.unwrap();
}

#[tokio::test]
async fn a_connection_that_rests_for_a_while_is_served_again() {
    let stage = Stage::new();
    let running = stage
        .setup()
        .start(&[Origin::start().await.always(OK)])
        .await;
    let mut client = stage.visitor().connect(&running).await;
    assert_eq!(client.ask(GET).await.text(), "ok");
    // Past the moment at which it shrinks to what an idle one takes.
    tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
    assert_eq!(client.ask(GET).await.text(), "ok");
}
