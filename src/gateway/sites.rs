//! How visitors of one service are shared out among its sites, from what is seen of each. Pure.
//!
//! Not here: what is seen of sites (`peers`), how long one is left or gone back to (`health::site`), how shares are drawn (`proxy`).

use minato_config::{Backend, Consent, Service, SiteId, Sites, Standby, Timestamp};
use minato_health::site::{Condition, Course, Memory, Moves, Reach, Turn};
use minato_proxy::{ALL, Beyond, Offer, Spread, carries};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

/// What is seen of a service at one site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SiteSight {
    pub(super) site: SiteId,
    /// Its place in the order, as this site sees it.
    pub(super) tier: u8,
    /// Instances that a gateway there routes to; none where nobody answers.
    pub(super) up: u32,
    /// Those that should be there; `None` where nobody says so.
    pub(super) wanted: Option<u32>,
    /// Whether it is reached, by what this gateway and others see.
    pub(super) reach: Reach,
}

impl SiteSight {
    fn condition(&self, wanted: u32) -> Condition {
        match (self.reach, carries(self.up, wanted)) {
            (Reach::Silent, _) => Condition::Silent,
            (Reach::Alone, _) => Condition::Unreached,
            (Reach::Answers, 0) => Condition::Gone,
            (Reach::Answers, ALL) => Condition::Well,
            (Reach::Answers, _) => Condition::Degraded,
        }
    }
}

/// What a service file means to serve all visitors, whoever comes first at the moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Meant {
    /// The site that the file puts first.
    site: SiteId,
    /// Its instances, as the file says; `None` where each site has a number of its own.
    replicas: Option<u32>,
    number: Number,
}

/// What makes the number of instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Number {
    Fixed,
    /// It rises where visitors are and falls where they were.
    FollowsLoad,
}

impl Meant {
    /// `service` as its file has it, in the order of that. `None`: one site alone serves it.
    pub(super) fn by(service: &Service) -> Option<Self> {
        let service = service.clone().everywhere();
        let sites = service.sites.as_deref()?;
        let site = sites.order.first()?.clone();
        let there = sites.at.get(&site).and_then(|it| it.replicas);
        let is_run_here = matches!(service.backend, Backend::Command(_));
        Some(Self {
            site,
            replicas: is_run_here.then(|| there.unwrap_or(service.replicas).into()),
            number: match service.scale {
                Some(_) => Number::FollowsLoad,
                None => Number::Fixed,
            },
        })
    }
}

/// One service.
#[derive(Debug)]
pub(super) struct Routing {
    sites: Sites,
    meant: Option<Meant>,
    courses: BTreeMap<SiteId, Course>,
    /// The last that was heard: a site that is gone does not make the work smaller.
    wanted: BTreeMap<SiteId, u32>,
    /// What each site behind others must carry that those do not, of [`ALL`].
    rest: BTreeMap<SiteId, u16>,
    spread: Option<Arc<Spread>>,
}

impl Routing {
    pub(super) fn new(sites: &Sites) -> Self {
        Self {
            sites: sites.clone(),
            meant: None,
            courses: BTreeMap::new(),
            wanted: BTreeMap::new(),
            rest: BTreeMap::new(),
            spread: None,
        }
    }

    /// For as long as the file says so.
    pub(super) fn mean(&mut self, meant: Option<Meant>) {
        self.meant = meant;
    }

    /// Whether it was made for this order; another one begins anew. How many instances a site wants is no part of it: who changes
    /// that while a site is held back does not say that visitors may go there.
    pub(super) fn is_of(&self, sites: &Sites) -> bool {
        let shape = |it: &Sites| (it.order.clone(), it.standby, it.failover, it.failback);
        shape(&self.sites) == shape(sites)
    }

    /// What of each site is to outlive this process.
    pub(super) fn memories(&self, now: Instant, wall: Timestamp) -> BTreeMap<SiteId, Memory> {
        let courses = self.courses.iter();
        courses
            .map(|(site, it)| (site.clone(), it.memory(now, wall)))
            .collect()
    }

    /// Goes on where the process before was.
    pub(super) fn recall(&mut self, site: &SiteId, memory: &Memory, now: Instant, wall: Timestamp) {
        if self.sites.place(site).is_some() {
            let course = Course::recall(memory, now, wall);
            self.courses.insert(site.clone(), course);
        }
    }

    /// A person said that `site` is to be used; whether there was something to release.
    pub(super) fn release(&mut self, site: &SiteId) -> bool {
        let Some(course) = self.courses.get_mut(site) else {
            return false;
        };
        let was_held = course.allows().percent < 100;
        course.release();
        was_held
    }

    /// How far each site may be used, for people; best first.
    pub(super) fn courses(&self) -> impl Iterator<Item = (&SiteId, &Course)> {
        let order = self.sites.order.iter();
        order.filter_map(|site| self.courses.get_key_value(site))
    }

