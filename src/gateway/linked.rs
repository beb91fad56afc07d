//! How this gateway sees other sites, as it is told to the store: when that is worth a commit. Pure.

use minato_config::SiteId;
use minato_health::LinkReport;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Figures alone are told at most this often; that a site answers, or does not any more, is told at once.
const FIGURES: Duration = Duration::from_secs(10);

/// What was told, by site.
#[derive(Debug, Default)]
pub(super) struct Told(BTreeMap<SiteId, (LinkReport, Instant)>);

impl Told {
    /// Of what is seen now, that which is to be told.
    pub(super) fn due(
        &mut self,
        seen: Vec<(SiteId, LinkReport)>,
        now: Instant,
    ) -> Vec<(SiteId, LinkReport)> {
        let is_due = |site: &SiteId, fresh: &LinkReport| match self.0.get(site) {
            None => true,
            Some((told, _)) if told.up != fresh.up => true,
            Some((told, at)) => {
                fresh.differs(told) && now.saturating_duration_since(*at) >= FIGURES
            }
        };
        let due: Vec<_> = seen
            .into_iter()
            .filter(|(site, fresh)| is_due(site, fresh))
            .collect();
        for (site, report) in &due {
            self.0.insert(site.clone(), (report.clone(), now));
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use minato_config::Timestamp;

    #[test]
    fn a_turn_is_told_at_once_and_figures_once_in_a_while() {
        let site = SiteId::parse("osaka").expect("a site");
        let report = |up: bool, delay_ms: u64| LinkReport {
            v: 1,
            up,
            since: Timestamp(0),
            reason: String::new(),
            delay_us: Some(delay_ms * 1_000),
            loss_permille: 0,
            bandwidth: None,
            version: String::new(),
            clock_off_ms: 0,
        };
        let (begin, mut told) = (crate::clock::now(), Told::default());
        for (second, up, delay_ms, expected) in [
            (0, true, 30, true),
            (1, true, 30, false),
            (2, true, 300, false),
            (3, false, 300, true),
            (4, true, 300, true),
            (13, true, 30, false),
            (14, true, 30, true),
            (99, true, 31, false),
        ] {
            let now = begin + Duration::from_secs(second);
            let due = told.due(vec![(site.clone(), report(up, delay_ms))], now);
            assert_eq!(due.len() == 1, expected, "second {second}");
        }
    }
}
