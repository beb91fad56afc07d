//! 1xx.

use crate::peer::{Origin, field};
use crate::setup::{GET, OK, Setup};

#[tokio::test]
async fn expectations_are_the_instances_to_meet() {
    let origin = Origin::start().await;
    let running = Setup::new().start(&[origin.address]).await;
    let mut client = running.client().await;
    let upload =
        "POST / HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
    client.send(upload).await;
    let mut instance = origin.accept().await;
    assert_eq!(
        field(&instance.head().await, "expect"),
        Some("100-continue")
    );
    instance.send("HTTP/1.1 100 Continue\r\n\r\n").await;
    assert!(client.head().await.starts_with("HTTP/1.1 100"));
    client.send("hi").await;
    assert_eq!(instance.bytes(2).await, b"hi");
    instance.send(OK).await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.field("connection")), (200, None));

    // Not met: the final answer comes at once, and the body never.
    client.send(upload).await;
    instance.head().await;
    instance
        .send("HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n")
        .await;
    let answer = client.answer().await;
    assert_eq!(
        (answer.status, answer.field("connection")),
        (417, Some("close"))
    );
    instance.ends().await;
}

#[tokio::test]
async fn early_hints_pass_but_never_to_http_1_0() {
    let origin = Origin::start().await;
    let running = Setup::new().start(&[origin.address]).await;
    let mut client = running.client().await;
    client.send(GET).await;
    let mut instance = origin.accept().await;
    instance.head().await;
    instance
        .send("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\nConnection: close\r\n\r\n")
        .await;
    let hint = client.head().await;
    assert!(hint.starts_with("HTTP/1.1 103"), "{hint}");
    assert_eq!(
        (field(&hint, "link"), field(&hint, "connection")),
        (Some("</x>"), None)
    );
    instance.send(OK).await;
    assert_eq!(client.answer().await.text(), "ok");

    let mut old = running.client().await;
    old.send("GET / HTTP/1.0\r\nHost: a.test\r\n\r\n").await;
    instance.head().await;
    instance
        .send(format!("HTTP/1.1 103 Early Hints\r\n\r\n{OK}"))
        .await;
    assert_eq!(old.answer().await.status, 200);
}

#[tokio::test]
async fn interim_answers_without_end_are_an_invalid_answer() {
    let origin = Origin::start().await;
    let mut setup = Setup::new();
    setup.service.retries = 0;
    let running = setup.start(&[origin.address]).await;
    let mut client = running.client().await;
    client.send(GET).await;
    let mut instance = origin.accept().await;
    instance.head().await;
    instance
        .send("HTTP/1.1 102 Processing\r\n\r\n".repeat(100))
        .await;
    let (got, _) = {
        client.half_close().await;
        client.rest().await
    };
    let got = String::from_utf8(got).unwrap();
    assert!(got.contains("HTTP/1.1 502"), "{got}");
    assert!(got.matches("HTTP/1.1 102").count() < 100);
}
