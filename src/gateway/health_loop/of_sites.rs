//! The half of the health loop that is about other sites: what is heard of them, how visitors are shared out, how long they were without a
//! service.

use super::super::news;
use super::HealthLoop;
use crate::clock;
use crate::link::{Heard, LinkNews};
use minato_config::{GatewayId, OrderRecord, ServiceName, SiteId, Sites};
use minato_control::World;
use minato_health::recovery::{Glimpse, Recovery, RecoveryLog};
use minato_health::site::Turn;
use std::collections::BTreeMap;

/// Which services it is looked at how visitors fare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Watched {
    All,
    /// Those of which it matters by less than a second.
    Close,
}

impl HealthLoop {
    /// What the other gateways of this site see of other sites.
    pub(super) fn take_links(&mut self, world: &World) {
        let mut seen: BTreeMap<SiteId, Vec<bool>> = BTreeMap::new();
        for ((site, gateway), report) in &world.links {
            if gateway.as_str() != self.options.node.as_str() {
                seen.entry(site.clone()).or_default().push(report.value.up);
            }
        }
        for name in self.fleet.hear_colleagues(seen) {
            self.share_out(&name);
        }
        self.lead_names();
    }

    /// Visitors may go to sites again of which a person says so. Each word counts once, also over restarts.
    pub(super) fn take_releases(&mut self, world: &World, name: &ServiceName) {
        let Some(sites) = world
            .services
            .get(name)
            .and_then(|it| it.value.service.sites.as_ref())
        else {
            return;
        };
        for site in &sites.order {
            let key = (name.clone(), site.clone());
            let Some(record) = world.releases.get(&key) else {
                continue;
            };
            if self.released.insert(key, record.modified) == Some(record.modified) {
                continue;
            }
            self.dirty();
            if self.fleet.release(name, site) {
                let who = &record.value.who;
                self.tell(news::released(name, site, who, clock::wall()));
            }
        }
        self.share_out(name);
    }

    /// What this gateway's process before measured of a service that several sites serve.
    pub(super) fn take_recoveries(&mut self, world: &World, name: &ServiceName) {
        let sites = self
            .fleet
            .service(name)
            .and_then(|it| it.service.sites.as_ref());
        if sites.is_none_or(|it| it.order.len() < 2) {
            self.recoveries.forget(name);
            self.options.reports.remove_recoveries(name);
            return;
        }
        let is_own = |gateway: &GatewayId| gateway.as_str() == self.options.node.as_str();
        let mut of_service = world.recoveries.iter().filter(|((it, _), _)| it == name);
        if let Some((_, log)) = of_service.find(|((_, gateway), _)| is_own(gateway)) {
            self.recoveries.recall(name, &log.value);
        }
        if let Some(log) = self.recoveries.begin(name, clock::wall()) {
            self.options.reports.set_recoveries(name, log);
        }
    }

    /// How visitors of services with several sites fare.
    pub(super) fn watch_recoveries(&mut self, which: Watched) {
        for name in self.fleet.of_several_sites() {
            if which == Watched::All || self.recoveries.is_close(&name) {
                let seen = self.glimpse(&name);
                let over = self.recoveries.look(&name, &seen);
                self.recovered(&name, over);
            }
        }
    }

    fn glimpse(&self, name: &ServiceName) -> Glimpse {
        let metrics = &self.options.metrics;
        Glimpse {
            now: clock::now(),
            wall: clock::wall(),
            errors: metrics.gateway_errors(name),
            sites: self.fleet.glimpse(name, |id| {
                let counts = metrics.endpoint(id);
                counts.requests.saturating_sub(counts.failures)
            }),
        }
    }

    fn recovered(&mut self, name: &ServiceName, over: Option<(Recovery, RecoveryLog)>) {
        if let Some((recovery, log)) = over {
            self.tell(news::recovered(name, &recovery, clock::wall()));
            self.options.reports.set_recoveries(name, log);
        }
    }

