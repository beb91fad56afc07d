//! Frames in, events and frames out. What RFC 9113 says of each frame is in a table here; over sockets it is once more in
//! `proxy/server/tests/http2`.

use super::*;
use crate::frame::*;
use crate::{FRAME_HEAD, MOST_BLOCK, MOST_DATA, MOST_PAYLOAD, PREFACE};
use std::sync::LazyLock;

type Subject = Connection<Vec<u8>>;

/// The one moment at which all of a test happens.
#[expect(
    clippy::disallowed_methods,
    reason = "any time will do, and there is no other way to have one"
)]
pub(crate) fn start() -> Instant {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    *START
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    write_head(payload.len(), kind, flags, stream, &mut out);
    out.extend_from_slice(payload);
    out
}

fn settings(values: &[(u16, u32)]) -> Vec<u8> {
    let mut out = Vec::new();
    write_settings(values, &mut out);
    out
}

fn window(stream: u32, more: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &more.to_be_bytes())
}

fn reset(stream: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())
}

/// `:method: GET`, `:scheme: http`, `:path: /`, `:authority: a`.
const GET: &[u8] = &[0x82, 0x86, 0x84, 0x01, 0x01, b'a'];
const WHOLE: u8 = END_HEADERS | END_STREAM;

fn get(stream: u32) -> Vec<u8> {
    frame(HEADERS, WHOLE, stream, GET)
}

fn post(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, GET)
}

fn data(flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    frame(DATA, flags, stream, payload)
}

fn key(subject: &Subject, id: u32) -> Key {
    subject.streams.find(id).unwrap()
}

/// Takes all of `input`; one word for each event, and the error.
fn take(subject: &mut Subject, input: &[u8]) -> String {
    take_at(subject, input, start())
}

/// The same, at another time.
fn take_at(subject: &mut Subject, input: &[u8], now: Instant) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut rest = input;
    loop {
        let (used, event) = match subject.receive(rest, now) {
            Ok(received) => received,
            Err(code) => {
                words.push(format!("{code}!"));
                return words.join(" ");
            }
        };
        rest = &rest[used..];
        let end = |then| if then == Then::Ends { "." } else { "" };
        words.push(match event {
            Event::More => {
                assert!(rest.len() < FRAME_HEAD + MOST_PAYLOAD);
                return words.join(" ");
            }
            Event::Nothing => continue,
            Event::Head { key, then } => format!("head{}{}", key.id, end(then)),
            Event::Data { key, bytes, then } => {
                format!("data{}:{}{}", key.id, bytes.len(), end(then))
            }
            Event::Trailers { key } => format!("trailers{}", key.id),
            Event::Reset { key, code } => format!("reset{}:{code}", key.id),
            Event::Room { key } => format!("room{}", key.id),
            Event::RoomForAll => "room".to_owned(),
        });
    }
}

/// What is in the output, a word for each frame; it is sent.
fn said(subject: &mut Subject) -> String {
    let out = subject.output().to_vec();
    subject.sent(out.len());
    let (mut rest, mut words) = (&out[..], Vec::new());
    while let Some((it, behind)) = Frame::read(rest) {
        let payload = &behind[..it.length];
        rest = &behind[it.length..];
        let value = |at: usize| number(&payload[at..]).unwrap();
        let end = if it.has(END_STREAM) { "." } else { "" };
        words.push(match it.kind {
            HEADERS => format!("head{}{end}", it.stream),
            CONTINUATION => format!("more{}", it.stream),
            DATA => format!("data{}:{}{end}", it.stream, it.length),
            RST_STREAM => format!("reset{}:{}", it.stream, Code(value(0))),
            GOAWAY => format!("goaway{}:{}", value(0), Code(value(4))),
            WINDOW_UPDATE => format!("window{}:{}", it.stream, value(0)),
            PING if it.has(ACK) => "pong".to_owned(),
            PING => "ping".to_owned(),
            SETTINGS if it.has(ACK) => "ok".to_owned(),
            SETTINGS => "settings".to_owned(),
            kind => panic!("a frame of type {kind}"),
        });
    }
    assert!(rest.is_empty());
    words.join(" ")
}

