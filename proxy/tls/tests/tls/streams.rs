//! Bytes over a connection: whatever way they are cut, in order, and with an end that can be believed.

use crate::server::Place;
use crate::wire::{Wire, pair};
use minato_config::{ClientAuth, UpstreamTls, Verify};
use minato_tls::{
    Accepted, Acceptor, Certificates, Connector, Protocol, Side, TicketKeys, TlsStream,
};
use rustls::client::UnbufferedClientConnection;
use std::future::poll_fn;
use std::io::{ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

pub(crate) type Client<IO> = TlsStream<UnbufferedClientConnection, IO>;

pub(crate) fn acceptor(place: &Place) -> Acceptor {
    let certificates = Certificates::open(&place.folder());
    Acceptor::new(certificates, TicketKeys::new().unwrap(), &ClientAuth::None).unwrap()
}

pub(crate) fn trusted(place: &Place) -> UpstreamTls {
    UpstreamTls {
        ca: Some(place.file("ca.pem")),
        sni: Some("localhost".to_owned()),
        verify: Verify::On,
    }
}

pub(crate) fn loopback() -> SocketAddr {
    ([127, 0, 0, 1], 1).into()
}

async fn join(place: &Place, client: Wire, server: Wire) -> (Client<Wire>, Accepted<Wire>) {
    let (acceptor, connector) = (acceptor(place), Connector::default());
    let tls = trusted(place);
    let (client, server) = tokio::join!(
        connector.connect(client, &tls, loopback(), Protocol::Http1),
        acceptor.accept(server),
    );
    (client.unwrap(), server.unwrap())
}

fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    std::iter::repeat_with(|| random.u8(..))
        .take(length)
        .collect()
}

#[tokio::test]
async fn every_way_of_cutting_gives_the_same_bytes() {
    let place = Place::with_default();
    for (piece, length) in [
        (1, 300),
        (2, 3_000),
        (3, 20_000),
        (5, 20_000),
        (21, 70_000),
        (1_000, 200_000),
        (16_406, 500_000),
        (usize::MAX, 1_000_000),
    ] {
        let (mut client, mut server) = pair(30_000);
        (client.piece, server.piece) = (piece, piece);
        let (client, server) = join(&place, client, server).await;
        let (there, back) = (noise(length, 1), noise(length, 2));
        let both = async { tokio::join!(talk(client, &there), talk(server.stream, &back)) };
        let (received, sent) = timeout(Duration::from_secs(60), both)
            .await
            .expect("an end");
        assert!(received == back, "to the client, in pieces of {piece}");
        assert!(sent == there, "to the server, in pieces of {piece}");
    }
}

