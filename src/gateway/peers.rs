//! Gateways of other sites as endpoints: which a service has, in which tier, and what is thought of them. Pure.

use super::fleet::Known;
use super::sites::SiteSight;
use crate::link::{GatewayKey, Heard};
use minato_config::{Service, ServiceName, SiteId, Sites, SlotIndex, Standby};
use minato_health::site::{Reach, reach};
use minato_health::{Failure, Layer, LinkState, Verdict};
use minato_proxy::{Endpoint, EndpointId, Standing};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// All gateways of other sites that this one calls.
#[derive(Debug)]
pub(super) struct Peers {
    /// This site.
    pub(super) site: SiteId,
    gateways: BTreeMap<GatewayKey, Gateway>,
    /// Whether each site answers the other gateways of this site.
    colleagues: BTreeMap<SiteId, Vec<bool>>,
}

#[derive(Debug)]
struct Gateway {
    /// Its number among those of its site: the first that is free. Whoever had it before was taken out of all services at once.
    number: SlotIndex,
    heard: Heard,
}

/// One gateway of another site, for one service.
#[derive(Debug)]
pub(super) struct PeerMember {
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) verdict: Verdict,
    pub(super) failure: Option<Failure>,
}

/// What news of a gateway mean for the services that its site is listed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Changed {
    Nothing,
    /// What is thought of it.
    State,
    /// It is new.
    Gateways,
}

impl Peers {
    pub(super) fn new(site: SiteId) -> Self {
        Self {
            site,
            gateways: BTreeMap::new(),
            colleagues: BTreeMap::new(),
        }
    }

    /// What the other gateways of this site see; the sites of which that is something else than before.
    pub(super) fn hear_colleagues(&mut self, seen: BTreeMap<SiteId, Vec<bool>>) -> Vec<SiteId> {
        let all = self.colleagues.keys().chain(seen.keys());
        let changed = all.filter(|it| self.colleagues.get(it) != seen.get(it));
        let mut changed: Vec<SiteId> = changed.cloned().collect();
        changed.dedup();
        self.colleagues = seen;
        changed
    }

    /// Whether a site is gone, or out of this gateway's sight only.
    pub(super) fn reach(&self, site: &SiteId) -> Reach {
        let none = Vec::new();
        let colleagues = self.colleagues.get(site).unwrap_or(&none);
        reach(self.answers(site), colleagues, &self.witnesses(site))
    }

    /// What third sites see of it: one word of each, that it answers where it answers any of their gateways.
    fn witnesses(&self, site: &SiteId) -> Vec<bool> {
        let mut words: BTreeMap<&SiteId, bool> = BTreeMap::new();
        for (key, gateway) in self.gateways.iter().filter(|(it, _)| it.site != *site) {
            if let Heard::Up(state) = &gateway.heard
                && let Some(sees) = state.sees.get(site)
            {
                *words.entry(&key.site).or_default() |= *sees;
            }
        }
        words.into_values().collect()
    }

    pub(super) fn hear(&mut self, key: &GatewayKey, heard: &Heard) -> Changed {
        if let Some(known) = self.gateways.get_mut(key) {
            if known.heard == *heard {
                return Changed::Nothing;
            }
            known.heard = heard.clone();
            return Changed::State;
        }
        let of_site = self.gateways.iter().filter(|(it, _)| it.site == key.site);
        let used: BTreeSet<u16> = of_site.map(|(_, it)| it.number.0).collect();
        let free = (0..u16::MAX).find(|it| !used.contains(it));
        let gateway = Gateway {
            number: SlotIndex(free.unwrap_or(u16::MAX)),
            heard: heard.clone(),
        };
        self.gateways.insert(key.clone(), gateway);
        Changed::Gateways
    }

    pub(super) fn forget(&mut self, key: &GatewayKey) {
        self.gateways.remove(key);
    }

