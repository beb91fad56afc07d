//! Stopping, handing over, and making room: GOAWAY twice, and what was begun ends.

use crate::client::{Client, Closed};
use crate::frame::*;
use crate::peer::soon;
use crate::setup::Setup;
use crate::subject::Subject;
use minato_proxy_server::Phase;
use std::time::Duration;

/// No stream is the last yet (RFC 9113 6.8).
const ANY: u32 = 0x7fff_ffff;

async fn start() -> Subject {
    let mut setup = Setup::new();
    setup.deadlines.head = Duration::from_millis(200);
    setup.deadlines.linger = Duration::from_millis(300);
    Subject::start_with(setup).await
}

#[tokio::test]
async fn what_is_in_flight_ends_and_what_is_idle_closes() {
    let subject = start().await;
    let running = subject.running.as_ref().unwrap();
    let mut idle = Client::connect(subject.address).await;
    let mut busy = Client::connect(subject.address).await;
    assert_eq!(idle.get(1, "/").await.status, Some(200));
    busy.send([get(1, "/"), post(3, "/")].concat()).await;
    busy.ended(1).await;
    running.stop.send(Phase::Stop).unwrap();
    assert_eq!(idle.end().await, Closed::Orderly);
    assert_eq!(idle.goaways, [(ANY, NO_ERROR), (1, NO_ERROR)]);
    busy.until("GOAWAY", |it| it.goaways.len() == 2).await;
    assert_eq!(busy.goaways, [(ANY, NO_ERROR), (3, NO_ERROR)]);
    // What comes after the last is not looked at; what is under way goes on.
    busy.send([get(5, "/bad"), data(END_STREAM, 3, b"test")].concat())
        .await;
    assert_eq!(busy.ended(3).await.status, Some(200));
    assert_eq!(busy.end().await, Closed::Orderly);
    assert!(!subject.paths().iter().any(|it| it == "/bad"));
    let running = subject.running.unwrap();
    soon("the end of serving", running.serving).await.unwrap();
}

/// A request that crosses the first GOAWAY is served: that is what it is said twice for.
#[tokio::test]
async fn a_request_on_its_way_is_served() {
    let subject = start().await;
    let running = subject.running.as_ref().unwrap();
    let mut client = Client::connect(subject.address).await;
    client.hold_pings = true;
    running.stop.send(Phase::Stop).unwrap();
    client
        .until("the first GOAWAY", |it| !it.goaways.is_empty())
        .await;
    assert_eq!(client.get(1, "/").await.status, Some(200));
    client.end().await;
}

#[tokio::test]
async fn a_client_that_does_not_answer_is_not_waited_for() {
    let subject = start().await;
    let running = subject.running.as_ref().unwrap();
    let mut client = Client::connect(subject.address).await;
    client.hold_pings = true;
    running.stop.send(Phase::Stop).unwrap();
    client.end().await;
    assert_eq!(client.goaways, [(ANY, NO_ERROR)]);
}

/// Another process serves from now on: what is idle may stay for its time, the next request is the last.
#[tokio::test]
async fn after_a_handover_the_next_request_is_the_last() {
    let subject = start().await;
    let running = subject.running.as_ref().unwrap();
    let mut client = Client::connect(subject.address).await;
    assert_eq!(client.get(1, "/").await.status, Some(200));
    running.stop.send(Phase::HandOver).unwrap();
    let refused = async {
        while tokio::net::TcpStream::connect(subject.address)
            .await
            .is_ok()
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    soon("refused connects", refused).await;
    client.settle().await;
    assert!(client.goaways.is_empty() && client.closed.is_none());
    assert_eq!(client.get(3, "/").await.status, Some(200));
    client.end().await;
    assert_eq!(client.goaways, [(ANY, NO_ERROR), (3, NO_ERROR)]);
}

#[tokio::test]
async fn idle_connections_end_at_their_time() {
    let mut setup = Setup::new();
    setup.deadlines.keep_alive = Duration::from_millis(300);
    let subject = Subject::start_with(setup).await;
    let mut client = Client::connect(subject.address).await;
    assert_eq!(client.get(1, "/").await.status, Some(200));
    assert_eq!(client.end().await, Closed::Orderly);
    assert_eq!(client.goaways, [(ANY, NO_ERROR), (1, NO_ERROR)]);
    // One that waits for an answer is not idle.
    let mut client = Client::connect(subject.address).await;
    client.send(get(1, "/wait")).await;
    tokio::time::sleep(Duration::from_millis(800)).await;
    client.settle().await;
    assert!(client.goaways.is_empty(), "{}", client.account());
}

/// At the cap the connection that rested longest makes room, whatever it speaks.
#[tokio::test]
async fn idle_connections_make_room() {
    let mut setup = Setup::new();
    setup.connections = 2;
    let subject = Subject::start_with(setup).await;
    let mut first = Client::connect(subject.address).await;
    assert_eq!(first.get(1, "/").await.status, Some(200));
    let mut second = Client::connect(subject.address).await;
    second.send(get(1, "/wait")).await;
    second.settle().await;
    let mut third = Client::connect(subject.address).await;
    assert_eq!(first.end().await, Closed::Orderly);
    assert_eq!(third.get(1, "/").await.status, Some(200));
    second.settle().await;
    assert!(second.goaways.is_empty());
}
