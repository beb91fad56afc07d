//! Requests one after the other on a connection, and those that are refused by their head.

use super::{MIB, answer, noise, site};
use crate::support::clock::{PATIENCE, now, pause};
use crate::support::http::{Connection, Expect};
use crate::support::origin::Origin;
use std::io::{Read, Write};
use std::time::Duration;

#[test]
fn pipelined_requests_are_answered_in_order() {
    let origin = Origin::start(|head, wire| {
        if head.path() == "/0" {
            // The first is the slowest.
            pause(Duration::from_millis(300));
        }
        answer(head, wire)
    });
    let site = site(&origin);
    let mut connection = Connection::open(site.gateway()).unwrap();
    let mut all = String::new();
    for n in 0..10 {
        if n % 3 == 1 {
            all.push_str(&format!(
                "POST /{n} HTTP/1.1\r\nHost: e2e.test\r\nContent-Length: 0\r\n\r\n"
            ));
        } else {
            all.push_str(&format!("GET /{n} HTTP/1.1\r\nHost: e2e.test\r\n\r\n"));
        }
    }
    connection.send(all.as_bytes()).unwrap();
    for n in 0..10 {
        let answer = connection.read(Expect::Body).unwrap();
        assert_eq!((answer.status, answer.text()), (200, format!("/{n}")));
    }
}

#[test]
fn pipelined_requests_with_bodies_are_answered_in_order() {
    let origin = Origin::start(answer);
    let site = site(&origin);
    let mut connection = Connection::open(site.gateway()).unwrap();
    let mut all = String::new();
    for n in 0..6 {
        if n % 2 == 0 {
            all.push_str(&format!(
                "POST /echo HTTP/1.1\r\nHost: e2e.test\r\nContent-Length: 6\r\n\r\nbody-{n}"
            ));
        } else {
            all.push_str(&format!("POST /echo HTTP/1.1\r\nHost: e2e.test\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nbody-{n}\r\n0\r\n\r\n"));
        }
    }
    connection.send(all.as_bytes()).unwrap();
    for n in 0..6 {
        let answer = connection.read(Expect::Body).unwrap();
        assert_eq!((answer.status, answer.text()), (200, format!("body-{n}")));
    }
}

#[test]
fn an_http_1_0_client_gets_an_answer_it_can_read() {
    let origin = Origin::start(answer);
    let site = site(&origin);
    let ask = |text: &str| {
        let mut connection = Connection::open(site.gateway()).unwrap();
        connection.patience(PATIENCE).unwrap();
        connection.send(text.as_bytes()).unwrap();
        let answer = connection.read(Expect::Body).unwrap();
        assert_eq!(
            connection.stream.read(&mut [0; 1]).unwrap(),
            0,
            "closed after the answer"
        );
        answer
    };
    let answer = ask("GET /page HTTP/1.0\r\nHost: e2e.test\r\n\r\n");
    assert_eq!((answer.status, answer.text().as_str()), (200, "/page"));
    let answer = ask("GET /large HTTP/1.0\r\nHost: e2e.test\r\n\r\n");
    assert_eq!(
        answer.header("transfer-encoding"),
        None,
        "HTTP/1.0 knows no chunks"
    );
    assert!(answer.body == noise(10 * MIB));
}

#[test]
fn what_is_malformed_too_large_or_not_served_is_refused_with_its_status() {
    let origin = Origin::start(answer);
    let site = site(&origin);
    let many = |fields: usize| {
        format!(
            "GET /Version HTTP/1.1\r\nHost: e2e.test\r\n{}\r\n",
            "a: b\r\n".repeat(fields)
        )
    };
    let long = format!(
        "GET / HTTP/1.1\r\nHost: e2e.test\r\na: {}\r\n\r\n",
        "b".repeat(40_000)
    );
    for (request, status) in [
        (many(99).as_str(), 200),
        (many(101).as_str(), 431),
        (many(400).as_str(), 431),
        (long.as_str(), 431),
        (
            "GET /Version HTTP/1.1\r\nHost: e2e.test\r\nno colon: larger than\x00\r\n\r\n",
            400,
        ),
        (
            "POST /echo HTTP/1.1\r\nHost: e2e.test\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
        ),
        (
            "GET / HTTP/1.1\r\nHost: e2e.test\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            400,
        ),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: e2e.test\r\nX : y\r\n\r\n", 400),
        ("GET / HTTP/1.1\nHost: e2e.test\n\n", 400),
        ("GET / HTTP/2.0\r\nHost: e2e.test\r\n\r\n", 505),
        (
            "CONNECT e2e.test:80 HTTP/1.1\r\nHost: e2e.test:80\r\n\r\n",
            405,
        ),
        (
            "GET / HTTP/1.1\r\nHost: e2e.test\r\nExpect: cake\r\n\r\n",
            417,
        ),
    ] {
        let mut connection = Connection::open(site.gateway()).unwrap();
        connection.send(request.as_bytes()).unwrap();
        let answer = connection
            .read(Expect::Body)
            .unwrap_or_else(|error| panic!("{request:?}: {error}"));
        assert_eq!(answer.status, status, "{request:?}");
    }
}

#[test]
fn a_head_that_trickles_in_is_refused_in_the_end() {
    let origin = Origin::start(answer);
    let site = site(&origin);
    let mut connection = Connection::open(site.gateway()).unwrap();
    connection.patience(PATIENCE).unwrap();
    let began = now();
    connection
        .send(b"GET / HTTP/1.1\r\nHost: e2e.test\r\nSlow: ")
        .unwrap();
    let mut writer = connection.stream.get_ref().try_clone().unwrap();
    let writing = std::thread::spawn(move || {
        for _ in 0..200 {
            pause(Duration::from_millis(100));
            if writer.write_all(b"x").is_err() {
                return;
            }
        }
    });
    let answer = connection.read(Expect::Body).unwrap();
    assert_eq!(answer.status, 408);
    let took = began.elapsed();
    assert!(
        took > Duration::from_secs(8) && took < Duration::from_secs(14),
        "{took:?}"
    );
    drop(connection);
    writing.join().unwrap();
}

#[test]
fn answers_without_a_body_leave_the_connection_usable() {
    let origin = Origin::start(answer);
    let site = site(&origin);
    let mut connection = Connection::open(site.gateway()).unwrap();
    let ask = |connection: &mut Connection, method: &str, path: &str, expect: Expect| {
        connection
            .send(format!("{method} {path} HTTP/1.1\r\nHost: e2e.test\r\n\r\n").as_bytes())
            .unwrap();
        connection.read(expect).unwrap()
    };
    let head = ask(&mut connection, "HEAD", "/page", Expect::HeadOnly);
    assert_eq!(
        (head.status, head.header("content-length")),
        (200, Some("12345"))
    );
    let empty = ask(&mut connection, "GET", "/204", Expect::Body);
    assert_eq!(
        (
            empty.status,
            empty.header("content-length"),
            empty.header("transfer-encoding")
        ),
        (204, None, None)
    );
    let same = ask(&mut connection, "GET", "/304", Expect::Body);
    assert_eq!((same.status, same.header("etag")), (304, Some("\"a\"")));
    let missing = ask(&mut connection, "HEAD", "/page", Expect::HeadOnly);
    assert_eq!(missing.status, 200);
    let unbounded = ask(&mut connection, "GET", "/until-close", Expect::Body);
    assert_eq!(unbounded.text(), "until the end");
}
