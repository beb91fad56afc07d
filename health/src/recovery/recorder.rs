//! From looks at one service to records.

use super::{Recovery, RecoveryKind};
use crate::site::{Condition, LEAVE_GONE, Turn};
use minato_config::{Move, SiteId, Timestamp};
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// Looks that are remembered.
const REMEMBERED: usize = 256;
/// A request that was served longer ago says nothing of the moment at which a site failed.
const RECENT: Duration = Duration::from_secs(20);
/// Without an error for so long it is over.
const CALM: Duration = Duration::from_secs(10);
/// It is recorded as it is after this time, over or not.
const LONGEST: Duration = Duration::from_secs(600);

/// What is seen of one service at one moment.
#[derive(Debug, Clone)]
pub struct Glimpse {
    /// Monotonic.
    pub now: Instant,
    /// The same moment for people.
    pub wall: Timestamp,
    /// Requests so far that got an error of the gateway's own.
    pub errors: u64,
    /// In order, as this gateway has it.
    pub sites: Vec<SiteGlimpse>,
}

/// Of one site.
#[derive(Debug, Clone)]
pub struct SiteGlimpse {
    /// Which.
    pub site: SiteId,
    /// What it can do.
    pub condition: Condition,
    /// Percent of the visitors that may go there.
    pub percent: u8,
    /// Instances that it has.
    pub up: u32,
    /// Requests that it has answered so far. May begin anew.
    pub served: u64,
}

/// One service. See [`super`].
#[derive(Debug, Clone, Default)]
pub struct Recorder {
    past: VecDeque<(Instant, u64)>,
    served: BTreeMap<SiteId, Served>,
    /// The last look at which the site that gets the visitors was there.
    well: Option<(SiteId, Instant)>,
    open: Option<Open>,
    /// One that was recorded before anybody else served: a person's word may still end it.
    unanswered: Option<Open>,
    returning: Option<Returning>,
}

#[derive(Debug, Clone)]
struct Served {
    count: u64,
    /// The look before the one that saw it rise last.
    rose_after: Option<Instant>,
    /// The looks that saw it rise, of the last [`REMEMBERED`] of them.
    rises: VecDeque<Instant>,
}

#[derive(Debug, Clone)]
struct Open {
    record: Recovery,
    began: Instant,
    errors_before: u64,
    last_error: Instant,
    errors: u64,
    /// Since when the site is there again.
    back: Option<Instant>,
}

#[derive(Debug, Clone)]
struct Returning {
    site: SiteId,
    from: SiteId,
    at: Timestamp,
    began: Instant,
    errors: u64,
}

impl Recorder {
    /// Whether something is going on: then it should be looked often.
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Takes a look in. What is over is returned.
    pub fn look(&mut self, seen: &Glimpse) -> Option<Recovery> {
        let before = self.past.back().map(|it| it.0);
        let rose = self.count(seen, before);
        if self.past.len() >= REMEMBERED {
            self.past.pop_front();
        }
        self.past.push_back((seen.now, seen.errors));
        if self.open.is_none() {
            self.open = self.failed(seen).and_then(|site| self.begin(&site, seen));
        }
        if self.well.is_some() {
            self.unanswered = None;
        }
        self.open.as_mut()?.go_on(seen, &rose);
        let is_over = self.open.as_ref().is_some_and(|it| it.is_over(seen.now));
        let open = if is_over {
            self.open.take()?
        } else {
            return None;
        };
        self.well = None;
        if open.record.decide_ms.is_none() && open.back.is_none() {
            self.unanswered = Some(open.clone());
        }
        Some(open.record).filter(counts)
    }

    /// Visitors leave a site, or come back to it. What is over is returned.
    pub fn turned(&mut self, site: &SiteId, turn: Turn, seen: &Glimpse) -> Option<Recovery> {
        match turn {
            Turn::Leaves | Turn::LeavesAlone => {
                self.returning = None;
                if self.open.is_none() {
                    // It turned between two looks.
                    self.open = self.begin(site, seen);
                }
                if let Some(open) = &mut self.open
                    && open.record.from == *site
                {
                    let decided = open.since(seen.now);
                    open.record.decide_ms.get_or_insert(decided);
                }
                None
            }
            Turn::Returns(_) if self.returning.is_none() => {
                let others = seen.sites.iter().filter(|it| it.site != *site);
                let from = others.max_by_key(|it| it.percent)?;
                self.returning = Some(Returning {
                    site: site.clone(),
                    from: from.site.clone(),
                    at: seen.wall,
                    began: seen.now,
                    errors: seen.errors,
                });
                None
            }
            Turn::Back => {
                let it = self.returning.take().filter(|it| it.site == *site)?;
                let took = millis(seen.now.saturating_duration_since(it.began));
                Some(Recovery {
                    kind: RecoveryKind::Return,
                    at: it.at,
                    from: it.from,
                    to: Some(it.site),
                    detect_ms: 0,
                    decide_ms: Some(0),
                    start_ms: Some(0),
                    first_ms: Some(took),
                    errors: seen.errors.saturating_sub(it.errors),
                    data_age_ms: None,
                })
            }
            _ => None,
        }
    }

