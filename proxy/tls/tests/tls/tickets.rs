//! When session tickets leave: a client by hand, flight by flight.

use crate::server::Place;
use crate::streams::acceptor;
use crate::wire::{Wire, pair};
use minato_tls::Accepted;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use std::io::{Read, Write};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// What a client sends in one write with the end of its handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum With {
    Nothing,
    Close,
    Request,
}

fn client(place: &Place) -> ClientConnection {
    let mut roots = RootCertStore::empty();
    let ca = CertificateDer::from_pem_file(place.file("ca.pem")).unwrap();
    roots.add(ca).unwrap();
    let config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap()
}

/// All that the client has to say, in one write.
async fn say(client: &mut ClientConnection, io: &mut Wire) {
    let mut bytes = Vec::new();
    while client.wants_write() {
        client.write_tls(&mut bytes).unwrap();
    }
    io.write_all(&bytes).await.unwrap();
}

/// Takes in what has come, at least one byte.
async fn hear(client: &mut ClientConnection, io: &mut Wire) {
    let mut bytes = [0; 16_000];
    let count = io.read(&mut bytes).await.unwrap();
    assert!(count > 0, "the end");
    let mut rest = &bytes[..count];
    while !rest.is_empty() {
        client.read_tls(&mut rest).unwrap();
        client.process_new_packets().unwrap();
    }
}

async fn shake(place: &Place, with: With) -> (ClientConnection, Wire, Accepted<Wire>) {
    let (mut io, server) = pair(30_000);
    let acceptor = acceptor(place);
    let mut client = client(place);
    let talk = async {
        say(&mut client, &mut io).await;
        while client.is_handshaking() {
            hear(&mut client, &mut io).await;
        }
        match with {
            With::Nothing => {}
            With::Close => client.send_close_notify(),
            With::Request => client.writer().write_all(b"GET").unwrap(),
        }
        say(&mut client, &mut io).await;
    };
    let (accepted, ()) = tokio::join!(acceptor.accept(server), talk);
    (client, io, accepted.unwrap())
}

#[tokio::test]
async fn tickets_leave_at_once_also_for_a_client_that_only_shakes_hands() {
    let place = Place::with_default();
    for with in [With::Nothing, With::Close] {
        let (mut client, mut io, accepted) = shake(&place, with).await;
        // Nothing more is done with the connection.
        assert_eq!(accepted.stream.io().writes, 2, "{with:?}");
        hear(&mut client, &mut io).await;
        assert_eq!(client.tls13_tickets_received(), 2, "{with:?}");
    }
}

#[tokio::test]
async fn tickets_leave_with_the_answer_where_its_request_is_there_already() {
    let place = Place::with_default();
    let (mut client, mut io, mut accepted) = shake(&place, With::Request).await;
    assert_eq!(accepted.stream.io().writes, 1);
    let mut asked = [0; 3];
    accepted.stream.read_exact(&mut asked).await.unwrap();
    assert_eq!(&asked, b"GET");
    accepted.stream.write_all(b"answer").await.unwrap();
    accepted.stream.flush().await.unwrap();
    assert_eq!(accepted.stream.io().writes, 2);
    hear(&mut client, &mut io).await;
    assert_eq!(client.tls13_tickets_received(), 2);
    let mut answer = [0; 6];
    client.reader().read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"answer");
}
