//! How visitors of one service are shared out among its sites, from what is seen of each. Pure.

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
        let moves = |consent: Consent| match consent {
            Consent::Auto => Moves::ByItself,
            Consent::Ask => Moves::WhenTold,
        };
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
            let condition = match carries(it.up, wanted) {
                _ if it.reach == Reach::Silent => Condition::Silent,
                _ if it.reach == Reach::Alone => Condition::Unreached,
                0 => Condition::Gone,
                ALL => Condition::Well,
                _ => Condition::Degraded,
            };
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

#[cfg(test)]
mod tests {
    use super::*;
    use minato_config::Standby;
    use std::time::Duration;

    fn site(text: &str) -> SiteId {
        SiteId::parse(text).expect("a site")
    }

    fn routing(failover: Consent) -> Routing {
        Routing::new(&Sites {
            order: vec![site("tokyo"), site("osaka")],
            standby: Standby::Warm,
            failover,
            failback: Consent::Auto,
            sync: None,
            at: BTreeMap::new(),
            targets: Default::default(),
            base: None,
        })
    }

    /// `up/wanted` of tokyo, then of osaka; `-` where nobody answers, `?` where nobody answers here and others are answered.
    fn seen(text: &str) -> Vec<SiteSight> {
        let sights = text.split(' ').zip(["tokyo", "osaka"]).zip(0..);
        sights
            .map(|((text, name), tier)| {
                let numbers = text.split_once('/');
                SiteSight {
                    site: site(name),
                    tier,
                    up: numbers.map_or(0, |it| it.0.parse().expect("a number")),
                    wanted: numbers.map(|it| it.1.parse().expect("a number")),
                    reach: match text {
                        "-" => Reach::Silent,
                        "?" => Reach::Alone,
                        _ => Reach::Answers,
                    },
                }
            })
            .collect()
    }

    /// Each word of `seen` for so many seconds; the shares of tokyo, osaka and the sorry page after the last.
    #[track_caller]
    fn check(failover: Consent, course: &[(u64, &str)], expected: [u16; 3]) {
        let (mut now, mut routing) = (crate::clock::now(), routing(failover));
        for (seconds, text) in course {
            for _ in 0..*seconds {
                routing.settle(&seen(text), now);
                now += Duration::from_secs(1);
            }
        }
        let found = routing.spread().map_or([ALL, 0, 0], |it| {
            let share = |tier| it.shares().find(|it| it.0 == tier).map_or(0, |it| it.1);
            [share(0), share(1), it.excess()]
        });
        assert_eq!(found, expected, "{course:?}");
    }

    #[test]
    fn shares_follow_what_sites_can_carry() {
        let auto = Consent::Auto;
        check(auto, &[(5, "3/3 3/3")], [1_000, 0, 0]);
        check(auto, &[(5, "3/3 1/1")], [1_000, 0, 0]);
        // Degraded: for ten seconds nothing moves, then what it cannot carry does.
        check(auto, &[(5, "3/3 3/3"), (10, "1/3 3/3")], [1_000, 0, 0]);
        check(auto, &[(5, "3/3 3/3"), (11, "1/3 3/3")], [466, 534, 0]);
        // Gone: all move; osaka is a third of tokyo, and the rest gets the sorry page.
        check(auto, &[(5, "3/3 3/3"), (9, "- 3/3")], [0, 1_000, 0]);
        check(auto, &[(5, "3/3 1/1"), (9, "- 1/1")], [0, 466, 534]);
        // A first site that is small and well serves all, whatever a later one says of itself.
        check(auto, &[(5, "1/1 3/3")], [1_000, 0, 0]);
        check(auto, &[(5, "3/3 9/4294967295")], [1_000, 0, 0]);
        check(auto, &[(5, "2/2 4294967295/1")], [1_000, 0, 0]);
        check(auto, &[(5, "1/1 3/3"), (9, "- 1/3")], [0, 1_000, 0]);
        // It never answered, so that nobody knows how much is missing.
        check(auto, &[(9, "- 1/1")], [0, 1_000, 0]);
        check(auto, &[(5, "3/3 3/3"), (9, "- -")], [1_000, 0, 0]);
        // Back: nothing for a minute, then in steps.
        let back = |seconds| [(5, "3/3 3/3"), (9, "- 3/3"), (seconds, "3/3 3/3")];
        check(auto, &back(60), [0, 1_000, 0]);
        check(auto, &back(61), [100, 900, 0]);
        check(auto, &back(71), [500, 500, 0]);
        check(auto, &back(81), [1_000, 0, 0]);
        // Out of this gateway's sight alone: nobody is sent there meanwhile, and it is gone back to at once.
        check(auto, &[(5, "3/3 3/3"), (9, "? 3/3")], [0, 1_000, 0]);
        let blinked = [(5, "3/3 3/3"), (9, "? 3/3"), (1, "3/3 3/3")];
        check(auto, &blinked, [1_000, 0, 0]);
        // While it waits to be gone back to it is still better than the sorry page.
        let waits = [(5, "3/3 3/3"), (9, "- 3/3"), (5, "3/3 -")];
        check(auto, &waits, [1_000, 0, 0]);
    }

