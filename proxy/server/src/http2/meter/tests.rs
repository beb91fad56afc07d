use super::*;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const PUSH_PROMISE: u8 = 5;

fn frame(kind: u8, flags: u8, length: u8) -> Vec<u8> {
    let mut bytes = vec![0, 0, length, kind, flags, 0, 0, 0, 1];
    bytes.extend(vec![0; length.into()]);
    bytes
}

#[expect(clippy::disallowed_methods, reason = "a test may read the clock")]
fn now() -> Instant {
    Instant::now()
}

/// One whose client has said what it must.
fn begun(now: Instant) -> Meter {
    let mut meter = Meter::new(now);
    let first = [PREFACE, &frame(SETTINGS, 0, 0)].concat();
    assert_eq!(meter.receive(&first, now), Ok(()));
    meter
}

/// How many of these it bears.
fn bears(meter: &mut Meter, bytes: &[u8], now: Instant) -> u32 {
    let mut count = 0;
    while count < 1_000_000 {
        match meter.receive(bytes, now) {
            Ok(()) => count += 1,
            Err(reason) => {
                assert_eq!(reason, Reason::ENHANCE_YOUR_CALM);
                return count;
            }
        }
    }
    count
}

#[test]
fn sizes_and_the_first_frame_are_checked() {
    let now = now();
    for (kind, flags, length, expected) in [
        (SETTINGS, 0, 6, Ok(())),
        (SETTINGS, 0, 3, Err(Reason::FRAME_SIZE_ERROR)),
        (SETTINGS, ACK, 6, Err(Reason::FRAME_SIZE_ERROR)),
        (PING, 0, 8, Ok(())),
        (PING, 0, 6, Err(Reason::FRAME_SIZE_ERROR)),
        (PRIORITY, 0, 4, Err(Reason::FRAME_SIZE_ERROR)),
        (RST_STREAM, 0, 3, Err(Reason::FRAME_SIZE_ERROR)),
        (WINDOW_UPDATE, 0, 5, Err(Reason::FRAME_SIZE_ERROR)),
        (PUSH_PROMISE, 0, 77, Ok(())),
    ] {
        let mut meter = begun(now);
        assert_eq!(
            meter.receive(&frame(kind, flags, length), now),
            expected,
            "{kind} {length}"
        );
    }
    for first in [frame(HEADERS, END_HEADERS, 0), frame(SETTINGS, ACK, 0)] {
        let bytes = [PREFACE, &first].concat();
        let mut meter = Meter::new(now);
        assert_eq!(meter.receive(&bytes, now), Err(Reason::PROTOCOL_ERROR));
    }
    let mut meter = begun(now);
    let within = [frame(HEADERS, 0, 5), frame(PING, 0, 8)].concat();
    assert_eq!(meter.receive(&within, now), Err(Reason::PROTOCOL_ERROR));
}

#[test]
fn frames_that_move_nothing_are_limited() {
    let now = now();
    for piece in [
        frame(SETTINGS, 0, 6),
        frame(PING, 0, 8),
        frame(PING, ACK, 8),
        frame(PRIORITY, 0, 5),
        frame(WINDOW_UPDATE, 0, 4),
        frame(DATA, 0, 0),
        frame(0x16, 0, 100),
    ] {
        assert_eq!(bears(&mut begun(now), &piece, now), 1_999);
        // A second later some more.
        let mut meter = begun(now);
        for _ in 0..1_999 {
            assert_eq!(meter.receive(&piece, now), Ok(()));
        }
        let later = now + Duration::from_secs(1);
        assert_eq!(bears(&mut meter, &piece, later), 200);
    }
    let mut meter = begun(now);
    assert_eq!(meter.receive(&frame(HEADERS, 0, 5), now), Ok(()));
    assert_eq!(bears(&mut meter, &frame(CONTINUATION, 0, 5), now), 2_000);
}

#[test]
fn frames_that_go_with_answers_are_not() {
    let now = now();
    let mut meter = begun(now);
    let updates = frame(WINDOW_UPDATE, 0, 4).repeat(2);
    for _ in 0..100_000 {
        assert_eq!(meter.send(&frame(DATA, 0, 200), now), Ok(()));
        assert_eq!(meter.receive(&updates, now), Ok(()));
    }
    // Nor the pieces of a body.
    assert_eq!(bears(&mut meter, &frame(DATA, 0, 200), now), 1_000_000);
}

#[test]
fn resets_are_limited_whoever_says_them() {
    let now = now();
    let piece = [frame(HEADERS, END_HEADERS, 20), frame(RST_STREAM, 0, 4)].concat();
    assert_eq!(bears(&mut begun(now), &piece, now), 256);
    let mut meter = begun(now);
    let mut count = 0;
    while meter.send(&frame(RST_STREAM, 0, 4), now).is_ok() {
        count += 1;
    }
    assert_eq!(count, 256);
    // Where requests are answered, as many may be reset.
    let mut meter = begun(now);
    for _ in 0..10_000 {
        assert_eq!(meter.receive(&piece, now), Ok(()));
        assert_eq!(meter.send(&frame(HEADERS, END_HEADERS, 20), now), Ok(()));
    }
}

#[test]
fn what_is_half_there_is_known() {
    let (now, limit) = (now(), Duration::from_secs(10));
    let later = now + limit;
    let whole = [PREFACE, &frame(SETTINGS, 0, 0)].concat();
    let block = frame(HEADERS, 0, 20);
    for (bytes, is_stuck) in [
        (&whole[..0], true),
        (&whole[..10], true),
        (&whole[..24], true),
        (&whole[..], false),
        (&[&whole[..], &block[..3]].concat(), true),
        (&[&whole[..], &block[..20]].concat(), true),
        (&[&whole[..], &block].concat(), true),
        (
            &[&whole[..], &block, &frame(CONTINUATION, END_HEADERS, 0)].concat(),
            false,
        ),
        // A body has its own time.
        (&[&whole[..], &frame(DATA, 0, 20)[..20]].concat(), false),
    ] {
        let mut meter = Meter::new(now);
        assert_eq!(meter.receive(bytes, now), Ok(()));
        assert_eq!(meter.is_stuck(limit, later), is_stuck, "{bytes:?}");
        assert!(!meter.is_stuck(limit, now));
    }
}
