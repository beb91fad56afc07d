//! What a client gets where no instance can take its request.

use crate::support::clock::until;
use crate::support::http::{Answer, Connection, Expect, get, until_status};
use crate::support::site::Site;

#[track_caller]
fn is_sorry(answer: &Answer) {
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(
        answer
            .header("retry-after")
            .is_some_and(|it| it.parse::<u64>().is_ok_and(|it| it > 0)),
        "{answer:?}"
    );
    assert!(answer.text().contains("<html"), "{answer:?}");
}

#[test]
fn nothing_healthy_is_sorry_and_no_route_is_404() {
    let mut site = Site::new();
    // Nobody listens on that port of this test's own.
    site.write(
        "dead",
        &format!(
            "endpoints = [\"{}\"]\nroutes = [\"dead.test\"]\nhealth = \"tcp\"\n",
            site.ports.own(5)
        ),
    );
    site.start();
    is_sorry(&until_status(site.gateway(), "dead.test", "/", 503));
    let answer = get(site.gateway(), "unknown.test", "/").unwrap();
    assert_eq!(answer.status, 404, "{answer:?}");
    assert!(answer.text().contains("no service"), "{answer:?}");
}

#[test]
fn an_operators_own_sorry_page_is_shown() {
    let mut site = Site::new();
    std::fs::write(site.path("sorry.html"), "<html>closed for repairs</html>").unwrap();
    let text = std::fs::read_to_string(site.settings()).unwrap();
    std::fs::write(
        site.settings(),
        text.replace("[gateway]\n", "[gateway]\nsorry_page = \"sorry.html\"\n"),
    )
    .unwrap();
    site.write(
        "dead",
        &format!(
            "endpoints = [\"{}\"]\nroutes = [\"*\"]\nhealth = \"tcp\"\n",
            site.ports.own(5)
        ),
    );
    site.start();
    let answer = until_status(site.gateway(), "dead.test", "/", 503);
    assert_eq!(answer.text(), "<html>closed for repairs</html>");
}

#[test]
fn past_the_limit_one_waits_and_the_next_is_turned_away() {
    let mut site = Site::new();
    site.write(
        "app",
        &site.python(
            1,
            "limits = { in_flight = 1, queue = 1, queue_timeout = \"10s\" }\n",
        ),
    );
    site.start();
    site.wait_ok("app", 1);
    let slow = |ms: u64| {
        let mut connection = Connection::open(site.gateway()).unwrap();
        connection
            .patience(std::time::Duration::from_secs(20))
            .unwrap();
        connection
            .send(format!("GET /slow/{ms} HTTP/1.1\r\nHost: e2e.test\r\n\r\n").as_bytes())
            .unwrap();
        connection
    };
    let is = |field: &str| {
        until(field, || (site.service("app")[field] == 1).then_some(()));
    };
    let mut served = slow(3_000);
    is("in_flight");
    let mut queued = slow(1);
    is("queued");

    let began = crate::support::clock::now();
    is_sorry(&get(site.gateway(), "e2e.test", "/page").unwrap());
    assert!(
        began.elapsed() < std::time::Duration::from_millis(1_500),
        "turned away late: {:?}",
        began.elapsed()
    );
    assert_eq!(served.read(Expect::Body).unwrap().text(), "slow but whole");
    assert_eq!(queued.read(Expect::Body).unwrap().status, 200);
}

#[test]
fn who_waits_too_long_is_turned_away() {
    let mut site = Site::new();
    site.write(
        "app",
        &site.python(
            1,
            "limits = { in_flight = 1, queue = 5, queue_timeout = \"200ms\" }\n",
        ),
    );
    site.start();
    site.wait_ok("app", 1);
    let mut served = Connection::open(site.gateway()).unwrap();
    served
        .send(b"GET /slow/2500 HTTP/1.1\r\nHost: e2e.test\r\n\r\n")
        .unwrap();
    until("it to be in flight", || {
        (site.service("app")["in_flight"] == 1).then_some(())
    });
    is_sorry(&get(site.gateway(), "e2e.test", "/page").unwrap());
    assert_eq!(served.read(Expect::Body).unwrap().status, 200);
}