    /// The tier of this site's own instances.
    pub(super) fn own_tier(&self, service: &Service) -> u8 {
        service
            .sites
            .as_ref()
            .map_or(0, |it| tier(it, &self.site, &self.site).unwrap_or(0))
    }

    /// What is seen of each site that serves it, best first.
    pub(super) fn seen(&self, known: &Known) -> Vec<SiteSight> {
        let Some(sites) = &known.service.sites else {
            return Vec::new();
        };
        let sight = |site: &SiteId| {
            let tier = tier(sites, &self.site, site)?;
            let is_own = *site == self.site;
            let (up, wanted) = if is_own {
                let own = known.members.values().map(|it| it.endpoint.standing());
                let up = own.filter(|it| *it <= Standing::Suspect).count();
                let up = if known.is_drained() { 0 } else { up };
                let up = u32::try_from(up).unwrap_or(u32::MAX);
                (up, Some(known.wanted))
            } else {
                self.heard_of(site, &known.service.name)
            };
            Some(SiteSight {
                site: site.clone(),
                tier,
                up,
                wanted,
                reach: if is_own {
                    Reach::Answers
                } else {
                    self.reach(site)
                },
            })
        };
        let mut seen: Vec<SiteSight> = sites.order.iter().filter_map(sight).collect();
        seen.sort_by_key(|it| it.tier);
        seen
    }

    /// Whether a gateway of it does.
    fn answers(&self, site: &SiteId) -> bool {
        let mut of_site = self.gateways.iter().filter(|(it, _)| it.site == *site);
        of_site.any(|(_, it)| matches!(it.heard, Heard::Up(_)))
    }

    /// Up and wanted, as the gateway there says that sees most.
    fn heard_of(&self, site: &SiteId, service: &ServiceName) -> (u32, Option<u32>) {
        let of_site = self.gateways.iter().filter(|(it, _)| it.site == *site);
        let told = of_site.filter_map(|(_, gateway)| match &gateway.heard {
            Heard::Up(state) => state.services.get(service),
            Heard::Down(_) => None,
        });
        let told = told.filter(|it| !it.draining);
        let best = told.max_by_key(|it| it.up);
        best.map_or((0, None), |it| (it.up, Some(it.wanted)))
    }

    /// Makes `members` what they should be: one for each gateway of each other site of the service, in the tier of that. Returns
    /// those that are gone.
    pub(super) fn meet(
        &self,
        service: &Service,
        members: &mut BTreeMap<EndpointId, PeerMember>,
    ) -> Vec<EndpointId> {
        let mut wanted = BTreeMap::new();
        if let Some(sites) = &service.sites {
            for (key, gateway) in &self.gateways {
                if let Some(tier) = tier(sites, &self.site, &key.site) {
                    wanted.insert(id(&service.name, key, gateway), (tier, key, gateway));
                }
            }
        }
        let unwanted = |it: &&EndpointId| !wanted.contains_key(*it);
        let gone: Vec<EndpointId> = members.keys().filter(unwanted).cloned().collect();
        for id in &gone {
            if let Some(member) = members.remove(id) {
                member.endpoint.retire();
            }
        }
        for (id, (tier, key, gateway)) in wanted {
            let (verdict, failure) = opinion(&service.name, key, &gateway.heard);
            let member = members.entry(id.clone()).or_insert_with(|| PeerMember {
                endpoint: Endpoint::new(id, key.address, tier, verdict),
                verdict,
                failure: None,
            });
            member.endpoint.set_tier(tier);
            (member.verdict, member.failure) = (verdict, failure);
        }
        gone
    }
}

fn id(service: &ServiceName, key: &GatewayKey, gateway: &Gateway) -> EndpointId {
    EndpointId {
        service: service.clone(),
        slot: gateway.number,
        generation: super::wanted::FIXED,
        run: minato_config::Run(0),
        site: Some(key.site.clone()),
    }
}

