//! What somebody who holds one site's intermediate can make, and nobody may believe.

use crate::stage::{Clock, Root, START, explained, gateway, has_openssl, shake, site};
use minato_link::LinkProtocol;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, ClientConnection, ServerConnection};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

/// A chain with its key, signed by the intermediate in `folder`.
struct Forged {
    chain: Vec<CertificateDer<'static>>,
    key: KeyPair,
}

fn issuer(folder: &Path) -> (Issuer<'static, KeyPair>, CertificateDer<'static>) {
    let certificate = CertificateDer::from_pem_file(folder.join("site.crt")).unwrap();
    let key =
        KeyPair::from_pem(&std::fs::read_to_string(folder.join("site.key")).unwrap()).unwrap();
    (
        Issuer::from_ca_cert_der(&certificate, key).unwrap(),
        certificate,
    )
}

fn forge(folder: &Path, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Forged {
    let (issuer, above) = issuer(folder);
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    Forged {
        chain: vec![certificate.der().clone(), above],
        key,
    }
}

/// What a gateway of osaka says to who shows `forged`; empty where it believes it.
fn told_by_osaka(root: &Root, forged: &Forged) -> String {
    let clock = Clock::at(START);
    let osaka = gateway("osaka", root.issue("osaka"), &clock);
    let tokyo = gateway("tokyo", root.folder.path().join("tokyo"), &clock);
    let call = tokyo.call(&site("osaka"), &[LinkProtocol::Http1]).unwrap();
    let mut config = ClientConfig::clone(&call.config);
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(forged.key.serialize_der()));
    let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).unwrap();
    let certified = CertifiedKey::new(forged.chain.clone(), key);
    config.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(certified));
    let client = ClientConnection::new(Arc::new(config), call.name).unwrap();
    let server = ServerConnection::new(osaka.server().unwrap()).unwrap();
    match shake(client, server) {
        Ok(_) => String::new(),
        failed => explained(failed).1,
    }
}

/// Whether openssl verifies `forged` under the root; `None` without openssl.
fn openssl_verifies(root: &Root, forged: &Forged) -> Option<bool> {
    if !has_openssl() {
        return None;
    }
    let folder = root.folder.path();
    let mut files: Vec<PathBuf> = Vec::new();
    for (n, der) in forged.chain.iter().enumerate() {
        let (raw, file) = (
            folder.join(format!("f{n}.der")),
            folder.join(format!("f{n}.pem")),
        );
        std::fs::write(&raw, der).unwrap();
        let mut convert = Command::new("openssl");
        convert
            .args(["x509", "-inform", "DER", "-in"])
            .arg(&raw)
            .arg("-out")
            .arg(&file);
        assert!(convert.status().unwrap().success());
        files.push(file);
    }
    let mut verify = Command::new("openssl");
    verify.args([
        "verify",
        "-x509_strict",
        "-attime",
        &START.0.to_string(),
        "-CAfile",
    ]);
    verify.arg(root.path().join("authority.crt"));
    for it in files.iter().skip(1) {
        verify.arg("-untrusted").arg(it);
    }
    Some(verify.arg(&files[0]).output().unwrap().status.success())
}

/// `expected` is what rustls is to say; empty where both are to believe it.
#[track_caller]
fn check(name: &str, expected: &str, change: impl FnOnce(&mut CertificateParams)) {
    let root = Root::new();
    let tokyo = root.issue("tokyo");
    let forged = forge(&tokyo, name, |params| {
        params.not_before = rcgen::date_time_ymd(2026, 5, 1);
        params.not_after = rcgen::date_time_ymd(2026, 7, 1);
        params.use_authority_key_identifier_extension = true;
        params.distinguished_name = rcgen::DistinguishedName::new();
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, "forged");
        change(params);
    });
    let told = told_by_osaka(&root, &forged);
    assert_eq!(told.is_empty(), expected.is_empty(), "{told}");
    assert!(told.contains(expected), "{told}");
    if let Some(verifies) = openssl_verifies(&root, &forged) {
        assert_eq!(verifies, expected.is_empty(), "openssl");
    }
}

#[test]
fn an_intermediate_makes_gateways_of_its_own_site() {
    check("gw9.tokyo.minato.internal", "", |_| {});
}

#[test]
fn an_intermediate_makes_no_other_site() {
    check(
        "gw1.osaka.minato.internal",
        "for another site than the one it was issued for",
        |_| {},
    );
    check(
        "gw1.xtokyo.minato.internal",
        "for another site than the one it was issued for",
        |_| {},
    );
}

#[test]
fn an_intermediate_makes_no_addresses() {
    check("gw9.tokyo.minato.internal", "for another site", |it| {
        it.subject_alt_names
            .push(SanType::IpAddress([192, 0, 2, 1].into()));
    });
    check("gw9.tokyo.minato.internal", "for another site", |it| {
        it.subject_alt_names
            .push(SanType::IpAddress("2001:db8::1".parse().unwrap()));
    });
}

#[test]
fn an_intermediate_makes_no_authority() {
    let root = Root::new();
    let tokyo = root.issue("tokyo");
    let below = forge(&tokyo, "gw1.tokyo.minato.internal", |it| {
        it.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    });
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["gw1.tokyo.minato.internal".to_owned()]).unwrap();
    let issuer = Issuer::from_ca_cert_der(&below.chain[0], &below.key).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    let mut chain = vec![certificate.der().clone()];
    chain.extend(below.chain);
    let forged = Forged { chain, key };
    assert_ne!(told_by_osaka(&root, &forged), "");
    assert_ne!(openssl_verifies(&root, &forged), Some(true));
}
