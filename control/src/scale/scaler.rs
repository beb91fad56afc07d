//! One service's number over time.

use super::wish::{Figures, wish};
use super::{LOOK_BACK, Measures, WINDOW};
use crate::Room;
use minato_config::Scale;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Wishes that are kept: the window by [`super::PERIOD`], and some spare for a shorter one.
const MOST_WISHES: usize = 64;
/// One decision at most adds this many, or as many as there are.
const STEP: u16 = 4;

/// What a decision is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sight<'a> {
    /// The upper bound and the targets.
    pub scale: &'a Scale,
    /// The lower bound.
    pub least: u16,
    /// Instances that there should be by now.
    pub wanted: u16,
    /// Of these, those that take requests.
    pub ready: u16,
    /// What is known of the load.
    pub measures: Measures,
    /// What else is going on.
    pub state: State,
}

/// What else is going on with a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nothing.
    Steady,
    /// An operator said this number.
    ByHand(u16),
    /// Instances are being replaced.
    Updating,
    /// It is about to be moved here, and so many are to be there before.
    Arriving(u16),
}

/// A number, and what to tell about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Instances that there should be.
    pub replicas: u16,
    /// Why, where that is another number than before.
    pub reason: String,
    /// What keeps it from being as many as the load asks for. It changes only with its cause.
    pub alarm: Option<String>,
    /// What the nodes lack for that, where it is their room.
    pub lacking: Option<String>,
}

/// Decides for one service.
#[derive(Debug, Clone)]
pub struct Scaler {
    /// What was asked for lately, oldest first.
    wishes: VecDeque<(Instant, u16)>,
    /// Since when all wishes are known.
    known_since: Instant,
    /// When the number last changed.
    changed: Option<Instant>,
    window: Duration,
}

impl Scaler {
    /// Knows nothing of before `now`: the number does not fall for one window. [`WINDOW`] is what services get.
    pub fn new(window: Duration, now: Instant) -> Self {
        Self {
            wishes: VecDeque::new(),
            known_since: now,
            changed: None,
            window: window.min(WINDOW),
        }
    }

    /// What should be from now on. `room` says how many instances the nodes take, up to a number; it is asked only where
    /// more are wanted.
    pub fn decide(
        &mut self,
        sight: &Sight<'_>,
        room: impl FnOnce(u16) -> Room,
        now: Instant,
    ) -> Decision {
        let decision = self.next(sight, room, now);
        if decision.replicas != sight.wanted {
            self.changed = Some(now);
        }
        decision
    }

    fn next(
        &mut self,
        sight: &Sight<'_>,
        room: impl FnOnce(u16) -> Room,
        now: Instant,
    ) -> Decision {
        let (least, most) = (sight.least, sight.scale.max.max(sight.least));
        let keep = |alarm| Decision {
            replicas: sight.wanted,
            reason: String::new(),
            alarm,
            lacking: None,
        };
        match sight.state {
            // It goes on from there when the operator lets go.
            State::ByHand(number) => {
                self.forget(now);
                return Decision {
                    replicas: number.clamp(least, most),
                    reason: format!("{number} by hand"),
                    alarm: None,
                    lacking: None,
                };
            }
            State::Updating => {
                self.forget(now);
                return keep(None);
            }
            State::Arriving(number) => {
                // What was asked for without its visitors says nothing of it with them.
                self.forget(now);
                if number > sight.wanted {
                    let reason = format!("{number} are asked for before it moves here");
                    return grow(
                        sight,
                        most,
                        number,
                        ("what is about to move here", reason),
                        room,
                    );
                }
                return keep(None);
            }
            State::Steady => {}
        }
        if sight.wanted < least || sight.wanted > most {
            return Decision {
                replicas: sight.wanted.clamp(least, most),
                reason: format!("the file says {least} to {most}"),
                alarm: None,
                lacking: None,
            };
        }
        let Some(wish) = wish(
            sight.scale,
            sight.wanted,
            &sight.measures,
            self.figures(sight, now),
        ) else {
            self.forget(now);
            return keep(None);
        };
        if sight.measures.gap.is_some() {
            // What is missing could have asked for all that there is.
            self.forget(now);
        } else {
            self.remember(wish.replicas, now);
        }
        if wish.replicas > sight.wanted {
            return grow(sight, most, wish.replicas, ("the load", wish.reason), room);
        }
        let highest = self.wishes.iter().map(|(_, wish)| *wish).max();
        match highest.map(|it| it.max(least)) {
            Some(highest)
                if highest < sight.wanted
                    && now.saturating_duration_since(self.known_since) >= self.window =>
            {
                Decision {
                    replicas: highest,
                    reason: format!("{}, for {:?}", wish.reason, self.window),
                    alarm: None,
                    lacking: None,
                }
            }
            _ => keep(None),
        }
    }

    fn figures(&self, sight: &Sight<'_>, now: Instant) -> Figures {
        let changed = self.changed;
        let is_settled = changed
            .is_none_or(|it| now.saturating_duration_since(it) >= LOOK_BACK.min(self.window));
        if is_settled && sight.ready >= sight.wanted {
            Figures::Current
        } else {
            Figures::OfBefore
        }
    }

    fn remember(&mut self, wish: u16, now: Instant) {
        let window = self.window;
        self.wishes
            .retain(|(at, _)| now.saturating_duration_since(*at) <= window);
        if self.wishes.len() == MOST_WISHES {
            self.wishes.pop_front();
        }
        self.wishes.push_back((now, wish));
    }

    fn forget(&mut self, now: Instant) {
        self.wishes.clear();
        self.known_since = now;
    }
}

fn grow(
    sight: &Sight<'_>,
    most: u16,
    wish: u16,
    (who, reason): (&str, String),
    room: impl FnOnce(u16) -> Room,
) -> Decision {
    let n = sight.wanted;
    let step = n.saturating_add(n.max(STEP));
    let within = wish.min(most).min(step);
    let max_alarm = (n == most).then(|| {
        format!("{who} asks for more than {most} instances, the most that its file allows; raise `max` of `replicas`")
    });
    if within <= n {
        return Decision {
            replicas: n,
            reason: String::new(),
            alarm: max_alarm,
            lacking: None,
        };
    }
    let room = room(within);
    let lacking = (room.slots < within).then(|| {
        let lacking = room.lacking;
        lacking.unwrap_or_else(|| "no node takes it".to_owned())
    });
    let alarm = lacking
        .as_ref()
        .map(|it| format!("{who} asks for more instances than the nodes take: {it}"));
    Decision {
        replicas: within.min(room.slots).max(n),
        reason,
        alarm,
        lacking,
    }
}
