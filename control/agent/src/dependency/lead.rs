//! Which of the two pure machines decides for a dependency: one member at a time, or all that are right.

use minato_control::relay::{Choice, Member, Sharing, Spread, Step};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

pub(super) enum Lead {
    One(Box<Choice>),
    Several(Spread),
}

impl Lead {
    /// `finding`: how long finding a change of roles may take; `before`: who was used by the process before.
    pub(super) fn one(
        members: &[SocketAddr],
        sharing: Sharing,
        drain: Duration,
        finding: Duration,
        before: Option<SocketAddr>,
    ) -> Self {
        let choice = Choice::new(members, sharing, drain, finding).after(before);
        Self::One(Box::new(choice))
    }

    pub(super) fn several(members: &[SocketAddr], drain: Duration) -> Self {
        Self::Several(Spread::new(members, drain))
    }

    pub(super) fn observe(&mut self, seen: Vec<Member>, now: Instant) -> Vec<Step> {
        match self {
            Self::One(choice) => choice.observe(seen, now),
            Self::Several(spread) => spread.observe(seen, now),
        }
    }

    pub(super) fn in_use(&self) -> Vec<SocketAddr> {
        match self {
            Self::One(choice) => choice.current().into_iter().collect(),
            Self::Several(spread) => spread.in_use(),
        }
    }

    pub(super) fn members(&self) -> &[Member] {
        match self {
            Self::One(choice) => choice.members(),
            Self::Several(spread) => spread.members(),
        }
    }

    pub(super) fn members_text(&self) -> String {
        match self {
            Self::One(choice) => choice.members_text(),
            Self::Several(spread) => spread.members_text(),
        }
    }

    pub(super) fn switches(&self) -> u64 {
        match self {
            Self::One(choice) => choice.switches(),
            Self::Several(spread) => spread.switches(),
        }
    }
}
