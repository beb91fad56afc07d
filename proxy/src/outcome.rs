//! What the end of an attempt says about the instance.

/// How one attempt at one instance ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptEnd {
    /// A response that speaks for the instance, application errors included.
    Answered(u16),
    /// No TCP connection: refused, timed out, unreachable.
    ConnectFailed,
    /// The connection broke, or closed, before or within the response.
    Reset,
    /// No first byte in time, or silence within a body.
    TimedOut,
    /// The response broke the rules of framing.
    Invalid,
    /// The client went away; says nothing about the instance.
    Abandoned,
}

/// Whether it counts as a gateway-class failure: connect error, reset, timeout, invalid, or 502, 503, 504.
pub fn classify(end: AttemptEnd) -> bool {
    match end {
        AttemptEnd::Answered(status) => matches!(status, 502..=504),
        AttemptEnd::ConnectFailed
        | AttemptEnd::Reset
        | AttemptEnd::TimedOut
        | AttemptEnd::Invalid => true,
        AttemptEnd::Abandoned => false,
    }
}