/// One that has begun.
fn begun() -> Subject {
    let mut subject = Subject::new(start());
    assert_eq!(take(&mut subject, &[PREFACE, &settings(&[])].concat()), "");
    assert_eq!(said(&mut subject), "settings window0:983041 ok");
    subject
}

#[test]
fn each_frame_is_what_it_is_defined_as() {
    let padded = [&[2][..], b"test", &[0; 2]].concat();
    let loops = [&1_u32.to_be_bytes()[..], &[9], GET].concat();
    for (frames, events, answer) in [
        (vec![get(1)], "head1.", ""),
        (
            vec![post(1), data(0, 1, b"ab"), data(END_STREAM, 1, b"c")],
            "head1 data1:2 data1:1.",
            "",
        ),
        (
            vec![post(1), data(END_STREAM, 1, b"")],
            "head1 data1:0.",
            "",
        ),
        (
            vec![post(1), data(END_STREAM | PADDED, 1, &padded)],
            "head1 data1:4.",
            "",
        ),
        (
            vec![post(1), frame(HEADERS, WHOLE, 1, b"\x00\x01x\x01y")],
            "head1 trailers1",
            "",
        ),
        (
            vec![post(1), frame(HEADERS, END_HEADERS, 1, b"\x00\x01x\x01y")],
            "head1 reset1:PROTOCOL_ERROR",
            "reset1:PROTOCOL_ERROR",
        ),
        (
            vec![post(1), frame(HEADERS, WHOLE, 1, &[0x82])],
            "head1 reset1:PROTOCOL_ERROR",
            "reset1:PROTOCOL_ERROR",
        ),
        (
            vec![get(1), get(1)],
            "head1. reset1:STREAM_CLOSED",
            "reset1:STREAM_CLOSED",
        ),
        (
            vec![get(1), data(0, 1, b"x")],
            "head1. reset1:STREAM_CLOSED",
            "reset1:STREAM_CLOSED",
        ),
        (vec![get(1), reset(1)], "head1. reset1:CANCEL", ""),
        (
            vec![get(1), reset(1), reset(1), window(1, 1)],
            "head1. reset1:CANCEL",
            "",
        ),
        (
            vec![get(1), reset(1), data(0, 1, b"x")],
            "head1. reset1:CANCEL STREAM_CLOSED!",
            "goaway1:STREAM_CLOSED",
        ),
        (
            vec![get(1), window(1, 0)],
            "head1. reset1:PROTOCOL_ERROR",
            "reset1:PROTOCOL_ERROR",
        ),
        // What was under way when we reset it is passed over.
        (
            vec![post(1), window(1, 0), data(0, 1, b"x"), get(3)],
            "head1 reset1:PROTOCOL_ERROR head3.",
            "reset1:PROTOCOL_ERROR",
        ),
        (
            vec![get(1), window(1, HIGHEST)],
            "head1. reset1:FLOW_CONTROL_ERROR",
            "reset1:FLOW_CONTROL_ERROR",
        ),
        (
            vec![get(1), window(1, 5), window(0, 5)],
            "head1. room1 room",
            "",
        ),
        (
            vec![window(0, HIGHEST)],
            "FLOW_CONTROL_ERROR!",
            "goaway0:FLOW_CONTROL_ERROR",
        ),
        (
            vec![window(0, 0)],
            "PROTOCOL_ERROR!",
            "goaway0:PROTOCOL_ERROR",
        ),
        (
            vec![window(1, 1)],
            "PROTOCOL_ERROR!",
            "goaway0:PROTOCOL_ERROR",
        ),
        (vec![reset(1)], "PROTOCOL_ERROR!", "goaway0:PROTOCOL_ERROR"),
        (
            vec![data(0, 1, b"x")],
            "PROTOCOL_ERROR!",
            "goaway0:PROTOCOL_ERROR",
        ),
        (vec![get(2)], "PROTOCOL_ERROR!", "goaway0:PROTOCOL_ERROR"),
        (
            vec![get(5), get(3)],
            "head5. STREAM_CLOSED!",
            "goaway5:STREAM_CLOSED",
        ),
        (vec![frame(PING, 0, 0, &[0; 8])], "", "pong"),
        (vec![frame(PING, ACK, 0, &[0; 8])], "", ""),
        (
            vec![frame(PING, 0, 0, &[0; 6])],
            "FRAME_SIZE_ERROR!",
            "goaway0:FRAME_SIZE_ERROR",
        ),
        (
            vec![frame(PING, 0, 1, &[0; 8])],
            "PROTOCOL_ERROR!",
            "goaway0:PROTOCOL_ERROR",
        ),
        (vec![settings(&[(4, 9), (2, 0)])], "room", "ok"),
        (
            vec![settings(&[(2, 2)])],
            "PROTOCOL_ERROR!",
            "goaway0:PROTOCOL_ERROR",
        ),
        (
            vec![settings(&[(4, 1 << 31)])],
            "FLOW_CONTROL_ERROR!",
            "goaway0:FLOW_CONTROL_ERROR",
        ),
        (
            vec![settings(&[(5, 16_383)])],
            "PROTOCOL_ERROR!",
            "goaway0:PROTOCOL_ERROR",
        ),
        (
            vec![settings(&[(5, 1 << 24)])],
            "PROTOCOL_ERROR!",
            "goaway0:PROTOCOL_ERROR",
        ),
        (vec![settings(&[(77, 1)])], "", "ok"),
        (
            vec![frame(SETTINGS, ACK, 0, &[0; 6])],
            "FRAME_SIZE_ERROR!",
            "goaway0:FRAME_SIZE_ERROR",
        ),
        (
            vec![frame(SETTINGS, 0, 0, &[0; 7])],
            "FRAME_SIZE_ERROR!",
            "goaway0:FRAME_SIZE_ERROR",
        ),
        (vec![frame(GOAWAY, 0, 0, &[0; 8]), get(1)], "head1.", ""),
        (
            vec![frame(GOAWAY, 0, 0, &[0; 7])],
            "FRAME_SIZE_ERROR!",
            "goaway0:FRAME_SIZE_ERROR",
        ),
        (
            vec![frame(PUSH_PROMISE, WHOLE, 1, GET)],
            "PROTOCOL_ERROR!",
            "goaway0:PROTOCOL_ERROR",
        ),
        (vec![frame(0x16, 0xff, 7, b"any")], "", ""),
        (
            vec![frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 1]), get(1)],
            "head1.",
            "",
        ),
        (
            vec![frame(HEADERS, WHOLE | WEIGHTED, 1, &loops)],
            "",
            "reset1:PROTOCOL_ERROR",
        ),
        (
            vec![get(1), frame(PRIORITY, 0, 1, &[0, 0, 0, 1, 1])],
            "head1. reset1:PROTOCOL_ERROR",
            "reset1:PROTOCOL_ERROR",
        ),
        // No stream, so that none can be reset (RFC 9113 6.4).
        (
            vec![frame(PRIORITY, 0, 2, &[0, 0, 0, 2, 1])],
            "PROTOCOL_ERROR!",
            "goaway0:PROTOCOL_ERROR",
        ),
        (
            vec![
                frame(HEADERS, END_STREAM, 1, &GET[..2]),
                frame(CONTINUATION, END_HEADERS, 1, &GET[2..]),
            ],
            "head1.",
            "",
        ),
        (
            vec![frame(HEADERS, 0, 1, GET), data(0, 1, b"")],
            "PROTOCOL_ERROR!",
            "goaway0:PROTOCOL_ERROR",
        ),
        (
            vec![
                frame(HEADERS, 0, 1, GET),
                frame(CONTINUATION, END_HEADERS, 3, b""),
            ],
            "PROTOCOL_ERROR!",
            "goaway0:PROTOCOL_ERROR",
        ),
        (
            vec![frame(CONTINUATION, END_HEADERS, 1, GET)],
            "PROTOCOL_ERROR!",
            "goaway0:PROTOCOL_ERROR",
        ),
        (
            vec![frame(HEADERS, WHOLE, 1, &[0x40])],
            "COMPRESSION_ERROR!",
            "goaway0:COMPRESSION_ERROR",
        ),
        (
            vec![post(1), data(PADDED, 1, &[3, 0, 0])],
            "head1 PROTOCOL_ERROR!",
            "goaway1:PROTOCOL_ERROR",
        ),
        (
            vec![post(1), data(PADDED, 1, b"")],
            "head1 FRAME_SIZE_ERROR!",
            "goaway1:FRAME_SIZE_ERROR",
        ),
        (
            vec![data(0, 1, &[0; MOST_PAYLOAD + 1])],
            "FRAME_SIZE_ERROR!",
            "goaway0:FRAME_SIZE_ERROR",
        ),
    ] {
        let mut subject = begun();
        let input = frames.concat();
        assert_eq!(take(&mut subject, &input), events, "{frames:?}");
        assert_eq!(said(&mut subject), answer, "{frames:?}");
        if let Some(code) = subject.fault() {
            assert_eq!(subject.receive(&get(9), start()), Err(code));
            assert_eq!(said(&mut subject), "");
        }
    }
}

