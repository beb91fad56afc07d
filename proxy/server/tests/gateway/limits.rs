//! In flight, queue, body sizes, the sorry page.

use crate::peer::Origin;
use crate::setup::{GET, OK, Setup};
use minato_config::Limits;
use minato_proxy::{Intake, Standing};
use std::time::Duration;

fn limited(queue: u32, queue_timeout: Duration) -> Setup {
    let mut setup = Setup::new();
    setup.service.limits = Limits {
        in_flight: 1,
        queue,
        queue_timeout,
        ..Limits::default()
    };
    setup
}

#[tokio::test]
async fn past_the_limit_a_request_waits_its_turn_or_gets_the_sorry_page() {
    let origin = Origin::start().await;
    let running = limited(1, Duration::from_secs(5))
        .start(&[origin.address])
        .await;
    let mut first = running.client().await;
    first.send(GET).await;
    let mut instance = origin.accept().await;
    instance.head().await;
    let mut second = running.client().await;
    second.send(GET).await;
    running
        .settles("the second to wait", |it| it.shared.queue.waiting() == 1)
        .await;
    let third = running.ask(GET).await;
    assert_eq!(
        (third.status, third.text(), third.field("retry-after")),
        (503, "<p>sorry</p>", Some("2"))
    );
    instance.send(OK).await;
    assert_eq!(first.answer().await.status, 200);
    instance.head().await;
    instance.send(OK).await;
    assert_eq!(second.answer().await.status, 200);
    running.is_at_rest().await;
}

#[tokio::test]
async fn waiting_ends_at_its_limit() {
    let origin = Origin::start().await;
    let running = limited(1, Duration::from_millis(50))
        .start(&[origin.address])
        .await;
    let mut first = running.client().await;
    first.send(GET).await;
    origin.accept().await.head().await;
    let second = running.ask(GET).await;
    assert_eq!(
        (second.status, second.field("retry-after")),
        (503, Some("2"))
    );
    assert_eq!(running.shared.queue.waiting(), 0);
}

#[tokio::test]
async fn a_client_that_hangs_up_leaves_the_queue() {
    let origin = Origin::start().await;
    let running = limited(2, Duration::from_secs(60))
        .start(&[origin.address])
        .await;
    let mut first = running.client().await;
    first.send(GET).await;
    let mut instance = origin.accept().await;
    instance.head().await;
    let mut with_body = running.client().await;
    with_body
        .send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 9\r\n\r\nsome")
        .await;
    let mut without = running.client().await;
    without.send(GET).await;
    running
        .settles("both to wait", |it| it.shared.queue.waiting() == 2)
        .await;
    without.half_close().await;
    drop(with_body);
    running
        .settles("both to leave", |it| it.shared.queue.waiting() == 0)
        .await;
    instance.send(OK).await;
    assert_eq!(first.answer().await.status, 200);
    running.is_at_rest().await;
}

#[tokio::test]
async fn bodies_past_the_limit_are_413_by_length_and_by_counting() {
    let origin = Origin::start().await;
    let mut setup = Setup::new();
    setup.service.limits.body_bytes = 10;
    let running = setup.start(&[origin.address]).await;
    let mut client = running.client().await;
    client
        .send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 11\r\n\r\n")
        .await;
    client.send("01234567890").await;
    assert_eq!(client.answer().await.status, 413);
    assert!(client.rest().await.1, "a reset");
    assert!(origin.is_left_alone().await);

    let mut client = running.client().await;
    client.send("POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n").await;
    let mut instance = origin.accept().await;
    instance.head().await;
    client.send("1\r\n0\r\n0\r\n\r\n").await;
    let answer = client.answer().await;
    assert_eq!(
        (answer.status, answer.field("connection")),
        (413, Some("close"))
    );
    instance.ends().await;
    assert_eq!(running.endpoints[0].failures(), 0);
    running.is_at_rest().await;
}

#[tokio::test]
async fn a_drained_service_and_one_without_instances_show_the_sorry_page() {
    let mut setup = Setup::new();
    setup.intake = Intake::Drained;
    let running = setup.start(&[]).await;
    let answer = running.ask(GET).await;
    assert_eq!(
        (answer.status, answer.field("retry-after")),
        (503, Some("60"))
    );

    let origin = Origin::start().await;
    let running = Setup::new().start(&[origin.address]).await;
    running.endpoints[0].set_standing(Standing::Out);
    let mut client = running.client().await;
    let answer = client.ask(GET).await;
    assert_eq!(
        (answer.status, answer.field("retry-after"), answer.text()),
        (503, Some("5"), "<p>sorry</p>")
    );
    assert_eq!(client.ask(GET).await.status, 503, "the connection goes on");
    running
        .settles("both to be counted", |it| {
            it.metric("minato_http_refused_total{reason=\"no_instance\"") == 2.0
        })
        .await;
}
