//! Connections that end without close_notify: what came over them never passes for the whole.

use crate::frame::{END_HEADERS, block, data, get, headers, post};
use crate::link::Said;
use crate::peer::Origin;
use crate::setup::{GET, OK};
use crate::stage::{Stage, cut};
use minato_config::UpstreamProtocol;
use tokio::io::AsyncWriteExt;

/// How an instance ends its side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    InOrder,
    CutOff,
}

const UNTIL_CLOSE: &str = "HTTP/1.1 200 OK\r\n\r\nhalf";
const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n";
const LENGTH: &str = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf";

#[tokio::test]
async fn an_answer_that_is_cut_off_does_not_end_whole() {
    let stage = Stage::new();
    for (answer, end, is_whole) in [
        (UNTIL_CLOSE, End::InOrder, true),
        (UNTIL_CLOSE, End::CutOff, false),
        (CHUNKED, End::CutOff, false),
        (CHUNKED, End::InOrder, false),
        (LENGTH, End::CutOff, false),
        (LENGTH, End::InOrder, false),
    ] {
        let place = format!("{answer:?} {end:?}");
        let instance = stage.instance().await;
        let mut setup = stage.setup_to(UpstreamProtocol::Http1);
        setup.service.retries = 0;
        let running = setup.start(&[instance.address]).await;
        let serve = async {
            let mut peer = instance.accept().await;
            peer.head().await;
            peer.send(answer).await;
            // What the end leaves out is seen only once the rest went on.
            peer
        };
        let finish = async |mut peer: crate::peer::Peer<crate::stage::Serving>| match end {
            End::InOrder => peer.half_close().await,
            End::CutOff => cut(peer.stream.get_ref().0),
        };

        // HTTP/1.1: its framing says what is whole, and so does the end of TLS.
        let mut client = stage.visitor().connect(&running).await;
        client.send(GET).await;
        let peer = serve.await;
        let head = client.head().await;
        if answer == LENGTH {
            assert_eq!(client.bytes(4).await, b"half");
            finish(peer).await;
            assert_eq!(client.rest().await, (Vec::new(), false), "{place}");
        } else {
            assert!(head.contains("chunked"), "{place}: {head}");
            assert_eq!(
                (client.line().await, client.line().await),
                ("4".to_owned(), "half".to_owned())
            );
            finish(peer).await;
            if is_whole {
                assert_eq!(client.bytes(5).await, b"0\r\n\r\n", "{place}");
            } else {
                assert_eq!(client.rest().await, (Vec::new(), false), "{place}");
            }
        }

        // HTTP/1.0, where the end of the connection is the end of the body.
        let mut client = stage.visitor().connect(&running).await;
        client.send("GET / HTTP/1.0\r\nHost: a.test\r\n\r\n").await;
        let mut peer = instance.accept().await;
        peer.head().await;
        peer.send(answer).await;
        client.head().await;
        assert_eq!(client.bytes(4).await, b"half");
        finish(peer).await;
        assert_eq!(
            client.rest().await,
            (Vec::new(), is_whole),
            "HTTP/1.0 {place}"
        );

        // HTTP/2.
        let mut client = stage.visitor().connect_http2(&running).await;
        client.send(get(1, "/")).await;
        let mut peer = instance.accept().await;
        peer.head().await;
        peer.send(answer).await;
        client
            .until("the half", |it| it.answer(1).body == b"half")
            .await;
        finish(peer).await;
        let answered = client.ended(1).await;
        assert_eq!(
            (answered.is_ended, answered.reset.is_none()),
            (is_whole, is_whole),
            "HTTP/2 {place}"
        );
        running.is_at_rest().await;
    }
}

#[tokio::test]
async fn an_upload_that_is_cut_off_does_not_end_whole() {
    let stage = Stage::new();
    for (framing, sent, came) in [
        ("Content-Length: 8", "half", "half"),
        (
            "Transfer-Encoding: chunked",
            "4\r\nhalf\r\n",
            "4\r\nhalf\r\n",
        ),
    ] {
        for end in [End::InOrder, End::CutOff] {
            let instance = stage.instance().await;
            let setup = stage.setup_to(UpstreamProtocol::Http1);
            let running = setup.start(&[instance.address]).await;
            let mut client = stage.visitor().connect(&running).await;
            client
                .send(format!(
                    "POST / HTTP/1.1\r\nHost: a.test\r\n{framing}\r\n\r\n{sent}"
                ))
                .await;
            let mut peer = instance.accept().await;
            peer.head().await;
            assert_eq!(peer.bytes(came.len()).await, came.as_bytes());
            match end {
                End::InOrder => client.half_close().await,
                End::CutOff => cut(client.stream.get_ref().0),
            }
            // Nothing more, and no close_notify.
            assert_eq!(peer.rest().await, (Vec::new(), false), "{framing} {end:?}");
            let (said, _) = client.rest().await;
            assert!(!said.starts_with(b"HTTP/1.1 200"), "{framing} {end:?}");
            running.is_at_rest().await;
        }
    }
}

