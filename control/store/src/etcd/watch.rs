//! Watches: a task for each, which goes from member to member and takes up after the last commit that it delivered.
//!
//! etcd answers a request for progress, so a member that hangs is known by its silence. Progress itself is not used to
//! move on: members before 3.4.25 say it too early. Each stream begins one revision before the first that is wanted:
//! where compaction has reached exactly that one, its deletes would be missing without a word. And what was delivered last
//! comes again, by which a restored store shows that has gone on to the same revision by another way.

use super::cluster::{Cluster, Line};
use super::entry::{event, revision, signed};
use super::fault::{Fault, Replaced};
use crate::{Event, Revision, StoreError, Watch};
use async_trait::async_trait;
use etcd_client::proto::PbWatchResponse;
use etcd_client::{WatchOptions, WatchStream};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// Commits that wait for a reader; past it the stream itself waits.
const AHEAD: usize = 16;
/// How often a quiet stream is asked whether it lives.
const BEAT: Duration = Duration::from_secs(2);
/// Bytes of one answer. Large ones come in fragments of at most 2 MiB.
const ANSWER: usize = 8 << 20;
/// Between attempts once all members have failed.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// After so many answers in a row from before what was delivered, the store is not the one that it was.
const BACKWARDS: u32 = 3;

/// Keys from `from` on, below `to`; `\0` has no end.
#[derive(Debug, Clone)]
pub(super) struct Range {
    pub(super) from: Vec<u8>,
    pub(super) to: Vec<u8>,
}

/// The reader's end. Dropping it ends the task.
pub(super) struct Watcher {
    batches: mpsc::Receiver<Result<Vec<Event>, StoreError>>,
    task: JoinHandle<()>,
}

