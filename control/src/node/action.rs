//! What an agent is told to do, and the time at which it was decided.

use super::{PlaceKey, RunName};
use crate::Event;
use minato_config::{Command, Resources, Timestamp};
use std::time::{Duration, Instant};

/// One moment on both clocks: one for measuring, one for documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// For measuring.
    pub instant: Instant,
    /// For documents and people.
    pub wall: Timestamp,
}

impl Moment {
    /// The wall clock's reading at `instant`, which may lie ahead.
    pub(super) fn wall_at(&self, instant: Instant) -> Timestamp {
        self.wall
            .after(instant.saturating_duration_since(self.instant))
    }

    /// `earlier` or later on the monotonic clock, if it can be told.
    pub(super) fn before(&self, by: Duration) -> Instant {
        self.instant.checked_sub(by).unwrap_or(self.instant)
    }
}

/// One thing for the agent to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeAction {
    /// Start this run; answer with [`super::Node::started`] or [`super::Node::not_started`].
    Start {
        /// Which.
        name: RunName,
        /// What to run.
        command: Box<Command>,
        /// The digest of the assignment.
        digest: String,
    },
    /// Let the run use this much from now on; answer with [`super::Node::adjusted`].
    Adjust {
        /// Which.
        name: RunName,
        /// What it may use.
        resources: Resources,
    },
    /// Ask its processes to end.
    Terminate(RunName),
    /// End its processes.
    Kill(RunName),
    /// The place is given up: forget its runs and free its port.
    Release(PlaceKey),
    /// Tell people.
    Tell(Event),
}
