//! HTTP through the gateway: tunnels, bodies, framing, pipelining, early answers.

use crate::support::clock::PATIENCE;
use crate::support::http::{Connection, Expect, until_status};
use crate::support::origin::{Head, Origin, Wire, body, ok, say};
use crate::support::site::Site;
use std::io::{Read, Write};
use std::process::{Command, Stdio};

const MIB: usize = 1 << 20;

/// A site with `origin` behind it, ready to serve.
fn site(origin: &Origin) -> Site {
    let mut site = Site::new();
    site.write("origin", &origin.file(""));
    site.start();
    until_status(site.gateway(), "e2e.test", "/ready", 200);
    site
}

/// Bytes in which no part equals another.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        bytes.extend_from_slice(&state.rotate_left(17).to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

fn answer(head: &Head, wire: &mut Wire) -> std::io::Result<bool> {
    match (head.method(), head.path()) {
        (_, "/echo") => {
            let body = body(head, wire)?;
            ok(wire, &body)
        }
        (_, "/large") => {
            say(
                wire,
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            )?;
            for chunk in noise(10 * MIB).chunks(60_000) {
                say(wire, format!("{:x}\r\n", chunk.len()))?;
                say(wire, chunk)?;
                say(wire, "\r\n")?;
            }
            say(wire, "0\r\n\r\n")?;
            Ok(true)
        }
        ("HEAD", "/page") => {
            say(wire, "HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n")?;
            Ok(true)
        }
        (_, "/204") => {
            say(wire, "HTTP/1.1 204 No Content\r\n\r\n")?;
            Ok(true)
        }
        (_, "/304") => {
            say(
                wire,
                "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nContent-Length: 77\r\n\r\n",
            )?;
            Ok(true)
        }
        (_, "/until-close") => {
            say(
                wire,
                "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end",
            )?;
            Ok(false)
        }
        (_, "/continue") => {
            if head.field("expect") != Some("100-continue") {
                return ok(wire, b"no expectation arrived");
            }
            say(wire, "HTTP/1.1 100 Continue\r\n\r\n")?;
            let body = body(head, wire)?;
            ok(wire, format!("{} bytes after 100", body.len()).as_bytes())
        }
        (_, "/too-much") => {
            // An answer while the client still sends; the rest of the body is never read.
            say(
                wire,
                "HTTP/1.1 413 Content Too Large\r\nContent-Length: 8\r\nConnection: close\r\n\r\ntoo much",
            )?;
            wire.get_mut().shutdown(std::net::Shutdown::Write)?;
            let mut sink = vec![0; 4096];
            while wire.read(&mut sink).is_ok_and(|it| it > 0) {}
            Ok(false)
        }
        (_, path) => ok(wire, path.as_bytes()),
    }
}

#[test]
fn a_websocket_tunnel_carries_bytes_both_ways_until_one_side_ends() {
    let origin = Origin::start(|head, wire| {
        if head.field("upgrade").is_none() {
            return ok(wire, b"plain");
        }
        assert_eq!(
            head.field("connection")
                .map(str::to_ascii_lowercase)
                .as_deref(),
            Some("upgrade")
        );
        let accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
        say(
            wire,
            format!(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\nhello"
            ),
        )?;
        let mut bytes = [0; 4096];
        loop {
            let count = wire.read(&mut bytes)?;
            if count == 0 {
                return Ok(false);
            }
            say(wire, &bytes[..count])?;
        }
    });
    let site = site(&origin);
    let mut connection = Connection::open(site.gateway()).unwrap();
    let ask = "GET /chat HTTP/1.1\r\nHost: e2e.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    connection.send(ask.as_bytes()).unwrap();
    let answer = connection.read(Expect::Body).unwrap();
    assert_eq!(answer.status, 101);
    assert_eq!(
        answer.header("sec-websocket-accept"),
        Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    );
    let mut hello = [0; 5];
    connection.stream.read_exact(&mut hello).unwrap();
    assert_eq!(&hello, b"hello");
    // What goes round is neither framed nor changed.
    let sent = noise(200_000);
    let mut back = vec![0; sent.len()];
    let mut writer = connection.stream.get_ref().try_clone().unwrap();
    let whole = sent.clone();
    let writing = std::thread::spawn(move || writer.write_all(&whole));
    connection.stream.read_exact(&mut back).unwrap();
    writing.join().unwrap().unwrap();
    assert!(back == sent, "the tunnel changed what it carried");
    connection
        .stream
        .get_ref()
        .shutdown(std::net::Shutdown::Write)
        .unwrap();
    assert_eq!(
        connection.stream.read(&mut [0; 1]).unwrap(),
        0,
        "the end is passed on"
    );
}