impl Watcher {
    pub(super) fn start(cluster: Arc<Cluster>, range: Range, from: Revision) -> Self {
        let (batches, received) = mpsc::channel(AHEAD);
        let next = from.max(Revision(1));
        let before = Revision(next.0 - 1);
        // A watch may begin ahead of all that there is.
        let seen = cluster.revision().filter(|it| *it >= before);
        let session = Session {
            epoch: cluster.epoch(),
            cluster,
            range,
            next,
            seen: seen.map_or(Revision(0), |_| before),
            batches,
            unfinished: Vec::new(),
            last: None,
            is_same: false,
            backwards: 0,
            signed_again: false,
        };
        Self {
            batches: received,
            task: tokio::spawn(session.run()),
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[async_trait]
impl Watch for Watcher {
    async fn next(&mut self) -> Result<Vec<Event>, StoreError> {
        self.batches.recv().await.unwrap_or(Err(StoreError::Closed))
    }
}

struct Session {
    cluster: Arc<Cluster>,
    /// Of the store that it is about.
    epoch: u64,
    range: Range,
    /// The first revision that was not delivered yet.
    next: Revision,
    /// The last that surely was.
    seen: Revision,
    batches: mpsc::Sender<Result<Vec<Event>, StoreError>>,
    /// Fragments of an answer whose end has not come.
    unfinished: Vec<Event>,
    /// What was delivered last, as [`print_of`] it.
    last: Option<(Revision, u64)>,
    /// This stream has begun with that.
    is_same: bool,
    backwards: u32,
    /// Whether a new connection was made because this one's was told that it may not watch: its token may be old.
    signed_again: bool,
}

/// Why a stream ended.
enum End {
    /// Another member may go on.
    Away(Fault),
    /// The reader must know.
    Told(StoreError),
    /// Nobody reads any more.
    Unread,
}

impl Session {
    async fn run(mut self) {
        let (mut pause, mut failures) = (FIRST_PAUSE, 0_usize);
        let mut delivered = self.next;
        let mut heard = self.cluster.heard();
        loop {
            let end = self.stream().await;
            if self.next > delivered {
                (pause, failures, delivered) = (FIRST_PAUSE, 0, self.next);
            }
            if failures == 0 {
                heard = self.cluster.heard();
            }
            match end {
                End::Unread => return,
                End::Told(error) => {
                    let _ = self.batches.send(Err(error)).await;
                    return;
                }
                End::Away(fault) => {
                    failures += 1;
                    tracing::debug!(?fault, "A watch goes on elsewhere");
                    self.unfinished.clear();
                    if failures > self.cluster.options.endpoints.len() {
                        if self.cluster.replaced_since(heard).is_some() {
                            continue;
                        }
                        heard = self.cluster.heard();
                        let _ = self.cluster.error(fault);
                        sleep(pause).await;
                        pause = (pause * 2).min(LONGEST_PAUSE);
                    }
                }
            }
            if self.batches.is_closed() {
                return;
            }
        }
    }

    /// One stream from one member until it ends.
    async fn stream(&mut self) -> End {
        if let Some(error) = self.replaced() {
            return End::Told(error);
        }
        let line = match self.cluster.connect().await {
            Ok(line) => line,
            Err(fault @ Fault::Away { .. }) => return End::Away(fault),
            Err(fault) => return End::Told(self.cluster.error(fault)),
        };
        let (index, number) = (line.index, line.number);
        self.is_same = self.last.is_none();
        let end = match self.open(line).await {
            Ok(stream) => self.read(stream).await,
            Err(fault @ Fault::Away { .. }) => End::Away(fault),
            Err(fault) => End::Told(self.cluster.error(fault)),
        };
        if let End::Away(_) = &end {
            self.cluster.leave(index, number).await;
        }
        end
    }

    /// The store that it is about is not the one that answers any more.
    fn replaced(&self) -> Option<StoreError> {
        let why = match self.cluster.replaced() {
            None if self.cluster.epoch() == self.epoch => return None,
            None => Replaced::too_late(),
            Some(why) => why,
        };
        Some(self.cluster.error(Fault::Replaced(why)))
    }

    async fn open(&self, line: Line) -> Result<WatchStream, Fault> {
        let start = Revision(self.next.0.saturating_sub(1).max(1));
        let options = WatchOptions::new()
            .with_range(self.range.to.clone())
            .with_start_revision(signed(start))
            .with_fragment();
        let mut client = line.client.watch_client().max_decoding_message_size(ANSWER);
        let opened = client.watch(self.range.from.clone(), Some(options));
        let attempt = self.cluster.options.attempt;
        let opened = timeout(attempt, opened).await;
        Ok(opened.map_err(|_| Fault::silent(attempt))??)
    }

    async fn read(&mut self, mut stream: WatchStream) -> End {
        let silence = self.cluster.options.attempt;
        let (mut beat, mut asked) = (Instant::now() + BEAT, false);
        loop {
            let answer = tokio::select! {
                biased;
                answer = stream.message() => answer,
                () = sleep_until(beat), if !asked => {
                    // The queue of requests is as good as empty: one at a time.
                    if stream.request_progress().await.is_err() {
                        return End::Away(Fault::away("the watch has ended"));
                    }
                    (asked, beat) = (true, Instant::now() + silence);
                    continue;
                }
                () = sleep_until(beat), if asked => return End::Away(Fault::silent(silence)),
                () = self.batches.closed() => return End::Unread,
            };
            asked = false;
            match answer {
                Ok(Some(answer)) => {
                    if let Err(end) = self.take(answer.0).await {
                        return end;
                    }
                    // A slow reader is no silence of the member.
                    beat = Instant::now() + BEAT;
                }
                Ok(None) => return End::Away(Fault::away("the watch was closed")),
                Err(error) => match Fault::from(error) {
                    fault @ Fault::Away { .. } => return End::Away(fault),
                    fault => return End::Told(self.cluster.error(fault)),
                },
            }
        }
    }

    async fn take(&mut self, answer: PbWatchResponse) -> Result<(), End> {
        if let Some(error) = self.replaced() {
            return Err(End::Told(error));
        }
        let header = answer.header.unwrap_or_default();
        let id = self.cluster.id();
        if id != 0 && header.cluster_id != id {
            return Err(End::Away(Fault::away(
                "this is another cluster than before",
            )));
        }
        if answer.compact_revision > 0 {
            return Err(End::Told(StoreError::Compacted {
                oldest: Revision(revision(answer.compact_revision).0 + 1),
            }));
        }
        if answer.canceled {
            return Err(match Fault::of_cancelled_watch(&answer.cancel_reason) {
                fault @ Fault::Away { .. } => End::Away(fault),
                _ if !std::mem::replace(&mut self.signed_again, true) => {
                    End::Away(Fault::away(answer.cancel_reason))
                }
                fault => End::Told(self.cluster.error(fault)),
            });
        }
        self.signed_again = false;
        self.look_back(revision(header.revision))?;
        self.unfinished
            .extend(answer.events.into_iter().filter_map(event));
        if answer.fragment {
            return Ok(());
        }
        let events = std::mem::take(&mut self.unfinished);
        for commit in events.chunk_by(|a, b| a.revision() == b.revision()) {
            let Some(at) = commit.first().map(Event::revision) else {
                continue;
            };
            self.same_history(at, commit)?;
            if at < self.next {
                continue;
            }
            let print = print_of(commit);
            if self.batches.send(Ok(commit.to_vec())).await.is_err() {
                return Err(End::Unread);
            }
            self.seen = at;
            self.next = Revision(at.0 + 1);
            self.last = Some((at, print));
            self.cluster.is_at(at);
        }
        Ok(())
    }

    /// The first commit of a stream is the last that was delivered.
    fn same_history(&mut self, at: Revision, commit: &[Event]) -> Result<(), End> {
        let Some((last, print)) = self.last.filter(|_| !self.is_same) else {
            return Ok(());
        };
        if at < last {
            return Ok(());
        }
        if at == last && print_of(commit) == print {
            self.is_same = true;
            return Ok(());
        }
        self.cluster.replace(Replaced {
            why: format!(
                "its history up to revision {} is another one than before",
                last.0
            ),
            known: Some(last),
        });
        Err(self.replaced().map_or(End::Unread, End::Told))
    }

    /// A member may lag behind for a moment; one that stays behind what was delivered is not the store of before.
    fn look_back(&mut self, now: Revision) -> Result<(), End> {
        self.backwards = if now < self.seen {
            self.backwards + 1
        } else {
            0
        };
        if self.backwards < BACKWARDS {
            return Ok(());
        }
        Err(End::Told(StoreError::Compacted {
            oldest: Revision(now.0 + 1),
        }))
    }
}

/// Tells commits of one revision apart.
fn print_of(commit: &[Event]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for event in commit {
        event.key().hash(&mut hasher);
        if let Event::Put(entry) = event {
            (&entry.value, entry.created.0, entry.lease).hash(&mut hasher);
        }
    }
    hasher.finish()
}
