//! RFC 9113 3 and 4: the preface, the format and size of frames, field blocks; and HPACK (RFC 7541).

use crate::case::{Case, Expect, Step, case, run, steps};
use crate::client::Client;
use crate::frame::*;
use crate::subject::Subject;
use tokio::time::timeout;

/// A request that is whole but for the last frame of its block.
fn unfinished(stream: u32) -> Vec<u8> {
    headers(END_STREAM, stream, &request("GET", "/bad"))
}

/// A request with these bytes at the end of its block.
fn with(stream: u32, path: &str, more: &[u8]) -> Vec<u8> {
    let block = [&request("GET", path)[..], more].concat();
    headers(WHOLE, stream, &block)
}

/// What no later block could be decoded after.
const UNREADABLE: &[u32] = &[COMPRESSION];

/// `x-test` and `test` in Huffman code (RFC 7541 appendix B).
const X_TEST: &[u8] = b"\x85\xf2\xb2\x4a\x84\xff";
const TEST: &[u8] = b"\x83\x49\x50\x9f";

fn framing() -> Vec<Case> {
    let split = request("GET", "/");
    vec![
        case(
            "4.1 a frame of an unknown type",
            &[frame(0xff, 0, 0, b"12345678")],
            Expect::Alive,
        ),
        case(
            "4.1 an unknown flag",
            &[frame(PING, 0x16, 0, b"12345678")],
            Expect::Alive,
        ),
        case(
            "4.1 the reserved bit",
            &[frame(PING, 0, 1 << 31, b"12345678")],
            Expect::Alive,
        ),
        case(
            "4.2 DATA of 2^14 bytes",
            &[post(1, "/"), data(END_STREAM, 1, &[b'x'; 1 << 14])],
            Expect::Served(1),
        ),
        case(
            "4.2 DATA above the greatest size",
            &[
                post(1, "/wait"),
                data(END_STREAM, 1, &[b'x'; (1 << 14) + 1]),
            ],
            Expect::ResetOrEnds(1, &[FRAME_SIZE]),
        ),
        case(
            "4.2 HEADERS above the greatest size",
            &[with(1, "/bad", &field(b"x-long", &[b'x'; 1 << 14]))],
            Expect::Ends(&[FRAME_SIZE]),
        ),
        case(
            "4.3 a block that is no block",
            &[with(1, "/bad", &[0x40])],
            Expect::Ends(UNREADABLE),
        ),
        case(
            "4.3 PRIORITY within a block",
            &[unfinished(1), priority(1, 0)],
            Expect::Ends(&[PROTOCOL]),
        ),
        case(
            "4.3 HEADERS of another stream within a block",
            &[unfinished(1), get(3, "/bad")],
            Expect::Ends(&[PROTOCOL]),
        ),
        case(
            "5.4.1 a PING of 6 bytes",
            &[frame(PING, 0, 0, b"123456")],
            Expect::Ends(&[FRAME_SIZE]),
        ),
        case(
            "5.5 an unknown frame",
            &[frame(0x16, 0, 0, &[0; 8])],
            Expect::Alive,
        ),
        case(
            "5.5 an unknown frame of a stream",
            &[frame(0x16, 0, 1, &[0; 8]), get(1, "/")],
            Expect::Served(1),
        ),
        case(
            "5.5 an unknown frame within a block",
            &[headers(END_STREAM, 1, &split), frame(0x16, 0, 0, &[0; 8])],
            Expect::Ends(&[PROTOCOL]),
        ),
        case(
            "4.3 a block in three frames",
            &[
                headers(END_STREAM, 1, &split[..5]),
                continuation(0, 1, &split[5..6]),
                continuation(END_HEADERS, 1, &split[6..]),
            ],
            Expect::Served(1),
        ),
    ]
}

