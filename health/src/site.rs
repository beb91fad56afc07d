//! When visitors of a service leave a site, and when they come back: slowly, and not again and again.
//!
//! One [`Course`] for each service and site. Numbers and their order: `docs/sites.md`. Not here: how shares follow from what each
//! site can carry (`proxy`), who asks sites how they are (`src/link`).

mod memory;
mod reach;

pub use memory::{Memory, SETTLING};
pub use reach::{Reach, reach};

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Nothing of it is up, or nobody answers there: left after this time.
pub const LEAVE_GONE: Duration = Duration::from_secs(3);
/// It can carry a part only: the rest leaves after this time.
pub const LEAVE_DEGRADED: Duration = Duration::from_secs(10);
/// It has been well for this long before the first come back.
pub const BACK: Duration = Duration::from_secs(60);
/// Parts of the visitors that come back, in percent, each for [`STEP`] before the next.
pub const STEPS: [u8; 2] = [10, 50];
/// See [`STEPS`].
pub const STEP: Duration = Duration::from_secs(10);
/// A site that was left this often within [`SWING_TIME`] is not gone back to before a person says so.
pub const SWINGS: usize = 3;
/// See [`SWINGS`].
pub const SWING_TIME: Duration = Duration::from_secs(3_600);

/// What a site can do for a service, at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// It can carry all visitors.
    Well,
    /// Some.
    Degraded,
    /// None: nothing is up.
    Gone,
    /// None, and it has been so for [`LEAVE_GONE`] already: nobody there answers.
    Silent,
    /// None from here, while others reach it: what is broken is on this side, and says nothing of the site.
    Unreached,
}

impl Condition {
    /// Nobody can be served there now.
    pub fn is_nothing(self) -> bool {
        matches!(self, Self::Gone | Self::Silent | Self::Unreached)
    }
}

/// Whether visitors are moved without being told to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moves {
    /// Yes.
    ByItself,
    /// A person decides.
    WhenTold,
}

/// What changed by an observation. People should hear of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Visitors leave it.
    Leaves,
    /// Those of this entrance do, which alone cannot reach it. That is no swing of the site's.
    LeavesAlone,
    /// It keeps what it can carry; the others leave.
    Spills,
    /// It can carry all again.
    Whole,
    /// This many percent may go there again.
    Returns(u8),
    /// All may.
    Back,
    /// It would be left, and a person has to say so.
    AsksToLeave,
    /// It would be gone back to, and a person has to say so.
    AsksToReturn,
    /// It is well, and was left too often: a person has to say that it is gone back to.
    Holds,
}

/// How far a site may be used now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leave {
    /// Percent of the visitors that may go there.
    pub percent: u8,
    /// Whether it gets no more than it can carry; else all that may go there, whatever is up at this moment.
    pub is_measured: bool,
}

/// See the module.
#[derive(Debug, Clone)]
pub struct Course {
    stage: Stage,
    condition: Condition,
    /// Of the condition.
    since: Instant,
    /// Since when it can carry all, or could until now.
    measured: Measured,
    /// When it was left, of the last [`SWING_TIME`].
    swings: VecDeque<Instant>,
    /// A person was asked, and nothing changed since.
    has_asked: bool,
    /// It was recalled then, and nothing was heard of it since.
    settling: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// It was never well: there is nothing to leave.
    New,
    Full,
    Away,
    /// The place in [`STEPS`].
    Step(usize, Instant),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Measured {
    No,
    Yes,
}

impl Course {
    /// Nothing was seen of it yet.
    pub fn new(now: Instant) -> Self {
        Self {
            stage: Stage::New,
            condition: Condition::Gone,
            since: now,
            measured: Measured::No,
            swings: VecDeque::new(),
            has_asked: false,
            settling: None,
        }
    }