#[test]
fn what_comes_first_is_the_preface_and_settings() {
    let first = settings(&[]);
    for (input, events, is_half) in [
        (vec![], "", true),
        (PREFACE[..9].to_vec(), "", true),
        (PREFACE.to_vec(), "", true),
        ([PREFACE, &first[..3]].concat(), "", true),
        ([PREFACE, &first].concat(), "", false),
        (b"GET / HTTP/1.1\r\n".to_vec(), "PROTOCOL_ERROR!", true),
        ([PREFACE, &get(1)].concat(), "PROTOCOL_ERROR!", true),
        (
            [PREFACE, &frame(SETTINGS, ACK, 0, &[])].concat(),
            "PROTOCOL_ERROR!",
            true,
        ),
        ([PREFACE, &first, &get(1)[..12]].concat(), "", true),
        (
            [PREFACE, &first, &frame(HEADERS, 0, 1, GET)].concat(),
            "",
            true,
        ),
        // A body takes the time it takes.
        (
            [PREFACE, &first, &post(1), &data(0, 1, b"abcd")[..11]].concat(),
            "head1 data1:2",
            false,
        ),
    ] {
        let mut subject = Subject::new(start());
        assert_eq!(take(&mut subject, &input), events, "{input:?}");
        assert_eq!(subject.is_half(), is_half, "{input:?}");
        let later = start() + Duration::from_secs(60);
        assert_eq!(subject.is_stuck(Duration::from_secs(10), later), is_half);
        assert!(!subject.is_stuck(Duration::from_secs(120), later));
    }
}

