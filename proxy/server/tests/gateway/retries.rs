//! What may go again, and what may not.

use crate::peer::{Origin, Peer, soon};
use crate::setup::{GET, OK, Running, Setup};
use minato_config::Timeouts;
use minato_proxy::Standing;
use minato_proxy_server::Evidence;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::Instant;

const POST: &str = "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 2\r\n\r\nhi";

/// An address where nobody listens.
async fn nowhere() -> SocketAddr {
    Origin::start().await.address
}

/// A gateway with one pooled connection to `origin`, and the client that made it.
async fn with_pooled(origin: &Origin) -> (Running, Peer, Peer) {
    let running = Setup::new().start(&[origin.address]).await;
    let mut client = running.client().await;
    client.send(GET).await;
    let mut pooled = origin.accept().await;
    pooled.head().await;
    pooled.send(OK).await;
    assert_eq!(client.answer().await.status, 200);
    running.is_at_rest().await;
    (running, client, pooled)
}

#[tokio::test]
async fn a_pooled_connection_is_used_again() {
    let origin = Origin::start().await;
    let (_running, mut client, mut pooled) = with_pooled(&origin).await;
    client.send(GET).await;
    pooled.head().await;
    pooled.send(OK).await;
    assert_eq!(client.answer().await.text(), "ok");
    assert!(origin.is_left_alone().await);
}

#[tokio::test]
async fn a_get_on_a_pooled_connection_that_closes_under_it_goes_again_and_accuses_nobody() {
    let origin = Origin::start().await;
    let (running, mut client, mut pooled) = with_pooled(&origin).await;
    client.send(GET).await;
    pooled.head().await;
    drop(pooled);
    let mut fresh = origin.accept().await;
    fresh.head().await;
    fresh.send(OK).await;
    assert_eq!(client.answer().await.text(), "ok");
    assert_eq!(running.endpoints[0].failures(), 0);
}

#[tokio::test]
async fn a_post_on_a_pooled_connection_that_closes_under_it_is_not_sent_twice() {
    let origin = Origin::start().await;
    let (_running, mut client, mut pooled) = with_pooled(&origin).await;
    client.send(POST).await;
    pooled.head().await;
    assert_eq!(pooled.bytes(2).await, b"hi");
    drop(pooled);
    assert_eq!(client.answer().await.status, 502);
    assert!(origin.is_left_alone().await);
}

#[tokio::test]
async fn a_post_avoids_a_pooled_connection_that_the_origin_has_closed() {
    let origin = Origin::start().await;
    let (_running, mut client, pooled) = with_pooled(&origin).await;
    drop(pooled);
    client.send(POST).await;
    let mut fresh = origin.accept().await;
    fresh.head().await;
    fresh.send(OK).await;
    assert_eq!(client.answer().await.status, 200);
}

#[tokio::test]
async fn a_pooled_connection_with_bytes_nobody_asked_for_is_dropped() {
    let origin = Origin::start().await;
    let (_running, mut client, mut pooled) = with_pooled(&origin).await;
    pooled
        .send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        .await;
    client.send(GET).await;
    let mut fresh = origin.accept().await;
    fresh.head().await;
    fresh.send(OK).await;
    assert_eq!(client.answer().await.text(), "ok");
}

#[tokio::test]
async fn a_refused_connect_goes_elsewhere_whatever_the_method_and_is_told() {
    for request in [GET, POST] {
        let good = Origin::start().await.always(OK);
        let mut running = Setup::new().start(&[nowhere().await, good]).await;
        running.endpoints[1].set_standing(Standing::Suspect);
        assert_eq!(running.ask(request).await.status, 200);
        assert_eq!(running.endpoints[0].standing(), Standing::Suspect);
        let told = soon("evidence", running.witnessed.recv()).await.unwrap();
        assert!(
            matches!(&told, Evidence::ConnectFailed(it, _) if it.id() == running.endpoints[0].id()),
            "{told:?}"
        );
    }
}

#[tokio::test]
async fn nobody_to_connect_to_is_the_sorry_page() {
    let running = Setup::new()
        .start(&[nowhere().await, nowhere().await])
        .await;
    let answer = running.ask(GET).await;
    assert_eq!((answer.status, answer.text()), (503, "<p>sorry</p>"));
    assert_eq!(answer.field("retry-after"), Some("5"));
    running.is_at_rest().await;
}

#[tokio::test]
async fn one_that_is_ejected_before_its_first_byte_loses_a_get_to_another_at_once() {
    let origin = Origin::start().await;
    let good = Origin::start().await.always(OK);
    let running = Setup::new().start(&[origin.address, good]).await;
    running.endpoints[1].set_standing(Standing::Suspect);
    let mut client = running.client().await;
    client.send(GET).await;
    let mut silent = origin.accept().await;
    silent.head().await;
    let ejected = Instant::now();
    running.endpoints[0].set_standing(Standing::Out);
    assert_eq!(client.answer().await.status, 200);
    assert!(
        ejected.elapsed() < Duration::from_secs(1),
        "{:?}",
        ejected.elapsed()
    );
    silent.ends().await;
}

