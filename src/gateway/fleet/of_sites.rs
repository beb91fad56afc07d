//! The half of the fleet that is about other sites: their gateways, who reaches them, how visitors are shared out.

use super::super::peers::{Changed, PeerMember};
use super::super::sites::{Meant, Routing};
use super::{Fleet, Known};
use crate::link::{GatewayKey, Heard};
use minato_config::{Service, ServiceName, SiteId, Timestamp};
use minato_control::entrance::Led;
use minato_control_server::api::CourseStatus;
use minato_health::Verdict;
use minato_health::recovery::SiteGlimpse;
use minato_health::site::{Condition, Course, Memory, Reach, SWINGS, Turn};
use minato_proxy::{EndpointId, ServiceEntry, Standing};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

impl Fleet {
    /// Brings the gateways of other sites in line with the service; those that are gone.
    pub(super) fn meet(&self, known: &mut Known) -> Vec<(EndpointId, Standing)> {
        known.own_tier = self.peers.own_tier(&known.service);
        known.routing = match (&known.service.sites, known.routing.take()) {
            (Some(sites), Some(routing)) if routing.is_of(sites) => Some(routing),
            (Some(sites), _) if sites.order.len() > 1 => Some(Routing::new(sites)),
            _ => None,
        };
        if let Some(routing) = &mut known.routing {
            routing.mean(known.meant.clone());
        }
        let gone = self.peers.meet(&known.service, &mut known.peers);
        // Nobody is told of each: the link is.
        gone.into_iter().map(|it| (it, Standing::Out)).collect()
    }

    /// What the other gateways of this site see of sites: the services whose visitors may have to be shared out anew.
    pub(in crate::gateway) fn hear_colleagues(
        &mut self,
        seen: BTreeMap<SiteId, Vec<bool>>,
    ) -> Vec<ServiceName> {
        let changed = self.peers.hear_colleagues(seen);
        let names: BTreeSet<ServiceName> = changed
            .iter()
            .flat_map(|it| self.shared_with(it))
            .cloned()
            .collect();
        names.into_iter().collect()
    }

    /// How many instances of a service should run here; whether that is another number than before.
    pub(in crate::gateway) fn want(&mut self, name: &ServiceName, wanted: u32) -> bool {
        let Some(known) = self.services.get_mut(name) else {
            return false;
        };
        std::mem::replace(&mut known.wanted, wanted) != wanted
    }

    /// What the service's file says of its sites, whichever comes first now; `service` in the order of its file.
    pub(in crate::gateway) fn mean(&mut self, service: &Service) {
        let Some(known) = self.services.get_mut(&service.name) else {
            return;
        };
        known.meant = Meant::by(service);
        if let Some(routing) = &mut known.routing {
            routing.mean(known.meant.clone());
        }
    }

    /// Instances that this site must have for visitors whom sites before it do not serve.
    pub(in crate::gateway) fn called(&self, name: &ServiceName) -> u32 {
        let known = self.services.get(name);
        known.map_or(0, |known| {
            let routing = known.routing.as_ref();
            routing.map_or(0, |it| it.called(&self.peers.site, &self.peers.seen(known)))
        })
    }

    /// What of sites is to outlive this process, by service and site.
    pub(in crate::gateway) fn memories(
        &self,
        now: Instant,
        wall: Timestamp,
    ) -> Vec<(ServiceName, SiteId, Memory)> {
        let routed = self.services.iter();
        let routed = routed.filter_map(|(name, it)| Some((name, it.routing.as_ref()?)));
        routed
            .flat_map(|(name, routing)| {
                let memories = routing.memories(now, wall).into_iter();
                memories.map(|(site, it)| (name.clone(), site, it))
            })
            .collect()
    }

    /// Sites that were left within the last hour, or to which not all visitors may go, for people.
    pub(in crate::gateway) fn courses(&self, now: Instant) -> Vec<CourseStatus> {
        let mut all = Vec::new();
        for (name, known) in &self.services {
            for (site, course) in known.routing.iter().flat_map(Routing::courses) {
                let (percent, left) = (course.allows().percent, course.swings(now));
                if percent < 100 || left > 0 {
                    all.push(CourseStatus {
                        service: name.to_string(),
                        site: site.to_string(),
                        percent,
                        left,
                        is_held: percent == 0 && left >= SWINGS,
                    });
                }
            }
        }
        all
    }

    /// Whether a site is gone, or out of this gateway's sight only.
    pub(in crate::gateway) fn reach(&self, site: &SiteId) -> Reach {
        self.peers.reach(site)
    }

    /// The services of several sites that requests for `host` may be for.
    pub(in crate::gateway) fn led(&self, host: &str) -> Vec<Led> {
        let is_for = |it: &Service| it.routes.iter().any(|it| it.pattern.host.takes(host));
        let known = self.services.values();
        let known = known.filter(|it| it.routed && is_for(&it.service));
        let led = |known: &Known| {
            let (sites, routing) = (known.service.sites.as_ref()?, known.routing.as_ref()?);
            let own = routing.courses().find(|it| *it.0 == self.peers.site);
            Some(Led {
                order: sites.order.clone(),
                failover: sites.failover,
                failback: sites.failback,
                is_well: own.is_some_and(|(_, it)| it.condition() == Condition::Well),
            })
        };
        known.filter_map(led).collect()
    }

