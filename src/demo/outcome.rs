//! What one request came to, by the rule for *failed* that all of minato's figures use.
//!
//! Pure. Failed: refused, reset, 5xx, wrong body, or no whole answer in 5 s, for a request that could have been saved
//! (idempotent, or not yet sent). A POST that had been sent to an instance that died is *cut*; whether one really did
//! die at that time is for [`Excuse`] to say, else it counts as failed as well.

use crate::demo::wire::{Answer, Broken};
use serde::Serialize;
use std::fmt;
use std::time::Duration;

/// A whole answer must be there this long after the request was due.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// Whose request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Service {
    Pages,
    Orders,
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pages => "pages",
            Self::Orders => "orders",
        })
    }
}

/// What was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ask {
    /// Idempotent: may always be saved.
    Get,
    /// A numbered order: may be saved only until it was sent.
    Post { number: u64 },
}

/// How the exchange ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// A whole answer.
    Answered { status: u16, body: Body },
    /// The connection was refused, reset or closed.
    Broken(Broken),
    /// No whole answer in [`PATIENCE`].
    Late(Broken),
}

/// Whether the body is exactly the wanted one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body {
    Right,
    Wrong,
}

impl End {
    /// Compares an answer with the wanted body.
    pub(crate) fn of(answer: &Answer, wanted: &[u8]) -> Self {
        Self::Answered {
            status: answer.status.as_u16(),
            body: if answer.body == wanted {
                Body::Right
            } else {
                Body::Wrong
            },
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered {
                status: 200,
                body: Body::Wrong,
            } => f.write_str("wrong body"),
            Self::Answered { status, .. } => write!(f, "{status}"),
            Self::Broken(Broken::Unsent) => f.write_str("refused"),
            Self::Broken(Broken::Sent) => f.write_str("reset"),
            Self::Late(_) => f.write_str("no answer in 5 s"),
        }
    }
}

/// What it came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// 200 with the right body.
    Good,
    /// Failed, whatever died.
    Failed,
    /// A POST that was sent and has no answer of its own.
    Cut,
}

/// Judges one request.
pub(crate) fn classify(ask: Ask, end: End) -> Outcome {
    match (ask, end) {
        (
            _,
            End::Answered {
                status: 200,
                body: Body::Right,
            },
        ) => Outcome::Good,
        (
            Ask::Post { .. },
            End::Answered {
                status: 502 | 504, ..
            }
            | End::Broken(Broken::Sent)
            | End::Late(Broken::Sent),
        ) => Outcome::Cut,
        _ => Outcome::Failed,
    }
}

/// Which POSTs may have been on an instance that died: those sent while it was still picked and not ended before it
/// was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Excuse {
    pub(crate) service: Service,
    /// The last moment that it can have been picked: it was dead, or suspect.
    pub(crate) sent_by: Duration,
    /// The first moment that a request on it can have been given up: the kill, or its ejection.
    pub(crate) ended_from: Duration,
}

impl Excuse {
    /// Whether a request of `service` that was out from `sent` to `ended` may have been on the dying instance.
    pub(crate) fn covers(&self, service: Service, sent: Duration, ended: Duration) -> bool {
        service == self.service && sent <= self.sent_by && ended >= self.ended_from
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POST: Ask = Ask::Post { number: 7 };

    fn answered(status: u16, body: Body) -> End {
        End::Answered { status, body }
    }

    #[test]
    fn failed_is_what_could_have_been_saved() {
        let table = [
            (Ask::Get, answered(200, Body::Right), Outcome::Good),
            (Ask::Get, answered(200, Body::Wrong), Outcome::Failed),
            (Ask::Get, answered(404, Body::Wrong), Outcome::Failed),
            (Ask::Get, answered(502, Body::Wrong), Outcome::Failed),
            (Ask::Get, answered(504, Body::Wrong), Outcome::Failed),
            (Ask::Get, answered(503, Body::Right), Outcome::Failed),
            (Ask::Get, End::Broken(Broken::Unsent), Outcome::Failed),
            (Ask::Get, End::Broken(Broken::Sent), Outcome::Failed),
            (Ask::Get, End::Late(Broken::Sent), Outcome::Failed),
            (POST, answered(200, Body::Right), Outcome::Good),
            (POST, answered(200, Body::Wrong), Outcome::Failed),
            (POST, answered(500, Body::Wrong), Outcome::Failed),
            (POST, answered(503, Body::Wrong), Outcome::Failed),
            (POST, answered(502, Body::Wrong), Outcome::Cut),
            (POST, answered(504, Body::Wrong), Outcome::Cut),
            (POST, End::Broken(Broken::Unsent), Outcome::Failed),
            (POST, End::Broken(Broken::Sent), Outcome::Cut),
            (POST, End::Late(Broken::Unsent), Outcome::Failed),
            (POST, End::Late(Broken::Sent), Outcome::Cut),
        ];
        for (ask, end, wanted) in table {
            assert_eq!(classify(ask, end), wanted, "{ask:?} {end:?}");
        }
    }

    #[test]
    fn only_posts_that_may_have_been_on_it_are_excused() {
        let ms = Duration::from_millis;
        let killed = Excuse {
            service: Service::Orders,
            sent_by: ms(1010),
            ended_from: ms(1000),
        };
        let frozen = Excuse {
            service: Service::Orders,
            sent_by: ms(2000),
            ended_from: ms(3000),
        };
        let table = [
            (killed, Service::Orders, 990, 1005, true),
            (killed, Service::Orders, 1005, 3000, true),
            (killed, Service::Orders, 900, 999, false),
            (killed, Service::Orders, 1011, 1012, false),
            (killed, Service::Pages, 990, 1005, false),
            (frozen, Service::Orders, 1500, 3100, true),
            (frozen, Service::Orders, 1500, 2900, false),
            (frozen, Service::Orders, 2001, 3100, false),
        ];
        for (excuse, service, sent, ended, wanted) in table {
            let covers = excuse.covers(service, ms(sent), ms(ended));
            assert_eq!(covers, wanted, "{excuse:?} {service} {sent} {ended}");
        }
    }
}