/// A frame now and then within a block is no sign of life.
#[test]
fn a_block_has_one_time_for_all_its_frames() {
    let mut subject = begun();
    let at = |seconds| start() + Duration::from_secs(seconds);
    let is_stuck = |it: &Subject, seconds| it.is_stuck(Duration::from_secs(10), at(seconds));
    take(&mut subject, &frame(HEADERS, END_STREAM, 1, GET));
    for second in 1..9 {
        take_at(&mut subject, &frame(CONTINUATION, 0, 1, b""), at(second));
    }
    assert!(!is_stuck(&subject, 9) && is_stuck(&subject, 10));
    // The next has its own.
    let last = frame(CONTINUATION, END_HEADERS, 1, b"");
    let next = frame(HEADERS, END_STREAM, 3, GET);
    assert_eq!(
        take_at(&mut subject, &[last, next].concat(), at(9)),
        "head1."
    );
    assert!(!is_stuck(&subject, 18) && is_stuck(&subject, 19));
}

#[test]
fn bodies_are_as_long_as_was_said() {
    for (length, frames, expected) in [
        (
            4,
            [data(0, 1, b"ab"), data(END_STREAM, 1, b"cd")],
            "data1:2 data1:2.",
        ),
        (
            5,
            [data(0, 1, b"ab"), data(END_STREAM, 1, b"cd")],
            "data1:2 reset1:PROTOCOL_ERROR",
        ),
        (
            3,
            [data(0, 1, b"ab"), data(END_STREAM, 1, b"cd")],
            "data1:2 reset1:PROTOCOL_ERROR",
        ),
        (
            2,
            [data(0, 1, b"ab"), frame(HEADERS, WHOLE, 1, &[])],
            "data1:2 trailers1",
        ),
        (
            3,
            [data(0, 1, b"ab"), frame(HEADERS, WHOLE, 1, &[])],
            "data1:2 reset1:PROTOCOL_ERROR",
        ),
    ] {
        let mut subject = begun();
        take(&mut subject, &post(1));
        let one = key(&subject, 1);
        assert!(subject.expect(one, length));
        assert_eq!(take(&mut subject, &frames.concat()), expected, "{length}");
    }
    let mut subject = begun();
    take(&mut subject, &get(1));
    let one = key(&subject, 1);
    assert!(subject.expect(one, 0) && !subject.expect(one, 4));
}

