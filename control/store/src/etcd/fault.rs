//! What a member's answer means for the next step. Pure.

use crate::Revision;
use etcd_client::Error;
use std::time::Duration;
use tonic::{Code, Status};

/// Why a call to one member did not work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// This member cannot, another may. What was asked may have been done all the same.
    Away {
        detail: String,
        remedy: &'static str,
        /// How long all members were tried; zero for one.
        waited: Duration,
    },
    /// Any member would say so.
    Refused {
        detail: String,
        remedy: &'static str,
    },
    /// It is not the store of before, and why. Nothing goes on before the owner says so.
    Replaced(Replaced),
    /// The lease has ended, or never was.
    LeaseGone,
    /// A lease with this id exists.
    LeaseExists,
    /// The revision is compacted.
    Compacted,
    /// The revision lies ahead.
    Ahead,
    /// The answer is longer than we take.
    TooLong,
    /// The cluster knows no users.
    NoUsers,
    /// Outside the cluster's bounds.
    Invalid(String),
}

/// Why it is not the store of before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Replaced {
    pub(super) why: String,
    /// A revision that it had before, where it is the same one and went back.
    pub(super) known: Option<Revision>,
}

impl Replaced {
    /// Asked of the store of before, and answered when another was begun with.
    pub(super) fn too_late() -> Self {
        Self {
            why: "it was asked before this process began anew".to_owned(),
            known: None,
        }
    }
}

pub(super) const REACH: &str = "check that a majority of its members runs and that this machine reaches them; minato serves meanwhile and tries again by itself";
const REACH_TLS: &str = "check that a majority of its members runs, that this machine reaches them, and `ca`, `certificate` and `key` below [store]: a member that asks for a client certificate says no more than this; minato serves meanwhile and tries again by itself";
const SIGN_IN: &str =
    "correct `user` and the password in `password_file` below [store]; nothing has to be restarted";
const NO_NAME: &str = "the cluster asks for a user: set `user` and `password_file` below [store], and run `minato upgrade`";
const RIGHTS: &str = "grant the user of [store] a role that may do this (etcdctl role grant-permission), see docs/etcd.md";
const ROOM: &str =
    "compact and defragment it (etcdctl compact, etcdctl defrag), then etcdctl alarm disarm";
const TRUST: &str = "check `ca`, `certificate` and `key` below [store], and that the member's certificate holds the name or address of its endpoint";
const NOT_ETCD: &str = "check `etcd` below [store]: something else than etcd 3.4 or newer answers";
const DAMAGED: &str = "the cluster says that its data is corrupt: see its log";

impl Fault {
    /// Nothing came in time.
    pub(super) fn silent(within: Duration) -> Self {
        Self::away(format!("no answer within {within:?}"))
    }

    pub(super) fn away(detail: impl Into<String>) -> Self {
        Self::Away {
            detail: detail.into(),
            remedy: REACH,
            waited: Duration::ZERO,
        }
    }

    pub(super) fn refused(detail: impl Into<String>, remedy: &'static str) -> Self {
        Self::Refused {
            detail: detail.into(),
            remedy,
        }
    }

    /// Says whose fault it is.
    pub(super) fn of_member(self, endpoint: &str) -> Self {
        match self {
            Self::Away {
                detail,
                remedy,
                waited,
            } => Self::Away {
                remedy: if remedy == REACH && endpoint.starts_with("https://") {
                    REACH_TLS
                } else {
                    remedy
                },
                detail: format!("{endpoint}: {detail}"),
                waited,
            },
            other => other,
        }
    }

    /// What a watch was ended with, other than by compaction.
    pub(super) fn of_cancelled_watch(reason: &str) -> Self {
        if reason.contains("permission denied") {
            return Self::refused(reason, RIGHTS);
        }
        Self::away(format!("the watch was ended: {reason}"))
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        match error {
            Error::GRpcStatus(status) => of_status(&status),
            Error::LeaseKeepAliveError(detail) if detail.contains("not found") => Self::LeaseGone,
            Error::InvalidMetadataValue(error) => {
                Self::refused(format!("the member's token is no text: {error}"), NOT_ETCD)
            }
            Error::TransportError(error) => of_transport(chain(&error)),
            Error::Internal(detail) => Self::away(detail),
            other => Self::away(other.to_string()),
        }
    }
}

