//! TLS connections that are open while another process takes over, and sessions that outlive the old one.

use super::draining;
use super::http2::{LAST_OF_ALL, Streams};
use super::open::{Chat, Download, Gate, HOST, Kept, Upload, file, origin};
use crate::support::clock::until;
use crate::support::http::{get, until_status};
use crate::support::load::{Ask, Load};
use crate::support::origin::Origin;
use crate::support::site::Site;
use crate::support::tls::{Authority, Veil};
use crate::tls::{https, secure};
use rustls::HandshakeKind;

fn veil(site: &Site, authority: &Authority, protocol: &str) -> Veil {
    let ca = authority.write(&site.path("ca.pem"));
    Veil::start(https(site), &ca, "e2e.test", protocol)
}

/// A site over TLS before an origin whose downloads wait for the gate.
fn begin(authority: &Authority, gate: &Gate) -> (Origin, Site) {
    let origin = origin(gate);
    let mut site = secure(authority);
    site.write("open", &file(&origin));
    site.start();
    (origin, site)
}

fn resumed(site: &Site) -> f64 {
    let line = "minato_tls_handshakes_total{result=\"resumed\"}";
    site.metric(line).unwrap_or_default()
}

#[test]
fn nothing_fails_and_what_is_open_ends_whole() {
    let authority = Authority::new("authority");
    let gate = Gate::default();
    let (_origin, mut site) = begin(&authority, &gate);
    let http1 = veil(&site, &authority, "http/1.1");
    let http2 = veil(&site, &authority, "h2");
    until_status(http1.address, HOST, "/", 200);
    let plain = Ask::Get {
        path: "/".to_owned(),
        body: "plain".to_owned(),
    };
    let load = Load::start(http1.address, HOST, &plain);
    let mut chat = Chat::open(http1.address);
    chat.says("before");
    let (download, upload) = (Download::begin(http1.address), Upload::begin(http1.address));
    let mut kept = Kept::open(http1.address);
    let mut streams = Streams::open(http2.address);
    streams.get(1, "/download");
    let half = streams.body(1, 200_000);
    load.wait_for(100);

    let (old, _) = site.upgrade();
    assert_eq!(draining(&site), [old]);
    load.wait_for(200);
    let answer = kept.ask();
    assert_eq!(
        (answer.status, answer.header("connection")),
        (200, Some("close"))
    );
    kept.has_ended();
    gate.open();
    download.end();
    assert_eq!(upload.end().header("connection"), Some("close"));
    assert_eq!(half + streams.body(1, usize::MAX), 600_000);
    streams.has_ended();
    assert_eq!(streams.farewells, [LAST_OF_ALL, 1]);
    chat.says("after");
    assert!(site.first_lives());
    drop(chat);
    let report = load.stop();
    report.nothing_failed();
    assert!(site.first_ends().success());
    until("nothing to drain", || {
        draining(&site).is_empty().then_some(())
    });
    let failed: Vec<_> = http1
        .handshakes()
        .into_iter()
        .filter(Result::is_err)
        .collect();
    assert_eq!(failed, []);
    println!("upgrade over TLS: {} requests, 0 failed", report.sent);
}

#[test]
fn a_ticket_of_before_resumes_after() {
    let authority = Authority::new("authority");
    let gate = Gate::default();
    let (_origin, mut site) = begin(&authority, &gate);
    let veil = veil(&site, &authority, "http/1.1");
    until_status(veil.address, HOST, "/", 200);
    let before = veil.handshakes().len();
    site.upgrade();
    assert!(site.first_ends().success());
    assert_eq!(resumed(&site), 0.0, "counted by the new process");
    for _ in 0..3 {
        assert_eq!(get(veil.address, HOST, "/").unwrap().status, 200);
    }
    let after = veil.handshakes().split_off(before);
    assert_eq!(after, [const { Ok(HandshakeKind::Resumed) }; 3]);
    assert_eq!(resumed(&site), 3.0);
    // And once more, by the keys that were handed on twice.
    site.upgrade();
    assert_eq!(get(veil.address, HOST, "/").unwrap().status, 200);
    assert_eq!(resumed(&site), 1.0);
}