    /// A person's word moves visitors to `to`. `seen`: just before. `held`: since when requests wait here for it.
    ///
    /// A site that fails already is what is measured; who has left it by themselves is not moved again. Else it counts from the moment at
    /// which requests wait, or from the look before: until then they were served. What was measured of a move before, or of a failure that
    /// is past, is over, and returned.
    pub fn moved(
        &mut self,
        by: &Move,
        to: &SiteId,
        held: Option<Instant>,
        seen: &Glimpse,
    ) -> Option<Recovery> {
        self.returning = None;
        let is_it = |it: &Open| it.record.from == by.from && it.back.is_none();
        let unanswered = self.unanswered.take().filter(is_it);
        let (known, over) = match self.open.take() {
            Some(open) if is_it(&open) => (Some(open), None),
            other => (unanswered, other),
        };
        let over = over.map(|it| it.record).filter(counts);
        let Some(mut open) = known.or_else(|| self.leave(by, held, seen)) else {
            return over;
        };
        open.record.kind = by.kind.into();
        open.record.data_age_ms = by.data_age_ms;
        open.record.to.get_or_insert_with(|| to.clone());
        let decided = open.since(seen.now);
        open.record.decide_ms.get_or_insert(decided);
        open.last_error = seen.now;
        self.open = Some(open);
        over
    }

    fn leave(&self, by: &Move, held: Option<Instant>, seen: &Glimpse) -> Option<Open> {
        let left = seen.sites.iter().find(|it| it.site == by.from)?;
        if left.percent == 0 {
            return None;
        }
        let failing = left.condition.is_nothing();
        if let Some(open) = self.begin(&by.from, seen).filter(|_| failing) {
            return Some(open);
        }
        let look = self.past.back().map_or(seen.now, |it| it.0);
        let began = held.map_or(look, |it| it.min(look));
        let ago = seen.now.saturating_duration_since(began);
        let others = || seen.sites.iter().filter(|it| it.site != by.from);
        Some(Open {
            record: Recovery {
                kind: by.kind.into(),
                at: Timestamp(seen.wall.0.saturating_sub(millis(ago))),
                from: by.from.clone(),
                to: None,
                detect_ms: 0,
                decide_ms: None,
                start_ms: others().any(|it| it.up > 0).then_some(0),
                first_ms: None,
                errors: 0,
                data_age_ms: None,
            },
            began,
            errors_before: self.errors_at(began).unwrap_or(seen.errors),
            last_error: seen.now,
            errors: seen.errors,
            back: None,
        })
    }

    /// Sites that answered a request since the look before.
    fn count(&mut self, seen: &Glimpse, before: Option<Instant>) -> Vec<SiteId> {
        let mut rose = Vec::new();
        for it in &seen.sites {
            let known = self.served.entry(it.site.clone()).or_insert(Served {
                count: it.served,
                rose_after: None,
                rises: VecDeque::new(),
            });
            if it.served > known.count {
                known.rose_after = before;
                if known.rises.len() >= REMEMBERED {
                    known.rises.pop_front();
                }
                known.rises.push_back(seen.now);
                rose.push(it.site.clone());
            }
            known.count = it.served;
        }
        let there = |site: &SiteId| seen.sites.iter().any(|it| it.site == *site);
        self.served.retain(|site, _| there(site));
        rose
    }

    /// The site that got the visitors, where it serves nothing any more.
    fn failed(&mut self, seen: &Glimpse) -> Option<SiteId> {
        let leads = seen.sites.iter().find(|it| it.percent > 0)?;
        if leads.condition.is_nothing() {
            return Some(leads.site.clone());
        }
        self.well = Some((leads.site.clone(), seen.now));
        None
    }

