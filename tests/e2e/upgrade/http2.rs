//! HTTP/2 that is open while another process takes over, frame by frame (RFC 9113, 4.1 and 6).

use super::open::{Gate, HOST, file, origin};
use super::{draining, site_with};
use crate::support::clock::until;
use crate::support::http::{TOO_LONG, until_status};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// No stream of ours: the first GOAWAY names it, so that nothing on its way is refused.
pub(super) const LAST_OF_ALL: u32 = 0x7fff_ffff;

/// One connection with windows that never close.
pub(super) struct Streams {
    stream: TcpStream,
    /// The last streams that GOAWAYs named.
    pub(super) farewells: Vec<u32>,
}

struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

impl Streams {
    pub(super) fn open(gateway: SocketAddr) -> Self {
        let stream = TcpStream::connect(gateway).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(TOO_LONG * 6)).unwrap();
        let mut this = Self {
            stream,
            farewells: Vec::new(),
        };
        this.stream
            .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            .unwrap();
        // Each stream's first window.
        this.send(SETTINGS, 0, 0, &[0, 4, 0x7f, 0xff, 0xff, 0xff]);
        this.send(WINDOW_UPDATE, 0, 0, &0x3fff_ffff_u32.to_be_bytes());
        this
    }

    fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = length[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        self.stream.write_all(&frame).unwrap();
    }

    /// GET, its fields as literals (RFC 7541, 6.2.2) but for those of the static table.
    pub(super) fn get(&mut self, stream: u32, path: &str) {
        let mut block = vec![0x82, 0x86];
        for (name, value) in [(0x04, path), (0x01, HOST)] {
            block.push(name);
            block.push(u8::try_from(value.len()).unwrap());
            block.extend(value.as_bytes());
        }
        self.send(HEADERS, END_HEADERS | END_STREAM, stream, &block);
    }

    /// The next frame but for settings and windows; `None` at the end of the connection.
    fn next(&mut self) -> Option<Frame> {
        loop {
            let mut head = [0; 9];
            self.stream.read_exact(&mut head).ok()?;
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; usize::try_from(length).unwrap()];
            self.stream.read_exact(&mut payload).unwrap();
            let word = |at: &[u8]| u32::from_be_bytes(at.try_into().unwrap()) & LAST_OF_ALL;
            match head[3] {
                SETTINGS if head[4] == 0 => self.send(SETTINGS, 1, 0, &[]),
                // Asked whether we are there, which is between the two farewells.
                6 if head[4] == 0 => self.send(6, 1, 0, &payload),
                GOAWAY => {
                    let code = word(&payload[4..8]);
                    assert_eq!(code, 0, "no fault of ours");
                    self.farewells.push(word(&payload[..4]));
                }
                kind @ (DATA | HEADERS) => {
                    return Some(Frame {
                        kind,
                        flags: head[4],
                        stream: word(&head[5..9]),
                        payload,
                    });
                }
                3 => panic!("the stream was reset"),
                _ => {}
            }
        }
    }

    /// The connection has ended, in order.
    pub(super) fn has_ended(&mut self) {
        assert!(self.next().is_none());
    }

    /// Bytes of `stream` until there are `enough`, or it ends.
    pub(super) fn body(&mut self, stream: u32, enough: usize) -> usize {
        let mut length = 0;
        while length < enough {
            let frame = self.next().expect("the connection ended");
            assert_eq!(frame.stream, stream);
            match frame.kind {
                // `:status: 200` of the static table.
                HEADERS => assert_eq!(frame.payload[0], 0x88),
                _ => length += frame.payload.len(),
            }
            if frame.flags & END_STREAM != 0 {
                break;
            }
        }
        length
    }
}

#[test]
fn a_busy_connection_hears_goaway_twice_and_its_streams_end_whole() {
    let gate = Gate::default();
    let origin = origin(&gate);
    let mut site = site_with(&file(&origin));
    until_status(site.gateway(), HOST, "/", 200);
    let mut streams = Streams::open(site.gateway());
    streams.get(1, "/download");
    let half = streams.body(1, 200_000);
    let (old, _) = site.upgrade();
    assert_eq!(draining(&site), [old]);
    // Begun before it can know: served all the same.
    gate.open();
    let rest = streams.body(1, usize::MAX);
    assert_eq!(half + rest, 600_000);
    streams.has_ended();
    assert_eq!(streams.farewells, [LAST_OF_ALL, 1]);
    assert!(site.first_ends().success());
    let mut again = Streams::open(site.gateway());
    again.get(1, "/");
    assert_eq!(again.body(1, usize::MAX), "plain".len());
}

#[test]
fn an_idle_connection_is_served_once_more_and_then_told_to_go() {
    let gate = Gate::default();
    let origin = origin(&gate);
    let mut site = site_with(&file(&origin));
    until_status(site.gateway(), HOST, "/", 200);
    let mut streams = Streams::open(site.gateway());
    streams.get(1, "/");
    assert_eq!(streams.body(1, usize::MAX), "plain".len());
    site.upgrade();
    assert!(site.first_lives(), "it has a connection left");
    streams.get(3, "/");
    assert_eq!(streams.body(3, usize::MAX), "plain".len());
    streams.has_ended();
    assert_eq!(streams.farewells, [LAST_OF_ALL, 3]);
    assert!(site.first_ends().success());
    until("nothing to drain", || {
        draining(&site).is_empty().then_some(())
    });
}