/// The place of `site` as `own` sees the order; `None` where one of them does not serve it.
///
/// With `standby = "active"` each site serves first what comes in at its own entrance.
fn tier(sites: &Sites, own: &SiteId, site: &SiteId) -> Option<u8> {
    let (of_own, place) = (sites.place(own)?, sites.place(site)?);
    Some(match sites.standby {
        Standby::Warm | Standby::Cold => place,
        Standby::Active if place == of_own => 0,
        Standby::Active if place < of_own => place + 1,
        Standby::Active => place,
    })
}

/// What is thought of a gateway for one service.
fn opinion(service: &ServiceName, key: &GatewayKey, heard: &Heard) -> (Verdict, Option<Failure>) {
    let site = &key.site;
    let down = |layer: Layer, why: String| (Verdict::Down, Some(Failure::new(layer, why)));
    let state: &LinkState = match heard {
        Heard::Up(state) => state,
        Heard::Down(why) => {
            let why = format!("{site}'s gateway at {} does not answer: {why}", key.address);
            return down(Layer::NoAnswer, why);
        }
    };
    match state.services.get(service) {
        None => down(
            Layer::NotRunning,
            format!("{site} has no service {service} whose `sites` name both sites"),
        ),
        Some(it) if it.draining => {
            down(Layer::NotRunning, format!("{service} is drained at {site}"))
        }
        Some(it) if it.up == 0 => down(
            Layer::NotRunning,
            format!("none of {} instances at {site} is up", it.wanted),
        ),
        Some(_) => (Verdict::Up, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use minato_config::{Consent, NodeId, Timestamp};
    use minato_health::SharedService;
    use std::net::SocketAddr;

    fn site(text: &str) -> SiteId {
        SiteId::parse(text).expect("a site")
    }

    fn sites(order: &[&str], standby: Standby) -> Sites {
        Sites {
            order: order.iter().map(|it| site(it)).collect(),
            standby,
            failover: Consent::Auto,
            failback: Consent::Auto,
            sync: None,
            at: BTreeMap::new(),
            targets: Default::default(),
            base: None,
        }
    }

    #[test]
    fn a_tier_is_the_place_in_the_order() {
        let order = ["tokyo", "osaka", "kyoto"];
        for (standby, own, expected) in [
            (Standby::Warm, "tokyo", [Some(0), Some(1), Some(2)]),
            (Standby::Warm, "osaka", [Some(0), Some(1), Some(2)]),
            (Standby::Active, "tokyo", [Some(0), Some(1), Some(2)]),
            (Standby::Active, "osaka", [Some(1), Some(0), Some(2)]),
            (Standby::Active, "kyoto", [Some(1), Some(2), Some(0)]),
            (Standby::Warm, "nara", [None, None, None]),
        ] {
            let sites = sites(&order, standby);
            let found = order.map(|it| tier(&sites, &site(own), &site(it)));
            assert_eq!(found, expected, "{standby:?} {own}");
        }
    }

    #[test]
    fn numbers_of_gateways_never_run_out() {
        let mut peers = Peers::new(site("tokyo"));
        let key = |port: u32| GatewayKey {
            site: site("osaka"),
            address: SocketAddr::from(([192, 0, 2, 7], u16::try_from(port % 50_000).expect("it"))),
        };
        let down = Heard::Down(String::new());
        // A name that leads to another address each half minute, for a month.
        for port in 0..90_000 {
            assert_eq!(peers.hear(&key(port), &down), Changed::Gateways);
            if port > 0 {
                peers.forget(&key(port - 1));
            }
        }
        peers.hear(&key(1), &down);
        peers.hear(&key(2), &down);
        let numbers: BTreeSet<u16> = peers.gateways.values().map(|it| it.number.0).collect();
        assert_eq!(numbers.len(), 3, "{numbers:?}");
    }

    #[test]
    fn third_sites_are_witnesses_and_gateways_of_this_site_come_before_them() {
        let key = |name: &str, last: u8| GatewayKey {
            site: site(name),
            address: SocketAddr::from(([192, 0, 2, last], 8443)),
        };
        let sees = |name: &str, osaka: bool| {
            Heard::Up(Arc::new(LinkState {
                v: 1,
                site: site(name),
                node: NodeId::parse("n").expect("a node"),
                version: String::new(),
                now: Timestamp(0),
                services: BTreeMap::new(),
                sees: BTreeMap::from([(site("osaka"), osaka)]),
                follows_orders: true,
            }))
        };
        let osaka = site("osaka");
        let mut peers = Peers::new(site("tokyo"));
        peers.hear(&key("osaka", 1), &Heard::Down("cut".to_owned()));
        assert_eq!(peers.reach(&osaka), Reach::Silent);
        // One gateway of kyoto is enough for the word of kyoto.
        peers.hear(&key("kyoto", 2), &sees("kyoto", false));
        assert_eq!(peers.reach(&osaka), Reach::Silent);
        peers.hear(&key("kyoto", 3), &sees("kyoto", true));
        assert_eq!(peers.reach(&osaka), Reach::Alone);
        let view = |seen: &[bool]| BTreeMap::from([(osaka.clone(), seen.to_vec())]);
        assert_eq!(
            peers.hear_colleagues(view(&[false])),
            std::slice::from_ref(&osaka)
        );
        assert_eq!(peers.reach(&osaka), Reach::Silent);
        assert_eq!(peers.hear_colleagues(view(&[false])), []);
        assert_eq!(
            peers.hear_colleagues(view(&[true])),
            std::slice::from_ref(&osaka)
        );
        assert_eq!(peers.reach(&osaka), Reach::Alone);
        // Its lease ended: it is no observer any more.
        assert_eq!(
            peers.hear_colleagues(BTreeMap::new()),
            std::slice::from_ref(&osaka)
        );
        peers.hear(&key("kyoto", 3), &Heard::Down("cut".to_owned()));
        assert_eq!(peers.reach(&osaka), Reach::Silent);
        peers.hear(&key("osaka", 1), &sees("osaka", true));
        assert_eq!(peers.reach(&osaka), Reach::Answers);
    }

    #[test]
    fn a_gateway_is_up_where_its_site_says_so_of_the_service() {
        let name = ServiceName::parse("library").expect("a name");
        let key = GatewayKey {
            site: site("osaka"),
            address: SocketAddr::from(([192, 0, 2, 7], 8443)),
        };
        let state = |up: u32, draining: bool| {
            let shared = SharedService {
                order: Vec::new(),
                wanted: 2,
                up,
                draining,
                decided: None,
                in_flight: 0,
                quiet_since: None,
                came: None,
            };
            Heard::Up(Arc::new(LinkState {
                v: 1,
                site: site("osaka"),
                node: NodeId::parse("n").expect("a node"),
                version: String::new(),
                now: Timestamp(0),
                services: BTreeMap::from([(name.clone(), shared)]),
                follows_orders: true,
                sees: BTreeMap::new(),
            }))
        };
        let other = ServiceName::parse("other").expect("a name");
        for (service, heard, expected) in [
            (&name, state(1, false), ""),
            (&name, state(0, false), "none of 2 instances at osaka is up"),
            (&name, state(2, true), "library is drained at osaka"),
            (
                &other,
                state(2, false),
                "osaka has no service other whose `sites` name both sites",
            ),
            (
                &name,
                Heard::Down("no answer in 1s".to_owned()),
                "osaka's gateway at 192.0.2.7:8443 does not answer: no answer in 1s",
            ),
        ] {
            let (verdict, failure) = opinion(service, &key, &heard);
            let why = failure.map_or_else(String::new, |it| it.detail);
            assert_eq!(why, expected);
            assert_eq!(verdict == Verdict::Up, expected.is_empty(), "{expected}");
        }
    }
}