    /// What is called for at osaka after these, where tokyo wants what it says, or its file `3` where it was never heard.
    #[track_caller]
    fn calls(routing: &mut Routing, course: &[(u64, &str)], own: &str, expected: u32) {
        let mut now = crate::clock::now();
        for (seconds, text) in course {
            for _ in 0..*seconds {
                routing.settle(&seen(text), now);
                now += Duration::from_secs(1);
            }
        }
        let last = seen(course.last().expect("a course").1);
        assert_eq!(routing.called(&site(own), &last), expected, "{course:?}");
    }

    fn meant(number: Number) -> Option<Meant> {
        Some(Meant {
            site: site("tokyo"),
            replicas: Some(3),
            number,
        })
    }

    #[test]
    fn what_the_sites_before_do_not_carry_is_called_for() {
        let follows = || {
            let mut routing = routing(Consent::Auto);
            routing.mean(meant(Number::FollowsLoad));
            routing
        };
        let call = |course: &[(u64, &str)], expected| {
            calls(&mut follows(), course, "osaka", expected);
        };
        call(&[(5, "5/5 2/2")], 0);
        call(&[(5, "5/5 2/2"), (1, "- 2/2")], 5);
        // Degraded: once visitors are moved, and as many as tokyo lacks.
        call(&[(5, "5/5 2/2"), (10, "2/5 2/2")], 0);
        call(&[(5, "5/5 2/2"), (11, "2/5 2/2")], 3);
        // Never heard: the file's number. Its own number calls for nothing.
        call(&[(5, "- 1/7")], 3);
        calls(&mut follows(), &[(5, "5/5 2/2")], "tokyo", 0);
        calls(&mut follows(), &[(5, "5/5 -")], "tokyo", 0);
        // Out of this gateway's sight alone: that is for no one else to do.
        call(&[(5, "5/5 2/2"), (9, "? 2/2")], 0);
        // Back: less and less, as visitors go.
        let back = |seconds| [(5, "5/5 2/2"), (9, "- 5/5"), (seconds, "5/5 5/5")];
        call(&back(60), 5);
        call(&back(71), 3);
        call(&back(81), 0);
        let mut asks = routing(Consent::Ask);
        asks.mean(meant(Number::FollowsLoad));
        calls(&mut asks, &[(5, "5/5 2/2"), (9, "- 2/2")], "osaka", 0);
    }

