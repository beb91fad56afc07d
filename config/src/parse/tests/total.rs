//! Any text gives a value or problems within the text.

use super::*;

/// SplitMix64, so that a seed names a run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut it = self.0;
        it = (it ^ (it >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        it = (it ^ (it >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        it ^ (it >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

const SERVICE: &str = include_str!("../../../../examples/services/orders.toml");
const SETTINGS: &str = include_str!("../../../../examples/minato.toml");
const PIECES: [&str; 24] = [
    "\"",
    "'",
    "[",
    "]",
    "{",
    "}",
    "=",
    "\n",
    "\r\n",
    "\"\"\"",
    "[[",
    "]]",
    ".",
    ",",
    "#",
    "\\",
    "\0",
    "é",
    "0",
    "99999999999999999999",
    "-1",
    "1979-05-27",
    "[health]\n",
    "route = 1\n",
];

fn mutate(text: &str, random: &mut Random) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    for _ in 0..=random.below(4) {
        let at = random.below(chars.len());
        match random.below(4) {
            0 => chars.truncate(at),
            1 => drop(chars.drain(at..(at + random.below(20)).min(chars.len()))),
            2 => {
                let piece = PIECES[random.below(PIECES.len())];
                chars.splice(at..at, piece.chars());
            }
            _ => {
                let end = (at + random.below(40)).min(chars.len());
                let copy: Vec<char> = chars[at..end].to_vec();
                let to = random.below(chars.len());
                chars.splice(to..to, copy);
            }
        }
    }
    chars.into_iter().collect()
}

#[track_caller]
fn within(seed: u64, text: &str, problems: &[Problem]) {
    let lines = text.lines().count();
    assert!(problems.len() <= 101, "seed {seed}");
    for it in problems {
        assert!(
            it.line <= lines.max(1),
            "seed {seed}: {it} of {lines} lines:\n{text}"
        );
        let shown = it.to_string();
        assert!(
            !shown.chars().any(char::is_control),
            "seed {seed}: {shown:?}"
        );
    }
}

#[test]
fn any_text_is_read_or_explained() {
    let path = Path::new("services/orders.toml");
    for seed in 0..4_000 {
        let mut random = Random(seed);
        let text = mutate(SERVICE, &mut random);
        let read = salvage_service(path, &name("orders"), &text);
        let wants = match &read {
            Ok(service) => {
                // What a file says, a peer may say, too.
                assert_eq!(check_service(service), Ok(()), "seed {seed}:\n{text}");
                Wants::of(path, &text, service)
            }
            Err(salvaged) => {
                assert!(
                    !salvaged.problems.is_empty(),
                    "seed {seed}: refused without a reason:\n{text}"
                );
                within(seed, &text, &salvaged.problems);
                salvaged.wants(path, &text)
            }
        };
        let conflicts = find_conflicts(&[wants], None).into_iter();
        let conflicts: Vec<_> = conflicts.map(|it| it.problem).collect();
        within(seed, &text, &conflicts);
        let text = mutate(SETTINGS, &mut random);
        let problems = salvage_settings(path, &text).1;
        within(seed, &text, &problems);
    }
}

#[test]
fn a_flood_of_problems_is_bounded_and_counted() {
    let text: String = (0..5_000).map(|n| format!("x{n} = 1\n")).collect();
    let problems = library(&text).unwrap_err();
    assert_eq!(problems.len(), 101);
    let last = problems.last().unwrap().to_string();
    assert!(last.contains("4901 more problems"), "{last}");
}
