//! Which site a certificate speaks for.

use crate::stage::site;
use minato_link::peer_site;
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::CertificateDer;

fn certificate(names: &[&str]) -> CertificateDer<'static> {
    let names: Vec<String> = names.iter().map(|it| (*it).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, "gw1.nagoya.minato.internal");
    params
        .self_signed(&KeyPair::generate().unwrap())
        .unwrap()
        .der()
        .clone()
}

#[track_caller]
fn check(names: &[&str], expected: &str) {
    let certificate = certificate(names);
    let found = match peer_site(Some(&[certificate])) {
        Ok(site) => site.to_string(),
        Err(why) => why.to_string(),
    };
    assert!(found.starts_with(expected), "{names:?}: {found}");
}

#[test]
fn exactly_one_site() {
    check(&["gw1.tokyo.minato.internal"], "tokyo");
    check(
        &["gw1.tokyo.minato.internal", "gw2.tokyo.minato.internal"],
        "tokyo",
    );
    check(
        &["gw.example.org", "gw1.tokyo.minato.internal", "192.0.2.1"],
        "tokyo",
    );
    let both = ["gw1.tokyo.minato.internal", "gw1.osaka.minato.internal"];
    check(
        &both,
        "the peer's certificate is for sites `tokyo` and `osaka` at once",
    );
    check(
        &["gw.example.org"],
        "the peer's certificate has no name like",
    );
    // The subject is no name.
    check(&[], "the peer's certificate has no name like");
    check(
        &["*.tokyo.minato.internal"],
        "the peer's certificate is for `*.tokyo",
    );
    check(
        &["tokyo.minato.internal"],
        "the peer's certificate is for `tokyo.minato",
    );
}

#[test]
fn nothing_and_noise_are_no_site() {
    assert!(
        peer_site(None)
            .unwrap_err()
            .to_string()
            .contains("no certificate")
    );
    assert!(
        peer_site(Some(&[]))
            .unwrap_err()
            .to_string()
            .contains("no certificate")
    );
    let noise = CertificateDer::from(vec![0x30, 0x82, 0xff, 0xff, 1, 2, 3]);
    assert!(
        peer_site(Some(&[noise]))
            .unwrap_err()
            .to_string()
            .contains("cannot be read")
    );
    let mut long = certificate(&["gw1.tokyo.minato.internal"]).to_vec();
    long.push(0);
    assert!(peer_site(Some(&[CertificateDer::from(long)])).is_err());
}

#[test]
fn only_the_first_certificate_is_the_peers_own() {
    let chain = [
        certificate(&["gw1.tokyo.minato.internal"]),
        certificate(&["gw1.osaka.minato.internal"]),
    ];
    assert_eq!(peer_site(Some(&chain)), Ok(site("tokyo")));
}
