//! A service that is held while it moves: its requests wait, bodies unread, and go on.

use crate::peer::Origin;
use crate::setup::{GET, OK, Running, Setup};
use minato_config::Limits;
use minato_proxy::HELD;
use std::time::Duration;

async fn held(queue_timeout: Duration) -> (Origin, Running) {
    let origin = Origin::start().await;
    let mut setup = Setup::new();
    setup.service.limits = Limits {
        queue_timeout,
        ..Limits::default()
    };
    let running = setup.start(&[origin.address]).await;
    running.shared.queue.hold();
    (origin, running)
}

async fn wait(running: &Running, count: u32) {
    running
        .settles("requests to wait", |it| it.shared.queue.waiting() == count)
        .await;
}

#[tokio::test]
async fn new_requests_wait_unread_and_those_under_way_end() {
    let origin = Origin::start().await;
    let running = Setup::new().start(&[origin.address]).await;
    let mut before = running.client().await;
    before.send(GET).await;
    let mut instance = origin.accept().await;
    instance.head().await;
    running.shared.queue.hold();
    let mut get = running.client().await;
    get.send(GET).await;
    wait(&running, 1).await;
    let mut post = running.client().await;
    let length = 50_000_000;
    post.send(format!(
        "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: {length}\r\n\r\n"
    ))
    .await;
    wait(&running, 2).await;
    // The body stays with the client: what the kernel's buffers hold, and not what it has.
    let sent = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = std::sync::Arc::clone(&sent);
    let (mut reading, mut writing) = tokio::io::split(post.stream);
    let uploading = tokio::spawn(async move {
        use tokio::io::AsyncWriteExt as _;
        let piece = vec![b'x'; 100_000];
        for _ in 0..length / piece.len() {
            writing.write_all(&piece).await.unwrap();
            counted.fetch_add(piece.len(), std::sync::atomic::Ordering::Relaxed);
        }
        writing
    });
    instance.send(OK).await;
    assert_eq!(before.answer().await.status, 200);
    running
        .settles("what was under way to end", |it| {
            it.shared.queue.in_flight() == 0
        })
        .await;
    assert!(
        origin.is_left_alone().await,
        "it was led on while it was held"
    );
    assert!(sent.load(std::sync::atomic::Ordering::Relaxed) < length / 2);
    running.shared.queue.release();
    // One of the two comes over the connection that is there, the other over a new one.
    let serve = async |mut peer: crate::peer::Peer| {
        let head = peer.head().await;
        if head.starts_with("POST") {
            peer.bytes(length).await;
        }
        peer.send(OK).await;
        peer
    };
    let (_one, _other) = tokio::join!(serve(instance), async {
        serve(origin.accept().await).await
    });
    assert_eq!(get.answer().await.status, 200);
    drop(uploading.await.unwrap());
    use tokio::io::AsyncReadExt as _;
    let mut head = [0; 12];
    reading.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    running.is_at_rest().await;
}

#[tokio::test]
async fn waiting_while_it_is_held_outlasts_the_queue_and_a_client_that_goes_leaves() {
    let (origin, running) = held(Duration::from_millis(50)).await;
    let mut client = running.client().await;
    client.send(GET).await;
    let gone = running.client().await;
    wait(&running, 1).await;
    drop(gone);
    let mut leaves = running.client().await;
    leaves.send(GET).await;
    wait(&running, 2).await;
    drop(leaves);
    wait(&running, 1).await;
    // Many times as long as its queue lets it wait.
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(running.shared.queue.waiting(), 1);
    running.shared.queue.release();
    let mut instance = origin.accept().await;
    instance.head().await;
    instance.send(OK).await;
    assert_eq!(client.answer().await.status, 200);
}

#[tokio::test]
async fn past_a_thousand_visitors_are_told_to_come_back() {
    let (_origin, running) = held(Duration::from_secs(60)).await;
    let mut waiting = Vec::new();
    let most = usize::try_from(HELD).unwrap();
    // Over few connections there is one request each; the rest of the places are taken by hand.
    let taken: Vec<_> = (0..most - 1)
        .map(|_| running.shared.queue.admit())
        .collect();
    let mut client = running.client().await;
    client.send(GET).await;
    wait(&running, HELD).await;
    waiting.push(client);
    let answer = running.ask(GET).await;
    assert_eq!(
        (answer.status, answer.text(), answer.field("retry-after")),
        (503, "<p>sorry</p>", Some("2"))
    );
    running
        .settles("it to be counted", |it| {
            it.metric("minato_http_refused_total{reason=\"moving\"") == 1.0
        })
        .await;
    drop(taken);
    wait(&running, 1).await;
}
