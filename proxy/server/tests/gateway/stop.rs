//! Stopping: what is in flight ends, what is idle closes, nobody new comes in.

use crate::connections::Crowd;
use crate::peer::{Origin, soon};
use crate::setup::{GET, OK, Setup};
use minato_proxy_server::Phase;
use std::time::Duration;
use tokio::net::TcpStream;

#[tokio::test]
async fn what_is_in_flight_ends_and_says_close() {
    let origin = Origin::start().await;
    let running = Setup::new().start(&[origin.address]).await;
    let mut busy = running.client().await;
    busy.send(GET).await;
    let mut instance = origin.accept().await;
    instance.head().await;
    let mut idle = running.client().await;
    assert_eq!(
        idle.ask("GET / HTTP/1.1\r\nHost: other.test\r\n\r\n")
            .await
            .status,
        404
    );
    running.stop.send(Phase::Stop).unwrap();
    assert_eq!(idle.rest().await, (Vec::new(), true));
    let refused = async {
        while TcpStream::connect(running.address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    soon("refused connects", refused).await;
    assert!(!running.serving.is_finished());
    instance.send(OK).await;
    let answer = busy.answer().await;
    assert_eq!(
        (answer.text(), answer.field("connection")),
        ("ok", Some("close"))
    );
    assert!(busy.rest().await.1);
    soon("the end of serving", running.serving).await.unwrap();
}

/// It was accepted: to close it now would lose its request.
#[tokio::test]
async fn who_waits_for_a_place_is_served_after_the_stop() {
    let Crowd {
        running,
        origin: _origin,
        mut busy,
        mut instance,
        mut waiting,
    } = Crowd::gather().await;
    running.stop.send(Phase::Stop).unwrap();
    let refused = async {
        while TcpStream::connect(running.address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    soon("refused connects", refused).await;
    instance.send(OK).await;
    assert_eq!(busy.answer().await.status, 200);
    instance.head().await;
    instance.send(OK).await;
    assert_eq!(waiting.answer().await.status, 200);
    soon("the end of serving", running.serving).await.unwrap();
}

#[tokio::test]
async fn what_does_not_end_in_time_is_cut() {
    let origin = Origin::start().await;
    let mut setup = Setup::new();
    setup.drain = Duration::from_millis(100);
    let running = setup.start(&[origin.address]).await;
    let mut busy = running.client().await;
    busy.send(GET).await;
    let mut instance = origin.accept().await;
    instance.head().await;
    running.stop.send(Phase::Stop).unwrap();
    busy.ends().await;
    soon("the end of serving", running.serving).await.unwrap();
    instance.ends().await;
    assert_eq!(
        running
            .metrics
            .text()
            .lines()
            .find(|it| it.starts_with("minato_http_connections ")),
        Some("minato_http_connections 0")
    );
    assert_eq!(running.endpoints[0].in_flight(), 0);
}
