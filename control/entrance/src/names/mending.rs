//! Whether addresses that somebody else wrote below this site's claim are written over. No I/O, no clock.
//!
//! The claim keeps sites apart, not the gateways of one: two that name other addresses would write in turn for ever.

use minato_control::entrance::Claim;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Who finds others sooner than this after it wrote its own has a rival, and leaves it to a person.
const SOON: Duration = Duration::from_secs(60);

/// What this gateway has written of a name.
#[derive(Debug, Default)]
pub(super) struct Mending {
    /// The last of it, and when.
    wrote: Option<(Claim, Instant)>,
    /// Another won: nothing is written until the right addresses are found, or another claim.
    lost: Option<Claim>,
}

impl Mending {
    /// What is done about others at `claim`, which stays: nothing is in the way, or why nothing is written.
    pub(super) fn differ(
        &mut self,
        claim: &Claim,
        at: &BTreeSet<IpAddr>,
        now: Instant,
    ) -> Result<(), String> {
        let is_soon = |it: &Instant| now.saturating_duration_since(*it) < SOON;
        let wrote = self.wrote.as_ref().filter(|it| it.0 == *claim);
        if self.lost.as_ref() != Some(claim) && !wrote.is_some_and(|it| is_soon(&it.1)) {
            self.lost = None;
            return Ok(());
        }
        self.lost = Some(claim.clone());
        let at: Vec<String> = at.iter().map(ToString::to_string).collect();
        let at = if at.is_empty() {
            "no address".to_owned()
        } else {
            at.join(", ")
        };
        Err(format!(
            "it leads to this site, and another writer of this site puts {at} there: all gateways of a site must have the same `addresses`, and nobody else may write the name; this one leaves it until its own are found there"
        ))
    }

    /// Its own are there; `claim`: where it has written them just now.
    pub(super) fn is_right(&mut self, wrote: Option<Claim>, now: Instant) {
        self.lost = None;
        self.wrote = wrote.map(|it| (it, now)).or(self.wrote.take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What one gateway does at each second: `w` writes, `-` leaves it, of what it finds: `x` others, `.` its own.
    #[track_caller]
    fn check(looks: &[(u64, u64, char, char)]) {
        let begin = crate::clock::now();
        let mut mending = Mending::default();
        for (second, epoch, finds, expected) in looks {
            let now = begin + Duration::from_secs(*second);
            let claim = Claim {
                epoch: *epoch,
                site: "tokyo".to_owned(),
            };
            if *finds == '.' {
                mending.is_right(None, now);
                continue;
            }
            let found = match mending.differ(&claim, &BTreeSet::new(), now) {
                Ok(()) => {
                    mending.is_right(Some(claim), now);
                    'w'
                }
                Err(why) => {
                    assert!(why.contains("the same `addresses`"), "{why}");
                    '-'
                }
            };
            assert_eq!(found, *expected, "at {second}");
        }
    }

    #[test]
    fn what_a_person_changed_is_mended_and_a_rival_is_left_alone() {
        check(&[(0, 1, 'x', 'w'), (10, 1, '.', '.'), (100, 1, 'x', 'w')]);
        // A rival writes its own again and again.
        check(&[(0, 1, 'x', 'w'), (10, 1, 'x', '-'), (500, 1, 'x', '-')]);
        // It is set right, or another decision is made.
        check(&[
            (0, 1, 'x', 'w'),
            (10, 1, 'x', '-'),
            (90, 1, '.', '.'),
            (99, 1, 'x', 'w'),
        ]);
        check(&[(0, 1, 'x', 'w'), (10, 1, 'x', '-'), (20, 2, 'x', 'w')]);
    }
}
