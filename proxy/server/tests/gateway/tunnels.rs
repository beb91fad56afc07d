//! WebSocket.

use crate::peer::{Origin, Peer, field, soon};
use crate::setup::{Running, Setup};
use std::time::Duration;

const UPGRADE: &str = "GET /chat HTTP/1.1\r\nHost: a.test\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n";

async fn open(setup: Setup) -> (Running, Peer, Peer) {
    let origin = Origin::start().await;
    let running = setup.start(&[origin.address]).await;
    let mut client = running.client().await;
    client.send(format!("{UPGRADE}early from client")).await;
    let mut instance = origin.accept().await;
    let head = instance.head().await;
    assert_eq!(
        (field(&head, "upgrade"), field(&head, "connection")),
        (Some("websocket"), Some("Upgrade"))
    );
    assert!(field(&head, "sec-websocket-key").is_some());
    instance.send(format!("{SWITCH}early from instance")).await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    assert_eq!(
        (field(&head, "upgrade"), field(&head, "connection")),
        (Some("websocket"), Some("Upgrade"))
    );
    assert_eq!(client.bytes(19).await, b"early from instance");
    assert_eq!(instance.bytes(17).await, b"early from client");
    (running, client, instance)
}

#[tokio::test]
async fn bytes_pass_both_ways_and_ends_do_too() {
    let (running, mut client, mut instance) = open(Setup::new()).await;
    for _ in 0..3 {
        client.send("ping").await;
        assert_eq!(instance.bytes(4).await, b"ping");
        instance.send("pong").await;
        assert_eq!(client.bytes(4).await, b"pong");
    }
    client.half_close().await;
    instance.ends().await;
    instance.send("last words").await;
    drop(instance);
    assert_eq!(client.rest().await, (b"last words".to_vec(), true));
    running.is_at_rest().await;
}

/// Each side sends more than all buffers hold before it reads: one direction must not wait for the other.
#[tokio::test]
async fn an_echo_under_full_buffers_does_not_lock_up() {
    const SIZE: usize = 20_000_000;
    let (_running, client, instance) = open(Setup::new()).await;
    let (mut from_client, mut to_client) = client.stream.into_split();
    let (mut from_instance, mut to_instance) = instance.stream.into_split();
    tokio::spawn(async move { tokio::io::copy(&mut from_instance, &mut to_instance).await });
    let sending = tokio::spawn(async move {
        let chunk = vec![7; 100_000];
        for _ in 0..SIZE / chunk.len() {
            tokio::io::AsyncWriteExt::write_all(&mut to_client, &chunk)
                .await
                .unwrap();
        }
        to_client
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut back = vec![0; SIZE];
    soon(
        "the echo",
        tokio::io::AsyncReadExt::read_exact(&mut from_client, &mut back),
    )
    .await
    .unwrap();
    assert!(back.iter().all(|it| *it == 7));
    sending.await.unwrap();
}

#[tokio::test]
async fn an_idle_tunnel_ends() {
    let mut setup = Setup::new();
    setup.service.timeouts.tunnel = Duration::from_millis(200);
    let (running, mut client, mut instance) = open(setup).await;
    client.ends().await;
    instance.ends().await;
    running.is_at_rest().await;
}

#[tokio::test]
async fn a_refused_upgrade_is_an_ordinary_answer() {
    let origin = Origin::start().await;
    let running = Setup::new().start(&[origin.address]).await;
    let mut client = running.client().await;
    client.send(UPGRADE).await;
    let mut instance = origin.accept().await;
    instance.head().await;
    instance
        .send("HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno")
        .await;
    assert_eq!(client.answer().await.text(), "no");
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
    instance.head().await;
}

#[tokio::test]
async fn only_websocket_is_asked_for() {
    let origin = Origin::start().await;
    let running = Setup::new().start(&[origin.address]).await;
    // Held open: an instance that hangs up is asked again.
    let mut held = Vec::new();
    for fields in [
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n",
        "Upgrade: websocket\r\n",
        "Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n",
        "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 2\r\n",
    ] {
        let mut client = running.client().await;
        client
            .send(format!("GET / HTTP/1.1\r\nHost: a.test\r\n{fields}\r\n"))
            .await;
        let mut instance = origin.accept().await;
        let head = instance.head().await;
        assert_eq!(
            (field(&head, "upgrade"), field(&head, "connection")),
            (None, None),
            "{fields}"
        );
        assert_eq!(field(&head, "http2-settings"), None);
        held.push((client, instance));
    }
}