    /// Takes in what is seen now. To be called at every change and once a second, since what lasts is what counts.
    pub fn observe(
        &mut self,
        condition: Condition,
        leave: Moves,
        come_back: Moves,
        now: Instant,
    ) -> Option<Turn> {
        if condition != self.condition {
            (self.condition, self.since, self.has_asked) = (condition, now, false);
        }
        let lasted = now.saturating_duration_since(self.since);
        if self.is_settling(now) {
            return None;
        }
        match self.stage {
            Stage::New if condition.is_nothing() => None,
            // Its own line may be back at any moment: what cannot be sent goes to the next site meanwhile.
            Stage::Full if condition == Condition::Unreached => {
                if lasted < LEAVE_DEGRADED || leave == Moves::WhenTold {
                    return None;
                }
                self.leave_alone();
                Some(Turn::LeavesAlone)
            }
            Stage::New => {
                self.stage = Stage::Full;
                self.measure(lasted)
            }
            Stage::Full if condition.is_nothing() => {
                if condition == Condition::Gone && lasted < LEAVE_GONE {
                    return None;
                }
                if leave == Moves::WhenTold {
                    return self.ask(Turn::AsksToLeave);
                }
                self.leave(now);
                Some(Turn::Leaves)
            }
            // Nobody is moved, so nothing spills.
            Stage::Full if leave == Moves::WhenTold => None,
            Stage::Full => self.measure(lasted),
            Stage::Away => {
                if condition != Condition::Well || lasted < BACK {
                    return None;
                }
                if come_back == Moves::WhenTold {
                    return self.ask(Turn::AsksToReturn);
                }
                if self.swings_at(now) >= SWINGS {
                    return self.ask(Turn::Holds);
                }
                self.step(0, now)
            }
            Stage::Step(..) if condition == Condition::Unreached => {
                self.leave_alone();
                Some(Turn::LeavesAlone)
            }
            Stage::Step(..) if condition != Condition::Well => {
                self.leave(now);
                Some(Turn::Leaves)
            }
            Stage::Step(step, at) if now.saturating_duration_since(at) >= STEP => {
                self.step(step + 1, now)
            }
            Stage::Step(..) => None,
        }
    }

    /// How far it may be used.
    pub fn allows(&self) -> Leave {
        let percent = match self.stage {
            Stage::New | Stage::Full => 100,
            Stage::Away => 0,
            Stage::Step(step, _) => STEPS.get(step).copied().unwrap_or(100),
        };
        Leave {
            percent,
            is_measured: self.measured == Measured::Yes || percent < 100,
        }
    }

    /// A person said that it is to be used: at once, and what was before is forgotten.
    pub fn release(&mut self) {
        self.swings.clear();
        self.has_asked = false;
        if self.stage != Stage::New {
            self.stage = Stage::Full;
        }
    }

    /// What was seen of it last.
    pub fn condition(&self) -> Condition {
        self.condition
    }

    /// How often it was left within the last hour; once it is held, until a person releases it.
    pub fn swings(&self, now: Instant) -> usize {
        if self.swings.len() >= SWINGS {
            return self.swings.len();
        }
        let recent = |at: &&Instant| now.saturating_duration_since(**at) < SWING_TIME;
        self.swings.iter().filter(recent).count()
    }

    fn measure(&mut self, lasted: Duration) -> Option<Turn> {
        match (self.measured, self.condition) {
            (Measured::No, Condition::Degraded) if lasted >= LEAVE_DEGRADED => {
                self.measured = Measured::Yes;
                Some(Turn::Spills)
            }
            // What it can carry rises by itself as instances come up.
            (Measured::Yes, Condition::Well) => {
                self.measured = Measured::No;
                Some(Turn::Whole)
            }
            _ => None,
        }
    }

    /// Whether it was recalled a moment ago, and its first word is still to come.
    fn is_settling(&mut self, now: Instant) -> bool {
        let waits = self.settling.is_some_and(|since| {
            self.condition.is_nothing() && now.saturating_duration_since(since) < SETTLING
        });
        if !waits {
            self.settling = None;
        }
        waits
    }

    fn leave_alone(&mut self) {
        self.stage = Stage::Away;
        self.measured = Measured::No;
        self.has_asked = false;
    }

    fn leave(&mut self, now: Instant) {
        self.leave_alone();
        self.swings_at(now);
        if self.swings.len() >= SWINGS {
            self.swings.pop_front();
        }
        self.swings.push_back(now);
    }

    fn step(&mut self, step: usize, now: Instant) -> Option<Turn> {
        Some(match STEPS.get(step) {
            Some(percent) => {
                self.stage = Stage::Step(step, now);
                Turn::Returns(*percent)
            }
            None => {
                self.stage = Stage::Full;
                Turn::Back
            }
        })
    }

    fn ask(&mut self, turn: Turn) -> Option<Turn> {
        let is_first = !self.has_asked;
        self.has_asked = true;
        is_first.then_some(turn)
    }

    /// Once held it stays so: the swings that made it are kept until a person releases it.
    fn swings_at(&mut self, now: Instant) -> usize {
        if self.swings.len() < SWINGS {
            self.swings
                .retain(|at| now.saturating_duration_since(*at) < SWING_TIME);
        }
        self.swings.len()
    }
}

#[cfg(test)]
#[path = "site_tests.rs"]
mod tests;