#[test]
fn ten_mebibytes_in_chunks_arrive_unchanged_in_both_directions() {
    let origin = Origin::start(answer);
    let site = site(&origin);
    let sent = noise(10 * MIB);
    let mut connection = Connection::open(site.gateway()).unwrap();
    connection.patience(PATIENCE).unwrap();
    let mut writer = connection.stream.get_ref().try_clone().unwrap();
    let whole = sent.clone();
    let writing = std::thread::spawn(move || -> std::io::Result<()> {
        writer.write_all(
            b"PUT /echo HTTP/1.1\r\nHost: e2e.test\r\nTransfer-Encoding: chunked\r\n\r\n",
        )?;
        for chunk in whole.chunks(70_001) {
            writer.write_all(format!("{:X};name=value\r\n", chunk.len()).as_bytes())?;
            writer.write_all(chunk)?;
            writer.write_all(b"\r\n")?;
        }
        writer.write_all(b"0\r\n\r\n")
    });
    let answer = connection.read(Expect::Body).unwrap();
    writing.join().unwrap().unwrap();
    assert_eq!(answer.status, 200);
    assert!(
        answer.body == sent,
        "{} bytes came back of {}",
        answer.body.len(),
        sent.len()
    );
    // The same connection goes on.
    connection
        .send(b"GET /large HTTP/1.1\r\nHost: e2e.test\r\n\r\n")
        .unwrap();
    let answer = connection.read(Expect::Body).unwrap();
    assert!(
        answer.body == sent,
        "{} bytes came of {}",
        answer.body.len(),
        sent.len()
    );
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

#[test]
fn pipelined_requests_are_answered_in_order() {
    let origin = Origin::start(|head, wire| {
        if head.path() == "/0" {
            // The first is the slowest.
            std::thread::park_timeout(std::time::Duration::from_millis(300));
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
fn an_expectation_is_the_services_to_answer() {
    let origin = Origin::start(answer);
    let site = site(&origin);
    let mut connection = Connection::open(site.gateway()).unwrap();
    connection.send(b"POST /continue HTTP/1.1\r\nHost: e2e.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n").unwrap();
    assert_eq!(
        connection.read(Expect::Body).unwrap().status,
        100,
        "before any of the body was sent"
    );
    connection.send(b"12345").unwrap();
    assert_eq!(
        connection.read(Expect::Body).unwrap().text(),
        "5 bytes after 100"
    );

    let url = format!("http://{}/continue", site.gateway());
    let curl = Command::new("curl")
        .args([
            "-sS",
            "--max-time",
            "20",
            "--expect100-timeout",
            "15",
            "-H",
            "Expect: 100-continue",
            "-H",
            "Host: e2e.test",
            "--data-binary",
            "@-",
            &url,
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut curl) = curl else {
        eprintln!("curl is not installed; its part is left out");
        return;
    };
    curl.stdin
        .take()
        .unwrap()
        .write_all(&vec![b'x'; MIB])
        .unwrap();
    let output = curl.wait_with_output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(
        printed,
        format!("{MIB} bytes after 100"),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn an_early_answer_reaches_a_client_that_still_sends() {
    let origin = Origin::start(answer);
    let site = site(&origin);
    for round in 0..5 {
        let mut connection = Connection::open(site.gateway()).unwrap();
        let mut writer = connection.stream.get_ref().try_clone().unwrap();
        connection
            .send(b"POST /too-much HTTP/1.1\r\nHost: e2e.test\r\nContent-Length: 50000000\r\n\r\n")
            .unwrap();
        // It goes on for as long as it is let; that the gateway closes in the end is right.
        let writing = std::thread::spawn(move || {
            for _ in 0..50 {
                if writer.write_all(&[b'x'; 1000]).is_err() {
                    return;
                }
                std::thread::park_timeout(std::time::Duration::from_millis(2));
            }
        });
        let answer = connection.read(Expect::Body);
        let answer =
            answer.unwrap_or_else(|error| panic!("round {round}: the answer was lost: {error}"));
        assert_eq!((answer.status, answer.text().as_str()), (413, "too much"));
        assert_eq!(answer.header("connection"), Some("close"));
        writing.join().unwrap();
    }
}

#[test]
fn a_body_above_the_services_limit_is_refused_and_the_answer_arrives() {
    let origin = Origin::start(answer);
    let mut site = Site::new();
    site.write("origin", &origin.file("limits = { body = \"1KiB\" }\n"));
    site.start();
    until_status(site.gateway(), "e2e.test", "/ready", 200);
    for head in ["Content-Length: 2000", "Transfer-Encoding: chunked"] {
        let mut connection = Connection::open(site.gateway()).unwrap();
        connection
            .send(format!("POST /echo HTTP/1.1\r\nHost: e2e.test\r\n{head}\r\n\r\n").as_bytes())
            .unwrap();
        if head.starts_with('T') {
            connection
                .send(format!("7d0\r\n{}\r\n0\r\n\r\n", "x".repeat(2000)).as_bytes())
                .unwrap();
        } else {
            connection.send("x".repeat(2000).as_bytes()).unwrap();
        }
        let answer = connection.read(Expect::Body).unwrap();
        assert_eq!(answer.status, 413, "{head}");
    }
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
