//! A service that someone else keeps alive.

use crate::support::clock::until;
use crate::support::http::{get, until_status};
use crate::support::origin::{Origin, ok, say};
use crate::support::processes::{beside, python};
use crate::support::site::{QUICK, Site};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Killed when it goes out of scope.
struct Server(Child);

impl Server {
    fn start(site: &Site) -> Self {
        let child = Command::new(python())
            .arg(beside("service.py"))
            .arg(site.ports.own(5).port().to_string())
            .arg(site.ledger())
            .stdout(Stdio::null())
            .spawn();
        Self(child.unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_fixed_endpoint_is_ejected_while_it_is_gone_and_routed_when_it_is_back() {
    let mut site = Site::new();
    let server = Server::start(&site);
    site.write(
        "elsewhere",
        &format!(
            "endpoints = [\"{}\"]\nroutes = [\"*\"]\n{}",
            site.ports.own(5),
            QUICK.of("path = \"/healthz\"")
        ),
    );
    site.start();
    assert_eq!(
        until_status(site.gateway(), "e2e.test", "/page", 200).text(),
        "the page"
    );
    site.wait_ok("elsewhere", 1);

    drop(server);
    let answer = until_status(site.gateway(), "e2e.test", "/page", 503);
    assert!(answer.header("retry-after").is_some(), "{answer:?}");
    // The last instance is held rather than ejected, and status says what is wrong with it.
    let reason = until("the verdict", || {
        let it = site.instance("elsewhere", 0)?;
        (it["verdict"] == "down").then(|| it["reason"].as_str().unwrap_or_default().to_owned())
    });
    assert!(reason.contains("refused"), "{reason}");
    assert_eq!(site.cli(&["status", "elsewhere"]).status.code(), Some(1));

    let _server = Server::start(&site);
    until_status(site.gateway(), "e2e.test", "/page", 200);
    site.wait_ok("elsewhere", 1);
    assert_eq!(
        get(site.gateway(), "e2e.test", "/page").unwrap().status,
        200
    );
    let output = site.cli(&["restart", "elsewhere"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.code() == Some(3) && said.contains("fixed"),
        "{said}"
    );
}

#[test]
fn the_last_instance_is_held_while_it_still_answers() {
    let sick = Arc::new(AtomicBool::new(false));
    let mood = Arc::clone(&sick);
    let origin = Origin::start(move |head, wire| {
        if head.path() == "/healthz" && mood.load(Ordering::SeqCst) {
            say(
                wire,
                "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n",
            )?;
            return Ok(true);
        }
        ok(wire, b"the page")
    });
    let mut site = Site::new();
    site.write(
        "only",
        &format!(
            "endpoints = [\"{}\"]\nroutes = [\"*\"]\n{}",
            origin.address,
            QUICK.of("path = \"/healthz\"")
        ),
    );
    site.start();
    site.wait_ok("only", 1);
    let load = site.load();
    sick.store(true, Ordering::SeqCst);
    let event = site.wait_event("that it is held", |it| it.kind == "held");
    assert!(event.message.contains("500"), "{event:?}");
    load.wait_for(50);
    sick.store(false, Ordering::SeqCst);
    site.wait_event("that it is up again", |it| {
        it.seq > event.seq && it.kind == "up"
    });
    load.stop().nothing_failed();
}

#[test]
fn an_instance_that_fails_real_requests_is_ejected_though_its_checks_pass() {
    let broken = Origin::start(|_, wire| {
        say(
            wire,
            "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
        )?;
        Ok(true)
    });
    let good = Origin::start(|_, wire| ok(wire, b"the page"));
    let mut site = Site::new();
    site.write(
        "pair",
        &format!(
            "endpoints = [\"{}\", \"{}\"]\nroutes = [\"*\"]\n{}",
            broken.address,
            good.address,
            QUICK.of("kind = \"tcp\"")
        ),
    );
    site.start();
    site.wait_ok("pair", 2);
    let ejected = until("the broken one to be ejected", || {
        get(site.gateway(), "e2e.test", "/").unwrap();
        let events = site.events_of("pair", 0, 0);
        events.into_iter().find(|it| it.kind == "down")
    });
    assert!(ejected.message.contains("503"), "{ejected:?}");
    let load = site.load();
    load.wait_for(100);
    load.stop().nothing_failed();
    // A passing check brings it back, but not before the first 10 s are over.
    let back = site.wait_event("its return", |it| {
        it.seq > ejected.seq && it.kind == "up" && it.slot == Some(0)
    });
    let out = back.at_ms - ejected.at_ms;
    assert!((9_500..16_000).contains(&out), "out for {out} ms");
}
