//! All members as one: asks the current one, and goes on to the next when it is silent, cut off, or without a leader.
//!
//! A member that hangs (frozen, or behind a link that swallows everything) is left after [`EtcdOptions::attempt`]; a
//! connection that was refused, at once. Nothing goes back to an earlier member by itself.
//!
//! All answers are linearizable, so none is older than what was answered before it was asked for: one that is, was given by a
//! store that was restored. That, or another cluster's answers where none of the known cluster's members answers any more, ends
//! everything ([`Fault::Replaced`]) until the owner begins anew. Each connection is asked who it is before it is used for
//! anything, and is never made anew unnoticed, so that nothing is written to a store that nobody has looked at.

use super::fault::{Fault, REACH, Replaced};
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

const ANOTHER: &str = "if it was rebuilt or restored on purpose, say so once all its members are: minato store confirm; if not, correct `etcd` below [store]";

/// See the module.
#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) options: EtcdOptions,
    members: Vec<Member>,
    current: AtomicUsize,
    /// `etcd https://10.0.0.2:2379, ...`: for errors.
    name: String,
    /// The highest that was answered; 0 before the first answer.
    revision: AtomicU64,
    /// Who answered first; 0 before the first answer.
    id: AtomicU64,
    /// Counts how often the owner began anew.
    epoch: AtomicU64,
    /// Count answers, and connections to members of another cluster.
    answers: AtomicU64,
    strangers: AtomicU64,
    /// Why it is not the store of before.
    replaced: Mutex<Option<Replaced>>,
    trouble: Mutex<Option<String>>,
}

/// What was known when something was asked. Its answer must not be older, nor of another time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Asking {
    epoch: u64,
    revision: u64,
}

