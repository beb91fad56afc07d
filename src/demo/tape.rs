//! Every request of the load, from when it was due to what it came to.
//!
//! Not here: sending them (`load`), what a step makes of them (`report`).

use crate::demo::figure::Lateness;
use crate::demo::outcome::{Ask, End, Excuse, Outcome, Service, classify};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Finished requests kept between two calls of [`Tape::cut_off`].
const KEPT: usize = 2_000_000;

/// One finished request. Times count from the start of the demo.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) service: Service,
    pub(crate) ask: Ask,
    /// When it was due; latency counts from here, so that a slow answer cannot hide the requests behind it.
    pub(crate) due: Duration,
    /// When it went to a connection; `None` where it never did.
    pub(crate) sent: Option<Duration>,
    pub(crate) ended: Duration,
    pub(crate) end: End,
    /// Process that answered, where the service says so.
    pub(crate) pid: Option<u32>,
}

/// Counts of one stretch of time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) requests: usize,
    pub(crate) failed: usize,
    /// POSTs cut in flight, each of them excused.
    pub(crate) cut: usize,
    /// POSTs that may have been on the dying instance: `cut` can be no more.
    pub(crate) cut_bound: usize,
    pub(crate) longest: Duration,
    /// How the failed ones ended.
    pub(crate) reasons: BTreeMap<String, usize>,
}

impl Counts {
    /// Adds another stretch of time.
    pub(crate) fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.failed += other.failed;
        self.cut += other.cut;
        self.cut_bound += other.cut_bound;
        self.longest = self.longest.max(other.longest);
        for (reason, times) in &other.reasons {
            *self.reasons.entry(reason.clone()).or_default() += times;
        }
    }
}

/// Counts `records`, with at most one dying instance to excuse POSTs.
pub(crate) fn count(records: &[Record], excuse: Option<Excuse>) -> Counts {
    let mut counts = Counts::default();
    for record in records {
        counts.requests += 1;
        counts.longest = counts.longest.max(record.ended.saturating_sub(record.due));
        let excused = match (record.ask, record.sent, excuse) {
            (Ask::Post { .. }, Some(sent), Some(excuse)) => {
                excuse.covers(record.service, sent, record.ended)
            }
            _ => false,
        };
        counts.cut_bound += usize::from(excused);
        let failed = match classify(record.ask, record.end) {
            Outcome::Good => false,
            Outcome::Failed => true,
            Outcome::Cut => !excused,
        };
        if failed {
            counts.failed += 1;
            let method = match record.ask {
                Ask::Get => "GET",
                Ask::Post { .. } => "POST",
            };
            let reason = format!("{} {method}: {}", record.service, record.end);
            *counts.reasons.entry(reason).or_default() += 1;
        } else if classify(record.ask, record.end) == Outcome::Cut {
            counts.cut += 1;
        }
    }
    counts
}

/// Written by the load, read by the steps.
#[derive(Debug, Default)]
pub(crate) struct Tape(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// Due times of requests that have not ended.
    open: BTreeMap<u64, Duration>,
    done: Vec<Record>,
    acknowledged: BTreeSet<u64>,
    lateness: Lateness,
    dropped: u64,
    requests: u64,
}

impl Tape {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request began, `late` by the load's own fault.
    pub(crate) fn begin(&self, index: u64, due: Duration, late: Duration) {
        let mut inner = self.lock();
        inner.open.insert(index, due);
        inner.lateness.add(late);
        inner.requests += 1;
    }

    /// It ended.
    pub(crate) fn end(&self, index: u64, record: Record) {
        let mut inner = self.lock();
        inner.open.remove(&index);
        if let (Ask::Post { number }, Outcome::Good) =
            (record.ask, classify(record.ask, record.end))
        {
            inner.acknowledged.insert(number);
        }
        if inner.done.len() < KEPT {
            inner.done.push(record);
        } else {
            inner.dropped += 1;
        }
    }

