//! Decides when a burst of changes has ended and the folder is worth reading. Takes `now`; never waits.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Files remembered as being written; more only shorten the wait.
const MOST_OPEN: usize = 256;

/// How long things take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// Without a change, a burst has ended.
    pub(crate) quiet: Duration,
    /// A burst is read after this at the latest.
    pub(crate) longest: Duration,
    /// Between looks at whether the folder is still the one that is watched.
    pub(crate) look: Duration,
    /// Between looks at every file, for what the watch missed.
    pub(crate) sweep: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            quiet: Duration::from_millis(50),
            longest: Duration::from_millis(500),
            look: Duration::from_secs(1),
            sweep: Duration::from_secs(30),
        }
    }
}

/// One change, as far as waiting is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// Somebody has this file open and writes.
    Writing(PathBuf),
    /// This file was closed after writing.
    Written(PathBuf),
    /// Anything else: renamed, removed, created, permissions.
    Other,
}

/// A burst of changes.
#[derive(Debug)]
pub(crate) struct Burst {
    began: Instant,
    last: Instant,
    open: BTreeSet<PathBuf>,
}

impl Burst {
    pub(crate) fn begin(change: Change, now: Instant) -> Self {
        let mut burst = Self {
            began: now,
            last: now,
            open: BTreeSet::new(),
        };
        burst.add(change, now);
        burst
    }

    pub(crate) fn add(&mut self, change: Change, now: Instant) {
        self.last = now;
        match change {
            Change::Writing(file) if self.open.len() < MOST_OPEN => {
                self.open.insert(file);
            }
            Change::Written(file) => {
                self.open.remove(&file);
            }
            Change::Writing(_) | Change::Other => {}
        }
    }

    /// When to read: after a quiet moment, later while a file is half written, never later than the longest wait.
    pub(crate) fn due(&self, pace: &Pace) -> Instant {
        let latest = self.began + pace.longest;
        if self.open.is_empty() {
            latest.min(self.last + pace.quiet)
        } else {
            latest
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Changes as (milliseconds, letter): `w` writes, `c` closes, `o` is another change. Expects when it is due.
    #[track_caller]
    #[expect(
        clippy::disallowed_methods,
        reason = "a start to count milliseconds from"
    )]
    fn check(changes: &[(u64, char)], expected: u64) {
        let start = Instant::now();
        let mut burst: Option<Burst> = None;
        for (at, letter) in changes {
            let now = start + Duration::from_millis(*at);
            let change = match letter {
                'w' => Change::Writing("a".into()),
                'c' => Change::Written("a".into()),
                _ => Change::Other,
            };
            match burst.as_mut() {
                None => burst = Some(Burst::begin(change, now)),
                Some(it) => it.add(change, now),
            }
        }
        let due = burst.unwrap().due(&Pace::default());
        assert_eq!((due - start).as_millis(), u128::from(expected));
    }

    #[test]
    fn a_rename_is_read_after_a_quiet_moment() {
        check(&[(0, 'o')], 50);
        check(&[(0, 'o'), (30, 'o')], 80);
    }

    #[test]
    fn changes_without_end_are_read_all_the_same() {
        let changes: Vec<_> = (0..40).map(|n| (n * 20, 'o')).collect();
        check(&changes, 500);
    }

    #[test]
    fn a_half_written_file_is_waited_for() {
        check(&[(0, 'w')], 500);
        check(&[(0, 'w'), (200, 'w'), (300, 'c')], 350);
        check(&[(0, 'w'), (490, 'c')], 500);
    }
}
