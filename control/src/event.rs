//! What happened, for people and for measuring.

use minato_config::{Generation, Run, ServiceName, SlotIndex, Timestamp};
use serde::{Deserialize, Serialize};

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When, by the wall clock of who saw it.
    pub at: Timestamp,
    /// How bad.
    pub level: Level,
    /// What.
    pub kind: EventKind,
    /// Whose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceName>,
    /// Which instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<EventInstance>,
    /// One sentence: what happened and why.
    pub message: String,
    /// What to type, where a person can help.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// Names the run that an event speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventInstance {
    /// Which place.
    pub slot: SlotIndex,
    /// Which assignment.
    pub generation: Generation,
    /// Which start.
    pub run: Run,
}

/// Info: an operator's action or a repair took effect. Warn: something went wrong and was handled. Error: a person is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Took effect.
    Info,
    /// Handled.
    Warn,
    /// A person is needed.
    Error,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A gateway's first doubt about an instance.
    Suspect,
    /// A gateway ejected an instance.
    Down,
    /// A gateway routes to an instance (again).
    Up,
    /// The last instance of a service is down but kept, for want of another.
    Held,
    /// A process ended by itself, or was killed from outside.
    Exited,
    /// The agent kills an instance that is down for all observers.
    Killed,
    /// The agent started a run.
    Started,
    /// The agent found a run of before and goes on with it.
    Adopted,
    /// The agent drains an instance before it is stopped.
    Stopping,
    /// An instance ended because it should.
    Stopped,
    /// An instance cannot be started, or its restart budget is spent.
    Failed,
    /// Control assigned a slot or a new generation.
    Assigned,
    /// Control removed a slot or a service.
    Removed,
    /// An operator changed an intent.
    Intent,
    /// A file was read and took effect.
    ConfigApplied,
    /// A file was refused; the old state serves on.
    ConfigRejected,
    /// The gateway's table changed: a route or a service.
    Routed,
    /// This process leads, or no longer does.
    Leader,
    /// The store refused or failed.
    Store,
    /// minato itself started or stopped.
    Process,
    /// Something needs a person.
    Alarm,
}
