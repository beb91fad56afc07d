//! Large bodies and odd cuts: what goes in comes out, both ways at once, with little held between.

use crate::peer::{Origin, Peer, field, soon};
use crate::setup::Setup;
use std::hash::Hasher as _;
use tokio::net::{TcpListener, TcpStream};

const MIB_10: usize = 10 << 20;

/// Octets that no shift or repetition leaves as they are.
fn octets(seed: u64, count: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut bytes = vec![0; count];
    random.fill(&mut bytes);
    bytes
}

fn sum(bytes: &[u8]) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}

/// Takes a body of a known length, then sends it back.
async fn echo(stream: TcpStream) {
    let mut instance = Peer::new(stream);
    let head = instance.head().await;
    let length: usize = field(&head, "content-length").unwrap().parse().unwrap();
    let body = instance.bytes(length).await;
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
    instance.send(answer).await;
    instance.send(body).await;
}

/// Four exchanges at once, each at another point of its way up or down.
#[tokio::test]
async fn ten_mebibytes_up_and_down_at_once() {
    let origin = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = origin.local_addr().unwrap();
    let running = Setup::new().start(&[address]).await;
    tokio::spawn(async move {
        loop {
            tokio::spawn(echo(origin.accept().await.unwrap().0));
        }
    });
    let gateway = running.address;
    let exchanges: Vec<_> = (0..4)
        .map(|seed| {
            tokio::spawn(async move {
                let body = octets(seed, MIB_10);
                let mut client = Peer::connect(gateway).await;
                let head = "PUT / HTTP/1.1\r\nHost: a.test\r\nContent-Length:";
                client.send(format!("{head} {MIB_10}\r\n\r\n")).await;
                client.send(&body).await;
                assert_eq!(sum(&client.answer().await.body), sum(&body));
            })
        })
        .collect();
    for exchange in exchanges {
        soon("an echo", exchange).await.unwrap();
    }
}

/// Chunks of odd sizes, sent in pieces of odd sizes, both ways.
#[tokio::test]
async fn chunks_of_many_sizes_in_odd_cuts() {
    let mut random = fastrand::Rng::with_seed(7);
    let origin = Origin::start().await;
    let running = Setup::new().start(&[origin.address]).await;
    let mut client = running.client().await;
    let mut pooled: Option<Peer> = None;
    for round in 0..6 {
        let (body, coded) = chunked(&mut random);
        let sent = [
            b"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n".as_slice(),
            &coded,
        ]
        .concat();
        let cuts = pieces(&mut random, sent.len());
        let (back, back_coded) = chunked(&mut random);
        let back_cuts = pieces(&mut random, back_coded.len());
        let serve = async {
            let mut instance = match pooled.take() {
                Some(instance) => instance,
                None => origin.accept().await,
            };
            instance.head().await;
            assert_eq!(
                sum(&instance.chunks().await.0),
                sum(&body),
                "up, round {round}"
            );
            instance
                .send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                .await;
            send_cut(&mut instance, &back_coded, &back_cuts).await;
            instance
        };
        let ask = async {
            send_cut(&mut client, &sent, &cuts).await;
            client.head().await;
            assert_eq!(
                sum(&client.chunks().await.0),
                sum(&back),
                "down, round {round}"
            );
        };
        let (instance, ()) = tokio::join!(serve, ask);
        pooled = Some(instance);
    }
}

async fn send_cut(peer: &mut Peer, bytes: &[u8], pieces: &[usize]) {
    let mut at = 0;
    for piece in pieces {
        peer.send(&bytes[at..at + piece]).await;
        at += piece;
        tokio::task::yield_now().await;
    }
}

/// Sizes from 1 octet to 100 KiB, many of them around those of buffers.
fn chunked(random: &mut fastrand::Rng) -> (Vec<u8>, Vec<u8>) {
    let (mut body, mut coded) = (Vec::new(), Vec::new());
    for _ in 0..40 {
        let size = match random.u8(0..4) {
            0 => random.usize(1..20),
            1 => random.usize(4090..4100),
            2 => random.usize(16_370..16_390),
            _ => random.usize(1..100 << 10),
        };
        let data = octets(random.u64(..), size);
        coded.extend(format!("{size:x}{}\r\n", ";a=b".repeat(random.usize(0..2))).into_bytes());
        coded.extend_from_slice(&data);
        coded.extend_from_slice(b"\r\n");
        body.extend(data);
    }
    coded.extend_from_slice(b"0\r\n\r\n");
    (body, coded)
}

fn pieces(random: &mut fastrand::Rng, mut left: usize) -> Vec<usize> {
    let mut all = Vec::new();
    while left > 0 {
        let most = if random.bool() { 40 } else { 70_000 };
        let piece = random.usize(1..=most).min(left);
        all.push(piece);
        left -= piece;
    }
    all
}

/// One chunk of each size, so that each boundary of a buffer is met.
#[tokio::test]
async fn a_chunk_of_each_size_around_buffers() {
    let origin = Origin::start().await;
    let running = Setup::new().start(&[origin.address]).await;
    let mut client = running.client().await;
    let mut instance = None;
    let around = |it: usize| (it - 3)..(it + 3);
    let sizes = (0..40)
        .chain(around(4096))
        .chain(around(16 << 10))
        .chain(around(64 << 10))
        .chain(around(100 << 10));
    for size in sizes {
        let body = octets(size as u64, size);
        let coded = if size == 0 {
            b"0\r\n\r\n".to_vec()
        } else {
            let line = format!("{size:X}\r\n").into_bytes();
            [line, body.clone(), b"\r\n0\r\n\r\n".to_vec()].concat()
        };
        let head = "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n";
        client.send([head.as_bytes(), &coded].concat()).await;
        let at = match &mut instance {
            Some(at) => at,
            none => none.insert(origin.accept().await),
        };
        at.head().await;
        assert_eq!(sum(&at.chunks().await.0), sum(&body), "up, {size}");
        at.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            .await;
        at.send(&coded).await;
        client.head().await;
        assert_eq!(sum(&client.chunks().await.0), sum(&body), "down, {size}");
    }
}
