//! HTTP through the gateway, with an origin that answers in every way a test needs.

mod bodies;
mod heads;
mod tunnel;

use crate::support::clock::pause;
use crate::support::http::until_status;
use crate::support::origin::{Head, Origin, Wire, body, ok, say};
use crate::support::site::Site;
use std::io::{Read, Write};
use std::time::Duration;

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

/// Sends each byte in a packet of its own, as a slow network may.
fn dribble(mut to: &std::net::TcpStream, bytes: &[u8]) -> std::io::Result<()> {
    for byte in bytes {
        to.write_all(&[*byte])?;
        pause(Duration::from_millis(2));
    }
    Ok(())
}
