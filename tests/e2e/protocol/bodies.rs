//! Bodies arrive whole and unchanged, or visibly broken.

use super::{MIB, answer, dribble, noise, site};
use crate::support::clock::{PATIENCE, pause};
use crate::support::http::{Connection, Expect, get, until_status};
use crate::support::origin::{Origin, body, ok, say};
use crate::support::site::Site;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

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
    let mut curl = curl.expect("this test needs curl: apt-get install curl");
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
                pause(Duration::from_millis(2));
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
fn chunks_that_arrive_byte_by_byte_do_not_end_the_body_early() {
    const CHUNKS: &[u8] = b"5\r\nhello\r\n7;a=b\r\n, world\r\n0\r\n\r\n";
    let origin = Origin::start(|head, wire| {
        if head.method() == "GET" && head.path() != "/ready" {
            say(
                wire,
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            )?;
            dribble(wire.get_ref(), CHUNKS)?;
            return Ok(true);
        }
        answer(head, wire)
    });
    let site = site(&origin);
    let mut connection = Connection::open(site.gateway()).unwrap();
    // On one connection: bytes too many after one answer would spoil the next.
    for _ in 0..3 {
        connection
            .send(b"GET / HTTP/1.1\r\nHost: e2e.test\r\n\r\n")
            .unwrap();
        assert_eq!(
            connection.read(Expect::Body).unwrap().text(),
            "hello, world"
        );
        connection
            .send(b"POST /echo HTTP/1.1\r\nHost: e2e.test\r\nTransfer-Encoding: chunked\r\n\r\n")
            .unwrap();
        dribble(connection.stream.get_ref(), CHUNKS).unwrap();
        assert_eq!(
            connection.read(Expect::Body).unwrap().text(),
            "hello, world"
        );
    }
}

#[test]
fn an_answer_that_breaks_off_is_never_passed_off_as_whole() {
    let origin = Origin::start(|head, wire| {
        let broken = match head.path() {
            "/chunks" => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
            "/chunk" => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
            "/size" => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n;\r\n",
            "/length" => "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
            _ => return ok(wire, b"ready"),
        };
        say(wire, broken)?;
        Ok(false)
    });
    let site = site(&origin);
    for path in ["/chunks", "/chunk", "/size", "/length"] {
        let answer = get(site.gateway(), "e2e.test", path);
        assert!(
            answer.as_ref().is_err() || answer.as_ref().is_ok_and(|it| it.status == 502),
            "{path}: {answer:?}"
        );
    }
}

#[test]
fn a_request_that_breaks_off_is_never_passed_off_as_whole() {
    let (heard, hear) = std::sync::mpsc::sync_channel(16);
    // A client that is gone before its instance is connected to reaches it with nothing at all.
    let (began, begins) = std::sync::mpsc::sync_channel(16);
    let origin = Origin::start(move |head, wire| {
        if head.method() == "POST" {
            let _ = began.send(());
            let whole = body(head, wire);
            let _ = heard.send(whole.is_ok());
            whole?;
        }
        ok(wire, b"ready")
    });
    let site = site(&origin);
    for (head, part) in [
        ("Transfer-Encoding: chunked", "5\r\nhello\r\n"),
        ("Transfer-Encoding: chunked", "5\r\nhel"),
        ("Content-Length: 10", "hello"),
    ] {
        let mut connection = Connection::open(site.gateway()).unwrap();
        connection
            .send(format!("POST / HTTP/1.1\r\nHost: e2e.test\r\n{head}\r\n\r\n{part}").as_bytes())
            .unwrap();
        begins.recv_timeout(PATIENCE).unwrap();
        drop(connection);
        let whole = hear.recv_timeout(PATIENCE).unwrap();
        assert!(
            !whole,
            "{head}: the instance took half a request for a whole one"
        );
    }
}