    /// What is seen of a service that several sites serve, but for its errors; `served`: requests that an endpoint has answered.
    pub(in crate::gateway) fn glimpse(
        &self,
        name: &ServiceName,
        served: impl Fn(&EndpointId) -> u64,
    ) -> Vec<SiteGlimpse> {
        let Some(known) = self.services.get(name) else {
            return Vec::new();
        };
        let courses = known.routing.iter().flat_map(Routing::courses);
        let seen = self.peers.seen(known);
        let glimpse = |(site, course): (&SiteId, &Course)| {
            let is_own = *site == self.peers.site;
            let of_peers = || {
                known
                    .peers
                    .iter()
                    .filter(|(_, it)| it.endpoint.site() == Some(site))
            };
            SiteGlimpse {
                site: site.clone(),
                condition: course.condition(),
                percent: course.allows().percent,
                up: seen
                    .iter()
                    .find(|it| it.site == *site)
                    .map_or(0, |it| it.up),
                served: if is_own {
                    known.members.keys().map(&served).sum()
                } else {
                    of_peers().map(|(id, _)| served(id)).sum()
                },
            }
        };
        courses.map(glimpse).collect()
    }

    /// Goes on where the process before was.
    pub(in crate::gateway) fn recall(
        &mut self,
        name: &ServiceName,
        site: &SiteId,
        memory: &Memory,
        now: Instant,
        wall: Timestamp,
    ) {
        let known = self.services.get_mut(name);
        if let Some(routing) = known.and_then(|it| it.routing.as_mut()) {
            routing.recall(site, memory, now, wall);
        }
    }

    /// A person said that visitors of `name` may go to `site` again; whether that changes anything.
    pub(in crate::gateway) fn release(&mut self, name: &ServiceName, site: &SiteId) -> bool {
        let known = self.services.get_mut(name);
        let routing = known.and_then(|it| it.routing.as_mut());
        routing.is_some_and(|it| it.release(site))
    }

    /// What was heard of a gateway of another site: the services that it changes something for, each with a new entry for the
    /// table where its endpoints are others.
    pub(in crate::gateway) fn hear(
        &mut self,
        key: &GatewayKey,
        heard: &Heard,
    ) -> Vec<(ServiceName, Option<ServiceEntry>)> {
        match self.peers.hear(key, heard) {
            Changed::Nothing => self.doubted(&key.site),
            Changed::State => self.meet_all(&key.site, |_| None),
            Changed::Gateways => self.meet_all(&key.site, |known| Some(known.entry())),
        }
    }

    /// A gateway of another site that is called no more.
    pub(in crate::gateway) fn forget_gateway(
        &mut self,
        key: &GatewayKey,
    ) -> Vec<(ServiceName, Option<ServiceEntry>)> {
        self.peers.forget(key);
        self.meet_all(&key.site, |known| Some(known.entry()))
    }

    fn meet_all(
        &mut self,
        site: &SiteId,
        entry: impl Fn(&Known) -> Option<ServiceEntry>,
    ) -> Vec<(ServiceName, Option<ServiceEntry>)> {
        let names: Vec<ServiceName> = self.shared_with(site).cloned().collect();
        let mut changed = Vec::new();
        for name in names {
            if let Some(mut known) = self.services.remove(&name) {
                self.meet(&mut known);
                let entry = if known.routed { entry(&known) } else { None };
                changed.push((name.clone(), entry));
                self.services.insert(name, known);
            }
        }
        changed
    }

    fn shared_with(&self, site: &SiteId) -> impl Iterator<Item = &ServiceName> {
        let lists = |known: &Known| {
            let sites = known.service.sites.as_ref();
            sites.is_some_and(|it| it.place(site).is_some())
        };
        let all = self.services.iter();
        all.filter(move |(_, it)| lists(it)).map(|(name, _)| name)
    }

    /// Services of which real traffic doubts a gateway of `site` that answers.
    fn doubted(&self, site: &SiteId) -> Vec<(ServiceName, Option<ServiceEntry>)> {
        let doubts = |it: &PeerMember| {
            it.endpoint.site() == Some(site)
                && it.verdict == Verdict::Up
                && it.endpoint.standing() != Standing::Up
        };
        let all = self.services.iter();
        all.filter(|(_, it)| it.peers.values().any(doubts))
            .map(|(name, _)| (name.clone(), None))
            .collect()
    }

    /// The same service with its sites in another order; its new entry for the table where it is in it.
    pub(in crate::gateway) fn reorder(&mut self, service: &Service) -> Option<ServiceEntry> {
        let mut known = self.services.remove(&service.name)?;
        known.service = Arc::new(service.clone());
        self.meet(&mut known);
        let entry = known.routed.then(|| known.entry());
        self.services.insert(service.name.clone(), known);
        entry
    }

    /// Services that several sites serve.
    pub(in crate::gateway) fn of_several_sites(&self) -> Vec<ServiceName> {
        let all = self.services.iter();
        all.filter(|(_, it)| it.routing.is_some())
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// Shares the visitors of a service out anew, by what its sites can do now. Returns what people should hear, and a new entry for
    /// the table where shares are others.
    pub(in crate::gateway) fn share_out(
        &mut self,
        name: &ServiceName,
        now: Instant,
    ) -> (Vec<(SiteId, Turn)>, Option<ServiceEntry>) {
        let Some(known) = self.services.get_mut(name) else {
            return (Vec::new(), None);
        };
        let seen = self.peers.seen(known);
        let Some(routing) = &mut known.routing else {
            return (Vec::new(), None);
        };
        let before = routing.spread();
        let turns = routing.settle(&seen, now);
        let is_other = routing.spread() != before && known.routed;
        (turns, is_other.then(|| known.entry()))
    }

    /// A gateway of another site, as it stands for one service.
    pub(in crate::gateway) fn peer(&self, id: &EndpointId) -> Option<&PeerMember> {
        self.services.get(&id.service)?.peers.get(id)
    }
}