    /// Requests that have not ended.
    pub(crate) fn outstanding(&self) -> usize {
        self.lock().open.len()
    }

    /// All requests due before `until`, taken off the tape; `None` while one of them has not ended.
    pub(crate) fn cut_off(&self, until: Duration) -> Option<Vec<Record>> {
        let mut inner = self.lock();
        if inner.open.values().any(|due| *due < until) {
            return None;
        }
        let all = std::mem::take(&mut inner.done);
        let (taken, kept) = all.into_iter().partition(|it| it.due < until);
        inner.done = kept;
        Some(taken)
    }

    /// When the first good answer of process `pid` arrived.
    pub(crate) fn first_answer(&self, pid: u32) -> Option<Duration> {
        let inner = self.lock();
        let of_pid = inner.done.iter().filter(|it| it.pid == Some(pid));
        of_pid
            .filter(|it| classify(it.ask, it.end) == Outcome::Good)
            .map(|it| it.ended)
            .min()
    }

    /// Numbers of the POSTs that were answered with a yes.
    pub(crate) fn acknowledged(&self) -> BTreeSet<u64> {
        self.lock().acknowledged.clone()
    }

    /// How late the load was.
    pub(crate) fn lateness(&self) -> Lateness {
        self.lock().lateness.clone()
    }

    /// Requests begun in all, and finished ones that found no place on the tape.
    pub(crate) fn totals(&self) -> (u64, u64) {
        let inner = self.lock();
        (inner.requests, inner.dropped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::outcome::Body;
    use crate::demo::wire::Broken;

    fn record(ask: Ask, due: u64, ended: u64, end: End) -> Record {
        let ms = Duration::from_millis;
        Record {
            service: Service::Orders,
            ask,
            due: ms(due),
            sent: Some(ms(due)),
            ended: ms(ended),
            end,
            pid: Some(9),
        }
    }

    const GOOD: End = End::Answered {
        status: 200,
        body: Body::Right,
    };
    const CUT: End = End::Broken(Broken::Sent);

    #[test]
    fn cut_posts_count_as_failed_unless_an_instance_died_then() {
        let records = [
            record(Ask::Get, 0, 3, GOOD),
            record(Ask::Post { number: 1 }, 90, 130, CUT),
            record(Ask::Post { number: 2 }, 95, 101, GOOD),
            record(Ask::Post { number: 3 }, 500, 501, CUT),
            record(Ask::Get, 99, 104, CUT),
        ];
        let excuse = Excuse {
            service: Service::Orders,
            sent_by: Duration::from_millis(110),
            ended_from: Duration::from_millis(100),
        };
        let with = count(&records, Some(excuse));
        assert_eq!((with.requests, with.failed), (5, 2));
        assert_eq!((with.cut, with.cut_bound), (1, 2));
        assert_eq!(with.longest, Duration::from_millis(40));
        assert_eq!(with.reasons.get("orders GET: reset"), Some(&1));
        let without = count(&records, None);
        assert_eq!((without.failed, without.cut, without.cut_bound), (3, 0, 0));
    }

    #[test]
    fn a_stretch_is_whole_before_it_is_taken() {
        let tape = Tape::default();
        let ms = Duration::from_millis;
        for (index, due) in [(0, 10), (1, 20), (2, 30)] {
            tape.begin(index, ms(due), Duration::ZERO);
        }
        tape.end(1, record(Ask::Post { number: 1 }, 20, 25, GOOD));
        tape.end(2, record(Ask::Post { number: 2 }, 30, 35, CUT));
        assert!(tape.cut_off(ms(30)).is_none(), "request 0 is out");
        tape.end(0, record(Ask::Get, 10, 40, GOOD));
        assert_eq!(tape.cut_off(ms(30)).map(|it| it.len()), Some(2));
        assert_eq!(tape.cut_off(ms(31)).map(|it| it.len()), Some(1));
        assert_eq!(tape.acknowledged(), BTreeSet::from([1]));
        assert_eq!(tape.totals(), (3, 0));
    }
}
