//! Handshakes with clients, and the first request on what comes of them.

use crate::authority::Authority;
use crate::frame::get;
use crate::peer::{Origin, Peer, field, soon};
use crate::setup::{GET, OK, Setup};
use crate::stage::Stage;
use minato_config::ClientAuth;
use rustls::{HandshakeKind, ProtocolVersion};
use std::time::Duration;
use tokio::io::AsyncReadExt;

#[tokio::test]
async fn the_certificate_follows_the_name_that_is_asked_for() {
    let stage = Stage::new();
    stage.serve("b", &["b.test"]);
    stage.serve("wild", &["*.c.test"]);
    let running = stage
        .setup()
        .start(&[Origin::start().await.always(OK)])
        .await;
    let visitor = stage.visitor();
    for (name, is_served) in [
        ("a.test", true),
        ("b.test", true),
        ("x.c.test", true),
        ("c.test", false),
        ("x.y.c.test", false),
        ("other.test", false),
    ] {
        let asking = visitor.clone().asks_for(name);
        match asking.try_connect(running.secure[0]).await {
            Ok(_) => assert!(is_served, "{name}"),
            // The default is shown, which such a client does not believe.
            Err(error) => {
                let error = error.to_string();
                assert!(!is_served && error.contains("a.test"), "{name}: {error}");
            }
        }
    }
    // The request decides where it goes, whatever was asked for.
    let mut client = visitor.asks_for("b.test").connect(&running).await;
    assert_eq!(client.ask(GET).await.text(), "ok");
}

#[tokio::test]
async fn alpn_decides_what_is_spoken() {
    let stage = Stage::new();
    let origin = Origin::start().await;
    let running = stage.setup().start(&[origin.address]).await;
    let offers: [(&'static [&'static str], Option<&[u8]>); 4] = [
        (&["http/1.1"], Some(b"http/1.1")),
        (&["http/1.1", "h2"], Some(b"h2")),
        (&["h2"], Some(b"h2")),
        (&[], None),
    ];
    for (offered, agreed) in offers {
        let visitor = stage.visitor().offers(offered);
        let stream = visitor.try_connect(running.secure[0]).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), agreed, "{offered:?}");
        let asked = async {
            if agreed == Some(b"h2") {
                let mut client = crate::client::Client::over(stream);
                client.begin(&[]).await;
                assert_eq!(client.get(1, "/").await.body, b"ok");
            } else {
                assert_eq!(Peer::over(stream).ask(GET).await.text(), "ok");
            }
        };
        let served = async {
            let mut instance = origin.accept().await;
            let head = instance.head().await;
            assert_eq!(field(&head, "x-forwarded-proto"), Some("https"));
            instance
                .send(OK.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"))
                .await;
        };
        tokio::join!(asked, served);
    }
    let imap = stage.visitor().offers(&["imap"]);
    let refused = imap.try_connect(running.secure[0]).await;
    let error = refused.unwrap_err().to_string();
    assert!(error.contains("NoApplicationProtocol"), "{error}");
}

#[tokio::test]
async fn http2_by_its_preface_needs_no_alpn() {
    let stage = Stage::new();
    let running = stage
        .setup()
        .start(&[Origin::start().await.always(OK)])
        .await;
    let visitor = stage.visitor().offers(&[]);
    let stream = visitor.try_connect(running.secure[0]).await.unwrap();
    let mut client = crate::client::Client::over(stream);
    client.begin(&[]).await;
    client.send(get(1, "/")).await;
    assert_eq!(client.ended(1).await.body, b"ok");
}

#[tokio::test]
async fn client_certificates_are_asked_for_listener_by_listener() {
    let stage = Stage::new();
    let ca = stage.ca();
    let mut setup = Setup::new();
    for auth in [
        ClientAuth::None,
        ClientAuth::Request { ca: ca.clone() },
        ClientAuth::Require { ca },
    ] {
        setup.acceptors.push(stage.acceptor(&auth));
    }
    let running = setup.start(&[Origin::start().await.always(OK)]).await;
    let nobody = stage.visitor();
    let alice = stage.visitor().shows(&stage.authority.sign_client("alice"));
    let mallory = Authority::new("other").sign_client("mallory");
    let mallory = stage.visitor().shows(&mallory);
    let (none, request, require) = (running.secure[0], running.secure[1], running.secure[2]);
    for (name, visitor, address, refused) in [
        ("nobody, not asked", &nobody, none, None),
        ("alice, not asked", &alice, none, None),
        ("mallory, not asked", &mallory, none, None),
        ("nobody, asked", &nobody, request, None),
        ("alice, asked", &alice, request, None),
        ("mallory, asked", &mallory, request, Some("UnknownCA")),
        (
            "nobody, needed",
            &nobody,
            require,
            Some("CertificateRequired"),
        ),
        ("alice, needed", &alice, require, None),
        ("mallory, needed", &mallory, require, Some("UnknownCA")),
    ] {
        // In TLS 1.3 the client has finished before the server looks at its certificate.
        let stream = visitor.try_connect(address).await.unwrap();
        let mut client = Peer::over(stream);
        client.try_send(GET).await;
        match refused {
            None => assert_eq!(client.answer().await.text(), "ok", "{name}"),
            Some(alert) => {
                let error = client.stream.read(&mut [0; 100]).await.unwrap_err();
                assert!(error.to_string().contains(alert), "{name}: {error}");
            }
        }
    }
    running
        .settles("the refused are counted", |it| {
            it.metric("minato_tls_handshakes_total{result=\"refused\"}") == 3.0
        })
        .await;
}

