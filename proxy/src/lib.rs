//! Serves with what is true: the table of routes and endpoints, matching, picking, admission, retries, outcomes.
//!
//! Pure: no I/O, no async runtime, no clock. [`Endpoint`], [`Queue`] and [`Budget`] alone hold shared state (std atomics,
//! `core::task::Waker`); requests below their limit never lock.
//! Not here: sockets and time (`proxy/server`); heads and bodies (`proxy/http1`); what makes a verdict (`health`).
//!
//! Life of a request: read > [`Table::find`] > [`Queue::admit`] > [`pick`] > forward > [`classify`] > [`decide_retry`].

#![expect(
    unexpected_cfgs,
    reason = "`loom` is set by hand, see `sync`, and is no cfg that cargo knows"
)]

mod endpoint;
mod outcome;
mod pick;
mod queue;
mod retry;
#[cfg(test)]
mod sample;
mod serial;
mod service;
mod spread;
mod sync;
mod table;

pub use endpoint::{Checks, Connection, Endpoint, EndpointId, InFlight, Reach, Standing};
pub use outcome::{AttemptEnd, classify};
pub use pick::{PANIC_INSTANCES, PANIC_PERCENT, Scope, pick};
pub use queue::{Admission, HELD, Permit, Queue, Ticket};
pub use retry::{Budget, RetryDecision, RetryGuard, Sent, Situation, decide_retry};
pub use serial::Serial;
pub use service::{Intake, ServiceEntry, Shared, StandingChange};
pub use spread::{ALL, Beyond, Offer, Spread, carries};
pub use table::{Found, Table, TableRoute};
