//! Whether a failed attempt may be made again elsewhere.

use std::sync::Arc;

/// What of the request left us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// Nothing was handed to the kernel, or the connect failed.
    Nothing,
    /// Something was, and no response byte went to the client.
    Something,
    /// Response bytes went to the client.
    ResponseBegan,
}

/// All that the decision looks at.
#[derive(Debug, Clone, Copy)]
pub struct Situation {
    /// RFC 9110 9.2.2; see [`is_idempotent`].
    pub idempotent: bool,
    /// Whether all of the request body is still ours to send (none of it consumed, or there is none).
    pub body_intact: bool,
    /// What left us.
    pub sent: Sent,
    /// Retries made so far, and how many the service allows.
    pub made: u8,
    /// From the service's `retries`.
    pub allowed: u8,
    /// The instance that failed is suspect or out now: free of the budget.
    pub leaves_bad_instance: bool,
}

/// May it be tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryDecision {
    /// Yes, and it costs nothing.
    Free,
    /// Yes, if the budget gives a place.
    Budgeted,
    /// No.
    No,
}

/// Decides by semantics.md, "Retries".
pub fn decide_retry(_situation: &Situation) -> RetryDecision {
    RetryDecision::No
}

/// GET, HEAD, OPTIONS, PUT, DELETE (RFC 9110 9.2.2; TRACE is refused before).
pub fn is_idempotent(method: &http::Method) -> bool {
    matches!(
        method.as_str(),
        "GET" | "HEAD" | "OPTIONS" | "PUT" | "DELETE"
    )
}

/// Budgeted retries in flight: within 20 % of requests in flight, at least 3.
#[derive(Debug, Default)]
pub struct Budget {}

impl Budget {
    /// A place for one retry, given back when the guard drops; `None` when spent.
    pub fn take(self: &Arc<Self>, _requests_in_flight: u32) -> Option<RetryGuard> {
        None
    }
}

/// One budgeted retry in flight.
#[derive(Debug)]
pub struct RetryGuard(#[expect(dead_code, reason = "skeleton")] Arc<Budget>);