    pub(super) fn spread(&self) -> Option<Arc<Spread>> {
        self.spread.clone()
    }

    /// Takes in what is seen of all sites, in the order of their tiers. Returns what people should hear.
    pub(super) fn settle(&mut self, seen: &[SiteSight], now: Instant) -> Vec<(SiteId, Turn)> {
        for it in seen {
            if let Some(wanted) = it.wanted {
                self.wanted.insert(it.site.clone(), wanted);
            }
        }
        let needed = self.needed(seen);
        let mut left = ALL;
        self.rest.clear();
        let (leave, come_back) = (moves(self.sites.failover), moves(self.sites.failback));
        let mut turns = Vec::new();
        let mut offers = Vec::new();
        for it in seen {
            let wanted = self.wanted.get(&it.site).copied().unwrap_or(1);
            let course = self.courses.entry(it.site.clone());
            let course = course.or_insert_with(|| Course::new(now));
            let condition = it.condition(wanted);
            let turn = course.observe(condition, leave, come_back, now);
            turns.extend(turn.map(|turn| (it.site.clone(), turn)));
            let allows = course.allows();
            // A blink does not move visitors; what has nothing up at all gets them only until the next is tried.
            let counted = if allows.is_measured || it.up == 0 {
                it.up
            } else {
                it.up.max(wanted)
            };
            let offer = Offer {
                tier: it.tier,
                carries: carries(counted, needed),
                allowed: u16::from(allows.percent) * (ALL / 100),
            };
            self.rest.insert(it.site.clone(), left);
            // What only this gateway does not reach is there for all others.
            left = match condition {
                Condition::Unreached => 0,
                _ => left.saturating_sub(offer.carries.min(offer.allowed)),
            };
            offers.push(offer);
        }
        self.spread = self.shares(&offers).map(Arc::new);
        turns
    }

    /// How many instances carry all visitors: as many as the site wants that the file puts first, since it serves them all when it is
    /// well, and is meant to. Another site that was made the first one, and a later one that is larger, or says that it is, change
    /// nothing of that. Where the number follows the load, it has grown where visitors are now: the larger one counts. Where nobody
    /// has heard of those the file does, and where that says nothing the largest known.
    ///
    /// With `standby = "active"` each site is as large as what comes in at its own entrance asks for.
    fn needed(&self, seen: &[SiteSight]) -> u32 {
        let first = seen.first().map(|it| &it.site);
        let found = self.meant_for(first, |_| true);
        found
            .or_else(|| self.wanted.values().copied().max())
            .unwrap_or(1)
    }

    /// What the file's first site and the one that comes first now want, of those that `counts` says yes to.
    fn meant_for(&self, first: Option<&SiteId>, counts: impl Fn(&SiteId) -> bool) -> Option<u32> {
        let known = |site: &SiteId| {
            let wanted = self.wanted.get(site).copied().filter(|it| *it > 0);
            wanted.filter(|_| counts(site))
        };
        let serving = first.and_then(known);
        let Some(meant) = &self.meant else {
            return serving;
        };
        if self.sites.standby == Standby::Active {
            return serving.or_else(|| known(&meant.site));
        }
        let by_file = || meant.replicas.filter(|_| counts(&meant.site));
        let home = known(&meant.site).or_else(by_file);
        match meant.number {
            Number::FollowsLoad => home.max(serving),
            Number::Fixed => home.or(serving),
        }
    }

    /// Instances that `own` must have for what other sites do not carry: they are asked for before the excess has been turned away for
    /// long. 0 where they carry it all, or only a person moves visitors there.
    pub(super) fn called(&self, own: &SiteId, seen: &[SiteSight]) -> u32 {
        let rest = self.rest.get(own).copied().unwrap_or(0);
        let first = seen.first().map(|it| &it.site);
        if rest == 0 || (self.sites.failover == Consent::Ask && first != Some(own)) {
            return 0;
        }
        // What it wants itself would keep what it wants up for ever.
        let needed = self.meant_for(first, |it| it != own).unwrap_or(0);
        let called = (u64::from(needed) * u64::from(rest)).div_ceil(ALL.into());
        u32::try_from(called).unwrap_or(u32::MAX)
    }

    /// `None` where the best tier takes all: then nothing needs to be drawn.
    fn shares(&self, offers: &[Offer]) -> Option<Spread> {
        let first = offers.first()?.tier;
        if self.sites.failover == Consent::Ask {
            return Some(Spread::only(first, Beyond::Nothing));
        }
        let spread = Spread::of(offers, Beyond::Next)?;
        let is_plain = spread.shares().next() == Some((first, ALL));
        (!is_plain).then_some(spread)
    }
}

fn moves(consent: Consent) -> Moves {
    match consent {
        Consent::Auto => Moves::ByItself,
        Consent::Ask => Moves::WhenTold,
    }
}

#[cfg(test)]
#[path = "sites_tests.rs"]
mod tests;
