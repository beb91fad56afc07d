//! Which requests are sent a second time, and which never.

use crate::support::http::{get, post, until_status};
use crate::support::origin::{Origin, body, ok, say};
use crate::support::site::Site;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Two endpoints that pass their checks by accepting connections.
fn site(endpoints: [SocketAddr; 2]) -> Site {
    let mut site = Site::new();
    let [one, two] = endpoints;
    site.write(
        "pair",
        // Slow checks, so that real requests meet the failure first.
        &format!("endpoints = [\"{one}\", \"{two}\"]\nroutes = [\"*\"]\nhealth = {{ kind = \"tcp\", interval = \"5s\", fast = \"100ms\", timeout = \"500ms\" }}\n"),
    );
    site.start();
    site.wait_ok("pair", 2);
    site
}

#[test]
fn a_get_is_tried_at_the_other_instance_and_a_post_is_never_sent_twice() {
    let executed = Arc::new(AtomicU32::new(0));
    let counts = Arc::clone(&executed);
    // Reads whole requests, counts them, and hangs up without a word.
    let rude = Origin::start(move |head, wire| {
        body(head, wire)?;
        counts.fetch_add(1, Ordering::SeqCst);
        Ok(false)
    });
    let good = Arc::new(AtomicU32::new(0));
    let counts = Arc::clone(&good);
    let polite = Origin::start(move |head, wire| {
        body(head, wire)?;
        if head.method() == "POST" {
            counts.fetch_add(1, Ordering::SeqCst);
        }
        ok(wire, b"done")
    });
    let site = site([rude.address, polite.address]);
    for _ in 0..20 {
        let answer = get(site.gateway(), "e2e.test", "/").unwrap();
        assert_eq!((answer.status, answer.text().as_str()), (200, "done"));
    }
    let rude_gets = executed.load(Ordering::SeqCst);
    assert!(
        rude_gets >= 1,
        "the other one was never asked, so nothing was tested"
    );
    let mut answers = (0, 0);
    for _ in 0..20 {
        match post(site.gateway(), "e2e.test", "/", "once")
            .unwrap()
            .status
        {
            200 => answers.0 += 1,
            502 => answers.1 += 1,
            other => panic!("{other}"),
        }
    }
    // Every POST reached exactly one of the two.
    assert_eq!(
        (
            good.load(Ordering::SeqCst),
            executed.load(Ordering::SeqCst) - rude_gets
        ),
        answers
    );
}

#[test]
fn what_never_reached_an_instance_is_tried_again_whatever_its_method() {
    let polite = Origin::start(|head, wire| {
        body(head, wire)?;
        ok(wire, b"done")
    });
    let gone = Origin::start(|_, wire| {
        say(
            wire,
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 6\r\n\r\nbefore",
        )?;
        Ok(false)
    });
    let site = site([gone.address, polite.address]);
    until_status(site.gateway(), "e2e.test", "/", 200);
    // Nobody listens there any more, and no check has seen it yet.
    drop(gone);
    for _ in 0..20 {
        let answer = post(site.gateway(), "e2e.test", "/", "once").unwrap();
        assert_eq!((answer.status, answer.text().as_str()), (200, "done"));
    }
}