/// Writes all of `bytes` and the end, and reads to the end meanwhile.
async fn talk<S: Side + Unpin>(stream: TlsStream<S, Wire>, bytes: &[u8]) -> Vec<u8> {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let write = async {
        let mut rest = bytes;
        // Now long, now short.
        for length in [1, 20_000, 40, 7_000, 100_000].into_iter().cycle() {
            let (now, later) = rest.split_at(rest.len().min(length));
            writer.write_all(now).await.unwrap();
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        writer.shutdown().await.unwrap();
    };
    let read = async {
        let mut all = Vec::new();
        let mut buffer = [0; 7_000];
        loop {
            match reader.read(&mut buffer).await.unwrap() {
                0 => return all,
                count => all.extend(&buffer[..count]),
            }
        }
    };
    tokio::join!(write, read).1
}

#[tokio::test]
async fn a_handshake_may_be_cut_anywhere() {
    let place = Place::with_default();
    for side in ["client", "server"] {
        for split in 0.. {
            let (mut client, mut server) = pair(30_000);
            match side {
                "client" => client.split = Some(split),
                _ => server.split = Some(split),
            }
            let (client, mut server) = join(&place, client, server).await;
            let mut client = client;
            client.write_all(b"hello").await.unwrap();
            client.flush().await.unwrap();
            let mut buffer = [0; 5];
            server.stream.read_exact(&mut buffer).await.unwrap();
            assert_eq!(&buffer, b"hello", "{side} {split}");
            let read = match side {
                "client" => client.io().read,
                _ => server.stream.io().read,
            };
            if split > read {
                assert!(
                    split > 500,
                    "{side}: the handshake has more than {split} bytes"
                );
                break;
            }
        }
    }
}

#[tokio::test]
async fn only_an_end_that_was_said_is_an_end() {
    let place = Place::with_default();
    for said in [true, false] {
        let (client, server) = pair(30_000);
        let (mut client, mut server) = join(&place, client, server).await;
        client.write_all(b"half of a bo").await.unwrap();
        client.flush().await.unwrap();
        if said {
            client.shutdown().await.unwrap();
        }
        drop(client);
        let mut all = Vec::new();
        let read = server.stream.read_to_end(&mut all).await;
        assert_eq!(all, b"half of a bo");
        match read {
            Ok(_) => assert!(said),
            Err(error) => assert!(!said && error.kind() == ErrorKind::UnexpectedEof, "{error}"),
        }
    }
}

#[tokio::test]
async fn nothing_is_written_after_the_end() {
    let place = Place::with_default();
    let (client, server) = pair(30_000);
    let (mut client, _server) = join(&place, client, server).await;
    client.shutdown().await.unwrap();
    let error = client.write_all(b"more").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
}

#[tokio::test]
async fn short_slices_share_a_record() {
    let place = Place::with_default();
    let (client, server) = pair(300_000);
    let (_client, server) = join(&place, client, server).await;
    let mut server = server.stream;
    server.flush().await.unwrap();
    // Header, type and tag of a record of TLS 1.3.
    const AROUND: usize = 5 + 1 + 16;
    for (lengths, records) in [
        (&[100][..], 1),
        (&[0, 100, 0], 1),
        (&[100, 200, 300], 1),
        (&[200, 16_000], 1),
        (&[200, 16_384], 2),
        (&[20_000], 2),
        (&[5_000, 5_000, 5_000], 3),
        (&[5_000, 100, 100], 2),
        (&[65_536], 4),
        (&[0; 3], 0),
    ] {
        let bytes: Vec<Vec<u8>> = lengths.iter().map(|it| noise(*it, 3)).collect();
        let slices: Vec<_> = bytes.iter().map(|it| IoSlice::new(it)).collect();
        let before = server.io().written.len();
        let taken = poll_fn(|cx| server.poll_write_vectored(cx, &slices))
            .await
            .unwrap();
        let total = lengths.iter().sum::<usize>();
        assert_eq!(taken, total, "{lengths:?}");
        let wire = server.io().written.len() - before;
        assert_eq!(wire, total + records * AROUND, "{lengths:?}");
    }
}

async fn tcp(place: &Place) -> (Client<TcpStream>, Accepted) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (acceptor, connector, tls) = (acceptor(place), Connector::default(), trusted(place));
    let connect = async {
        let tcp = TcpStream::connect(address).await.unwrap();
        connector
            .connect(tcp, &tls, address, Protocol::Http1)
            .await
            .unwrap()
    };
    let accept = async {
        let (tcp, _) = listener.accept().await.unwrap();
        acceptor.accept(tcp).await.unwrap()
    };
    tokio::join!(connect, accept)
}

#[tokio::test]
async fn an_idle_connection_is_told_from_one_that_ended_or_speaks() {
    let place = Place::with_default();
    let exchange = async |client: &mut Client<TcpStream>, server: &mut Accepted| {
        client.write_all(b"ask").await.unwrap();
        client.flush().await.unwrap();
        let mut buffer = [0; 6];
        server.stream.read_exact(&mut buffer[..3]).await.unwrap();
        server.stream.write_all(b"answer").await.unwrap();
        server.stream.flush().await.unwrap();
        client.read_exact(&mut buffer).await.unwrap();
    };
    for case in ["tickets only", "bytes", "close", "cut", "garbage"] {
        let (mut client, mut server) = tcp(&place).await;
        if case != "tickets only" {
            exchange(&mut client, &mut server).await;
        }
        match case {
            "tickets only" => server.stream.flush().await.unwrap(),
            "bytes" => {
                server.stream.write_all(b"unasked").await.unwrap();
                server.stream.flush().await.unwrap();
            }
            "close" => server.stream.shutdown().await.unwrap(),
            "garbage" => {
                let tcp = server.stream.io();
                tcp.writable().await.unwrap();
                assert_eq!(tcp.try_write(&[0; 100]).unwrap(), 100);
            }
            _ => drop(server),
        }
        client.io().readable().await.unwrap();
        assert_eq!(client.is_idle(), case == "tickets only", "{case}");
        if case == "tickets only" {
            assert!(client.is_idle(), "looking changes nothing");
        }
    }
    let (mut client, mut server) = tcp(&place).await;
    exchange(&mut client, &mut server).await;
    assert!(client.is_idle() && server.stream.is_idle());
    exchange(&mut client, &mut server).await;
}