#[test]
fn windows_are_given_back_as_octets_are_taken() {
    let mut subject = begun();
    take(&mut subject, &post(1));
    let one = key(&subject, 1);
    let piece = data(0, 1, &[0; MOST_PAYLOAD]);
    for _ in 0..16 {
        take(&mut subject, &piece);
    }
    assert_eq!(said(&mut subject), "");
    for _ in 0..8 {
        subject.consumed(one, MOST_PAYLOAD);
    }
    assert_eq!(said(&mut subject), "window1:131072");
    // One octet more than there is room for; padding counts.
    for _ in 0..8 {
        take(&mut subject, &piece);
    }
    assert_eq!(
        take(&mut subject, &data(PADDED, 1, &[0])),
        "reset1:FLOW_CONTROL_ERROR"
    );
    // The connection's own.
    let mut subject = begun();
    let all: Vec<u8> = (0..5).flat_map(|it| post(2 * it + 1)).collect();
    take(&mut subject, &all);
    for round in 0..64 {
        take(
            &mut subject,
            &data(0, 2 * (round % 5) + 1, &[0; MOST_PAYLOAD]),
        );
    }
    assert_eq!(subject.fault(), None);
    assert_eq!(take(&mut subject, &data(0, 1, b"x")), "FLOW_CONTROL_ERROR!");
}

/// What is not wanted any more is given back by itself.
#[test]
fn windows_survive_what_nobody_takes() {
    let mut subject = begun();
    for round in 0..200 {
        let id = 2 * round + 1;
        take(&mut subject, &post(id));
        let one = key(&subject, id);
        subject.send_head(one, 200, Then::Ends, |_| {});
        subject.remove(one, Code::CANCEL, start());
        take(&mut subject, &data(0, id, &[0; MOST_PAYLOAD]));
        assert_eq!(subject.fault(), None, "{round}");
    }
    subject.forsake_all(start());
    assert_eq!((subject.open_streams(), subject.held_streams()), (0, 0));
    assert!(subject.window_in + subject.freed as i32 == WINDOW as i32);
}

#[test]
fn bodies_go_as_far_as_there_is_room() {
    let mut subject = begun();
    take(&mut subject, &[settings(&[(4, 10)]), get(1)].concat());
    said(&mut subject);
    let one = key(&subject, 1);
    assert!(subject.send_head(one, 200, Then::GoesOn, |it| it.field(b"x", b"y")));
    let pieces = || [&b"abcd"[..], b"", b"efghijkl"].into_iter();
    assert_eq!(subject.send_data(one, pieces(), Then::Ends), Some(10));
    assert_eq!(subject.send_data(one, pieces(), Then::Ends), Some(0));
    assert!(subject.output().ends_with(b"abcdefghij"));
    assert_eq!(said(&mut subject), "head1 data1:10");
    // A window may be below nothing.
    take(&mut subject, &[settings(&[(4, 5)]), window(1, 6)].concat());
    assert_eq!(subject.room(one), 1);
    take(&mut subject, &settings(&[(4, 100_000)]));
    let large = vec![b'x'; 50_000];
    let mut sent = 0;
    while sent < large.len() {
        let rest = std::iter::once(&large[sent..]);
        let count = subject.send_data(one, rest, Then::Ends).unwrap();
        assert!(count > 0 && count <= MOST_DATA);
        sent += count;
    }
    assert_eq!(
        said(&mut subject),
        "ok ok data1:16375 data1:16375 data1:16375 data1:875."
    );
    assert_eq!(subject.send_data(one, pieces(), Then::Ends), None);
    assert!(!subject.send_head(one, 200, Then::Ends, |_| {}));
    // The connection's window holds for all.
    take(&mut subject, &get(3));
    let three = key(&subject, 3);
    assert_eq!(subject.room(three), 65_535 - 50_010);
    subject.send_head(three, 200, Then::GoesOn, |_| {});
    assert_eq!(
        subject.send_data(three, [&large[..]].into_iter(), Then::Ends),
        Some(15_525)
    );
    assert_eq!(subject.room_for_all(), 0);
    // An end needs no room.
    assert_eq!(
        subject.send_data(three, std::iter::empty(), Then::Ends),
        Some(0)
    );
    assert_eq!(said(&mut subject), "head3 data3:15525 data3:0.");
}

