//! All members as one: asks the current one, and goes on to the next when it is silent, cut off, or without a leader.
//!
//! A member that hangs (frozen, or behind a link that swallows everything) is left after [`EtcdOptions::attempt`]; a
//! connection that was refused, at once. Nothing goes back to an earlier member by itself.

use super::fault::{Fault, REACH};
use super::member::Member;
use super::options::EtcdOptions;
use crate::{Revision, StoreError};
use etcd_client::{Client, ResponseHeader};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// Between two rounds over all members.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

const ANOTHER: &str = "if it was rebuilt or restored on purpose, start minato anew (minato upgrade); if not, correct `etcd` below [store]";

/// See the module.
#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) options: EtcdOptions,
    members: Vec<Member>,
    current: AtomicUsize,
    /// `etcd https://10.0.0.2:2379, ...`: for errors.
    name: String,
    /// Of the last answer; 0 before the first.
    revision: AtomicU64,
    /// Who answered first; 0 before the first answer.
    id: AtomicU64,
    trouble: Mutex<Option<String>>,
}

/// What came of a call to one member.
pub(super) struct Attempt<T> {
    pub(super) outcome: Result<T, Fault>,
    /// The member may have received it.
    pub(super) was_sent: bool,
}

impl Cluster {
    pub(super) fn new(options: EtcdOptions) -> Result<Self, StoreError> {
        let members: Result<Vec<Member>, StoreError> =
            options.endpoints.iter().map(|it| Member::new(it)).collect();
        let members = members?;
        if members.is_empty() {
            return Err(StoreError::Invalid {
                detail: "a store in etcd needs at least one endpoint".to_owned(),
            });
        }
        Ok(Self {
            // Processes begin at different members.
            current: AtomicUsize::new(fastrand::usize(..members.len())),
            name: format!("etcd {}", options.endpoints.join(", ")),
            members,
            options,
            revision: AtomicU64::new(0),
            id: AtomicU64::new(0),
            trouble: Mutex::new(None),
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The revision of the last answer, at most what the cluster has now; `None` before the first.
    pub(super) fn revision(&self) -> Option<Revision> {
        Some(Revision(self.revision.load(Ordering::Relaxed))).filter(|it| it.0 > 0)
    }

    /// Of the cluster that answered first; 0 before.
    pub(super) fn id(&self) -> u64 {
        self.id.load(Ordering::Relaxed)
    }

    pub(super) fn trouble(&self) -> MutexGuard<'_, Option<String>> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks until a member answers, for [`EtcdOptions::patience`]. Only for what may be asked twice.
    pub(super) async fn call<T, F>(&self, mut ask: impl FnMut(Client) -> F) -> Result<T, Fault>
    where
        F: Future<Output = Result<T, etcd_client::Error>>,
    {
        let mut turns = self.turns();
        loop {
            match self.attempt(&mut ask).await.outcome {
                Err(fault @ Fault::Away { .. }) => turns.next(fault).await?,
                other => return other,
            }
        }
    }

    /// Asks the current member once. Where it cannot, the next one is current afterwards.
    pub(super) async fn attempt<T, F>(&self, ask: impl FnOnce(Client) -> F) -> Attempt<T>
    where
        F: Future<Output = Result<T, etcd_client::Error>>,
    {
        let index = self.current.load(Ordering::Relaxed) % self.members.len();
        let member = &self.members[index];
        let (mut was_sent, mut number) = (false, 0);
        let asked = timeout(self.options.attempt, async {
            let connected = member.connected(&self.options).await?;
            (was_sent, number) = (true, connected.number);
            ask(connected.client).await.map_err(Fault::from)
        });
        let outcome = match asked.await {
            Ok(outcome) => outcome,
            Err(_) => Err(Fault::silent(self.options.attempt)),
        };
        let outcome = outcome.map_err(|fault| fault.of_member(&member.endpoint));
        if let Err(Fault::Away { .. }) = &outcome {
            self.leave(index, number).await;
        }
        if outcome.is_ok() {
            *self.trouble() = None;
        }
        Attempt { outcome, was_sent }
    }

    /// The member that is asked now, for calls that last.
    pub(super) async fn connect(&self) -> Result<Line, Fault> {
        let index = self.current.load(Ordering::Relaxed) % self.members.len();
        let member = &self.members[index];
        match timeout(self.options.attempt, member.connected(&self.options)).await {
            Ok(Ok(it)) => Ok(Line {
                client: it.client,
                index,
                number: it.number,
            }),
            Ok(Err(fault)) => {
                if let Fault::Away { .. } = &fault {
                    self.leave(index, 0).await;
                }
                Err(fault.of_member(&member.endpoint))
            }
            Err(_) => {
                self.leave(index, 0).await;
                Err(Fault::silent(self.options.attempt).of_member(&member.endpoint))
            }
        }
    }

    /// Leaves a member whose connection failed, unless another was chosen meanwhile.
    pub(super) async fn leave(&self, index: usize, number: u64) {
        let next = (index + 1) % self.members.len();
        let _ = self
            .current
            .compare_exchange(index, next, Ordering::Relaxed, Ordering::Relaxed);
        // Whoever connects holds the lock until it is done or given up: not worth waiting for.
        let forgotten = self.members[index].forget(number);
        let _ = timeout(Duration::from_millis(1), forgotten).await;
    }

    /// Takes note of what an answer says of the cluster. A member of another cluster is as good as none.
    pub(super) fn note(
        &self,
        header: Option<&ResponseHeader>,
    ) -> Result<Revision, etcd_client::Error> {
        let odd = |what: String| etcd_client::Error::Internal(what);
        let header = header.ok_or_else(|| odd("an answer without a header".to_owned()))?;
        let id = header.cluster_id();
        let known = self
            .id
            .compare_exchange(0, id, Ordering::Relaxed, Ordering::Relaxed);
        if let Err(known) = known
            && known != id
        {
            return Err(odd(format!(
                "this is another cluster than before ({id:x}, was {known:x}): {ANOTHER}"
            )));
        }
        let revision = u64::try_from(header.revision()).unwrap_or(0);
        self.revision.store(revision, Ordering::Relaxed);
        Ok(Revision(revision))
    }

    pub(super) fn turns(&self) -> Turns<'_> {
        Turns {
            cluster: self,
            began: Instant::now(),
            tried: 0,
            pause: FIRST_PAUSE,
        }
    }

    /// What a caller is told.
    pub(super) fn error(&self, fault: Fault) -> StoreError {
        let store = self.name.clone();
        let error = match fault {
            Fault::Away {
                detail,
                remedy,
                waited,
            } => StoreError::Unreachable {
                store,
                waited,
                detail,
                remedy,
            },
            Fault::Refused { detail, remedy } => StoreError::Refused {
                store,
                detail,
                remedy,
            },
            Fault::Invalid(detail) => return StoreError::Invalid { detail },
            Fault::LeaseGone => {
                return StoreError::LeaseGone {
                    lease: crate::LeaseId(0),
                };
            }
            Fault::Compacted => {
                return StoreError::Compacted {
                    oldest: self.revision().unwrap_or_default(),
                };
            }
            Fault::Ahead | Fault::TooLong | Fault::LeaseExists | Fault::NoUsers => {
                StoreError::Unreachable {
                    store,
                    waited: Duration::ZERO,
                    detail: format!("an answer that fits no question: {fault:?}"),
                    remedy: REACH,
                }
            }
        };
        *self.trouble() = Some(error.to_string());
        error
    }
}

/// A connection to one member.
pub(super) struct Line {
    pub(super) client: Client,
    pub(super) index: usize,
    pub(super) number: u64,
}

/// Bounds how long one call goes from member to member.
pub(super) struct Turns<'a> {
    cluster: &'a Cluster,
    began: Instant,
    tried: usize,
    pause: Duration,
}

impl Turns<'_> {
    /// After a failure: waits a moment once all members have failed; gives `fault` back when the time is over.
    pub(super) async fn next(&mut self, fault: Fault) -> Result<(), Fault> {
        self.tried += 1;
        if self.began.elapsed() >= self.cluster.options.patience {
            return Err(match fault {
                Fault::Away { detail, remedy, .. } => Fault::Away {
                    detail,
                    remedy,
                    waited: self.began.elapsed(),
                },
                other => other,
            });
        }
        if self.tried.is_multiple_of(self.cluster.members.len()) {
            tokio::time::sleep(self.pause).await;
            self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        }
        Ok(())
    }
}
