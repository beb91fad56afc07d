//! How long visitors of each service were without it, from this gateway's looks to the store. The measuring is `health::recovery`.

use minato_config::{OrderRecord, ServiceName, SiteId, Timestamp};
use minato_health::recovery::{Glimpse, Recorder, Recovery, RecoveryLog};
use minato_health::site::Turn;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A decision that is heard of so much later, or so much ahead of this clock, is not what moves visitors now.
const NEWS: Duration = Duration::from_secs(120);
/// Services that are looked at four times a second; where there are more, each second.
const CLOSE: usize = 200;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Recoveries {
    recorders: BTreeMap<ServiceName, Recorder>,
    logs: BTreeMap<ServiceName, RecoveryLog>,
}

impl Recoveries {
    /// What the store has of this gateway's own, from a process before. It holds where nothing is known yet.
    pub(super) fn recall(&mut self, service: &ServiceName, log: &RecoveryLog) {
        self.logs
            .entry(service.clone())
            .or_insert_with(|| log.clone());
    }

    /// A service that several sites serve is looked at from now on; the log to write where there was none.
    pub(super) fn begin(&mut self, service: &ServiceName, wall: Timestamp) -> Option<RecoveryLog> {
        if self.logs.contains_key(service) {
            return None;
        }
        let log = RecoveryLog {
            v: 1,
            since: wall,
            events: Vec::new(),
        };
        self.logs.insert(service.clone(), log.clone());
        Some(log)
    }

    /// Whether it is to be looked at between two seconds.
    pub(super) fn is_close(&self, service: &ServiceName) -> bool {
        let open = self.recorders.get(service).is_some_and(Recorder::is_open);
        open || self.recorders.len() <= CLOSE
    }

    /// Takes a look in. Where something is over: what it was, and the log to write.
    pub(super) fn look(
        &mut self,
        service: &ServiceName,
        seen: &Glimpse,
    ) -> Option<(Recovery, RecoveryLog)> {
        let recorder = self.recorders.entry(service.clone()).or_default();
        let recovery = recorder.look(seen)?;
        Some(self.add(service, recovery))
    }

    /// Visitors leave a site, or come back.
    pub(super) fn turned(
        &mut self,
        service: &ServiceName,
        site: &SiteId,
        turn: Turn,
        seen: &Glimpse,
    ) -> Option<(Recovery, RecoveryLog)> {
        let recorder = self.recorders.entry(service.clone()).or_default();
        let recovery = recorder.turned(site, turn, seen)?;
        Some(self.add(service, recovery))
    }

    /// A person's decision takes effect. `held`: since when requests wait here for it. `seen`: just before. What is over is returned.
    pub(super) fn moved(
        &mut self,
        service: &ServiceName,
        order: &OrderRecord,
        held: Option<Instant>,
        seen: &Glimpse,
    ) -> Option<(Recovery, RecoveryLog)> {
        let away = seen.wall.0.abs_diff(order.since.0);
        let is_news = Duration::from_millis(away) < NEWS;
        let by = order.moved.as_ref().filter(|_| is_news)?;
        let recorder = self.recorders.entry(service.clone()).or_default();
        let over = recorder.moved(by, &order.first, held, seen)?;
        Some(self.add(service, over))
    }

    /// It is not served by several sites any more.
    pub(super) fn forget(&mut self, service: &ServiceName) {
        self.recorders.remove(service);
        self.logs.remove(service);
    }

    fn add(&mut self, service: &ServiceName, recovery: Recovery) -> (Recovery, RecoveryLog) {
        let log = self.logs.entry(service.clone()).or_default();
        log.v = 1;
        log.add(recovery.clone());
        (recovery, log.clone())
    }
}