#[test]
fn heads_larger_than_a_frame_go_on() {
    let mut subject = begun();
    take(&mut subject, &get(1));
    let one = key(&subject, 1);
    let large = vec![0xff; 20_000];
    subject.send_head(one, 103, Then::GoesOn, |_| {});
    subject.send_head(one, 200, Then::Ends, |block| {
        block.field(b"x-a", &large);
        block.field(b"x-b", &large);
    });
    assert!(subject.streams.get(one).unwrap().is_over());
    assert_eq!(said(&mut subject), "head1 head1. more1 more1");
}

#[test]
fn an_answer_that_is_not_whole_is_reset() {
    for (answer, is_whole, request, expected) in [
        (None, false, get(1), "reset1:CANCEL"),
        (Some(Then::GoesOn), false, get(1), "head1 reset1:CANCEL"),
        (Some(Then::Ends), true, get(1), "head1."),
        (Some(Then::GoesOn), true, get(1), "head1 data1:0."),
    ] {
        let mut subject = begun();
        take(&mut subject, &request);
        let one = key(&subject, 1);
        if let Some(then) = answer {
            subject.send_head(one, 200, then, |_| {});
            if is_whole && then == Then::GoesOn {
                subject.send_data(one, std::iter::empty(), Then::Ends);
            }
        }
        subject.owned_mut(one).unwrap().push(7);
        assert_eq!(subject.remove(one, Code::CANCEL, start()), Some(vec![7]));
        assert_eq!(said(&mut subject), expected);
        assert_eq!(subject.remove(one, Code::CANCEL, start()), None);
        assert!(subject.is_over(one) && subject.owned(one).is_none());
        assert_eq!((subject.open_streams(), subject.held_streams()), (0, 0));
    }
}

/// RFC 9113 8.1: what still comes of the request is not wanted. The answer has its time to arrive first.
#[test]
fn a_whole_answer_is_not_reset_at_once() {
    for (late, expected) in [
        (vec![data(0, 1, &[0; 9])], "reset1:NO_ERROR"),
        (vec![data(0, 1, &[0; 9]), data(END_STREAM, 1, b"")], ""),
        (vec![frame(HEADERS, WHOLE, 1, &[])], "reset1:PROTOCOL_ERROR"),
        (vec![reset(1)], ""),
        (vec![window(1, 9)], "reset1:NO_ERROR"),
        (vec![window(1, 0)], "reset1:PROTOCOL_ERROR"),
    ] {
        let mut subject = begun();
        take(&mut subject, &[post(1), data(0, 1, b"x")].concat());
        let one = key(&subject, 1);
        assert!(subject.expect(one, 9));
        subject.send_head(one, 200, Then::Ends, |_| {});
        assert!(subject.remove(one, Code::CANCEL, start()).is_some());
        assert!(subject.remove(one, Code::CANCEL, start()).is_none());
        assert_eq!(said(&mut subject), "head1.");
        assert!(subject.owned(one).is_none() && subject.held_streams() == 1);
        subject.forsake(start());
        assert_eq!(said(&mut subject), "");
        let _ = take(&mut subject, &late.concat());
        subject.forsake(start());
        assert_eq!(said(&mut subject), expected, "{late:?}");
        assert_eq!(
            (subject.open_streams(), subject.held_streams()),
            (0, 0),
            "{late:?}"
        );
    }
    // Those that linger so take nobody's place.
    let mut subject = begun();
    for round in 0..400 {
        assert_eq!(
            take(&mut subject, &post(2 * round + 1)),
            format!("head{}", 2 * round + 1)
        );
        let one = key(&subject, 2 * round + 1);
        subject.send_head(one, 200, Then::Ends, |_| {});
        subject.remove(one, Code::CANCEL, start());
    }
    assert!(subject.open_streams() <= MOST_STREAMS);
}

