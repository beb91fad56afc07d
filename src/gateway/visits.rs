//! Since when nobody has come to this gateway for a service, and how many did: when the old entrance of a service that moved is quiet.

use minato_config::{ServiceName, Timestamp};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Shared by the health loop, which counts, and by what answers peers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Visits(Arc<Mutex<BTreeMap<ServiceName, Visited>>>);

#[derive(Debug)]
struct Visited {
    /// Requests that have ended, ever.
    ended: u64,
    /// `None` while somebody is there.
    quiet_since: Option<Timestamp>,
}

impl Visits {
    /// `begun`: requests that have not ended; `ended`: those that have, ever. The first look begins the time.
    pub(super) fn count(&self, service: &ServiceName, begun: u64, ended: u64, now: Timestamp) {
        let mut all = self.all();
        let known = all.entry(service.clone()).or_insert(Visited {
            ended,
            quiet_since: None,
        });
        let is_quiet = begun == 0 && ended == known.ended;
        known.ended = ended;
        known.quiet_since = is_quiet.then(|| known.quiet_since.unwrap_or(now));
    }

    pub(super) fn forget(&self, service: &ServiceName) {
        self.all().remove(service);
    }

    /// `None` while somebody comes, or where nobody has looked yet.
    pub(crate) fn quiet_since(&self, service: &ServiceName) -> Option<Timestamp> {
        self.all().get(service)?.quiet_since
    }

    /// Requests that have come so far; `None` where nobody has looked yet.
    pub(crate) fn came(&self, service: &ServiceName) -> Option<u64> {
        self.all().get(service).map(|it| it.ended)
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<ServiceName, Visited>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quiet_begins_anew_with_each_visit() {
        let (visits, name) = (Visits::default(), ServiceName::parse("a").expect("a name"));
        assert_eq!(visits.quiet_since(&name), None);
        for (at, begun, ended, expected) in [
            (1, 0, 7, Some(1)),
            (2, 0, 7, Some(1)),
            (3, 0, 8, None),
            (4, 0, 8, Some(4)),
            (5, 1, 8, None),
            (6, 1, 8, None),
            (7, 0, 9, None),
            (8, 0, 9, Some(8)),
        ] {
            visits.count(&name, begun, ended, Timestamp(at));
            assert_eq!(
                visits.quiet_since(&name),
                expected.map(Timestamp),
                "at {at}"
            );
        }
    }
}
