//! Services that move to another site: whether their requests wait at this gateway, and what it says of that. Pure.
//!
//! A hold is a document (`minato_control::hold`); it is followed from the moment that the store tells of it until it is released, its
//! time is over by the wall clock, or ten seconds have passed by the clock that nobody sets. A try that has had its time is never
//! held again, whatever the document says.
//! Not here: how requests wait (`proxy`), writing the reports (`reports`).

use minato_config::{ServiceName, Timestamp};
use minato_control::hold::{Following, HeldReport, HoldRecord, MOST};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// All services that have been held.
#[derive(Debug, Default)]
pub(super) struct Holding(BTreeMap<ServiceName, One>);

#[derive(Debug, Default)]
struct One {
    held: Option<Held>,
    /// The last try whose time was over.
    over: Option<Following>,
}

#[derive(Debug)]
struct Held {
    following: Following,
    since: Instant,
    until: Instant,
    /// Requests being served, as they were told last.
    told: Option<u32>,
}

/// What to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Turn {
    /// As it was.
    Stays,
    /// Requests wait from now on.
    Hold(Following),
    /// They go on, having waited for so long.
    Release(Following, Duration, End),
}

/// Why they go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The switch said so.
    Told,
    /// The time is over.
    Late,
}

impl Holding {
    /// What the document of a service says now.
    pub(super) fn turn(
        &mut self,
        service: &ServiceName,
        record: Option<&HoldRecord>,
        now: Instant,
        wall: Timestamp,
    ) -> Turn {
        let Some(record) = record else {
            return self
                .0
                .get_mut(service)
                .map_or(Turn::Stays, |it| it.end(now));
        };
        let one = self.0.entry(service.clone()).or_default();
        let following = Following {
            by: record.by.clone(),
            run: record.run,
        };
        let is_due = record.is_in_force(wall) && one.over.as_ref() != Some(&following);
        match &one.held {
            Some(held) if !is_due || now >= held.until => return one.end(now),
            Some(held) if held.following == following => return Turn::Stays,
            None if !is_due => return Turn::Stays,
            // Nothing was held, or another try takes its place.
            _ => {}
        }
        one.held = Some(Held {
            following: following.clone(),
            since: now,
            until: now + record.until.since(wall).min(MOST),
            told: None,
        });
        Turn::Hold(following)
    }

    /// Ends what has had its time, also where the store says nothing.
    pub(super) fn overdue(&mut self, now: Instant) -> Vec<(ServiceName, Turn)> {
        let due = |it: &One| it.held.as_ref().is_some_and(|it| now >= it.until);
        let due = self.0.iter_mut().filter(|(_, it)| due(it));
        due.map(|(name, it)| (name.clone(), it.end(now))).collect()
    }

    /// The service is gone. What waits there finds no route.
    pub(super) fn forget(&mut self, service: &ServiceName) {
        self.0.remove(service);
    }

    /// Since when requests of a service wait.
    pub(super) fn since(&self, service: &ServiceName) -> Option<Instant> {
        let held = self.0.get(service)?.held.as_ref()?;
        Some(held.since)
    }

    /// Whose requests wait.
    pub(super) fn held(&self) -> Vec<ServiceName> {
        let held = self.0.iter().filter(|(_, it)| it.held.is_some());
        held.map(|(name, _)| name.clone()).collect()
    }

    /// What to tell of a service whose requests wait, with `in_flight` that are being served still, if that is news.
    pub(super) fn report(&mut self, service: &ServiceName, in_flight: u32) -> Option<HeldReport> {
        let held = self.0.get_mut(service)?.held.as_mut()?;
        if held.told == Some(in_flight) {
            return None;
        }
        held.told = Some(in_flight);
        Some(HeldReport {
            v: 1,
            held: held.following.clone(),
            in_flight,
        })
    }
}

