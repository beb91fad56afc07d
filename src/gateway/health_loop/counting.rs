//! The half of the health loop that counts: who comes to this gateway for which service, and the load of those that follow it.

use super::super::load::Sample;
use super::HealthLoop;
use crate::clock;
use minato_config::ServiceName;
use std::collections::BTreeSet;

impl HealthLoop {
    /// Looks whether somebody comes to this gateway for a service that other sites serve too.
    pub(super) fn count_visits(&self, name: &ServiceName) {
        let table = self.options.table.load();
        let Some(entry) = table.service(name) else {
            return self.options.visits.forget(name);
        };
        let queue = &entry.shared.queue;
        let begun = queue.in_flight().saturating_add(queue.waiting());
        let ended = self.options.metrics.traffic(name).requests;
        self.options
            .visits
            .count(name, begun.into(), ended, clock::wall());
    }

    /// Tells the load of services that follow it.
    pub(super) fn measure(&mut self) {
        let (table, now) = (self.options.table.load(), clock::now());
        let reports = &self.options.reports;
        let mut followed = BTreeSet::new();
        for (name, _) in self
            .fleet
            .services()
            .filter(|(_, it)| it.service.scale.is_some())
        {
            let Some(entry) = table.service(name) else {
                continue;
            };
            let queue = &entry.shared.queue;
            let sample = Sample {
                in_flight: queue.in_flight().saturating_add(queue.waiting()),
                p95: self.options.metrics.traffic(name).p95,
                called: self.fleet.called(name),
            };
            if let Some(load) = self.loads.sample(name, sample, now) {
                reports.set_load(name, load);
            }
            followed.insert(name);
        }
        for gone in self.loads.retain(|it| followed.contains(it)) {
            reports.remove_load(&gone);
        }
    }
}
