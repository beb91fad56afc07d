//! How visitors of one service are shared out among its sites, from what is seen of each. Pure.

use minato_config::{Consent, SiteId, Sites, Timestamp};
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

/// One service.
#[derive(Debug)]
pub(super) struct Routing {
    sites: Sites,
    courses: BTreeMap<SiteId, Course>,
    /// The last that was heard: a site that is gone does not make the work smaller.
    wanted: BTreeMap<SiteId, u32>,
    spread: Option<Arc<Spread>>,
}

impl Routing {
    pub(super) fn new(sites: &Sites) -> Self {
        Self {
            sites: sites.clone(),
            courses: BTreeMap::new(),
            wanted: BTreeMap::new(),
            spread: None,
        }
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
            offers.push(Offer {
                tier: it.tier,
                carries: carries(counted, needed),
                allowed: u16::from(allows.percent) * (ALL / 100),
            });
        }
        self.spread = self.shares(&offers).map(Arc::new);
        turns
    }

    /// How many instances carry all visitors: as many as the first site wants, since it serves them all when it is well. A later
    /// site that is larger, or says that it is, takes nothing from it. Where nobody has heard of the first, the largest known.
    fn needed(&self, seen: &[SiteSight]) -> u32 {
        let first = seen.first().and_then(|it| self.wanted.get(&it.site));
        let known = first.copied().filter(|it| *it > 0);
        known
            .or_else(|| self.wanted.values().copied().max())
            .unwrap_or(1)
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
