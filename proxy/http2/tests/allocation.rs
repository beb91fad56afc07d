//! Once warm, a request and its answer allocate nothing. In a binary of its own, whose allocator counts.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use allocation_counter::measure;
use minato_http2::{Code, Connection, Event, Key, PREFACE, Then};
use std::time::Instant;

const FIELDS: [(&[u8], &[u8]); 7] = [
    (b"server", b"an instance"),
    (b"date", b"Mon, 01 Jan 2024 00:00:00 GMT"),
    (b"content-type", b"text/html; charset=utf-8"),
    (b"x-own-name", b"something longer than eight octets"),
    (b"set-cookie", b"session=0123456789abcdef"),
    (b"content-length", b"1024"),
    (b"via", b"1.1 minato"),
];

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8], out: &mut Vec<u8>) {
    let length = payload.len() as u32;
    out.extend_from_slice(&length.to_be_bytes()[1..]);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}

/// `:method`, `:scheme`, `:path` of the table, `:authority` and a field with Huffman coding.
const BLOCK: &[u8] = b"\x82\x86\x84\x01\x01a\x00\x85\xf2\xb2\x4a\x84\xff\x83\x49\x50\x9f";

struct Run {
    connection: Connection<()>,
    input: Vec<u8>,
    next: u32,
    now: Instant,
}

impl Run {
    /// Takes the input; the stream of the last request in it.
    fn receive(&mut self) -> Option<Key> {
        let mut rest = &self.input[..];
        let mut last = None;
        while let Ok((used, event)) = self.connection.receive(rest, self.now) {
            rest = &rest[used..];
            match event {
                Event::Head { key, .. } => {
                    assert_eq!(self.connection.head().fields().count(), 1);
                    last = Some(key);
                }
                Event::Data { key, bytes, .. } => self.connection.consumed(key, bytes.len()),
                Event::More => break,
                _ => {}
            }
        }
        assert!(rest.is_empty());
        last
    }

    /// One request with a body, and its answer.
    fn round(&mut self) {
        self.input.clear();
        frame(1, 4, self.next, BLOCK, &mut self.input);
        frame(0, 1, self.next, &[b'x'; 900], &mut self.input);
        self.next += 2;
        let key = self.receive().unwrap();
        self.connection.send_head(key, 200, Then::GoesOn, |block| {
            for (name, value) in FIELDS {
                block.field(name, value);
            }
        });
        let body = std::iter::once(&[b'y'; 1024][..]);
        self.connection.send_data(key, body, Then::Ends).unwrap();
        assert!(
            self.connection
                .remove(key, Code::CANCEL, self.now)
                .is_some()
        );
        let count = self.connection.output().len();
        self.connection.sent(count);
    }
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "any time will do, and there is no other way to have one"
)]
fn a_warm_connection_allocates_nothing() {
    let mut run = Run {
        connection: Connection::new(Instant::now()),
        input: PREFACE.to_vec(),
        next: 1,
        now: Instant::now(),
    };
    frame(4, 0, 0, &[], &mut run.input);
    frame(8, 0, 0, &0x7000_0000_u32.to_be_bytes(), &mut run.input);
    assert!(run.receive().is_none());
    for _ in 0..100 {
        run.round();
    }
    let made = measure(|| {
        for _ in 0..1000 {
            run.round();
        }
    });
    assert_eq!(made.count_total, 0);
}
