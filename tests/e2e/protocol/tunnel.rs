//! Upgraded connections.

use super::{noise, site};
use crate::support::http::{Connection, Expect};
use crate::support::origin::{Origin, ok, say};
use std::io::{Read, Write};

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
