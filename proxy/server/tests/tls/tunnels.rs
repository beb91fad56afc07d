//! WebSocket over TLS on both sides.

use crate::peer::{Peer, field};
use crate::setup::Running;
use crate::stage::{Serving, Stage, Visit, cut};
use minato_config::UpstreamProtocol;

const UPGRADE: &str = "GET /chat HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n";

async fn open(stage: &Stage) -> (Running, Peer<Visit>, Peer<Serving>) {
    let instance = stage.instance().await;
    let setup = stage.setup_to(UpstreamProtocol::Http1);
    let running = setup.start(&[instance.address]).await;
    let mut client = stage.visitor().connect(&running).await;
    client.send(format!("{UPGRADE}early")).await;
    let mut peer = instance.accept().await;
    let head = peer.head().await;
    assert_eq!(field(&head, "upgrade"), Some("websocket"));
    peer.send(format!("{SWITCH}early")).await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    assert_eq!(client.bytes(5).await, b"early");
    assert_eq!(peer.bytes(5).await, b"early");
    (running, client, peer)
}

#[tokio::test]
async fn bytes_go_both_ways_at_once() {
    const LENGTH: usize = 2_000_000;
    let stage = Stage::new();
    let (_running, client, peer) = open(&stage).await;
    let (up, down) = (vec![b'u'; LENGTH], vec![b'd'; LENGTH]);
    let (mut from_client, mut to_client) = tokio::io::split(client.stream);
    let (mut from_peer, mut to_peer) = tokio::io::split(peer.stream);
    let write = async |to: &mut (dyn tokio::io::AsyncWrite + Unpin), bytes: &[u8]| {
        tokio::io::AsyncWriteExt::write_all(to, bytes)
            .await
            .unwrap();
        tokio::io::AsyncWriteExt::flush(to).await.unwrap();
    };
    let read = async |from: &mut (dyn tokio::io::AsyncRead + Unpin)| {
        let mut bytes = vec![0; LENGTH];
        tokio::io::AsyncReadExt::read_exact(from, &mut bytes)
            .await
            .unwrap();
        bytes
    };
    let ((), (), came, back) = crate::peer::soon("all bytes", async {
        tokio::join!(
            write(&mut to_client, &up),
            write(&mut to_peer, &down),
            read(&mut from_peer),
            read(&mut from_client),
        )
    })
    .await;
    assert!(came == up && back == down);
}

#[tokio::test]
async fn each_side_ends_by_itself_and_in_order() {
    let stage = Stage::new();
    let (running, mut client, mut peer) = open(&stage).await;
    client.half_close().await;
    assert_eq!(peer.rest().await, (Vec::new(), true));
    peer.send("still").await;
    assert_eq!(client.bytes(5).await, b"still");
    peer.half_close().await;
    assert_eq!(client.rest().await, (Vec::new(), true));
    running.is_at_rest().await;
}

#[tokio::test]
async fn a_side_that_is_cut_off_is_not_ended_in_order_on_the_other() {
    let stage = Stage::new();
    let (_running, client, mut peer) = open(&stage).await;
    cut(client.stream.get_ref().0);
    assert_eq!(peer.rest().await, (Vec::new(), false));
    let (running, mut client, peer) = open(&stage).await;
    cut(peer.stream.get_ref().0);
    assert_eq!(client.rest().await, (Vec::new(), false));
    drop((client, peer));
    running.is_at_rest().await;
}