#[test]
fn it_ends_in_order_with_two_goaways() {
    let mut subject = begun();
    take(&mut subject, &get(1));
    subject.leave();
    subject.leave();
    assert_eq!(said(&mut subject), "goaway2147483647:NO_ERROR ping");
    // What crosses it is served.
    assert_eq!(take(&mut subject, &get(3)), "head3.");
    assert_eq!(take(&mut subject, &frame(PING, ACK, 0, b"12345678")), "");
    assert_eq!(
        take(
            &mut subject,
            &[frame(PING, ACK, 0, &HEARD), get(5), data(0, 5, b"x")].concat()
        ),
        ""
    );
    assert_eq!(said(&mut subject), "goaway3:NO_ERROR");
    for id in [1, 3] {
        assert!(!subject.is_done());
        let one = key(&subject, id);
        subject.send_head(one, 200, Then::Ends, |_| {});
        subject.remove(one, Code::CANCEL, start());
    }
    assert!(subject.is_done());
}

#[test]
fn streams_are_bounded() {
    let mut subject = begun();
    let ids = |range: std::ops::Range<u32>| range.map(|it| 2 * it + 1);
    let all: Vec<u8> = ids(0..130).flat_map(get).collect();
    take(&mut subject, &all);
    assert_eq!(
        said(&mut subject),
        "reset257:REFUSED_STREAM reset259:REFUSED_STREAM"
    );
    // Those that the client resets make room; not for more than their owner can hold.
    for id in ids(0..128) {
        take(&mut subject, &reset(id));
    }
    assert_eq!(
        (subject.open_streams(), subject.held_streams()),
        (0, MOST_STREAMS)
    );
    let all: Vec<u8> = ids(130..300)
        .flat_map(|it| [get(it), reset(it)].concat())
        .collect();
    take(&mut subject, &all);
    assert!(subject.held_streams() < 2 * MOST_STREAMS);
    assert_eq!(subject.fault(), Some(Code::ENHANCE_YOUR_CALM));
}

