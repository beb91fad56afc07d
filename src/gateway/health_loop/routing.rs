//! The half of the health loop that changes the table: a service comes, is another one, or goes.
//!
//! A table is never changed: the next one takes its place whole, on this task, so that the old one is dropped away from the cores that
//! serve.

use super::super::fleet::Update;
use super::super::news;
use super::super::wanted::Wanted;
use super::HealthLoop;
use crate::clock;
use minato_config::{Service, ServiceName};
use minato_proxy::{EndpointId, Intake, ServiceEntry, Standing};
use std::sync::Arc;

impl HealthLoop {
    /// Makes one service what it should be, in the fleet and then in the table.
    pub(super) fn update(&mut self, file: &Service, wanted: &[Wanted], intake: Intake) {
        let service = &self.options.orders.applied(file);
        let name = &service.name;
        let routes_before = self.fleet.service(name).map(|it| route_texts(&it.service));
        let update = self.fleet.update(service, wanted, intake);
        self.fleet.mean(file);
        let Some(Update { entry, gone }) = update else {
            return;
        };
        let changes = entry.settle(&|id| self.fleet.opinion(id));
        self.put(entry);
        let routes = route_texts(service);
        if routes_before.as_ref() != Some(&routes) {
            self.tell(news::routed(name, &routes, clock::wall()));
        }
        for (id, standing) in gone {
            self.gone(&id);
            if standing <= Standing::Held {
                self.tell(news::gone(&id, clock::wall()));
            }
        }
        self.settled(&changes, None);
        let known = self.fleet.service(name);
        let ids: Vec<EndpointId> = known
            .into_iter()
            .flat_map(|it| it.members.keys().cloned())
            .collect();
        ids.iter().for_each(|id| self.report(id));
        self.dirty();
    }

    /// Puts a service into the table as it is now.
    pub(super) fn put(&self, entry: ServiceEntry) {
        let table = self.options.table.load().with(entry);
        self.options.table.store(Arc::new(table));
    }

    /// Takes those out that have made room and have nothing left in flight.
    pub(super) fn release_drained(&mut self) {
        for id in self.fleet.drained() {
            self.report(&id);
            if let Some(entry) = self.fleet.remove_drained(&id) {
                self.put(entry);
                self.gone(&id);
                self.dirty();
            }
        }
    }

    /// Of an endpoint that is in no table any more.
    fn gone(&mut self, id: &EndpointId) {
        self.options.seen.remove(id);
        self.options.metrics.forget_endpoint(id);
        if !self.fleet.has_slot(&id.service, id.slot) {
            self.options.reports.remove(&id.service, id.slot);
        }
    }

    /// New requests find no route; those in flight end.
    pub(super) fn unroute(&mut self, name: &ServiceName) {
        let table = self.options.table.load();
        if table.service(name).is_some() {
            self.options.table.store(Arc::new(table.without(name)));
            self.tell(news::unrouted(name, clock::wall()));
            self.fleet.drain(name);
            self.dirty();
        }
    }

    /// Nothing is known of a service any more.
    pub(super) fn forget(&mut self, name: &ServiceName) {
        if let Some(entry) = self.options.table.load().service(name) {
            entry.shared.queue.release();
        }
        self.holding.forget(name);
        self.options.reports.remove_held(name);
        self.unroute(name);
        self.records.remove(name);
        self.options.orders.forget(name);
        self.options.visits.forget(name);
        self.options.wants.forget(name);
        self.released.retain(|(service, _), _| service != name);
        self.recoveries.forget(name);
        self.options.reports.remove_recoveries(name);
        for id in self.fleet.forget(name) {
            self.gone(&id);
            self.options.metrics.forget_slot(&id.service, id.slot);
        }
    }
}

fn route_texts(service: &Service) -> Vec<String> {
    let routes = service.routes.iter();
    routes.map(|it| it.pattern.to_string()).collect()
}