    /// Another site, or the link to it, has something to say.
    pub(super) fn told(&mut self, news: LinkNews) {
        let changed = match news {
            LinkNews::Tell(event) => return self.tell(event),
            LinkNews::Tried(key) => return self.options.link_view.tried(&key),
            LinkNews::Order(site, name, order) => return self.ordered(&site, &name, &order),
            LinkNews::Sight(key, sight) => {
                self.adopt(&key.site, &sight.heard);
                let events = self.options.link_view.take(&key, &sight, clock::wall());
                if !events.is_empty() {
                    self.tell_links();
                }
                events.into_iter().for_each(|it| self.tell(it));
                self.fleet.hear(&key, &sight.heard)
            }
            LinkNews::Gone(key) => {
                self.options.link_view.forget(&key);
                self.fleet.forget_gateway(&key)
            }
        };
        for (name, entry) in changed {
            if let Some(entry) = entry {
                self.put(entry);
            }
            self.settle(&name, None);
            self.share_out(&name);
        }
        self.lead_names();
    }

    /// Tells the names that follow the sites what is seen of them.
    pub(super) fn lead_names(&mut self) {
        let fleet = &self.fleet;
        let (reach, led) = (
            |site: &SiteId| fleet.reach(site),
            |host: &str| fleet.led(host),
        );
        self.options.leading.look(reach, led, clock::now());
    }

    /// What another site has decided, as far as it is newer than what is known here.
    fn adopt(&mut self, site: &SiteId, heard: &Heard) {
        let Heard::Up(state) = heard else { return };
        for (name, shared) in &state.services {
            if let Some(order) = &shared.decided {
                self.ordered(site, name, order);
            }
        }
    }

    /// `site` says which site comes first. It counts for services that list both, and only where it is newer.
    fn ordered(&mut self, site: &SiteId, name: &ServiceName, order: &OrderRecord) {
        let Some(record) = self.records.get(name) else {
            return;
        };
        let lists = |sites: &Sites| {
            [site, &self.options.site, &order.first]
                .iter()
                .all(|it| sites.place(it).is_some())
        };
        let is_shared = record.service.sites.as_deref().is_some_and(lists);
        if !is_shared || !self.decided(name, order) {
            return;
        }
        let Some(record) = self.records.get(name) else {
            return;
        };
        let service = self.options.orders.applied(&record.service);
        if let Some(entry) = self.fleet.reorder(&service) {
            let changes = entry.settle(&|id| self.fleet.opinion(id));
            self.put(entry);
            self.settled(&changes, None);
        }
        self.share_out(name);
        self.dirty();
    }

    /// Takes a decision in, before anything follows from it; whether it is newer than what was known.
    pub(super) fn decided(&mut self, name: &ServiceName, order: &OrderRecord) -> bool {
        if !self.options.orders.take(name, order) {
            return false;
        }
        self.tell(news::led(name, order, clock::wall()));
        let seen = self.glimpse(name);
        let held = self.holding.since(name);
        let over = self.recoveries.moved(name, order, held, &seen);
        self.recovered(name, over);
        true
    }

    /// Shares visitors out among the sites of a service, where it has several.
    pub(super) fn share_out(&mut self, name: &ServiceName) {
        let (turns, entry) = self.fleet.share_out(name, clock::now());
        if let Some(entry) = entry {
            self.put(entry);
        }
        for (site, turn) in turns {
            self.tell(news::turned(name, &site, turn, clock::wall()));
            let seen = self.glimpse(name);
            let over = self.recoveries.turned(name, &site, turn, &seen);
            self.recovered(name, over);
            if turn == Turn::Back && site == self.options.site {
                self.gather(name);
            }
            // Whether a site was left is to outlive this process.
            self.dirty();
        }
    }

    /// Visitors are here again: what the other sites answered meanwhile comes here, to one gateway of this site.
    fn gather(&self, name: &ServiceName) {
        // Of two processes of this gateway the one that has its duties.
        if !self.following.is_ours_to_save() {
            return;
        }
        let world = self.following.observed().map(|it| &it.world);
        let first = world.and_then(|it| it.gateways.keys().next());
        let is_first = first.is_none_or(|it| it.as_str() == self.options.node.as_str());
        let known = self.fleet.service(name);
        let sites = known.and_then(|it| it.service.sites.as_ref());
        let (Some(gatherer), Some(sites), true) = (&self.options.gatherer, sites, is_first) else {
            return;
        };
        let others = sites.order.iter().filter(|it| **it != self.options.site);
        others.for_each(|it| gatherer.wish(name, it));
    }

    /// Tells the other gateways of this site how this one sees other sites.
    pub(super) fn tell_links(&mut self) {
        let due = self
            .links_told
            .due(self.options.link_view.reports(), clock::now());
        for (site, report) in due {
            self.options.reports.set_link(&site, report);
        }
    }
}
