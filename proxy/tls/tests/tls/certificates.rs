//! Which certificate is served, and what becomes of changes in the folder.

use crate::authority::{Authority, Time, put};
use crate::server::{Place, wait};
use crate::tool::{Said, curl};
use minato_tls::Certificates;
use std::net::SocketAddr;
use std::path::Path;

/// Asks for `host`, whatever its address.
fn ask(ca: &Path, host: &str, address: SocketAddr) -> Said {
    let port = address.port();
    let url = format!("https://{host}:{port}/");
    let to = format!("{host}:{port}:127.0.0.1");
    curl(ca, &["--resolve", &to, &url])
}

#[test]
fn a_client_gets_the_certificate_that_holds_its_name() {
    let place = Place::with_default();
    for (name, hosts) in [
        ("exact", &["a.example.org"][..]),
        ("wild", &["*.example.org", "*.Sub.example.org"]),
    ] {
        let pem = place.authority.sign(hosts, Time::Now);
        pem.write(&place.folder(), name);
    }
    let server = place.serve();
    let ca = place.file("ca.pem");
    for (host, served) in [
        ("a.example.org", true),
        ("b.example.org", true),
        ("c.sub.example.org", true),
        ("d.c.sub.example.org", false),
        ("example.org", false),
        ("localhost", true),
        ("other.test", false),
    ] {
        let said = ask(&ca, host, server.address);
        assert_eq!(said.code == 0, served, "{host}: {said:?}");
        assert!(
            !served || said.out.contains(&format!("sni={host} ")),
            "{said:?}"
        );
        assert_eq!(server.certificates.covers(host), served, "{host}");
    }
    // An address is not asked for by name: the default holds it.
    let said = ask(&ca, "127.0.0.1", server.address);
    assert!(said.out.contains("sni=- "), "{said:?}");
    let covers = |it| server.certificates.covers(it);
    assert!(covers("127.0.0.1") && covers("A.Example.ORG"));
    assert!(!covers("127.0.0.2") && !covers("[::1]") && !covers("") && !covers(".example.org"));
    let names = server.certificates.expiries();
    let names: Vec<_> = names.iter().map(|it| it.0.as_str()).collect();
    assert_eq!(names, ["default", "exact", "wild"]);
}

#[test]
fn of_two_certificates_for_one_name_the_one_that_ends_last_is_served() {
    let place = Place::new();
    place
        .authority
        .sign(&["a.test"], Time::Over)
        .write(&place.folder(), "a");
    place
        .authority
        .sign(&["a.test"], Time::Now)
        .write(&place.folder(), "b");
    place
        .authority
        .sign(&["a.test"], Time::Over)
        .write(&place.folder(), "c");
    let server = place.serve();
    let said = ask(&place.file("ca.pem"), "a.test", server.address);
    assert_eq!(said.code, 0, "{said:?}");
}

#[test]
fn changes_are_taken_in_and_what_is_broken_is_not() {
    let place = Place::with_default();
    let server = place.serve();
    let _following = server.certificates.follow().unwrap();
    let folder = place.folder();
    let second = Authority::new("second");
    let (old, new) = (place.file("ca.pem"), place.file("second.pem"));
    second.write(&new);
    let is_served = |ca: &Path, host: &str| ask(ca, host, server.address).code == 0;

    // A new one.
    let first = place.authority.sign(&["a.test"], Time::Now);
    first.write(&folder, "a");
    wait("a new certificate", || {
        is_served(&old, "a.test").then_some(())
    });

    // Half of a change: the old one goes on until the other half is there.
    let pem = second.sign(&["a.test"], Time::Now);
    pem.write_certificate(&folder, "a");
    let marker = |name: &str| {
        let pem = place.authority.sign(&[&format!("{name}.test")], Time::Now);
        pem.write(&folder, name);
        wait(name, || {
            is_served(&old, &format!("{name}.test")).then_some(())
        });
    };
    marker("half");
    assert!(is_served(&old, "a.test"));
    pem.write_key(&folder, "a");
    wait("the second half", || {
        is_served(&new, "a.test").then_some(())
    });

    // Neither garbage nor another's key, nor a missing key, takes it away.
    put(&folder.join("a.crt"), "garbage");
    marker("garbage");
    first.write_certificate(&folder, "a");
    marker("other");
    std::fs::remove_file(folder.join("a.key")).unwrap();
    marker("missing");
    assert!(is_served(&new, "a.test"));
    assert!(!is_served(&old, "a.test"));

    // Both files gone: no longer served.
    std::fs::remove_file(folder.join("a.crt")).unwrap();
    wait("the end", || (!is_served(&new, "a.test")).then_some(()));
    assert!(!server.certificates.covers("a.test"));
}

