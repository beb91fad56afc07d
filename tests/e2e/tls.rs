//! TLS of the real binary: certificates in its folder, the way to it from plain HTTP, instances that speak it.

use crate::support::clock::until;
use crate::support::http::{get, until_status};
use crate::support::origin::{Origin, ok};
use crate::support::site::Site;
use crate::support::tls::{Authority, Front, Time, Veil, put};
use std::fs;
use std::net::SocketAddr;

/// A site that serves `e2e.test` over TLS, certified by the authority; nothing runs yet.
pub(crate) fn secure(authority: &Authority) -> Site {
    let site = Site::new();
    let folder = site.path("tls");
    fs::create_dir(&folder).unwrap();
    authority
        .sign(&["e2e.test"], Time::Now)
        .write(&folder, "default");
    let listen = https(&site);
    let more = format!("[gateway]\nhttps = [\"{listen}\"]\ncertificates = \"tls\"\n");
    let text = fs::read_to_string(site.settings()).unwrap();
    fs::write(site.settings(), text.replace("[gateway]\n", &more)).unwrap();
    site
}

/// Where a site that is secure serves TLS.
pub(crate) fn https(site: &Site) -> SocketAddr {
    site.ports.own(2)
}

fn origin() -> Origin {
    Origin::start(|_, wire| ok(wire, b"plain"))
}

#[test]
fn a_certificate_is_replaced_while_it_runs_and_a_broken_one_is_named() {
    let (first, second) = (Authority::new("first"), Authority::new("second"));
    let mut site = secure(&first);
    let origin = origin();
    site.write("open", &origin.file(""));
    site.start();
    let veil = |ca: &std::path::Path| Veil::start(https(&site), ca, "e2e.test", "http/1.1");
    let old = veil(&first.write(&site.path("first.pem")));
    let new = veil(&second.write(&site.path("second.pem")));
    until_status(old.address, "e2e.test", "/", 200);
    assert!(get(new.address, "e2e.test", "/").is_err());
    let told = new.handshakes();
    assert!(
        matches!(&told[..], [Err(why)] if why.contains("UnknownIssuer")),
        "{told:?}"
    );

    second
        .sign(&["e2e.test"], Time::Now)
        .write(&site.path("tls"), "default");
    until_status(new.address, "e2e.test", "/", 200);

    let file = site.path("tls").join("default.crt");
    put(&file, "not a certificate");
    let named = file.display().to_string();
    until("the file in the log", || {
        site.log_text().contains(&named).then_some(())
    });
    assert_eq!(get(new.address, "e2e.test", "/").unwrap().status, 200);
}

#[test]
fn plain_requests_are_sent_to_tls_but_for_challenges() {
    let authority = Authority::new("authority");
    let mut site = secure(&authority);
    let origin = origin();
    site.write("open", &origin.file(""));
    site.start();
    let port = https(&site).port();
    let answer = until_status(site.gateway(), "e2e.test", "/p?q=1", 308);
    let location = format!("https://e2e.test:{port}/p?q=1");
    assert_eq!(answer.header("location"), Some(location.as_str()));
    let challenge = "/.well-known/acme-challenge/token";
    until_status(site.gateway(), "e2e.test", challenge, 200);
    until_status(site.gateway(), "other.test", "/", 200);
}

#[test]
fn an_instance_that_cannot_prove_itself_is_down_and_says_why() {
    let (ours, stranger) = (Authority::new("ours"), Authority::new("stranger"));
    let mut site = Site::new();
    let origin = origin();
    let front = Front::start(origin.address, &stranger.sign(&["origin.test"], Time::Now));
    let (ours, stranger) = (
        ours.write(&site.path("ours.pem")),
        stranger.write(&site.path("stranger.pem")),
    );
    let file = |ca: &std::path::Path, sni: &str| {
        format!(
            "endpoints = [\"{}\"]\nroutes = [\"*\"]\ntls = {{ ca = \"{}\", sni = \"{sni}\" }}\nhealth = {{ path = \"/\", interval = \"600ms\", fast = \"100ms\", timeout = \"500ms\" }}\n",
            front.address,
            ca.display()
        )
    };
    site.write("app", &file(&ours, "origin.test"));
    site.start();
    let says = |word: &str| {
        until(word, || {
            let it = site.instance("app", 0)?;
            let reason = it["reason"].as_str().unwrap_or_default().to_owned();
            (it["verdict"] == "down" && reason.contains(word)).then_some(())
        });
    };
    says("unknown issuer; name its authority with tls.ca");
    assert_eq!(get(site.gateway(), "e2e.test", "/").unwrap().status, 503);
    site.write("app", &file(&stranger, "other.test"));
    says("certificate for another name");
    site.write("app", &file(&stranger, "origin.test"));
    assert_eq!(
        until_status(site.gateway(), "e2e.test", "/", 200).text(),
        "plain"
    );
    site.wait_ok("app", 1);
}
