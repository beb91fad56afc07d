//! A connection of HTTP/2 means the same however its octets are split; what is said is sound; nothing grows without end.
//!
//! Apart from `lib.rs`, whose properties `proxy/http1` replays: this is replayed by `proxy/http2/tests`.

use minato_http2::{
    Code, Connection, Decoder, Event, FRAME_HEAD, Key, MOST_PAYLOAD, PREFACE, Then,
};
use std::time::Instant;

/// Octets of a run at most: less than half a window, so that when windows are given back hangs on no split.
const MOST: usize = 60_000;

/// What one run came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Seen {
    events: Vec<String>,
    out: Vec<u8>,
    fault: Option<Code>,
    /// Requests that were heard.
    pub heads: usize,
}

/// Property of a connection. The first octets choose how it is split, whether it begins in order, and what becomes of requests.
pub fn connection(data: &[u8], now: Instant) -> Seen {
    let [step, owner, rest @ ..] = data else {
        return Seen::default();
    };
    let mut input = Vec::new();
    if owner & 1 == 0 {
        input.extend_from_slice(PREFACE);
        input.extend_from_slice(&[0, 0, 0, 4, 0, 0, 0, 0, 0]);
    }
    input.extend_from_slice(&rest[..rest.len().min(MOST)]);
    let whole = run(&input, input.len().max(1), *owner, now);
    let pieces = run(&input, usize::from(*step).max(1), *owner, now);
    assert_eq!(whole, pieces, "in pieces of {step}");
    look(&whole, input.len());
    whole
}

fn run(input: &[u8], step: usize, owner: u8, now: Instant) -> Seen {
    let mut connection = Connection::<Vec<u8>>::new(now);
    let mut seen = Seen::default();
    let mut bodies: Vec<(u32, usize, bool)> = Vec::new();
    let mut used = 0;
    let mut end = 0;
    while end < input.len() && seen.fault.is_none() {
        end = (end + step).min(input.len());
        loop {
            match connection.receive(&input[used..end], now) {
                Err(code) => {
                    seen.fault = Some(code);
                    assert_eq!(connection.receive(&input[used..end], now), Err(code));
                    break;
                }
                Ok((count, event)) => {
                    used += count;
                    assert!(used <= end);
                    if event == Event::More {
                        assert!(end - used < FRAME_HEAD + MOST_PAYLOAD);
                        break;
                    }
                    own(&mut connection, &event, owner, &mut seen, &mut bodies, now);
                }
            }
            assert!(connection.open_streams() <= 128 && connection.held_streams() <= 256);
        }
    }
    bodies.sort_unstable();
    seen.events.push(format!("{bodies:?}"));
    seen.out.extend_from_slice(connection.output());
    seen
}

/// What the owner of the streams does.
fn own(
    connection: &mut Connection<Vec<u8>>,
    event: &Event<'_>,
    owner: u8,
    seen: &mut Seen,
    bodies: &mut Vec<(u32, usize, bool)>,
    now: Instant,
) {
    match event {
        Event::Nothing | Event::More => {}
        Event::Data { key, bytes, then } => {
            connection.consumed(*key, bytes.len());
            match bodies.iter_mut().find(|it| it.0 == key.id) {
                Some(body) => (body.1, body.2) = (body.1 + bytes.len(), *then == Then::Ends),
                None => bodies.push((key.id, bytes.len(), *then == Then::Ends)),
            }
        }
        Event::Head { key, .. } => {
            let head = connection.head();
            let fields: Vec<_> = head
                .fields()
                .map(|(name, value)| (name.to_vec(), value.to_vec()))
                .collect();
            seen.events.push(format!(
                "{event:?} {:?} {:?} {fields:?}",
                head.path(),
                head.fault()
            ));
            seen.heads += 1;
            if owner & 2 != 0 {
                answer(connection, *key, owner, now);
            }
        }
        Event::Trailers { .. } | Event::Room { .. } | Event::RoomForAll => {
            seen.events.push(format!("{event:?}"));
        }
        Event::Reset { key, .. } => {
            seen.events.push(format!("{event:?}"));
            connection.remove(*key, Code::CANCEL, now);
        }
    }
}

fn answer(connection: &mut Connection<Vec<u8>>, key: Key, owner: u8, now: Instant) {
    connection.send_head(key, 200, Then::GoesOn, |block| {
        block.field(b"x-answer", b"what is sent again and again");
        block.field(b"set-cookie", b"a=b");
    });
    connection.send_data(key, std::iter::once(&b"a body"[..]), Then::Ends);
    if owner & 4 != 0 {
        connection.remove(key, Code::CANCEL, now);
    }
}

/// What was said is frames, blocks can be decoded, and it is not much more than what came.
fn look(seen: &Seen, came: usize) {
    assert!(
        seen.out.len() <= 200 + 20 * came,
        "{} for {came}",
        seen.out.len()
    );
    let mut decoder = Decoder::default();
    let mut rest = &seen.out[..];
    let mut last = 0xff;
    while let [a, b, c, kind, _, _, _, _, _, behind @ ..] = rest {
        let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        assert!(length <= MOST_PAYLOAD && length <= behind.len());
        let (payload, behind) = behind.split_at(length);
        if *kind == 1 {
            let mut names = Vec::new();
            let decoded = decoder.decode(payload, &mut |name, _| names.push(name.to_vec()));
            assert_eq!(decoded, Ok(()));
            assert_eq!(names[0], b":status");
        }
        (rest, last) = (behind, *kind);
    }
    assert!(rest.is_empty());
    if seen.fault.is_some() {
        assert_eq!(last, 7, "no GOAWAY is the last");
    }
}
