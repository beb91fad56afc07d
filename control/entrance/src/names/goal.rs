//! What is to be made of a name, what came of a try, and how long until the next. No I/O, no clock.

use super::means::Means;
use minato_config::Follow;
use minato_control::entrance::Wish;
use std::time::Duration;

/// What follows the gateway is looked at again so often: somebody may have changed it.
const REFRESH: Duration = Duration::from_secs(60);
/// What follows the sites is looked at so often, and whenever a site falls silent or is heard again.
const LOOK: Duration = Duration::from_secs(10);
/// After the first failure; then twice as long each time, up to [`SLOWEST`].
pub(super) const FIRST: Duration = Duration::from_secs(1);
const SLOWEST: Duration = Duration::from_secs(60);
const FOLLOWS: &str = "the gateway's own state";
const LEADS: &str = "the order of sites";

/// A word, and whether it has had its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) number: u64,
    pub(super) wish: Wish,
    pub(super) who: String,
    pub(super) settled: bool,
}

/// What is to be made so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Goal {
    /// 0: what it follows.
    pub(super) number: u64,
    pub(super) aim: Aim,
    pub(super) who: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Aim {
    Wish(Wish),
    /// What the order of sites wants.
    Lead,
}

/// What came of one try.
pub(super) enum Came {
    Done { changed: bool },
    Refused(String),
    Trouble(String),
    Elsewhere(String),
    Asks(String),
}

/// What is to be made so: the word that is not settled yet, else what follows from the gateway's state.
pub(super) fn goal(follow: Follow, asked: Option<&Asked>, is_alive: bool) -> Option<Goal> {
    if let Some(asked) = asked.filter(|it| !it.settled) {
        return Some(Goal {
            number: asked.number,
            aim: Aim::Wish(asked.wish),
            who: asked.who.clone(),
        });
    }
    let (aim, who) = match follow {
        Follow::Nobody => return None,
        Follow::Gateway if is_alive => (Aim::Wish(Wish::Join), FOLLOWS),
        Follow::Gateway => (Aim::Wish(Wish::Part), FOLLOWS),
        Follow::Site => (Aim::Lead, LEADS),
    };
    Some(Goal {
        number: 0,
        aim,
        who: who.to_owned(),
    })
}

impl Goal {
    pub(super) fn verb(&self) -> &'static str {
        match self.aim {
            Aim::Wish(wish) => wish.verb(),
            Aim::Lead => "publish",
        }
    }
}

impl Came {
    /// How long until the next try, where nothing happens before; `None` where there is none. `delay`: after trouble, and the one after
    /// that is longer.
    pub(super) fn wait(
        &self,
        aim: Aim,
        follow: Follow,
        means: &Means,
        delay: &mut Duration,
    ) -> Option<Duration> {
        if matches!(self, Self::Trouble(_)) {
            let wait = *delay;
            let slowest = match aim {
                Aim::Wish(_) => SLOWEST,
                Aim::Lead => LOOK,
            };
            *delay = (*delay * 2).min(slowest);
            return Some(wait);
        }
        // A hook is told once.
        if matches!(means, Means::Hook(_)) {
            return None;
        }
        *delay = FIRST;
        match follow {
            Follow::Nobody => None,
            Follow::Gateway => Some(REFRESH),
            Follow::Site => Some(LOOK),
        }
    }

    /// Whether a word has had its way.
    pub(super) fn settles(&self) -> bool {
        matches!(self, Self::Done { .. } | Self::Refused(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_goes_before_what_follows_until_it_is_settled() {
        let asked = |settled| Asked {
            number: 7,
            wish: Wish::Take { epoch: None },
            who: "alice".to_owned(),
            settled,
        };
        let wish = |follow, asked: Option<&Asked>, is_alive| {
            goal(follow, asked, is_alive).map(|it| (it.number, it.aim))
        };
        let take = Some((7, Aim::Wish(Wish::Take { epoch: None })));
        let (open, settled) = (asked(false), asked(true));
        assert_eq!(wish(Follow::Nobody, None, true), None);
        assert_eq!(wish(Follow::Nobody, Some(&open), true), take);
        assert_eq!(wish(Follow::Nobody, Some(&settled), true), None);
        assert_eq!(wish(Follow::Gateway, Some(&open), false), take);
        assert_eq!(
            wish(Follow::Gateway, Some(&settled), true),
            Some((0, Aim::Wish(Wish::Join)))
        );
        let part = Some((0, Aim::Wish(Wish::Part)));
        assert_eq!(wish(Follow::Gateway, None, false), part);
        assert_eq!(wish(Follow::Site, Some(&open), false), take);
        let lead = Some((0, Aim::Lead));
        assert_eq!(wish(Follow::Site, Some(&settled), false), lead);
        assert_eq!(wish(Follow::Site, None, true), lead);
    }

    #[test]
    fn trouble_is_tried_again_later_each_time_and_a_hook_is_told_once() {
        let hook = Means::Hook(minato_config::EntranceHook {
            to: minato_config::HookTarget::Command(vec!["/bin/true".to_owned()]),
            timeout: FIRST,
            addresses: std::collections::BTreeSet::new(),
            follow: Follow::Gateway,
        });
        let (word, trouble) = (Aim::Wish(Wish::Join), Came::Trouble(String::new()));
        let done = Came::Done { changed: true };
        let waits = |aim| {
            let mut delay = FIRST;
            let mut waits = (0..8).map(|_| trouble.wait(aim, Follow::Site, &hook, &mut delay));
            waits.by_ref().map(|it| it.unwrap().as_secs()).collect()
        };
        let (by_word, by_order): (Vec<u64>, Vec<u64>) = (waits(word), waits(Aim::Lead));
        assert_eq!(by_word, [1, 2, 4, 8, 16, 32, 60, 60]);
        // While a site is gone its visitors wait for this.
        assert_eq!(by_order, [1, 2, 4, 8, 10, 10, 10, 10]);
        let mut delay = SLOWEST;
        assert_eq!(done.wait(word, Follow::Gateway, &hook, &mut delay), None);
        assert!(done.settles() && !trouble.settles());
    }
}
