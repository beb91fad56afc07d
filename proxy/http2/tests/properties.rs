//! What must hold for any octets, on stable: the corpus of the fuzz target, and frames that are nearly right.
//!
//! The property itself is the fuzz target's (`fuzz/src/http2.rs`).
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a property that does not hold fails as tests do, by a panic"
)]

#[path = "../../../fuzz/src/http2.rs"]
mod http2;

use fastrand::Rng;
use minato_http2::Encoder;
use std::path::Path;
use std::time::Instant;

#[expect(
    clippy::disallowed_methods,
    reason = "any time will do, and there is no other way to have one"
)]
fn now() -> Instant {
    Instant::now()
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8], out: &mut Vec<u8>) {
    let [_, a, b, c] = u32::try_from(payload.len()).unwrap().to_be_bytes();
    out.extend([a, b, c, kind, flags]);
    out.extend(stream.to_be_bytes());
    out.extend(payload);
}

/// Frames of a client that mostly keeps to the rules, and some octets then changed.
fn make(seed: u64) -> Vec<u8> {
    let mut random = Rng::with_seed(seed);
    let mut out = vec![
        random.u8(..),
        random.u8(..) & if random.u8(..8) == 0 { 7 } else { 6 },
    ];
    let mut encoder = Encoder::default();
    let (mut next, mut open) = (1, vec![1]);
    for _ in 0..random.usize(1..40) {
        let stream = open[random.usize(..open.len())];
        match random.u8(..12) {
            0..=4 => {
                let mut block = Vec::new();
                encoder.begin(&mut block);
                for (name, value) in [
                    (":method", "GET"),
                    (":scheme", "https"),
                    (":path", "/a"),
                    (":authority", "a.test"),
                    ("x-one", "1"),
                ] {
                    if random.u8(..60) > 0 {
                        encoder.field(name.as_bytes(), value.as_bytes(), &mut block);
                    }
                }
                let ends = random.u8(..2);
                let cut = random.usize(..=block.len());
                if random.bool() {
                    frame(1, 4 | ends, next, &block, &mut out);
                } else {
                    frame(1, ends, next, &block[..cut], &mut out);
                    frame(9, 4, next, &block[cut..], &mut out);
                }
                open.push(next);
                next += 2;
            }
            5 | 6 => {
                let length = random.usize(..300);
                let flags = if random.u8(..4) == 0 { 8 } else { 0 } | random.u8(..2);
                let mut payload = vec![b'x'; length];
                if let Some(first) = payload.first_mut() {
                    *first = random.u8(..20);
                }
                frame(0, flags, stream, &payload, &mut out);
            }
            7 => frame(3, 0, stream, &[0, 0, 0, 8], &mut out),
            8 => frame(
                8,
                0,
                stream & random.u32(..),
                &random.u32(..1 << 20).to_be_bytes(),
                &mut out,
            ),
            9 => frame(6, random.u8(..2), 0, b"12345678", &mut out),
            10 => frame(4, 0, 0, &[0, 4, 0, 0, random.u8(..), 9], &mut out),
            _ => frame(random.u8(2..20), random.u8(..), stream, &[0; 5], &mut out),
        }
    }
    for _ in 0..random.usize(..3) {
        let place = random.usize(2..out.len());
        if random.bool() {
            out[place] = random.u8(..);
        }
    }
    out
}

#[test]
fn the_corpus_holds() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/http2");
    let mut heads = 0;
    for file in std::fs::read_dir(corpus).unwrap() {
        let data = std::fs::read(file.unwrap().path()).unwrap();
        heads += http2::connection(&data, now()).heads;
    }
    assert!(heads > 30, "of the corpus only {heads} requests are heard");
}

#[test]
fn random_frames_mean_the_same_in_any_pieces() {
    let now = now();
    let mut heads = 0;
    for seed in 0..20_000 {
        let data = make(seed);
        let seen = std::panic::catch_unwind(|| http2::connection(&data, now));
        let Ok(seen) = seen else {
            panic!("seed {seed}: {}", data.escape_ascii());
        };
        heads += seen.heads;
    }
    assert!(heads > 40_000, "only {heads} requests are heard");
}
