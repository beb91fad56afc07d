//! Links between sites of one root, and those that must not come about.

use crate::stage::{Clock, DAY, Root, START, connect, explained, gateway, shake, site};
use minato_link::{LinkProtocol, NoSite, peer_site};
use rustls::{ClientConfig, ClientConnection, ProtocolVersion, ServerConnection};
use std::sync::Arc;
use std::time::Duration;

#[test]
fn both_sides_know_who_the_other_is() {
    let (root, clock) = (Root::new(), Clock::at(START));
    let tokyo = gateway("tokyo", root.issue("tokyo"), &clock);
    let osaka = gateway("osaka", root.issue("osaka"), &clock);
    let (client, server) = connect(&tokyo, &osaka, "osaka").unwrap();
    assert_eq!(peer_site(client.peer_certificates()), Ok(site("osaka")));
    assert_eq!(peer_site(server.peer_certificates()), Ok(site("tokyo")));
    assert_eq!(client.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    assert_eq!(
        LinkProtocol::agreed(server.alpn_protocol()),
        Some(LinkProtocol::Control)
    );
}

#[test]
fn who_answers_must_be_the_site_that_was_called() {
    let (root, clock) = (Root::new(), Clock::at(START));
    let tokyo = gateway("tokyo", root.issue("tokyo"), &clock);
    let kyoto = gateway("kyoto", root.issue("kyoto"), &clock);
    let (client, _) = explained(connect(&tokyo, &kyoto, "osaka"));
    assert!(
        client.starts_with("who answers is site `kyoto`, not `osaka`"),
        "{client}"
    );
}

#[test]
fn another_root_is_not_believed() {
    let clock = Clock::at(START);
    let (one, other) = (Root::new(), Root::new());
    let tokyo = gateway("tokyo", one.issue("tokyo"), &clock);
    let osaka = gateway("osaka", other.issue("osaka"), &clock);
    let (client, server) = explained(connect(&tokyo, &osaka, "osaka"));
    assert!(
        client.contains("not signed by the authority of this site"),
        "{client}"
    );
    assert!(
        server.contains("does not believe this site's authority"),
        "{server}"
    );
}

#[test]
fn a_client_without_a_certificate_is_refused() {
    let (root, clock) = (Root::new(), Clock::at(START));
    let tokyo = gateway("tokyo", root.issue("tokyo"), &clock);
    let osaka = gateway("osaka", root.issue("osaka"), &clock);
    let call = tokyo.call(&site("osaka"), &[LinkProtocol::Http1]).unwrap();
    let mut config = ClientConfig::clone(&call.config);
    config.client_auth_cert_resolver = Arc::new(Nobody);
    let client = ClientConnection::new(Arc::new(config), call.name).unwrap();
    let (_, server) = explained(shake(
        client,
        ServerConnection::new(osaka.server().unwrap()).unwrap(),
    ));
    assert_eq!(server, NoSite::NoCertificate.to_string());
}

#[test]
fn a_clock_that_is_wrong_is_named_as_such() {
    let root = Root::new();
    let (right, wrong) = (Clock::at(START), Clock::at(START));
    let tokyo = gateway("tokyo", root.issue("tokyo"), &right);
    let osaka = gateway("osaka", root.issue("osaka"), &wrong);
    wrong.set(START.before(DAY));
    let (client, server) = explained(connect(&tokyo, &osaka, "osaka"));
    assert!(
        server.contains("one of the two clocks is wrong"),
        "{server}"
    );
    assert!(client.contains("compare the clocks of both"), "{client}");
    // Ten minutes are no trouble.
    wrong.set(START.before(Duration::from_secs(600)));
    connect(&tokyo, &osaka, "osaka").unwrap();
}

#[test]
fn what_has_ended_is_refused_with_its_end() {
    let root = Root::new();
    let (right, late) = (Clock::at(START), Clock::at(START));
    let tokyo = gateway("tokyo", root.issue("tokyo"), &right);
    let osaka = gateway("osaka", root.issue("osaka"), &late);
    late.set(START.after(DAY * 31));
    let (_, server) = explained(connect(&tokyo, &osaka, "osaka"));
    assert!(
        server.starts_with("the peer's certificate ended at 2026-07-01 00:00:00 UTC"),
        "{server}"
    );
}

#[derive(Debug)]
struct Nobody;

impl rustls::client::ResolvesClientCert for Nobody {
    fn resolve(
        &self,
        _hints: &[&[u8]],
        _schemes: &[rustls::SignatureScheme],
    ) -> Option<Arc<rustls::sign::CertifiedKey>> {
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}