#[tokio::test]
async fn who_only_shakes_hands_can_resume() {
    let stage = Stage::new();
    let running = stage
        .setup()
        .start(&[Origin::start().await.always(OK)])
        .await;
    let visitor = stage.visitor();
    let connector = visitor.connector();
    let mut kinds = Vec::new();
    for _ in 0..3 {
        let stream = visitor.connect_by(&connector, running.secure[0]).await;
        let stream = stream.unwrap();
        let session = stream.get_ref().1;
        assert_eq!(session.protocol_version(), Some(ProtocolVersion::TLSv1_3));
        kinds.push(session.handshake_kind().unwrap());
        // Says only that it ends; the gateway's end follows its tickets.
        let mut client = Peer::over(stream);
        client.half_close().await;
        let (rest, _) = client.rest().await;
        assert_eq!(rest, b"");
    }
    let expected = [
        HandshakeKind::Full,
        HandshakeKind::Resumed,
        HandshakeKind::Resumed,
    ];
    assert_eq!(kinds, expected);
    let metric = |result: &str| {
        running.metric(&format!(
            "minato_tls_handshakes_total{{result=\"{result}\"}}"
        ))
    };
    assert_eq!((metric("full"), metric("resumed")), (1.0, 2.0));
}

#[tokio::test]
async fn a_handshake_that_stalls_ends_at_its_deadline() {
    let stage = Stage::new();
    let mut setup = stage.setup();
    setup.deadlines.handshake = Duration::from_millis(200);
    let running = setup.start(&[Origin::start().await.always(OK)]).await;
    // Nothing; the beginning of a record; a whole hello, but no answer to what comes back.
    let hello = hello(&[3, 3]);
    for (bytes, says) in [(&[][..], false), (&hello[..20], false), (&hello[..], true)] {
        let mut client = Peer::connect(running.secure[0]).await;
        client.send(bytes).await;
        let (said, _) = client.rest().await;
        assert_eq!(!said.is_empty(), says, "{}", bytes.len());
    }
    running
        .settles("all are counted as too slow", |it| {
            it.metric("minato_tls_handshakes_total{result=\"timeout\"}") == 3.0
        })
        .await;
    let mut client = stage.visitor().connect(&running).await;
    assert_eq!(client.ask(GET).await.text(), "ok");
}

/// A ClientHello of TLS 1.2 and below, of this version at most.
fn hello(version: &[u8; 2]) -> Vec<u8> {
    let mut body = version.to_vec();
    body.extend([7; 32]);
    // No session; ECDHE-ECDSA-AES128-GCM-SHA256 and -SHA; no compression.
    body.extend([0, 0, 4, 0xc0, 0x2b, 0xc0, 0x09, 1, 0]);
    let extensions = [
        &[0, 10, 0, 4, 0, 2, 0, 23][..],  // secp256r1
        &[0, 11, 0, 2, 1, 0],             // uncompressed
        &[0, 13, 0, 6, 0, 4, 4, 3, 2, 3], // ECDSA with SHA-256 and SHA-1
        &[0, 23, 0, 0],                   // extended master secret
    ]
    .concat();
    body.extend(u16::try_from(extensions.len()).unwrap().to_be_bytes());
    body.extend(extensions);
    let length = u16::try_from(body.len()).unwrap();
    let message = [&[1, 0][..], &length.to_be_bytes(), &body].concat();
    let length = u16::try_from(message.len()).unwrap();
    [&[22, 3, 1][..], &length.to_be_bytes(), &message].concat()
}

#[tokio::test]
async fn old_versions_and_what_is_no_tls_are_refused_and_told_so() {
    const FATAL: u8 = 2;
    const UNEXPECTED: u8 = 10;
    const DECODE: u8 = 50;
    const VERSION: u8 = 70;
    let stage = Stage::new();
    let running = stage
        .setup()
        .start(&[Origin::start().await.always(OK)])
        .await;
    for (name, bytes, alerts) in [
        ("TLS 1.1", hello(&[3, 2]), &[VERSION][..]),
        ("TLS 1.0", hello(&[3, 1]), &[VERSION]),
        ("SSL 3.0", hello(&[3, 0]), &[VERSION, DECODE]),
        ("HTTP", GET.as_bytes().to_vec(), &[DECODE, UNEXPECTED]),
        ("noise", vec![0xff; 3_000], &[DECODE, UNEXPECTED]),
        ("zeros", vec![0; 100_000], &[DECODE, UNEXPECTED]),
    ] {
        let mut client = Peer::connect(running.secure[0]).await;
        client.try_send(bytes).await;
        let alert = client.bytes(7).await;
        assert_eq!((alert[0], alert[5]), (21, FATAL), "{name}: {alert:?}");
        assert!(alerts.contains(&alert[6]), "{name}: {alert:?}");
        soon("the end", client.ends()).await;
    }
    // TLS 1.2 with the same hello goes on.
    let mut client = Peer::connect(running.secure[0]).await;
    client.send(hello(&[3, 3])).await;
    assert_eq!(client.bytes(3).await, [22, 3, 3]);
    running
        .settles("the refused are counted", |it| {
            it.metric("minato_tls_handshakes_total{result=\"refused\"}") == 6.0
        })
        .await;
    let mut client = stage.visitor().connect(&running).await;
    assert_eq!(client.ask(GET).await.text(), "ok");
}
