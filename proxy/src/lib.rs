//! Serves with what is true: the table of routes and endpoints, matching, picking, admission, retries, outcomes.
//!
//! Pure: no I/O, no async runtime, no clock. [`Endpoint`] and [`Queue`] alone hold shared state (std atomics, one
//! mutex-free path for requests, `core::task::Waker`).
//! Not here: sockets, HTTP parsing and time (`proxy/server`); what makes a verdict (`health`).
//!
//! Life of a request: `normalize` > [`Table::find`] > [`Queue::admit`] > [`pick`] > forward > [`classify`] > [`decide_retry`].

mod endpoint;
mod outcome;
mod pick;
mod queue;
mod retry;
mod service;
mod table;
mod target;

pub use endpoint::{Endpoint, EndpointId, InFlight, Standing};
pub use outcome::{AttemptEnd, classify};
pub use pick::pick;
pub use queue::{Admission, Permit, Queue, Ticket};
pub use retry::{Budget, RetryDecision, Sent, Situation, decide_retry, is_idempotent};
pub use service::{LastInstance, ServiceEntry, Shared};
pub use table::{Found, Table, TableRoute};
pub use target::{InvalidTarget, normalize_host, normalize_path};
