//! Why a head is not accepted.

/// Why a request is refused. Each kind is one status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// 400: it breaks the rules, or has two meanings; what exactly, for logs.
    #[error("malformed: {0}")]
    Malformed(&'static str),
    /// 431: more than [`crate::MOST_FIELDS`] or [`crate::MOST_HEAD_BYTES`].
    #[error("the head is too large")]
    HeadTooLarge,
    /// 505: neither HTTP/1.0 nor HTTP/1.1.
    #[error("a version that is not served")]
    Version,
    /// 405: CONNECT or TRACE.
    #[error("a method that is not served")]
    Method,
    /// 417: `Expect` of anything but `100-continue`.
    #[error("an expectation that cannot be met")]
    Expectation,
}

/// A response that breaks the rules, or has two meanings, and how: 502 for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadResponse(pub &'static str);

/// What is wrong with a head of either direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Malformed(&'static str),
    TooLarge,
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Malformed(why) => Self::Malformed(why),
            Fault::TooLarge => Self::HeadTooLarge,
        }
    }
}

impl From<Fault> for BadResponse {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Malformed(why) => Self(why),
            Fault::TooLarge => Self("a head of more than 100 fields or 32 KiB"),
        }
    }
}
