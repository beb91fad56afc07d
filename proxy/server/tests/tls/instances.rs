//! TLS to instances: who is believed, what is said of those who are not, and those that stall.

use crate::authority::{Authority, Pem, Time};
use crate::frame::get;
use crate::peer::soon;
use crate::setup::{GET, OK, Running};
use crate::stage::{Instance, Stage};
use minato_config::{UpstreamProtocol, UpstreamTls};
use minato_health::Layer;
use minato_proxy::Standing;
use minato_proxy_server::Evidence;
use std::time::Duration;
use tokio::time::Instant;

/// What the health loop hears next.
async fn heard(running: &mut Running) -> (Layer, String) {
    match soon("evidence", running.witnessed.recv()).await.unwrap() {
        Evidence::ConnectFailed(_, failure) => (failure.layer, failure.detail),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn who_cannot_prove_itself_gets_no_request_and_is_named() {
    let stage = Stage::new();
    let stranger = Authority::new("stranger").sign(&["origin.test"], Time::Now);
    let sign = |name: &str, time| stage.authority.sign(&[name], time);
    let cases: [(&str, Pem, Option<&str>); 5] = [
        ("right", sign("origin.test", Time::Now), None),
        (
            "wrong name",
            sign("other.test", Time::Now),
            Some("certificate for another name"),
        ),
        (
            "expired",
            sign("origin.test", Time::Over),
            Some("certificate has expired"),
        ),
        (
            "not yet",
            sign("origin.test", Time::ToCome),
            Some("certificate is not valid yet"),
        ),
        (
            "unknown",
            stranger,
            Some("certificate of an unknown issuer; name its authority with tls.ca"),
        ),
    ];
    for (name, pem, expected) in cases {
        for protocol in [UpstreamProtocol::Http1, UpstreamProtocol::Http2] {
            let instance = Instance::with(&pem).await;
            let mut setup = stage.setup_to(protocol);
            setup.service.retries = 0;
            let mut running = setup.start(&[instance.address]).await;
            let mut client = stage.visitor().connect(&running).await;
            // May not be repeated: nothing of it was sent.
            client
                .send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 2\r\n\r\nab")
                .await;
            let tried = instance.try_accept().await;
            let Some(expected) = expected else {
                let stream = tried.unwrap();
                assert_eq!(
                    stream.get_ref().1.server_name(),
                    Some("origin.test"),
                    "{name}"
                );
                continue;
            };
            assert!(tried.is_err(), "{name}");
            assert_eq!(client.answer().await.status, 503, "{name}");
            let (layer, detail) = heard(&mut running).await;
            assert_eq!(layer, Layer::Tls, "{name}");
            assert!(detail.starts_with(expected), "{name}: {detail}");
            running.is_at_rest().await;
        }
    }
}

#[tokio::test]
async fn an_instance_by_its_address_is_sent_no_name() {
    let stage = Stage::new();
    let instance = Instance::with(&stage.authority.sign(&["127.0.0.1"], Time::Now)).await;
    let mut setup = stage.setup();
    setup.service.upstream.tls = Some(UpstreamTls {
        sni: None,
        ..stage.upstream()
    });
    let running = setup.start(&[instance.address]).await;
    let mut client = stage.visitor().connect(&running).await;
    client.send(GET).await;
    let mut peer = instance.accept().await;
    assert_eq!(peer.stream.get_ref().1.server_name(), None);
    peer.head().await;
    peer.send(OK).await;
    assert_eq!(client.answer().await.text(), "ok");
}

#[tokio::test]
async fn one_that_refuses_is_left_for_another_even_by_a_post() {
    let stage = Stage::new();
    let bad = Instance::with(&stage.authority.sign(&["other.test"], Time::Now)).await;
    let good = stage.instance().await;
    let setup = stage.setup_to(UpstreamProtocol::Http1);
    let running = setup.start(&[bad.address, good.address]).await;
    running.endpoints[1].set_standing(Standing::Suspect);
    let mut client = stage.visitor().connect(&running).await;
    client
        .send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 2\r\n\r\nab")
        .await;
    assert!(bad.try_accept().await.is_err());
    let mut peer = good.accept().await;
    peer.head().await;
    assert_eq!(peer.bytes(2).await, b"ab");
    peer.send(OK).await;
    assert_eq!(client.answer().await.text(), "ok");
}

#[tokio::test]
async fn one_that_is_ejected_within_its_handshake_is_left_at_once() {
    let stage = Stage::new();
    for protocol in [UpstreamProtocol::Http1, UpstreamProtocol::Http2] {
        let (stopped, good) = (stage.instance().await, stage.instance().await);
        let setup = stage.setup_to(protocol);
        let running = setup.start(&[stopped.address, good.address]).await;
        running.endpoints[1].set_standing(Standing::Suspect);
        let mut client = stage.visitor().connect(&running).await;
        client.send(GET).await;
        // As a process that was stopped: the kernel accepts for it, and nothing answers.
        let mut silent = stopped.accept_silently().await;
        assert_eq!(silent.bytes(2).await, [22, 3], "a hello");
        let ejected = Instant::now();
        running.endpoints[0].set_standing(Standing::Out);
        if protocol == UpstreamProtocol::Http2 {
            let mut link = good.accept_http2().await;
            let (stream, ..) = link.request().await;
            link.answer(stream, "ok").await;
            assert_eq!(client.answer().await.text(), "ok");
        } else {
            let mut peer = good.accept().await;
            peer.head().await;
            peer.send(OK).await;
            assert_eq!(client.answer().await.text(), "ok");
        }
        assert!(
            ejected.elapsed() < Duration::from_secs(2),
            "{protocol:?}: {:?}",
            ejected.elapsed()
        );
    }
}

#[tokio::test]
async fn a_handshake_that_stalls_ends_at_its_deadline() {
    let stage = Stage::new();
    let instance = stage.instance().await;
    let mut setup = stage.setup_to(UpstreamProtocol::Http1);
    setup.deadlines.handshake = Duration::from_millis(200);
    setup.service.retries = 0;
    let mut running = setup.start(&[instance.address]).await;
    let mut client = crate::peer::Peer::connect(running.address).await;
    client.send(GET).await;
    let mut silent = instance.accept_silently().await;
    assert_eq!(client.answer().await.status, 503);
    assert_eq!(
        heard(&mut running).await,
        (Layer::Tls, "no handshake in 200ms".to_owned())
    );
    // Its hello, and then the end.
    let (hello, _) = silent.rest().await;
    assert_eq!(hello[0], 22);
    running.is_at_rest().await;
}

#[tokio::test]
async fn connections_to_instances_are_kept_and_shared() {
    let stage = Stage::new();
    let instance = stage.instance().await;
    let setup = stage.setup_to(UpstreamProtocol::Http1);
    let running = setup.start(&[instance.address]).await;
    let mut client = stage.visitor().connect(&running).await;
    client.send(GET).await;
    let mut peer = instance.accept().await;
    for _ in 0..3 {
        peer.head().await;
        peer.send(OK).await;
        assert_eq!(client.answer().await.text(), "ok");
        client.send(GET).await;
    }
    peer.head().await;
    peer.send(OK).await;
    client.answer().await;
    // One that was closed in order is not tried again, not even by what may not be repeated.
    peer.half_close().await;
    drop(peer);
    client
        .send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 2\r\n\r\nab")
        .await;
    let mut peer = instance.accept().await;
    peer.head().await;
    assert_eq!(peer.bytes(2).await, b"ab");
    peer.send(OK).await;
    assert_eq!(client.answer().await.text(), "ok");
}

#[tokio::test]
async fn many_requests_share_one_line_over_tls() {
    let stage = Stage::new();
    let instance = stage.instance().await;
    let setup = stage.setup_to(UpstreamProtocol::Http2);
    let running = setup.start(&[instance.address]).await;
    let mut client = stage.visitor().connect_http2(&running).await;
    let streams: Vec<u32> = (0..50).map(|it| 2 * it + 1).collect();
    client
        .send(
            streams
                .iter()
                .flat_map(|it| get(*it, "/"))
                .collect::<Vec<u8>>(),
        )
        .await;
    let mut link = instance.accept_http2().await;
    for _ in &streams {
        let (stream, ..) = link.request().await;
        link.answer(stream, "ok").await;
    }
    for stream in streams {
        assert_eq!(client.ended(stream).await.body, b"ok");
    }
}