    /// `None` where it did not get the visitors, or was not seen well.
    fn begin(&self, site: &SiteId, seen: &Glimpse) -> Option<Open> {
        let (_, well) = self.well.as_ref().filter(|it| it.0 == *site)?;
        let failed = seen.sites.iter().find(|it| it.site == *site)?;
        let by_condition = match failed.condition {
            Condition::Silent | Condition::Unreached => {
                let silent = seen.now.checked_sub(LEAVE_GONE).unwrap_or(seen.now);
                silent.min(*well)
            }
            _ => *well,
        };
        let served = self.served.get(site).and_then(|it| it.rose_after);
        let recent = |at: &Instant| seen.now.saturating_duration_since(*at) <= RECENT;
        let by_traffic = served.filter(recent).unwrap_or(by_condition);
        let began = by_condition.min(by_traffic);
        let errors_before = self.errors_at(began).unwrap_or(seen.errors);
        let ago = seen.now.saturating_duration_since(began);
        let others = || seen.sites.iter().filter(|it| it.site != *site);
        // What could not be sent went to the next site long before the failed one was given up.
        let rises = others().filter_map(|it| {
            let mut rises = self.served.get(&it.site)?.rises.iter();
            Some((*rises.find(|at| **at > began)?, it.site.clone()))
        });
        let first = rises.min();
        let record = Recovery {
            kind: RecoveryKind::Failover,
            at: Timestamp(seen.wall.0.saturating_sub(millis(ago))),
            from: site.clone(),
            to: first.as_ref().map(|it| it.1.clone()),
            detect_ms: millis(ago),
            decide_ms: None,
            start_ms: others().any(|it| it.up > 0).then_some(0),
            first_ms: first.map(|it| millis(it.0.saturating_duration_since(began))),
            errors: 0,
            data_age_ms: None,
        };
        Some(Open {
            record,
            began,
            errors_before,
            last_error: seen.now,
            errors: seen.errors,
            back: None,
        })
    }

    /// Errors as they stood then: of the newest look that is not later.
    fn errors_at(&self, at: Instant) -> Option<u64> {
        let before = self.past.iter().rev().find(|it| it.0 <= at);
        before.or(self.past.front()).map(|it| it.1)
    }
}

impl Open {
    fn go_on(&mut self, seen: &Glimpse, rose: &[SiteId]) {
        let since = self.since(seen.now);
        if seen.errors != self.errors {
            (self.errors, self.last_error) = (seen.errors, seen.now);
        }
        self.record.errors = seen.errors.saturating_sub(self.errors_before);
        let others = || seen.sites.iter().filter(|it| it.site != self.record.from);
        if self.record.start_ms.is_none() && others().any(|it| it.up > 0) {
            self.record.start_ms = Some(since);
        }
        let served = others().find(|it| rose.contains(&it.site));
        if self.record.first_ms.is_none()
            && let Some(site) = served.map(|it| it.site.clone())
        {
            (self.record.first_ms, self.record.to) = (Some(since), Some(site));
        }
        let from = seen.sites.iter().find(|it| it.site == self.record.from);
        let is_back = from.is_some_and(|it| !it.condition.is_nothing());
        self.back = if is_back {
            self.back.or(Some(seen.now))
        } else {
            None
        };
    }

    /// Long enough calm, and either another site serves or nobody comes, or the one that failed is back.
    fn is_over(&self, now: Instant) -> bool {
        let calm = now.saturating_duration_since(self.last_error) >= CALM;
        let length = now.saturating_duration_since(self.began);
        let back = self.back.map(|it| now.saturating_duration_since(it));
        let decided = self.record.decide_ms.map(Duration::from_millis);
        let settled = decided.is_some_and(|it| length.saturating_sub(it) >= CALM);
        let is_back = back.is_some_and(|it| it >= CALM);
        let pending = length.saturating_sub(decided.unwrap_or_default());
        pending >= LONGEST || calm && (settled || is_back)
    }

    fn since(&self, now: Instant) -> u64 {
        millis(now.saturating_duration_since(self.began))
    }
}

/// Whether visitors could have noticed.
fn counts(it: &Recovery) -> bool {
    it.decide_ms.is_some() || it.first_ms.is_some() || it.errors > 0
}

fn millis(it: Duration) -> u64 {
    u64::try_from(it.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[path = "recorder_tests.rs"]
mod tests;
