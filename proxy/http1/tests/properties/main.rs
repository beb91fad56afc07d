//! What must hold for any octets, on stable: the corpora that fuzzing found, and what a seeded generator makes.
//!
//! The properties themselves are the fuzz targets' (`fuzz/src`).
#![allow(
    clippy::panic,
    clippy::expect_used,
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a property that does not hold fails as tests do, by a panic"
)]

mod generate;
#[path = "../../../../fuzz/src/lib.rs"]
mod targets;

use generate::Generator;
use std::path::Path;
use targets::Reached;

type Target = (&'static str, fn(&[u8]) -> Reached);

const TARGETS: [Target; 4] = [
    ("request_head", targets::request_head),
    ("response_head", targets::response_head),
    ("chunked", targets::chunked),
    ("differential", targets::differential),
];

#[test]
fn the_corpora_hold() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    for (name, target) in TARGETS {
        let files = std::fs::read_dir(corpora.join(name)).unwrap();
        let mut held = 0;
        for file in files {
            let data = std::fs::read(file.unwrap().path()).unwrap();
            held += usize::from(target(&data) == Reached::Held);
        }
        assert!(
            held > 10,
            "{name}: of its corpus only {held} get to the end"
        );
    }
}

/// Runs `rounds` inputs; at least one in `one_in` must get to the end, or the generator tests nothing.
#[track_caller]
fn holds(
    target: fn(&[u8]) -> Reached,
    rounds: u64,
    one_in: u64,
    make: fn(&mut Generator) -> Vec<u8>,
) {
    let mut held = 0;
    for seed in 0..rounds {
        let data = make(&mut Generator::new(seed));
        let reached = std::panic::catch_unwind(|| target(&data));
        let Ok(reached) = reached else {
            panic!("seed {seed}: {}", data.escape_ascii());
        };
        held += u64::from(reached == Reached::Held);
    }
    assert!(
        held * one_in >= rounds,
        "only {held} of {rounds} get to the end"
    );
    assert!(held < rounds, "nothing is refused");
}

#[test]
fn random_requests_mean_the_same_in_any_pieces() {
    holds(targets::request_head, 20_000, 5, Generator::request_head);
}

#[test]
fn random_responses_mean_the_same_in_any_pieces() {
    holds(targets::response_head, 20_000, 5, Generator::response_head);
}

#[test]
fn random_chunks_mean_the_same_in_any_pieces() {
    holds(targets::chunked, 20_000, 5, Generator::chunked);
}

#[test]
fn others_see_random_requests_as_we_do() {
    holds(targets::differential, 10_000, 5, Generator::request);
}

#[test]
fn others_see_random_responses_as_we_do() {
    holds(targets::differential, 10_000, 5, Generator::response);
}
