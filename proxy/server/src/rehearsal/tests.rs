use super::*;
use std::path::Path;

/// Kept scripts: what fuzzing has found, and what it starts from.
const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/relay");
/// Random scripts of one run.
const SCRIPTS: u64 = 600;
/// Any number of everything, one retry.
const UNLIMITED: [u8; 2] = [1, 0];
// Steps of a script.
const ASK: u8 = 1;
const SAY: u8 = 6;
const SAY_PART: u8 = 9;
const CLIENT: u8 = 12;
const ANSWER: u8 = 13;
const ANSWER_ALL: u8 = 18;
const ANSWER_PART: u8 = 21;
const INSTANCE: u8 = 24;
const PASS: u8 = 27;
const RUN: u8 = 28;

#[test]
fn kept_scripts_hold() {
    let mut played = 0;
    for entry in std::fs::read_dir(Path::new(CORPUS)).unwrap() {
        let path = entry.unwrap().path();
        println!("{}", path.display());
        relay(&std::fs::read(path).unwrap());
        played += 1;
    }
    assert!(played >= 10, "{played} scripts are kept");
}

/// With MINATO_SEED the one that failed, else others each time.
#[test]
fn random_scripts_hold() {
    let given = std::env::var("MINATO_SEED").ok();
    let seeds = match given {
        Some(seed) => {
            let seed = seed.parse().unwrap();
            seed..seed + 1
        }
        None => {
            let first = fastrand::u64(..1 << 48);
            first..first + SCRIPTS
        }
    };
    let is_one = seeds.end - seeds.start == 1;
    let mut reached = Reached::default();
    for seed in seeds {
        if is_one {
            println!("{:#?}", Script::of(&random(seed)));
        }
        let played = std::panic::catch_unwind(|| relay(&random(seed)));
        assert!(played.is_ok(), "repeat it with MINATO_SEED={seed}");
        reached += played.unwrap_or_default();
    }
    println!("{reached:?}");
    if !is_one {
        let most = [
            reached.asked,
            reached.forwarded,
            reached.answered,
            reached.own,
        ];
        let some = [reached.repeated, reached.broken, reached.tunnels];
        assert!(
            most.iter().all(|it| *it > SCRIPTS / 2) && some.iter().all(|it| *it > SCRIPTS / 50),
            "{reached:?} tests too little"
        );
    }
}

/// Half of them without limits; exchanges as they are meant to be, cut anywhere, and a disturbance now and then.
fn random(seed: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut script = vec![random.u8(..), random.u8(..)];
    if random.bool() {
        script = UNLIMITED.to_vec();
    }
    for _ in 0..random.u8(1..30) {
        let turns = random.u8(..4) << 6;
        let (seat, line) = (random.u8(..4), random.u8(..3));
        // The last words break the rules.
        let words = if random.u8(..4) > 0 { 18 } else { 24 };
        let word = random.u8(..words);
        match random.u8(..20) {
            0..=5 => {
                script.extend([ASK | turns, word << 2 | seat]);
                if random.bool() {
                    script.extend([SAY_PART | turns, seat, random.u8(..)]);
                }
                script.extend([SAY | turns, seat, RUN, 0]);
            }
            6..=13 => {
                script.extend([ANSWER | turns, word << 3 | line]);
                if random.bool() {
                    script.extend([ANSWER_PART | turns, line, random.u8(..)]);
                }
                script.extend([ANSWER_ALL | turns, line, RUN, 0]);
            }
            14 => script.extend([0, seat, ASK, 8 << 2 | seat, SAY, seat, RUN, 0]),
            15 => script.extend([ANSWER, 9 << 3, ANSWER_ALL, 0, RUN, 0]),
            16 => script.extend([PASS | turns, random.u8(..)]),
            17 => script.extend([INSTANCE | turns, random.u8(..4) << 3 | line]),
            18 => script.extend([CLIENT | turns, random.u8(..4) << 2 | seat]),
            _ => script.extend([random.u8(..), random.u8(..), random.u8(..)]),
        }
    }
    script
}

/// The rest of a body that its instance did not take, for it had answered, was once read as the client's next request.
#[test]
fn what_is_left_of_a_body_is_not_the_next_request() {
    let (upload, get, ok) = (11, 0, 0);
    let narrow = [1, 1 << 2];
    let script = [
        &narrow[..],
        &[ASK, upload << 2, SAY, 0],
        // Until all is read, and not all is heard.
        &[RUN, 0].repeat(6),
        &[ANSWER, ok << 3, ANSWER_ALL, 0, RUN, 0],
        &[ASK, get << 2, SAY, 0, RUN, 0],
    ]
    .concat();
    let reached = relay(&script);
    // The connection closed behind the answer.
    assert_eq!((reached.answered, reached.own), (1, 0), "{reached:?}");
}

#[test]
fn a_script_plays_the_same_way_each_time() {
    for seed in 0..50 {
        assert_eq!(relay(&random(seed)), relay(&random(seed)), "{seed}");
    }
}

/// A tunnel that an instance opened before it had the whole request once began within that request's head.
#[test]
fn a_tunnel_does_not_begin_within_a_head() {
    let (upgrade, switched) = (8, 9);
    let narrow = [0, 1 << 2];
    let script = [
        &narrow[..],
        // The instance hears a turn or two of it.
        &[
            0,
            0,
            ASK,
            upgrade << 2,
            SAY | 1 << 6,
            0,
            ANSWER,
            switched << 3,
        ],
        &[ANSWER_ALL, 0, RUN, 0],
    ]
    .concat();
    let reached = relay(&script);
    assert_eq!((reached.tunnels, reached.own), (0, 1), "{reached:?}");
}

/// An HTTP/1.0 client that took its answer too slowly was once cut off as if that were the answer's end.
#[test]
fn an_answer_without_a_length_that_is_given_up_does_not_look_whole() {
    let (old, until_close, long, turn) = (5, 6, 14, 3);
    let narrow = [0, 2 << 2];
    let script = [
        &narrow[..],
        &[ASK, old << 2, SAY, 0, RUN, 0],
        // It hears nothing for longer than it may.
        &[
            CLIENT,
            turn << 2,
            ANSWER,
            until_close << 3,
            ANSWER,
            long << 3,
        ],
        &[ANSWER_ALL, 0, RUN, 0, PASS, 200, RUN, 0],
    ]
    .concat();
    let reached = relay(&script);
    assert_eq!((reached.answered, reached.broken), (0, 1), "{reached:?}");
}

/// Not a test: writes what fuzzing starts from, where MINATO_CORPUS says.
#[test]
fn scripts_to_start_from() {
    let Ok(folder) = std::env::var("MINATO_CORPUS") else {
        return;
    };
    for seed in 0..40 {
        std::fs::write(
            Path::new(&folder).join(format!("start-{seed:02}")),
            random(seed),
        )
        .unwrap();
    }
}
