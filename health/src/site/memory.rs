//! What of a [`Course`] outlives its process: whether the site was left, and how often.
//!
//! Wall time, since monotonic clocks of two processes share no beginning. Not here: the file (`src/gateway`).

use super::{Course, Measured, STEPS, SWINGS, Stage};
use minato_config::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};

/// A site of which nothing is heard yet is not left again for so long after a start: links take a moment to come up.
pub const SETTLING: Duration = Duration::from_secs(5);

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    stage: Remembered,
    /// When it was left, oldest first; at most [`SWINGS`].
    #[serde(default)]
    left: Vec<Timestamp>,
    /// It got no more than it could carry.
    #[serde(default)]
    is_measured: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Remembered {
    /// It may be used as one of which nothing is known.
    Open,
    /// It was left.
    Away,
    /// A part of the visitors had come back.
    Step {
        /// In [`STEPS`].
        place: usize,
        /// Since when.
        since: Timestamp,
    },
}

impl Course {
    /// For the next process.
    pub fn memory(&self, now: Instant, wall: Timestamp) -> Memory {
        let at = |it: Instant| {
            let ago = now.saturating_duration_since(it).as_millis();
            Timestamp(
                wall.0
                    .saturating_sub(u64::try_from(ago).unwrap_or(u64::MAX)),
            )
        };
        Memory {
            stage: match self.stage {
                Stage::New | Stage::Full => Remembered::Open,
                Stage::Away => Remembered::Away,
                Stage::Step(place, since) => Remembered::Step {
                    place,
                    since: at(since),
                },
            },
            left: self.swings.iter().copied().map(at).collect(),
            is_measured: self.measured == Measured::Yes,
        }
    }

    /// Goes on where the process before was. How long the site has been well begins anew; that it was left, and how often, does not.
    /// A moment that lies ahead, by a clock that was set back, counts as now.
    pub fn recall(memory: &Memory, now: Instant, wall: Timestamp) -> Self {
        // A moment before the machine's start cannot be named; it counts as long ago as can be.
        let at = |it: Timestamp| now.checked_sub(wall.since(it)).unwrap_or(now);
        let mut course = Self::new(now);
        course.stage = match memory.stage {
            Remembered::Open => Stage::New,
            Remembered::Step { place, since } if place < STEPS.len() => {
                Stage::Step(place, at(since))
            }
            Remembered::Away | Remembered::Step { .. } => Stage::Away,
        };
        let first = memory.left.len().saturating_sub(SWINGS);
        course.swings = memory.left.iter().skip(first).copied().map(at).collect();
        if memory.is_measured {
            course.measured = Measured::Yes;
        }
        course.settling = Some(now);
        course
    }
}