fn fields() -> Vec<Case> {
    let huffman = |pattern: &[u8], value: &[u8]| [pattern, X_TEST, value].concat();
    let named = |pattern: u8, index: u8, value: &[u8]| [&[pattern | index][..], value].concat();
    let ok = |name, more: &[u8]| case(name, &[with(1, "/", more)], Expect::Served(1));
    let bad = |name, more: &[u8]| case(name, &[with(1, "/bad", more)], Expect::Ends(UNREADABLE));
    let updated = |size: &[u8], path| headers(WHOLE, 1, &[size, &request("GET", path)].concat());
    vec![
        ok("HPACK 6.1 an indexed field", &[0x80 | 16]),
        // user-agent is 58 of the static table.
        ok(
            "HPACK 6.2.1 indexed name",
            &named(0x40, 58, &string(b"test")),
        ),
        ok("HPACK 6.2.1 indexed name, Huffman", &named(0x40, 58, TEST)),
        ok(
            "HPACK 6.2.1 new name",
            &[&[0x40][..], &string(b"x-test"), &string(b"test")].concat(),
        ),
        ok("HPACK 6.2.1 new name, Huffman", &huffman(&[0x40], TEST)),
        ok(
            "HPACK 6.2.1 what was indexed is used",
            &[&huffman(&[0x40], TEST)[..], &[0x80 | 62]].concat(),
        ),
        // An index above 14 takes a second byte.
        ok(
            "HPACK 6.2.2 indexed name",
            &[&[0x0f, 58 - 15][..], &string(b"test")].concat(),
        ),
        ok(
            "HPACK 6.2.2 indexed name, Huffman",
            &[&[0x0f, 58 - 15][..], TEST].concat(),
        ),
        ok("HPACK 6.2.2 new name", &field(b"x-test", b"test")),
        ok("HPACK 6.2.2 new name, Huffman", &huffman(&[0], TEST)),
        ok(
            "HPACK 6.2.3 indexed name",
            &[&[0x1f, 58 - 15][..], &string(b"test")].concat(),
        ),
        ok(
            "HPACK 6.2.3 indexed name, Huffman",
            &[&[0x1f, 58 - 15][..], TEST].concat(),
        ),
        ok(
            "HPACK 6.2.3 new name",
            &[&[0x10][..], &string(b"x-test"), &string(b"test")].concat(),
        ),
        ok("HPACK 6.2.3 new name, Huffman", &huffman(&[0x10], TEST)),
        case(
            "HPACK 6.3 a size update",
            &[updated(&[0x20 | 30], "/")],
            Expect::Served(1),
        ),
        case(
            "HPACK 6.3 two size updates",
            &[updated(&[0x20, 0x3f, 0xe1, 0x1f], "/")],
            Expect::Served(1),
        ),
        bad("HPACK 2.3.3 an index past the tables", &[0x80 | 70]),
        bad(
            "HPACK 2.3.3 a name's index past the tables",
            &named(0x40, 62, &string(b"x")),
        ),
        bad("HPACK 4.2 a size update at the end", &[0x20 | 1]),
        bad(
            "HPACK 5.2 padding of more than 7 bits",
            &huffman(&[0], b"\x84\x49\x50\x9f\xff"),
        ),
        bad(
            "HPACK 5.2 padding of zeros",
            &huffman(&[0], b"\x83\x49\x50\x90"),
        ),
        bad(
            "HPACK 5.2 the end-of-string symbol",
            &huffman(&[0], b"\x87\x49\x51\xff\xff\xff\xfa\x7f"),
        ),
        bad(
            "HPACK 5.1 an integer without end",
            &[&[0xff][..], &[0xff; 11]].concat(),
        ),
        bad(
            "HPACK 5.2 a string past the block",
            b"\x00\x06x-test\x7f\x20short",
        ),
        bad("HPACK 6.1 index 0", &[0x80]),
        // 4,097, and the default is 4,096.
        case(
            "HPACK 6.3 a size above the setting",
            &[updated(&[0x3f, 0xe2, 0x1f], "/bad")],
            Expect::Ends(UNREADABLE),
        ),
        steps(
            "HPACK 2.2 the table outlives a request that was turned away",
            vec![
                Step::Send(headers(
                    WHOLE,
                    1,
                    &[
                        &request("GET", "/bad")[..],
                        &field(b"te", b"chunked"),
                        &huffman(&[0x40], TEST),
                    ]
                    .concat(),
                )),
                Step::Ended(1),
                Step::Send(with(3, "/", &[0x80 | 62])),
            ],
            Expect::Served(3),
        ),
    ]
}

#[tokio::test]
async fn frames_have_their_format() {
    run(framing()).await;
}

#[tokio::test]
async fn field_blocks_are_decoded_or_refused() {
    run(fields()).await;
}

#[tokio::test]
async fn settings_are_the_first_that_a_server_says() {
    let subject = Subject::start().await;
    let client = Client::connect(subject.address).await;
    assert_eq!(client.kinds.first(), Some(&SETTINGS), "3.4");
    // RFC 9113 6.5.2: at least 100 streams, or clients are slow without need.
    assert!(
        client
            .settings
            .get(&MAX_CONCURRENT_STREAMS)
            .is_some_and(|it| (100..=1000).contains(it))
    );
}

#[tokio::test]
async fn what_is_no_preface_is_no_http2() {
    let subject = Subject::start().await;
    let first = [PREFACE, &get(1, "/bad")].concat();
    let cut = [
        &PREFACE[..20],
        b"XX\r\n\r\n",
        &settings(&[]),
        &get(1, "/bad"),
    ]
    .concat();
    for (bytes, what) in [
        (
            b"INVALID CONNECTION PREFACE\r\n\r\n".to_vec(),
            "3.4 another text",
        ),
        (cut, "3.4 a preface that goes wrong late"),
        (first, "3.4 HEADERS before SETTINGS"),
    ] {
        let mut client = Client::silent(subject.address).await;
        client.send(&bytes).await;
        client.half_close().await;
        client.end().await;
        assert!(client.answers.is_empty(), "{what}: {}", client.account());
        if what.ends_with("SETTINGS") {
            assert_eq!(
                client.goaways.last().map(|it| it.1),
                Some(PROTOCOL),
                "{what}"
            );
        }
    }
    assert!(subject.paths().is_empty(), "{:?}", subject.paths());
}

#[tokio::test]
async fn a_preface_in_pieces_is_a_preface() {
    let subject = Subject::start().await;
    for at in 1..PREFACE.len() {
        let mut client = Client::silent(subject.address).await;
        client.send(&PREFACE[..at]).await;
        // The rest comes in a segment of its own once this end has run.
        let _ = timeout(
            std::time::Duration::from_millis(2),
            std::future::pending::<()>(),
        )
        .await;
        client.send([&PREFACE[at..], &settings(&[])].concat()).await;
        assert_eq!(client.get(1, "/").await.status, Some(200), "split at {at}");
    }
}