    /// Osaka, which is smaller, was made the first: what visitors need is what it was.
    #[test]
    fn the_need_is_not_that_of_a_smaller_site_that_was_made_the_first() {
        let switched = |number, text: &str| {
            let mut routing = Routing::new(&Sites {
                order: vec![site("osaka"), site("tokyo")],
                ..routing(Consent::Auto).sites
            });
            routing.mean(meant(number));
            let mut seen = seen(text);
            seen.reverse();
            for (tier, it) in (0..).zip(&mut seen) {
                it.tier = tier;
            }
            let mut now = crate::clock::now();
            for _ in 0..30 {
                routing.settle(&seen, now);
                now += Duration::from_secs(1);
            }
            let shares: Vec<(u8, u16)> = routing
                .spread()
                .map(|it| it.shares().chain([(9, it.excess())]).collect())
                .unwrap_or_default();
            (shares, routing.called(&site("osaka"), &seen))
        };
        use Number::{Fixed, FollowsLoad};
        // Tokyo, in osaka's shadow now, would still serve what osaka cannot.
        assert_eq!(
            switched(Fixed, "3/3 1/1"),
            (vec![(0, 466), (1, 534), (9, 0)], 3)
        );
        // It is off.
        assert_eq!(switched(Fixed, "- 1/1"), (vec![(0, 466), (9, 534)], 3));
        assert_eq!(switched(Fixed, "- 3/3"), (vec![], 3));
        // A larger site is asked for no more than the smaller one carried.
        assert_eq!(switched(Fixed, "- 3/9"), (vec![], 3));
        // Where the number follows the load, it has grown here and shrunk there.
        assert_eq!(
            switched(FollowsLoad, "2/2 2/5"),
            (vec![(0, 560), (1, 440), (9, 0)], 2)
        );
    }

    #[test]
    fn what_a_file_means_is_what_its_first_site_has_by_it() {
        let name = minato_config::ServiceName::parse("app").expect("a name");
        let meant = |more: &str, at: &str| {
            let text =
                format!("{more}\nsites = [\"tokyo\", \"osaka\"]\n[at.osaka]\nreplicas = 1\n");
            let parsed = minato_config::parse_service("".as_ref(), &name, &text);
            let meant = Meant::by(&parsed.expect("a service").at(&site(at)));
            meant.map(|it| (it.site, it.replicas, it.number))
        };
        for at in ["tokyo", "osaka"] {
            let fixed = (site("tokyo"), Some(3), Number::Fixed);
            assert_eq!(meant("command = [\"a\"]\nreplicas = 3", at), Some(fixed));
            let scaled = (site("tokyo"), Some(2), Number::FollowsLoad);
            let text = "command = [\"a\"]\nreplicas = { min = 2, max = 5, in_flight = 9 }";
            assert_eq!(meant(text, at), Some(scaled));
        }
        let own = "endpoints = [\"10.0.0.7:80\", \"10.0.0.8:80\"]";
        let text = format!("{own}\nsites = [\"tokyo\", \"osaka\"]\n");
        let parsed = minato_config::parse_service("".as_ref(), &name, &text);
        let found = Meant::by(&parsed.expect("a service"));
        assert_eq!(found.and_then(|it| it.replicas), None);
    }

    #[test]
    fn what_a_site_wants_is_no_new_order() {
        let routing = routing(Consent::Auto);
        let mut sites = routing.sites.clone();
        let replicas = Some(2);
        sites
            .at
            .insert(site("osaka"), minato_config::AtSite { replicas });
        assert!(routing.is_of(&sites), "visitors stay where they are");
        sites.order.reverse();
        assert!(!routing.is_of(&sites));
    }

    #[test]
    fn only_a_person_moves_what_asks() {
        let ask = Consent::Ask;
        check(ask, &[(5, "3/3 3/3")], [1_000, 0, 0]);
        check(ask, &[(5, "3/3 3/3"), (99, "- 3/3")], [1_000, 0, 0]);
        check(ask, &[(5, "3/3 3/3"), (99, "1/3 3/3")], [1_000, 0, 0]);
    }
}
