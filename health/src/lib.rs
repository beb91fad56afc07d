//! What is true: outcomes of probes, verdicts, passive ejection, and how many observers make one truth.
//!
//! Pure: no clock, no sockets, no async; `now` and randomness are arguments.
//! Not here: sending probes (`health/probe`), choosing an instance (`proxy`), acting on it (`control`).
//!
//! One target: [`Watch`] = [`Judge`] (outcomes to verdict) + [`Schedule`] (when to probe) + the hold of an ejection.

mod combine;
mod document;
mod judge;
mod link;
mod outcome;
mod passive;
mod schedule;
pub mod site;
mod watch;

pub use combine::{Combined, combine};
pub use document::{
    Flow, GatewayAlive, Instance, InstanceUsage, NodeAlive, NodeDrain, NodeInfo, NodeLoad,
    NodeReach, NodeUsage, Phase, ServiceLoad, VerdictReport,
};
pub use judge::{Change, Judge, ProbeNumber, Verdict};
pub use link::{LinkState, SharedService};
pub use outcome::{Failure, Layer, Outcome};
pub use passive::{
    Allowance, CONSECUTIVE_FAILURES, EJECTION_HOLD, EJECTION_MEMORY, EJECTION_MOST, Ejection,
};
pub use schedule::{FRESH, NUDGED, SLOWEST, STARTING, Schedule, Stage};
pub use watch::{Evidence, Finding, Watch};
