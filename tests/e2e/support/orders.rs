//! Orders that visitors place while something breaks: each is carried out once or not at all, and none is lost that was answered with yes.

use super::figures::{Figure, Figures};
use super::load::{Ask, Load, Pace, Report};
use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Beside a load of GETs.
const PACE: Pace = Pace {
    threads: 2,
    between: Duration::from_millis(40),
};

/// A running load of orders, and the ledger that every instance writes.
pub(crate) struct Orders {
    load: Load,
    ledger: PathBuf,
}

/// What came of them.
#[derive(Debug)]
pub(crate) struct Carried {
    sent: u64,
    /// Without an answer of yes: sent to an instance that was going, which nobody may send again.
    unanswered: u64,
    doubled: u64,
}

impl Orders {
    pub(crate) fn start(gateway: SocketAddr, host: &str, ledger: PathBuf) -> Self {
        let load = Load::start_at(PACE, gateway, host, &Ask::Orders);
        Self { load, ledger }
    }

    /// Waits until this many more were placed.
    #[track_caller]
    pub(crate) fn wait_for(&self, more: u64) {
        self.load.wait_for(more);
    }

    /// Ends it. `gone`: instances that went meanwhile.
    #[track_caller]
    pub(crate) fn judge(self, gone: u64) -> Carried {
        self.load.wait_for(5);
        let report: Report = self.load.stop();
        assert!(report.taken.len() > 4, "too few orders: {report:?}");
        let text = fs::read_to_string(&self.ledger).unwrap_or_default();
        let mut carried: BTreeMap<u64, u64> = BTreeMap::new();
        for number in text.lines().map(|it| it.split(' ').next()) {
            let number = number.and_then(|it| it.parse().ok()).unwrap();
            *carried.entry(number).or_default() += 1;
        }
        let doubled: Vec<_> = carried.iter().filter(|it| *it.1 > 1).collect();
        assert!(
            doubled.is_empty(),
            "carried out more than once: {doubled:?}"
        );
        let lost = report.taken.iter().filter(|it| !carried.contains_key(it));
        let lost: Vec<_> = lost.collect();
        assert!(lost.is_empty(), "answered with yes and lost: {lost:?}");
        // At most those under way to each that went.
        assert!(
            report.failed <= gone * PACE.threads,
            "{gone} instances went: {:?}",
            report.failures
        );
        Carried {
            sent: report.sent,
            unanswered: report.failed,
            doubled: doubled.len() as u64,
        }
    }
}

impl Carried {
    pub(crate) fn figures(&self) -> Figures {
        vec![
            ("orders", Figure::Count(self.sent)),
            ("orders without an answer", Figure::Count(self.unanswered)),
            ("duplicates", Figure::Count(self.doubled)),
        ]
    }
}