fn of_status(status: &Status) -> Fault {
    let said = status.message();
    let says = |part: &str| said.contains(part);
    match status.code() {
        Code::NotFound if says("lease not found") => Fault::LeaseGone,
        Code::FailedPrecondition if says("lease already exists") => Fault::LeaseExists,
        Code::FailedPrecondition if says("authentication is not enabled") => Fault::NoUsers,
        Code::OutOfRange if says("compacted") => Fault::Compacted,
        Code::OutOfRange if says("future revision") => Fault::Ahead,
        Code::OutOfRange if says("message length too large") => Fault::TooLong,
        Code::InvalidArgument if says("invalid user ID or password") => {
            Fault::refused(said, SIGN_IN)
        }
        Code::InvalidArgument if says("user name is empty") => Fault::refused(said, NO_NAME),
        // The roles changed under the token: a new connection gets a new one.
        Code::InvalidArgument if says("auth store is old") => Fault::away(said),
        Code::InvalidArgument if says("too large") || says("too many operations") => {
            Fault::Invalid(said.to_owned())
        }
        Code::ResourceExhausted if says("database space exceeded") => Fault::refused(said, ROOM),
        Code::PermissionDenied => Fault::refused(said, RIGHTS),
        Code::DataLoss => Fault::refused(said, DAMAGED),
        Code::Unimplemented => Fault::refused(said, NOT_ETCD),
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => {
            Fault::Invalid(said.to_owned())
        }
        _ => of_transport(chain(status)),
    }
}

fn of_transport(detail: String) -> Fault {
    let remedy = if ["certificate", "Certificate", "UnknownCA", "corrupt message"]
        .iter()
        .any(|it| detail.contains(it))
    {
        TRUST
    } else {
        REACH
    };
    Fault::Away {
        detail,
        remedy,
        waited: Duration::ZERO,
    }
}

/// An error and its causes, each said once.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let own = match error.downcast_ref::<Status>() {
        Some(status) => status.message().to_owned(),
        None => error.to_string(),
    };
    let mut text = own;
    let mut cause = error.source();
    // Causes have no circles; the bound is for those who make one.
    for _ in 0..16 {
        let Some(it) = cause else { break };
        let more = it.to_string();
        if !text.contains(&more) {
            text = if text.is_empty() {
                more
            } else {
                format!("{text}: {more}")
            };
        }
        cause = it.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_has_its_own_next_step() {
        type Meant = fn(&str) -> Fault;
        let table: [(Code, &str, Meant); 15] = [
            (
                Code::NotFound,
                "etcdserver: requested lease not found",
                |_| Fault::LeaseGone,
            ),
            (
                Code::FailedPrecondition,
                "etcdserver: lease already exists",
                |_| Fault::LeaseExists,
            ),
            (
                Code::FailedPrecondition,
                "etcdserver: authentication is not enabled",
                |_| Fault::NoUsers,
            ),
            (
                Code::OutOfRange,
                "etcdserver: mvcc: required revision has been compacted",
                |_| Fault::Compacted,
            ),
            (
                Code::OutOfRange,
                "etcdserver: mvcc: required revision is a future revision",
                |_| Fault::Ahead,
            ),
            (
                Code::OutOfRange,
                "Error, decoded message length too large: found 5 bytes, the limit is: 4 bytes",
                |_| Fault::TooLong,
            ),
            (
                Code::InvalidArgument,
                "etcdserver: authentication failed, invalid user ID or password",
                |it| Fault::refused(it, SIGN_IN),
            ),
            (
                Code::InvalidArgument,
                "etcdserver: user name is empty",
                |it| Fault::refused(it, NO_NAME),
            ),
            (
                Code::PermissionDenied,
                "etcdserver: permission denied",
                |it| Fault::refused(it, RIGHTS),
            ),
            (
                Code::ResourceExhausted,
                "etcdserver: mvcc: database space exceeded",
                |it| Fault::refused(it, ROOM),
            ),
            (
                Code::ResourceExhausted,
                "etcdserver: too many requests",
                |it| Fault::away(it),
            ),
            (Code::Unavailable, "etcdserver: no leader", |it| {
                Fault::away(it)
            }),
            (Code::Unavailable, "etcdserver: request timed out", |it| {
                Fault::away(it)
            }),
            (
                Code::InvalidArgument,
                "etcdserver: revision of auth store is old",
                |it| Fault::away(it),
            ),
            (
                Code::InvalidArgument,
                "etcdserver: request is too large",
                |it| Fault::Invalid(it.to_owned()),
            ),
        ];
        for (code, said, meant) in table {
            let found = Fault::from(Error::GRpcStatus(Status::new(code, said)));
            assert_eq!(found, meant(said), "{code:?} {said}");
        }
    }
}
