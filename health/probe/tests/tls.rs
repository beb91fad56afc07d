//! Probes of instances that speak TLS, and what is said of those that do it wrong.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests may panic as tests do"
)]

mod server;

use minato_config::{ClientAuth, HealthProbe, HttpProbe, StatusRange, UpstreamTls, Verify};
use minato_health::{Layer, Outcome};
use minato_health_probe::{Target, probe};
use minato_tls::{Acceptor, Certificates, TicketKeys};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use server::{Answer, Server, answer};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const TIMEOUT: Duration = Duration::from_secs(5);

/// A server for `name` on TLS, and the file of its authority.
async fn serve(place: &TempDir, name: &str, text: &'static str) -> (SocketAddr, PathBuf) {
    let (folder, ca) = (place.path().join("tls"), place.path().join("ca.pem"));
    std::fs::create_dir(&folder).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    // Two authorities of one name would be told apart by their signatures only.
    let unique = ca.display().to_string();
    params.distinguished_name.push(DnType::CommonName, unique);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    std::fs::write(&ca, params.self_signed(&key).unwrap().pem()).unwrap();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    std::fs::write(folder.join("a.crt"), certificate.pem()).unwrap();
    std::fs::write(folder.join("a.key"), key.serialize_pem()).unwrap();
    let certificates = Certificates::open(&folder);
    let tickets = TicketKeys::new().unwrap();
    let acceptor = Acceptor::new(certificates, tickets, &ClientAuth::None).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            // A refused certificate ends the handshake.
            let Ok(accepted) = acceptor.accept(tcp).await else {
                continue;
            };
            let mut stream = accepted.stream;
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") && stream.read_buf(&mut head).await.unwrap() > 0 {}
            let _ = stream.write_all(text.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    (address, ca)
}

async fn ask(address: SocketAddr, ca: PathBuf, sni: Option<&str>, body: Option<&str>) -> Outcome {
    let target = Target {
        tls: Some(UpstreamTls {
            ca: Some(ca),
            sni: sni.map(str::to_owned),
            verify: Verify::On,
        }),
        ..Target::at(address)
    };
    let http = HttpProbe {
        path: "/".to_owned(),
        host: None,
        status: vec![StatusRange {
            first: 200,
            last: 399,
        }],
        headers: BTreeMap::new(),
        body: body.map(str::to_owned),
    };
    probe(&target, &HealthProbe::Http(http), TIMEOUT).await
}

#[tokio::test]
async fn an_instance_that_proves_who_it_is_is_asked() {
    const OK: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nfine";
    for (name, sni) in [("127.0.0.1", None), ("a.test", Some("a.test"))] {
        let place = tempfile::tempdir().unwrap();
        let (address, ca) = serve(&place, name, OK).await;
        assert_eq!(ask(address, ca.clone(), sni, Some("fine")).await, Ok(()));
        let failure = ask(address, ca, sni, Some("well")).await.unwrap_err();
        assert_eq!(failure.layer, Layer::Body);
    }
    let place = tempfile::tempdir().unwrap();
    let text = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
    let (address, ca) = serve(&place, "127.0.0.1", text).await;
    let failure = ask(address, ca, None, None).await.unwrap_err();
    assert_eq!(failure.to_string(), "status: 503");
}

#[tokio::test]
async fn who_does_not_fails_by_the_layer_of_tls() {
    const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    let place = tempfile::tempdir().unwrap();
    let (address, ca) = serve(&place, "a.test", OK).await;
    let other = tempfile::tempdir().unwrap();
    let (_, others) = serve(&other, "a.test", OK).await;
    for (address, ca, sni, expected) in [
        (address, &ca, None, "TLS: certificate for another name: "),
        (
            address,
            &others,
            Some("a.test"),
            "TLS: certificate of an unknown issuer",
        ),
        (
            address,
            &place.path().join("none"),
            None,
            "TLS: no authorities to check it with: ",
        ),
    ] {
        let failure = ask(address, ca.clone(), sni, None).await.unwrap_err();
        assert!(failure.to_string().starts_with(expected), "{failure}");
    }
    let plain = Server::start(Answer::Bytes(answer("400 Bad Request", "", "no TLS here"))).await;
    let failure = ask(plain.address, ca, None, None).await.unwrap_err();
    assert_eq!(failure.layer, Layer::Tls, "{failure}");
}

#[tokio::test]
async fn a_silent_instance_fails_in_its_handshake() {
    let place = tempfile::tempdir().unwrap();
    let ca = serve(&place, "a.test", "").await.1;
    let silent = Server::start(Answer::Silence).await;
    let target = Target {
        tls: Some(UpstreamTls {
            ca: Some(ca),
            sni: None,
            verify: Verify::On,
        }),
        ..Target::at(silent.address)
    };
    let http = HttpProbe {
        path: "/".to_owned(),
        host: None,
        status: Vec::new(),
        headers: BTreeMap::new(),
        body: None,
    };
    let timeout = Duration::from_millis(300);
    let outcome = probe(&target, &HealthProbe::Http(http), timeout).await;
    assert_eq!(
        outcome.unwrap_err().to_string(),
        "TLS: no handshake in 300ms"
    );
}
