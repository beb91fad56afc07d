//! minato is asked to stop.

use crate::support::clock::until;
use crate::support::http::{Connection, Expect, get};
use crate::support::processes::is_alive;
use crate::support::site::Site;
use rustix::process::Signal;

#[track_caller]
fn lets_a_slow_request_end(signal: Signal) {
    let mut site = Site::new();
    site.write("app", &site.python(1, ""));
    site.start();
    site.wait_ok("app", 1);
    let pids = site.pids("app");
    let mut slow = Connection::open(site.gateway()).unwrap();
    slow.send(b"GET /slow/2000 HTTP/1.1\r\nHost: e2e.test\r\n\r\n")
        .unwrap();
    until("it to be in flight", || {
        (site.service("app")["in_flight"] == 1).then_some(())
    });
    let gateway = site.gateway();
    let reader = std::thread::spawn(move || {
        until("new connections to be refused", || {
            get(gateway, "e2e.test", "/page").is_err().then_some(())
        });
        slow.read(Expect::Body)
    });
    let status = site.stop(signal);
    let answer = reader.join().unwrap().unwrap();
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (200, "slow but whole")
    );
    assert!(status.success(), "{status:?}");
    assert!(
        pids.iter().all(|it| !is_alive(*it)),
        "told to stop them: {pids:?}"
    );
}

#[test]
fn sigterm_lets_a_slow_request_end() {
    lets_a_slow_request_end(Signal::TERM);
}

#[test]
fn ctrl_c_lets_a_slow_request_end() {
    lets_a_slow_request_end(Signal::INT);
}
