//! TLS towards instances: who is believed, and what is said of those who are not.

use crate::authority::{Authority, Time};
use crate::server::{Place, Server};
use minato_config::{ClientAuth, UpstreamTls, Verify};
use minato_tls::{ClientStream, ConnectError, Connector, Protocol};
use std::net::SocketAddr;
use std::path::PathBuf;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

fn tls(ca: Option<PathBuf>, sni: Option<&str>) -> UpstreamTls {
    UpstreamTls {
        ca,
        sni: sni.map(str::to_owned),
        verify: Verify::On,
    }
}

async fn connect(
    connector: &Connector,
    tls: &UpstreamTls,
    address: SocketAddr,
    protocol: Protocol,
) -> Result<ClientStream, ConnectError> {
    let tcp = TcpStream::connect(address).await.unwrap();
    connector.connect(tcp, tls, address, protocol).await
}

async fn ask(mut stream: ClientStream) -> String {
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    stream.flush().await.unwrap();
    let mut buffer = [0; 1_000];
    let count = stream.read(&mut buffer).await.unwrap();
    String::from_utf8_lossy(&buffer[..count]).into_owned()
}

#[tokio::test]
async fn an_instance_must_prove_who_it_is() {
    let place = Place::new();
    let (ours, other) = (place.file("ca.pem"), place.file("other.pem"));
    Authority::new("other").write(&other);
    let at = |name| Some(name);
    for (names, time, ca, sni, expected) in [
        (&["a.test"][..], Time::Now, &ours, at("a.test"), ""),
        (&["*.a.test"], Time::Now, &ours, at("b.a.test"), ""),
        (&["127.0.0.1"], Time::Now, &ours, None, ""),
        (
            &["a.test"],
            Time::Now,
            &ours,
            None,
            "certificate for another name: ",
        ),
        (
            &["127.0.0.2"],
            Time::Now,
            &ours,
            None,
            "certificate for another name: ",
        ),
        (
            &["a.test"],
            Time::Now,
            &ours,
            at("b.test"),
            "certificate for another name: ",
        ),
        (
            &["a.test"],
            Time::Now,
            &other,
            at("a.test"),
            "certificate of an unknown issuer",
        ),
        (
            &["a.test"],
            Time::Over,
            &ours,
            at("a.test"),
            "certificate has expired",
        ),
        (
            &["a.test"],
            Time::ToCome,
            &ours,
            at("a.test"),
            "certificate is not valid yet",
        ),
    ] {
        place
            .authority
            .sign(names, time)
            .write(&place.folder(), "default");
        let server = place.serve();
        let tls = tls(Some(ca.clone()), sni);
        let connector = Connector::default();
        let connected = connect(&connector, &tls, server.address, Protocol::Http1).await;
        match connected {
            Ok(stream) => {
                assert_eq!(expected, "", "{names:?} {sni:?}");
                let sni = sni.unwrap_or("-");
                assert!(ask(stream).await.contains(&format!("sni={sni} ")));
            }
            Err(error) => {
                let error = error.to_string();
                assert!(
                    !expected.is_empty() && error.starts_with(expected),
                    "{error}"
                );
            }
        }
        // Whoever it is, where that was said.
        let blind = UpstreamTls {
            ca: None,
            verify: Verify::Off,
            ..tls
        };
        connect(&connector, &blind, server.address, Protocol::Http1)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn the_systems_authorities_do_not_know_ours() {
    let place = Place::with_default();
    let server = place.serve();
    let tls = tls(None, Some("localhost"));
    let error = connect(&Connector::default(), &tls, server.address, Protocol::Http1)
        .await
        .unwrap_err();
    let known = [
        "certificate of an unknown issuer; name its authority with tls.ca",
        // A machine without ca-certificates.
        "no authorities to check it with: this system has no authorities",
    ];
    let error = error.to_string();
    assert!(known.iter().any(|it| error.starts_with(it)), "{error}");
}

#[tokio::test]
async fn authorities_that_cannot_be_read_are_named() {
    let file = PathBuf::from("/nowhere/ca.pem");
    let (io, _other) = tokio::io::duplex(100);
    let tls = tls(Some(file), None);
    let address = ([127, 0, 0, 1], 1).into();
    let connector = Connector::default();
    let connected = connector.connect(io, &tls, address, Protocol::Http1);
    let error = connected.await.unwrap_err().to_string();
    assert!(error.contains("/nowhere/ca.pem: No such file"), "{error}");
}

#[tokio::test]
async fn http2_is_chosen_by_alpn_or_not_at_all() {
    let place = Place::with_default();
    let server = place.serve();
    let tls = tls(Some(place.file("ca.pem")), None);
    let connector = Connector::default();
    for (protocol, expected) in [
        (Protocol::Http1, "protocol=Http1"),
        (Protocol::Http2, "protocol=Http2"),
    ] {
        let stream = connect(&connector, &tls, server.address, protocol).await;
        assert!(ask(stream.unwrap()).await.contains(expected));
    }
}

#[tokio::test]
async fn sessions_with_instances_are_resumed() {
    let place = Place::with_default();
    let server = place.serve();
    let tls = tls(Some(place.file("ca.pem")), None);
    let connector = Connector::default();
    for resumed in [false, true, true] {
        let stream = connect(&connector, &tls, server.address, Protocol::Http1).await;
        let said = ask(stream.unwrap()).await;
        assert!(said.contains(&format!("resumed={resumed} ")), "{said}");
    }
}

#[tokio::test]
async fn an_instance_that_asks_for_certificates_gets_none() {
    let place = Place::with_default();
    let ca = place.file("ca.pem");
    let server = Server::start(&place.folder(), &ClientAuth::Require { ca: ca.clone() });
    let tls = tls(Some(ca), None);
    let connector = Connector::default();
    // TLS 1.3 tells with the first read.
    let mut stream = connect(&connector, &tls, server.address, Protocol::Http1)
        .await
        .unwrap();
    let error = stream.read(&mut [0; 10]).await.unwrap_err();
    assert!(error.to_string().contains("CertificateRequired"), "{error}");
}

#[tokio::test]
async fn who_does_not_speak_tls_is_named_so() {
    for (answer, expected) in [
        (
            &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
            "the instance does not speak TLS",
        ),
        (b"", "connection closed during the handshake"),
        (b"\x15\x03\x03\x00\x02\x02\x28", "handshake failed: "),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serve = async {
            let (mut tcp, _) = listener.accept().await.unwrap();
            let mut hello = [0; 5_000];
            assert!(tcp.read(&mut hello).await.unwrap() > 0);
            tcp.write_all(answer).await.unwrap();
        };
        let place = Place::with_default();
        let tls = tls(Some(place.file("ca.pem")), None);
        let connector = Connector::default();
        let (error, ()) = tokio::join!(connect(&connector, &tls, address, Protocol::Http1), serve);
        let error = error.unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}