/// Floods: what each of them ends with, and that it takes no more than the allowance.
#[test]
fn floods_end() {
    type Piece = fn(u32) -> Vec<u8>;
    let floods: [(&str, Piece, usize); 11] = [
        ("PING", |_| frame(PING, 0, 0, &[0; 8]), 2_001),
        ("SETTINGS", |_| settings(&[]), 2_001),
        (
            "SETTINGS that say it twice",
            |_| settings(&[(4, 1), (4, 2)]),
            1_001,
        ),
        (
            "HEADERS of a stream that we reset",
            |it| match it {
                0 => window(1, 0),
                _ => get(1),
            },
            2_009,
        ),
        ("unknown", |_| frame(99, 0, 0, &[]), 2_001),
        ("empty DATA", |_| data(0, 1, b""), 2_009),
        (
            "padding",
            |_| data(PADDED, 1, &[9, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
            2_009,
        ),
        ("PRIORITY", |_| frame(PRIORITY, 0, 5, &[0; 5]), 2_001),
        (
            "rapid reset",
            |it| [get(2 * it + 3), reset(2 * it + 3)].concat(),
            257,
        ),
        (
            "made you reset",
            |it| [get(2 * it + 3), window(2 * it + 3, 0)].concat(),
            257,
        ),
        ("refused", |it| get(2 * it + 3), 384),
    ];
    for (what, piece, most) in floods {
        let mut subject = begun();
        take(&mut subject, &post(1));
        let mut count = 0;
        while subject.fault().is_none() {
            take(&mut subject, &piece(count as u32));
            said(&mut subject);
            count += 1;
            assert!(count <= most, "{what}");
        }
        assert_eq!(subject.fault(), Some(Code::ENHANCE_YOUR_CALM), "{what}");
        assert!(count > 200, "{what}: {count}");
    }
}

/// Streams past the last are not looked at, and not for ever.
#[test]
fn a_flood_behind_the_end_ends() {
    let mut subject = begun();
    subject.leave();
    take(&mut subject, &frame(PING, ACK, 0, &HEARD));
    let mut count = 0;
    while subject.fault().is_none() {
        take(&mut subject, &get(2 * count + 1));
        count += 1;
        assert!(count <= 2_001);
    }
    assert_eq!(subject.fault(), Some(Code::ENHANCE_YOUR_CALM));
}

/// CVE-2019-9511: windows of an octet each, so that an answer goes out in frames of an octet each.
#[test]
fn an_answer_does_not_dribble_for_ever() {
    let large = [b'x'; 40_000];
    for (room, is_borne) in [(1, false), (16_375, true)] {
        let mut subject = begun();
        take(&mut subject, &[settings(&[(4, 0)]), get(1)].concat());
        let one = key(&subject, 1);
        subject.send_head(one, 200, Then::GoesOn, |_| {});
        for _ in 0..10_000 {
            take(&mut subject, &[window(0, room), window(1, room)].concat());
            subject.send_data(one, std::iter::once(&large[..]), Then::GoesOn);
            said(&mut subject);
        }
        assert_eq!(subject.fault().is_none(), is_borne, "{room}");
    }
}

#[test]
fn requests_that_are_turned_away_are_bounded() {
    let mut subject = begun();
    let mut count = 0;
    while subject.fault().is_none() {
        let id = 2 * count + 1;
        take(&mut subject, &get(id));
        subject.turned_away(start());
        if let Some(one) = subject.streams.find(id) {
            subject.send_head(one, 400, Then::Ends, |_| {});
            subject.remove(one, Code::CANCEL, start());
        }
        count += 1;
        assert!(count < 300);
    }
    assert_eq!(subject.fault(), Some(Code::ENHANCE_YOUR_CALM));
    // What is answered is none of it.
    let mut subject = begun();
    for count in 0..20_000 {
        take(&mut subject, &get(2 * count + 1));
        let one = key(&subject, 2 * count + 1);
        subject.send_head(one, 200, Then::Ends, |_| {});
        subject.remove(one, Code::CANCEL, start());
        said(&mut subject);
    }
    assert_eq!(subject.fault(), None);
}

#[test]
fn blocks_are_bounded() {
    let mut subject = begun();
    take(&mut subject, &frame(HEADERS, 0, 1, GET));
    let piece = frame(CONTINUATION, 0, 1, &[0x82; 10_000]);
    let mut taken = 0;
    while subject.fault().is_none() {
        take(&mut subject, &piece);
        taken += 10_000;
        assert!(taken < MOST_BLOCK + 20_000);
    }
    assert_eq!(subject.fault(), Some(Code::ENHANCE_YOUR_CALM));
}

#[test]
fn what_rests_holds_little() {
    let mut subject = begun();
    take(
        &mut subject,
        &[get(1), post(3), data(END_STREAM, 3, &[0; 9000])].concat(),
    );
    for id in [1, 3] {
        let one = key(&subject, id);
        subject.send_head(one, 200, Then::GoesOn, |_| {});
        subject.send_data(one, [&[0; 9000][..]].into_iter(), Then::Ends);
        subject.remove(one, Code::CANCEL, start());
    }
    said(&mut subject);
    subject.release();
    assert_eq!(subject.out.capacity(), 0);
    assert!(
        std::mem::size_of::<Subject>() <= 1024,
        "{}",
        std::mem::size_of::<Subject>()
    );
}
