//! What is true: outcomes of probes, verdicts, passive ejection, and how many observers make one truth.
//!
//! Pure: no clock, no sockets, no async; `now` and randomness are arguments.
//! Not here: sending probes (`health/probe`), choosing an instance (`proxy`), acting on it (`control`).

mod combine;
mod document;
mod judge;
mod outcome;
mod passive;
mod schedule;

pub use combine::{Combined, combine};
pub use document::{GatewayAlive, Instance, NodeAlive, NodeInfo, Phase, VerdictReport};
pub use judge::{Change, Judge, Verdict};
pub use outcome::{Failure, Layer, Outcome};
pub use passive::{CONSECUTIVE_FAILURES, Ejection};
pub use schedule::Schedule;