impl One {
    fn end(&mut self, now: Instant) -> Turn {
        let Some(held) = self.held.take() else {
            return Turn::Stays;
        };
        let waited = now.saturating_duration_since(held.since);
        let end = if now >= held.until {
            End::Late
        } else {
            End::Told
        };
        // A hold that was ended is not begun again either.
        self.over = Some(held.following.clone());
        Turn::Release(held.following, waited, end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use minato_config::SiteId;
    use minato_control::OperationId;
    use minato_control::hold::Holder;

    fn name() -> ServiceName {
        ServiceName::parse("library").expect("a name")
    }

    fn record(run: u32, until: u64, released: bool) -> HoldRecord {
        HoldRecord {
            v: 1,
            by: Holder {
                site: SiteId::parse("osaka").expect("a site"),
                operation: OperationId(12),
            },
            run,
            since: Timestamp(0),
            until: Timestamp(until),
            released,
        }
    }

    /// Each `at ms: document` leads to the letter: h held, . as it was, r released, l late. A document is `try/until`, with `!`
    /// released; `-` none; `?` only the clock goes on.
    #[track_caller]
    fn check(course: &[(u64, &str)], expected: &str) {
        let (begin, mut holding, mut found) =
            (crate::clock::now(), Holding::default(), String::new());
        for (at, text) in course {
            let (now, wall) = (begin + Duration::from_millis(*at), Timestamp(*at));
            let turn = match *text {
                "?" => holding.overdue(now).pop().map_or(Turn::Stays, |it| it.1),
                "-" => holding.turn(&name(), None, now, wall),
                text => {
                    let (run, until) = text.split_once('/').expect("a document");
                    let released = until.ends_with('!');
                    let until = until.trim_end_matches('!').parse().expect("a time");
                    let record = record(run.parse().expect("a try"), until, released);
                    holding.turn(&name(), Some(&record), now, wall)
                }
            };
            found.push(match turn {
                Turn::Stays => '.',
                Turn::Hold(_) => 'h',
                Turn::Release(_, _, End::Told) => 'r',
                Turn::Release(_, _, End::Late) => 'l',
            });
        }
        assert_eq!(found, expected, "{course:?}");
    }

    #[test]
    fn it_holds_as_long_as_the_document_says() {
        let one = "1/9000";
        check(
            &[(0, one), (100, one), (900, "1/9000!"), (950, "1/9000!")],
            "h.r.",
        );
        check(
            &[(0, one), (8_999, one), (9_000, one), (9_001, one)],
            "h.l.",
        );
        check(&[(0, one), (5_000, "-"), (5_001, one)], "hr.");
        // Another try takes the place of this one, and nobody gets in between.
        check(
            &[(0, one), (100, "2/9000"), (150, "2/9000"), (200, "2/9000!")],
            "hh.r",
        );
    }

    #[test]
    fn its_own_clock_ends_it_where_the_store_says_nothing() {
        check(
            &[(0, "1/9000"), (8_999, "?"), (9_000, "?"), (9_100, "1/9000")],
            "h.l.",
        );
        // However late the document says that it ends.
        check(
            &[
                (0, "1/99000"),
                (9_999, "?"),
                (10_000, "?"),
                (10_100, "1/99000"),
            ],
            "h.l.",
        );
    }

    #[test]
    fn what_is_over_when_it_is_heard_of_is_not_held() {
        check(&[(9_000, "1/9000"), (9_001, "1/9000!")], "..");
        check(&[(0, "1/9000!")], ".");
    }

    #[test]
    fn what_is_served_still_is_told_while_it_holds() {
        let (now, mut holding) = (crate::clock::now(), Holding::default());
        let mut told = |in_flight, record: &HoldRecord| {
            holding.turn(&name(), Some(record), now, Timestamp(0));
            holding
                .report(&name(), in_flight)
                .map(|it| (it.held.run, it.in_flight))
        };
        let hold = record(1, 9_000, false);
        assert_eq!(told(3, &hold), Some((1, 3)));
        assert_eq!(told(3, &hold), None);
        assert_eq!(told(0, &hold), Some((1, 0)));
        assert_eq!(told(5, &record(1, 9_000, true)), None);
        assert_eq!(told(0, &record(2, 9_000, false)), Some((2, 0)));
    }
}