#[tokio::test]
async fn one_that_is_ejected_before_its_first_byte_answers_a_post_504() {
    let origin = Origin::start().await;
    let good = Origin::start().await;
    let running = Setup::new().start(&[origin.address, good.address]).await;
    running.endpoints[1].set_standing(Standing::Suspect);
    let mut client = running.client().await;
    client.send(POST).await;
    let mut silent = origin.accept().await;
    silent.head().await;
    running.endpoints[0].set_standing(Standing::Out);
    assert_eq!(client.answer().await.status, 504);
    assert!(good.is_left_alone().await);
}

#[tokio::test]
async fn no_first_byte_in_time_is_504() {
    let origin = Origin::start().await;
    let mut setup = Setup::new();
    setup.service.retries = 0;
    setup.service.timeouts = Timeouts {
        first_byte: Duration::from_millis(100),
        ..Timeouts::default()
    };
    let running = setup.start(&[origin.address]).await;
    assert_eq!(running.ask(GET).await.status, 504);
    assert_eq!(running.endpoints[0].failures(), 1);
}

#[tokio::test]
async fn five_failures_in_a_row_are_told() {
    let origin = Origin::start()
        .await
        .always("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n");
    let mut running = Setup::new().start(&[origin]).await;
    for _ in 0..5 {
        assert_eq!(running.ask(GET).await.status, 503);
    }
    let told = soon("evidence", running.witnessed.recv()).await.unwrap();
    assert!(matches!(told, Evidence::Consecutive(_, 5, _)), "{told:?}");
}

/// Answers that break off within; the client must not take what it got for the whole.
#[tokio::test]
async fn an_answer_that_breaks_off_is_cut_and_not_retried() {
    for (request, partial) in [
        (GET, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"),
        (
            GET,
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        ),
        (
            GET,
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nz",
        ),
        (
            "GET / HTTP/1.0\r\nHost: a.test\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        ),
    ] {
        let origin = Origin::start().await;
        let running = Setup::new().start(&[origin.address]).await;
        let mut client = running.client().await;
        client.send(request).await;
        let mut instance = origin.accept().await;
        instance.head().await;
        let (whole, rest) = partial.split_at(partial.rfind('z').unwrap_or(partial.len()));
        instance.send(whole).await;
        let head = client.head().await;
        client.bytes(4).await;
        instance.send(rest).await;
        drop(instance);
        let (body, is_orderly_end) = client.rest().await;
        let is_framed = head.to_lowercase().contains("content-length")
            || head.to_lowercase().contains("chunked");
        assert!(
            is_framed || !is_orderly_end,
            "{partial:?} passed off as complete"
        );
        assert!(!body.ends_with(b"0\r\n\r\n"), "{partial:?} {body:?}");
        assert!(origin.is_left_alone().await);
        assert_eq!(running.endpoints[0].failures(), 1);
        running.is_at_rest().await;
    }
}

#[tokio::test]
async fn an_answer_against_the_rules_is_502_and_its_connection_closes() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok",
        "HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
        "SSH-2.0-OpenSSH\r\n\r\n",
    ] {
        let origin = Origin::start().await;
        let mut setup = Setup::new();
        setup.service.retries = 0;
        let running = setup.start(&[origin.address]).await;
        let mut client = running.client().await;
        client.send(GET).await;
        let mut instance = origin.accept().await;
        instance.head().await;
        instance.send(answer).await;
        assert_eq!(client.answer().await.status, 502, "{answer:?}");
        instance.ends().await;
    }
}

const HEAD_ALONE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";

#[tokio::test]
async fn a_get_whose_instance_dies_between_head_and_body_goes_to_another() {
    let origins = [Origin::start().await, Origin::start().await];
    let addresses = [origins[0].address, origins[1].address];
    let running = Setup::new().start(&addresses).await;
    let mut client = running.client().await;
    client.send(GET).await;
    let (mut first, other) = tokio::select! {
        peer = origins[0].accept() => (peer, &origins[1]),
        peer = origins[1].accept() => (peer, &origins[0]),
    };
    first.head().await;
    first.send(HEAD_ALONE).await;
    drop(first);
    let mut second = other.accept().await;
    second.head().await;
    second.send(OK).await;
    assert_eq!(client.answer().await.text(), "ok");
    let failures: u32 = running.endpoints.iter().map(|it| it.failures()).sum();
    assert_eq!(failures, 1, "the one that broke off is to blame");
}

#[tokio::test]
async fn a_post_whose_instance_dies_between_head_and_body_is_told_so_and_not_sent_twice() {
    let origins = [Origin::start().await, Origin::start().await];
    let addresses = [origins[0].address, origins[1].address];
    let running = Setup::new().start(&addresses).await;
    let mut client = running.client().await;
    client.send(POST).await;
    let (mut first, other) = tokio::select! {
        peer = origins[0].accept() => (peer, &origins[1]),
        peer = origins[1].accept() => (peer, &origins[0]),
    };
    first.head().await;
    assert_eq!(first.bytes(2).await, b"hi");
    first.send(HEAD_ALONE).await;
    drop(first);
    assert_eq!(client.answer().await.status, 502);
    assert!(other.is_left_alone().await);
}
