//! What a command says, line by line: how far it is, how long it will take, and what people may read of the rest. Pure.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// With this a line begins that is for minato.
const MARK: &str = "minato: ";
/// Letters of a line.
const LONGEST: usize = 200;
/// What secrets are called, before `=` or `:`.
const SECRETS: [&str; 6] = [
    "password",
    "passwd",
    "secret",
    "token",
    "api_key",
    "authorization",
];

/// How far a command is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Progress {
    /// `minato: progress 40 %`
    Percent(u8),
    /// `minato: progress 1000 of 5000 bytes`
    Of {
        /// Copied.
        done: u64,
        /// All of it.
        all: u64,
    },
    /// `minato: progress 1000 bytes`
    Bytes(u64),
}

/// `40 %`, `1000 of 5000 bytes (20 %)`
impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Percent(percent) => write!(f, "{percent} %"),
            Self::Of { done, all } => {
                let percent = u128::from(*done) * 100 / u128::from(*all).max(1);
                write!(f, "{done} of {all} bytes ({} %)", percent.min(100))
            }
            Self::Bytes(bytes) => write!(f, "{bytes} bytes"),
        }
    }
}

impl Progress {
    /// `None` for any other line.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let rest = line.trim().strip_prefix(MARK)?.strip_prefix("progress ")?;
        let words: Vec<&str> = rest.split_whitespace().collect();
        match words.as_slice() {
            [percent, "%"] => percent
                .parse()
                .ok()
                .filter(|it| *it <= 100)
                .map(Self::Percent),
            [percent] => {
                let percent = percent.strip_suffix('%')?.parse().ok();
                percent.filter(|it| *it <= 100).map(Self::Percent)
            }
            [done, "of", all, "bytes"] => Some(Self::Of {
                done: done.parse().ok()?,
                all: all.parse().ok()?,
            }),
            [bytes, "bytes"] => bytes.parse().ok().map(Self::Bytes),
            _ => None,
        }
    }
}

/// `minato: seconds 4.2`, as an estimate says it; at most a day.
pub fn estimated(line: &str) -> Option<Duration> {
    let seconds: f64 = line
        .trim()
        .strip_prefix(MARK)?
        .strip_prefix("seconds ")?
        .trim()
        .parse()
        .ok()?;
    let right = seconds.is_finite() && (0.0..=86_400.0).contains(&seconds);
    right.then(|| Duration::from_secs_f64(seconds))
}

/// A line as people may read it: short, one line whatever it holds, and without what looks like a secret: user and password of a URL, and
/// what follows `password=`, `token:` and their like.
pub fn masked(line: &str) -> String {
    let plain = |it: char| if it.is_control() { ' ' } else { it };
    let line: String = line.trim().chars().take(LONGEST).map(plain).collect();
    let mut words: Vec<String> = Vec::new();
    let mut is_next_secret = false;
    for word in line.split(' ') {
        if is_next_secret && !word.is_empty() {
            // `Authorization: Bearer X` has two words behind it.
            is_next_secret =
                word.eq_ignore_ascii_case("bearer") || word.eq_ignore_ascii_case("basic");
            words.push("***".to_owned());
            continue;
        }
        let lower = word.to_ascii_lowercase();
        let named = SECRETS.iter().find_map(|it| {
            let end = lower.find(it)? + it.len();
            matches!(lower.as_bytes().get(end), Some(b'=' | b':')).then_some(end + 1)
        });
        match named.and_then(|end| Some((word.get(..end)?, word.get(end..)?))) {
            Some((name, "")) => {
                is_next_secret = true;
                words.push(name.to_owned());
            }
            Some((name, _)) => words.push(format!("{name}***")),
            None => words.push(without_login(word)),
        }
    }
    words.join(" ")
}

/// `rsync://***@host/` of `rsync://alice:word@host/`
fn without_login(word: &str) -> String {
    let Some((scheme, rest)) = word.split_once("://") else {
        return word.to_owned();
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest.get(..end).and_then(|it| it.rfind('@')) {
        Some(at) => format!("{scheme}://***{}", rest.get(at..).unwrap_or_default()),
        None => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_told_in_lines_of_its_own() {
        for (line, expected) in [
            ("minato: progress 40 %", "40 %"),
            ("  minato: progress 40%", "40 %"),
            (
                "minato: progress 1000 of 5000 bytes",
                "1000 of 5000 bytes (20 %)",
            ),
            ("minato: progress 7 of 0 bytes", "7 of 0 bytes (100 %)"),
            ("minato: progress 12 bytes", "12 bytes"),
            ("minato: progress 101 %", "-"),
            ("minato: progress -1 bytes", "-"),
            ("minato: progress", "-"),
            ("minato: progress much", "-"),
            ("progress 40 %", "-"),
            ("say minato: progress 40 %", "-"),
        ] {
            let found = Progress::parse(line).map_or("-".to_owned(), |it| it.to_string());
            assert_eq!(found, expected, "{line}");
        }
    }

    #[test]
    fn an_estimate_is_seconds() {
        for (line, expected) in [
            ("minato: seconds 4.5", Some(4_500)),
            ("minato: seconds 0", Some(0)),
            ("minato: seconds -1", None),
            ("minato: seconds NaN", None),
            ("minato: seconds inf", None),
            ("minato: seconds 1e9", None),
            ("4.5", None),
        ] {
            let found = estimated(line).map(|it| it.as_millis());
            assert_eq!(found, expected, "{line}");
        }
    }

    #[test]
    fn what_looks_like_a_secret_is_left_out() {
        for (line, expected) in [
            ("sent 12 bytes", "sent 12 bytes"),
            ("rsync://alice:word@host/data", "rsync://***@host/data"),
            ("https://host/a@b", "https://host/a@b"),
            ("--password=hunter2 -v", "--password=*** -v"),
            ("PGPASSWORD=hunter2", "PGPASSWORD=***"),
            ("password: hunter2 next", "password: *** next"),
            (
                "Authorization: Bearer abc end",
                "Authorization: *** *** end",
            ),
            ("a\u{1b}[2Jb\tc", "a [2Jb c"),
        ] {
            assert_eq!(masked(line), expected);
        }
        assert_eq!(masked(&"x".repeat(900)).len(), 200);
    }
}