/// What had been heard at a moment: whether only another cluster has answered since.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heard {
    answers: u64,
    strangers: u64,
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
            epoch: AtomicU64::new(0),
            answers: AtomicU64::new(0),
            strangers: AtomicU64::new(0),
            replaced: Mutex::new(None),
            trouble: Mutex::new(None),
        })
    }

    /// To be called before something is asked: once for a call that asks several times.
    pub(super) fn asking(&self) -> Asking {
        Asking {
            epoch: self.epoch(),
            revision: self.revision.load(Ordering::SeqCst),
        }
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::SeqCst)
    }

    pub(super) fn heard(&self) -> Heard {
        Heard {
            answers: self.answers.load(Ordering::SeqCst),
            strangers: self.strangers.load(Ordering::SeqCst),
        }
    }

    /// After every member was asked in vain: whether the cluster that was known has made place for another one.
    pub(super) fn replaced_since(&self, before: Heard) -> Option<Replaced> {
        let now = self.heard();
        if now.answers == before.answers && now.strangers > before.strangers {
            self.replace(Replaced {
                why: format!(
                    "none of its members is of the cluster of before ({:x}), and another cluster answers",
                    self.id()
                ),
                known: None,
            });
        }
        self.replaced()
    }

    /// Why it is not the store of before, once that is known.
    pub(super) fn replaced(&self) -> Option<Replaced> {
        let replaced = self.replaced.lock();
        replaced.unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn replace(&self, why: Replaced) {
        let replaced = self.replaced.lock();
        let mut replaced = replaced.unwrap_or_else(PoisonError::into_inner);
        replaced.get_or_insert(why);
    }

    /// Looks whether a member of cluster `id` answers while another one's is listened to; who begins anew then hears it first.
    pub(super) async fn look_for(&self, id: u64) {
        if id == 0 || self.id() == id {
            return;
        }
        for (index, member) in self.members.iter().enumerate() {
            let asked = timeout(self.options.attempt, async {
                let client = member.connect(&self.options).await?;
                let key = self.options.voids.as_str();
                let answer = client.kv_client().get(key, None).await?;
                Ok::<u64, Fault>(answer.header().map_or(0, ResponseHeader::cluster_id))
            });
            if asked.await.is_ok_and(|it| it == Ok(id)) {
                self.current.store(index, Ordering::SeqCst);
                self.replace(Replaced {
                    why: format!("the cluster of before ({id:x}) answers again"),
                    known: None,
                });
                return;
            }
        }
    }

    /// Whoever answers next is the store from now on. What was asked before gets no answer. Nothing where it is the store of before.
    pub(super) async fn begin_anew(&self) {
        let Some(why) = self.replaced() else { return };
        self.epoch.fetch_add(1, Ordering::SeqCst);
        for member in &self.members {
            member.hang_up().await;
        }
        self.id.store(0, Ordering::SeqCst);
        self.revision.store(0, Ordering::SeqCst);
        let replaced = self.replaced.lock();
        let mut replaced = replaced.unwrap_or_else(PoisonError::into_inner);
        // Of several who begin anew at once the first has done it.
        replaced.take_if(|it| *it == why);
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The highest revision that was answered, at most what the cluster has now; `None` before the first.
    pub(super) fn revision(&self) -> Option<Revision> {
        Some(Revision(self.revision.load(Ordering::SeqCst))).filter(|it| it.0 > 0)
    }

    /// A watch has brought a commit of this revision.
    pub(super) fn is_at(&self, revision: Revision) {
        self.revision.fetch_max(revision.0, Ordering::SeqCst);
    }

    /// Of the cluster that answered first; 0 before.
    pub(super) fn id(&self) -> u64 {
        self.id.load(Ordering::SeqCst)
    }

    pub(super) fn trouble(&self) -> MutexGuard<'_, Option<String>> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks until a member answers, for [`EtcdOptions::patience`]. Only for what may be asked twice.
    pub(super) async fn call<T, F>(
        &self,
        asking: Asking,
        mut ask: impl FnMut(Client) -> F,
    ) -> Result<T, Fault>
    where
        F: Future<Output = Result<T, etcd_client::Error>>,
    {
        let mut turns = self.turns();
        loop {
            match self.attempt(asking, &mut ask).await.outcome {
                Err(fault @ Fault::Away { .. }) => turns.next(fault).await?,
                other => return other,
            }
        }
    }

    /// Asks the current member once. Where it cannot, the next one is current afterwards.
    pub(super) async fn attempt<T, F>(
        &self,
        asking: Asking,
        ask: impl FnOnce(Client) -> F,
    ) -> Attempt<T>
    where
        F: Future<Output = Result<T, etcd_client::Error>>,
    {
        if let Err(fault) = self.is_of_now(asking) {
            return Attempt {
                outcome: Err(fault),
                was_sent: false,
            };
        }
        let index = self.current.load(Ordering::Relaxed) % self.members.len();
        let member = &self.members[index];
        let (mut was_sent, mut number) = (false, 0);
        let asked = timeout(self.options.attempt, async {
            let connected = member.connected(self).await?;
            // Connecting takes time.
            self.is_of_now(asking)?;
            (was_sent, number) = (true, connected.number);
            ask(connected.client).await.map_err(Fault::from)
        });
        let outcome = match asked.await {
            Ok(outcome) => outcome,
            Err(_) => Err(Fault::silent(self.options.attempt)),
        };
        let outcome = outcome.map_err(|fault| match self.replaced() {
            Some(why) => Fault::Replaced(why),
            None => fault.of_member(&member.endpoint),
        });
        if let Err(Fault::Away { .. } | Fault::Replaced(_)) = &outcome {
            self.leave(index, number).await;
        }
        if outcome.is_ok() {
            *self.trouble() = None;
        }
        Attempt { outcome, was_sent }
    }

    /// Whether what was asked then may still be asked.
    fn is_of_now(&self, asking: Asking) -> Result<(), Fault> {
        match self.replaced() {
            Some(why) => Err(Fault::Replaced(why)),
            None if asking.epoch == self.epoch() => Ok(()),
            None => Err(Fault::Replaced(Replaced::too_late())),
        }
    }

    /// Who answers on a new connection, and whether it is who answered before. Somebody who may not ask learns it later.
    pub(super) async fn look_at(&self, client: &Client) -> Result<(), Fault> {
        let asking = self.asking();
        let key = self.options.voids.as_str();
        let asked = match client.kv_client().get(key, None).await {
            Ok(answer) => self.note(asking, answer.header()).map(drop),
            Err(error) => Err(error),
        };
        match asked.map_err(Fault::from) {
            Err(fault @ Fault::Away { .. }) => Err(fault),
            _ => Ok(()),
        }
    }

    /// The member that is asked now, for calls that last.
    pub(super) async fn connect(&self) -> Result<Line, Fault> {
        self.is_of_now(self.asking())?;
        let index = self.current.load(Ordering::Relaxed) % self.members.len();
        let member = &self.members[index];
        match timeout(self.options.attempt, member.connected(self)).await {
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
        asking: Asking,
        header: Option<&ResponseHeader>,
    ) -> Result<Revision, etcd_client::Error> {
        let odd = |what: String| etcd_client::Error::Internal(what);
        let header = header.ok_or_else(|| odd("an answer without a header".to_owned()))?;
        if asking.epoch != self.epoch() {
            return Err(odd("it was asked of the store of before".to_owned()));
        }
        let id = header.cluster_id();
        let known = self
            .id
            .compare_exchange(0, id, Ordering::SeqCst, Ordering::SeqCst);
        if let Err(known) = known
            && known != id
        {
            self.strangers.fetch_add(1, Ordering::SeqCst);
            return Err(odd(format!(
                "this is another cluster than before ({id:x}, was {known:x}): {ANOTHER}"
            )));
        }
        let revision = u64::try_from(header.revision()).unwrap_or(0);
        if revision < asking.revision {
            let why = went_back(revision, asking.revision);
            self.replace(Replaced {
                why: why.clone(),
                known: Some(Revision(asking.revision)),
            });
            return Err(odd(why));
        }
        self.answers.fetch_add(1, Ordering::SeqCst);
        self.revision.fetch_max(revision, Ordering::SeqCst);
        Ok(Revision(revision))
    }

    pub(super) fn turns(&self) -> Turns<'_> {
        Turns {
            cluster: self,
            began: Instant::now(),
            heard: self.heard(),
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
            Fault::Replaced(Replaced { why, known }) => StoreError::Replaced {
                store,
                detail: why,
                known,
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
    heard: Heard,
    tried: usize,
    pause: Duration,
}

impl Turns<'_> {
    /// After a failure: waits a moment once all members have failed; gives `fault` back when the time is over.
    pub(super) async fn next(&mut self, fault: Fault) -> Result<(), Fault> {
        self.tried += 1;
        let is_round = self.tried.is_multiple_of(self.cluster.members.len());
        if is_round && let Some(why) = self.cluster.replaced_since(self.heard) {
            return Err(Fault::Replaced(why));
        }
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
        if is_round {
            self.heard = self.cluster.heard();
            tokio::time::sleep(self.pause).await;
            self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        }
        Ok(())
    }
}

/// `it is at revision 5, and was at 9`
pub(crate) fn went_back(now: u64, before: u64) -> String {
    format!("it is at revision {now}, and was at {before}")
}
