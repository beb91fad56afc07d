//! What a gateway says of itself.

use minato_config::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a gateway says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Send traffic here.
    Alive,
    /// It serves and wants no new visitors.
    Draining(Leaving),
    /// Its process lives and a thread that serves stands still.
    Stuck,
}

/// Why a gateway wants no new visitors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaving {
    /// It is about to stop.
    Stopping,
    /// An operator said so.
    ByHand,
}

impl Standing {
    /// One word, as it is said to whoever asks.
    pub fn word(self) -> &'static str {
        match self {
            Self::Alive => "alive",
            Self::Draining(_) => "draining",
            Self::Stuck => "stuck",
        }
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// An operator's word that this gateway be left out. It lasts until it is taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByHand {
    /// Who said so; empty where nobody knows.
    #[serde(default)]
    pub who: String,
    /// When.
    pub since: Timestamp,
}

/// What decides about a [`Standing`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Door {
    /// The word that holds.
    pub by_hand: Option<ByHand>,
    /// The process is about to stop. An upgrade is no stop: another process goes on in its place.
    pub is_stopping: bool,
    /// A thread that serves stands still.
    pub is_stuck: bool,
}

impl Door {
    /// The worst of what is true: who is stuck serves nobody, whatever else is meant.
    pub fn standing(&self) -> Standing {
        match self {
            Self { is_stuck: true, .. } => Standing::Stuck,
            Self {
                is_stopping: true, ..
            } => Standing::Draining(Leaving::Stopping),
            Self {
                by_hand: Some(_), ..
            } => Standing::Draining(Leaving::ByHand),
            Self { .. } => Standing::Alive,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_is_said() {
        let by_hand = Some(ByHand {
            who: "alice".to_owned(),
            since: Timestamp(5),
        });
        let none = None;
        let table = [
            (&none, false, false, Standing::Alive),
            (&by_hand, false, false, Standing::Draining(Leaving::ByHand)),
            (&none, true, false, Standing::Draining(Leaving::Stopping)),
            (&by_hand, true, false, Standing::Draining(Leaving::Stopping)),
            (&none, false, true, Standing::Stuck),
            (&by_hand, true, true, Standing::Stuck),
        ];
        for (by_hand, is_stopping, is_stuck, expected) in table {
            let door = Door {
                by_hand: by_hand.clone(),
                is_stopping,
                is_stuck,
            };
            assert_eq!(door.standing(), expected, "{door:?}");
        }
    }
}