#[tokio::test]
async fn an_upload_that_is_cut_off_resets_its_stream_to_the_instance() {
    let stage = Stage::new();
    let instance = stage.instance().await;
    let setup = stage.setup_to(UpstreamProtocol::Http2);
    let running = setup.start(&[instance.address]).await;
    let mut client = stage.visitor().connect(&running).await;
    client
        .send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 8\r\n\r\nhalf")
        .await;
    let mut link = instance.accept_http2().await;
    let (stream, ..) = link.request().await;
    assert!(matches!(link.said().await, Said::Data { bytes, is_last: false } if bytes == b"half"));
    cut(client.stream.get_ref().0);
    let said = link.said().await;
    assert!(
        matches!(said, Said::Reset { stream: it, .. } if it == stream),
        "{said:?}"
    );
    running.is_at_rest().await;
}

#[tokio::test]
async fn a_client_of_http2_that_is_cut_off_ends_its_requests() {
    let stage = Stage::new();
    let instance = stage.instance().await;
    let setup = stage.setup_to(UpstreamProtocol::Http2);
    let running = setup.start(&[instance.address]).await;
    let mut client = stage.visitor().connect_http2(&running).await;
    client
        .send([post(1, "/"), data(0, 1, b"half")].concat())
        .await;
    let mut link = instance.accept_http2().await;
    let (stream, ..) = link.request().await;
    assert!(matches!(
        link.said().await,
        Said::Data { is_last: false, .. }
    ));
    drop(client);
    let said = link.said().await;
    assert!(
        matches!(said, Said::Reset { stream: it, .. } if it == stream),
        "{said:?}"
    );
    // The line to the instance goes on.
    let mut client = stage.visitor().connect_http2(&running).await;
    client.send(get(1, "/")).await;
    let (stream, ..) = link.request().await;
    link.answer(stream, "ok").await;
    assert_eq!(client.ended(1).await.body, b"ok");
}

#[tokio::test]
async fn a_line_to_an_instance_that_is_cut_off_breaks_its_answers() {
    let stage = Stage::new();
    let instance = stage.instance().await;
    let mut setup = stage.setup_to(UpstreamProtocol::Http2);
    setup.service.retries = 0;
    let running = setup.start(&[instance.address]).await;
    let mut client = stage.visitor().connect(&running).await;
    client.send(GET).await;
    let stream = instance.try_accept().await.unwrap();
    let mut link = crate::link::Link::over(stream, &[]).await;
    let (stream, ..) = link.request().await;
    let ok = block(&[(":status", "200")]);
    link.send([headers(END_HEADERS, stream, &ok), data(0, stream, b"half")].concat())
        .await;
    client.head().await;
    assert_eq!(
        (client.line().await, client.line().await),
        ("4".to_owned(), "half".to_owned())
    );
    drop(link);
    assert_eq!(client.rest().await, (Vec::new(), false));
    running.is_at_rest().await;
}

#[tokio::test]
async fn half_a_record_is_no_request_and_no_end() {
    let stage = Stage::new();
    let origin = Origin::start().await;
    let running = stage.setup().start(&[origin.address]).await;
    let mut client = stage.visitor().connect(&running).await;
    // The beginning of a record that never comes whole.
    client
        .stream
        .get_mut()
        .0
        .write_all(&[23, 3, 3, 1, 0, 9, 9])
        .await
        .unwrap();
    cut(client.stream.get_ref().0);
    assert_eq!(client.rest().await.0, b"");
    assert!(origin.is_left_alone().await);
    running
        .settles("no connection is open", |it| {
            it.metric("minato_connections ") == 0.0
        })
        .await;
}

#[tokio::test]
async fn after_a_whole_request_a_close_notify_is_a_half_close() {
    let stage = Stage::new();
    let origin = Origin::start().await;
    let running = stage.setup().start(&[origin.address]).await;
    let mut client = stage.visitor().connect(&running).await;
    client.send(GET).await;
    let mut peer = origin.accept().await;
    peer.head().await;
    client.half_close().await;
    peer.send(OK).await;
    assert_eq!(client.answer().await.text(), "ok");
    assert_eq!(client.rest().await, (Vec::new(), true));
}