#[test]
fn a_connection_outlives_the_change_of_its_certificate() {
    let place = Place::with_default();
    let server = place.serve();
    let _following = server.certificates.follow().unwrap();
    let port = server.address.port();
    let url = format!("https://localhost:{port}/");
    let second = Authority::new("second");
    let new = second.write(&place.file("second.pem"));
    let (mut child, mut out) = crate::clients::hold(&place.file("ca.pem"), server.address);
    assert!(out.ask().contains("sni=localhost"));
    let pem = second.sign(&["localhost"], Time::Now);
    pem.write(&place.folder(), "default");
    wait("the change", || {
        (curl(&new, &[&url]).code == 0).then_some(())
    });
    assert!(out.ask().contains("sni=localhost"));
    drop(out);
    child.wait().unwrap();
}

#[test]
fn the_next_read_is_told_why() {
    let place = Place::new();
    let folder = place.folder();
    assert!(
        Certificates::inspect(&folder)[0]
            .message
            .contains("holds no NAME.crt")
    );
    let (one, other) = (
        place.authority.sign(&["a.test"], Time::Now),
        place.authority.sign(&["b.test"], Time::Now),
    );
    one.write(&folder, "good");
    one.write_certificate(&folder, "mismatch");
    other.write_key(&folder, "mismatch");
    one.write_certificate(&folder, "half");
    other.write_key(&folder, "keyless");
    one.write(&folder, "swapped");
    put(&folder.join("swapped.key"), &one.certificate);
    one.write(&folder, "short");
    let cut = one.certificate.lines().take(4).collect::<Vec<_>>();
    put(&folder.join("short.crt"), &cut.join("\n"));
    one.write(&folder, "der");
    let noise = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    put(&folder.join("der.crt"), noise);
    let told = Certificates::inspect(&folder);
    let told: Vec<_> = told
        .iter()
        .map(|it| format!("{}: {}", it.name, it.message))
        .collect();
    let f = folder.display();
    let begins = [
        format!("der: {f}/der.crt holds no X.509 certificate: "),
        format!("half: {f}/half.key is missing; put the other half there"),
        format!("keyless: {f}/keyless.crt is missing; put the other half there"),
        format!(
            "mismatch: {f}/mismatch.key is not the private key of {f}/mismatch.crt; replace the one that is old"
        ),
        format!("short: {f}/short.crt holds no certificate: "),
        format!("swapped: {f}/swapped.key holds no private key without a password: "),
    ];
    assert_eq!(told.len(), begins.len(), "{told:#?}");
    for (told, begin) in told.iter().zip(&begins) {
        assert!(told.starts_with(begin), "{told} should begin with {begin}");
    }
}

#[test]
fn an_expired_certificate_is_served_and_refused_by_clients() {
    let place = Place::new();
    place
        .authority
        .sign(&["localhost"], Time::Over)
        .write(&place.folder(), "default");
    let server = place.serve();
    let url = format!("https://localhost:{}/", server.address.port());
    let said = curl(&place.file("ca.pem"), &[&url]);
    assert_eq!(said.code, 60, "{said:?}");
    assert!(said.err.contains("expired"), "{said:?}");
    assert_eq!(
        server.certificates.expiries(),
        [("default".to_owned(), 1_609_459_200)]
    );
}

#[test]
fn without_any_certificate_the_handshake_fails_and_the_server_goes_on() {
    let place = Place::new();
    let server = place.serve();
    let url = format!("https://localhost:{}/", server.address.port());
    let said = curl(&place.file("ca.pem"), &[&url]);
    assert_eq!(said.code, 35, "{said:?}");
    let failure = server.failure();
    assert!(failure.contains("certificate"), "{failure}");
}
