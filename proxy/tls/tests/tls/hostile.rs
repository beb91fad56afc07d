//! Peers that are broken or mean: refused, told why where that is possible, and never a panic.

use crate::server::Place;
use crate::streams::{acceptor, loopback, trusted};
use crate::wire::{Wire, pair};
use minato_tls::{Acceptor, Connector, Protocol};
use std::io::{self, Cursor, ErrorKind};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, join, sink};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// The first bytes that a client says.
async fn hello(place: &Place) -> Vec<u8> {
    let (client, mut server) = pair(30_000);
    let (connector, tls) = (Connector::default(), trusted(place));
    let mut hello = vec![0; 5_000];
    tokio::select! {
        _ = connector.connect(client, &tls, loopback(), Protocol::Http2) => unreachable!("nobody answered"),
        count = server.read(&mut hello) => hello.truncate(count.unwrap()),
    }
    assert!(hello.len() > 200);
    hello
}

/// What becomes of a connection that says `bytes` and ends.
async fn say(acceptor: &Acceptor, bytes: Vec<u8>) -> io::Result<()> {
    let io = join(Cursor::new(bytes), sink());
    let accepted = timeout(Duration::from_secs(10), acceptor.accept(io)).await;
    accepted.expect("an end").map(drop)
}

#[tokio::test]
async fn ten_thousand_hellos_that_are_not_quite_right() {
    let place = Place::with_default();
    let (acceptor, hello) = (acceptor(&place), hello(&place).await);
    let seed = 7;
    let mut random = fastrand::Rng::with_seed(seed);
    for round in 0..10_000 {
        let mut bytes = hello.clone();
        for _ in 0..random.usize(1..8) {
            let at = random.usize(0..bytes.len());
            match random.u8(0..6) {
                0 => bytes.truncate(at.max(1)),
                1 => bytes[at] = random.u8(..),
                2 => bytes[at] ^= 1 << random.u8(0..8),
                3 => bytes.insert(at, random.u8(..)),
                4 => drop(bytes.drain(at..(at + random.usize(0..40)).min(bytes.len() - 1).max(at))),
                _ => {
                    let from = random.usize(0..bytes.len());
                    let part = bytes[from..(from + random.usize(0..60)).min(bytes.len())].to_vec();
                    bytes.splice(at..at, part);
                }
            }
        }
        // Nobody can finish a handshake without a second flight.
        let ended = say(&acceptor, bytes).await;
        assert!(ended.is_err(), "seed {seed}, round {round}");
    }
}

#[tokio::test]
async fn what_is_no_hello_is_refused() {
    let place = Place::with_default();
    let (acceptor, hello) = (acceptor(&place), hello(&place).await);
    let long = [&[0x16, 3, 1, 0x7f, 0xff][..], &[0; 40_000]].concat();
    // A handshake message of 16 MiB, one byte in each record.
    let endless = [0x16, 3, 1, 0, 1, 1].repeat(100_000);
    let mut slow = vec![0x16, 3, 1, 0, 4, 1, 0xff, 0xff, 0xff];
    slow.extend(endless);
    let twice = [hello.clone(), hello.clone()].concat();
    for (name, bytes, kind) in [
        ("nothing", vec![], ErrorKind::UnexpectedEof),
        ("half", hello[..100].to_vec(), ErrorKind::UnexpectedEof),
        ("hello only", hello, ErrorKind::UnexpectedEof),
        (
            "http",
            b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
            ErrorKind::InvalidData,
        ),
        ("zeros", vec![0; 1_000], ErrorKind::InvalidData),
        (
            "ssh",
            b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(),
            ErrorKind::InvalidData,
        ),
        ("too long", long, ErrorKind::InvalidData),
        ("endless", slow, ErrorKind::InvalidData),
        ("twice", twice, ErrorKind::InvalidData),
        (
            "alerts",
            [0x15, 3, 1, 0, 2, 1, 90].repeat(10_000),
            ErrorKind::InvalidData,
        ),
    ] {
        let error = say(&acceptor, bytes).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{name}: {error}");
    }
}

/// Runs both sides; whatever comes of it, neither panics, and nothing wrong is read.
async fn disturb(place: &Place, acceptor: &Acceptor, client: Wire, server: Wire) -> bool {
    let (connector, tls) = (Connector::default(), trusted(place));
    let ask = async {
        let connected = connector.connect(client, &tls, loopback(), Protocol::Http1);
        let mut stream = connected.await.map_err(|_| ())?;
        stream.write_all(b"question").await.map_err(drop)?;
        stream.shutdown().await.map_err(drop)?;
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await.map_err(drop)?;
        assert_eq!(all, b"answer");
        Ok::<(), ()>(())
    };
    let answer = async {
        let mut stream = acceptor.accept(server).await.map_err(drop)?.stream;
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await.map_err(drop)?;
        assert_eq!(all, b"question");
        stream.write_all(b"answer").await.map_err(drop)?;
        stream.shutdown().await.map_err(drop)
    };
    let both = async { tokio::join!(ask, answer) };
    let (one, other) = timeout(Duration::from_secs(10), both)
        .await
        .expect("an end");
    one.is_ok() && other.is_ok()
}

#[tokio::test]
async fn one_wrong_bit_anywhere_ends_the_connection() {
    let place = Place::with_default();
    let acceptor = acceptor(&place);
    let seed = 11;
    let mut random = fastrand::Rng::with_seed(seed);
    let (client, server) = pair(30_000);
    assert!(disturb(&place, &acceptor, client, server).await);
    for round in 0..600 {
        let (mut client, mut server) = pair(30_000);
        let flip = Some((random.usize(0..1_000), 1 << random.u8(0..8)));
        match round % 2 {
            0 => client.flip = flip,
            _ => server.flip = flip,
        }
        // Either it fails, or the bit was of no meaning (a legacy version, say); `disturb` looks at what is read.
        disturb(&place, &acceptor, client, server).await;
    }
}

#[tokio::test]
async fn a_refused_client_reads_why() {
    let place = Place::with_default();
    let acceptor = acceptor(&place);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let refuse = async {
        let (tcp, _) = listener.accept().await.unwrap();
        acceptor.accept(tcp).await.unwrap_err()
    };
    let ask = async {
        let mut tcp = TcpStream::connect(address).await.unwrap();
        // More than the server reads before it refuses.
        tcp.write_all(&[b'x'; 60_000]).await.unwrap();
        tcp.shutdown().await.unwrap();
        let mut all = Vec::new();
        tcp.read_to_end(&mut all).await.unwrap();
        all
    };
    let (_, alert) = tokio::join!(refuse, ask);
    // A fatal alert, in the clear.
    assert_eq!((alert[0], alert[5], alert.len()), (21, 2, 7), "{alert:?}");
}
