//! Which part of a service's visitors goes to which site. Pure arithmetic; whole numbers, in thousandths.
//!
//! Each site can carry `min(1, 1.4 x healthy / needed)` of all visitors: instances are not run at their limit. The first takes what
//! it can, the rest spills in order. What nobody can carry gets the sorry page, so that those who are carried are served well.

/// All visitors.
pub const ALL: u16 = 1_000;
/// How much more than its part of the work a healthy instance is trusted with, in percent.
const TRUST: u64 = 140;

/// What one site offers. Sites are given best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    /// Its tier in the table.
    pub tier: u8,
    /// What it can carry, of [`ALL`].
    pub carries: u16,
    /// How much it may get while others can carry the rest, of [`ALL`]: less while it comes back, nothing after it was left.
    pub allowed: u16,
}

/// Shares of sites; what is missing to [`ALL`] gets the sorry page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spread {
    /// Tier, and the sum of all shares up to and with its own.
    shares: Vec<(u8, u16)>,
    beyond: Beyond,
}

/// What becomes of a request whose site has nobody to take it at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beyond {
    /// The next site is tried at once.
    Next,
    /// The sorry page: only a person moves visitors of this service.
    Nothing,
}

/// What `healthy` instances can carry of the work that `needed` are there for.
pub fn carries(healthy: u32, needed: u32) -> u16 {
    let needed = u64::from(needed.max(1));
    let part = u64::from(healthy) * u64::from(ALL) * TRUST / 100 / needed;
    u16::try_from(part.min(ALL.into())).unwrap_or(ALL)
}

impl Spread {
    /// Shares by `offers`; `None` where nobody offers anything: then whoever may still answer is tried in order.
    ///
    /// Who may not get more because it has just come back gets it all the same before anybody is turned away.
    pub fn of(offers: &[Offer], beyond: Beyond) -> Option<Self> {
        let mut left = ALL;
        let mut taken: Vec<u16> = Vec::with_capacity(offers.len());
        for it in offers {
            let share = it.carries.min(it.allowed).min(left);
            left -= share;
            taken.push(share);
        }
        for (share, it) in taken.iter_mut().zip(offers) {
            let more = it.carries.saturating_sub(*share).min(left);
            left -= more;
            *share += more;
        }
        if left == ALL {
            return None;
        }
        let mut sum = 0;
        let shares = offers.iter().zip(&taken).filter(|(_, share)| **share > 0);
        let shares = shares.map(|(it, share)| {
            sum += share;
            (it.tier, sum)
        });
        Some(Self {
            shares: shares.collect(),
            beyond,
        })
    }

    /// All to one tier, whatever it can carry.
    pub fn only(tier: u8, beyond: Beyond) -> Self {
        Self {
            shares: vec![(tier, ALL)],
            beyond,
        }
    }

    /// The tier for a number below [`ALL`]; `None`: turned away.
    pub fn draw(&self, number: u16) -> Option<u8> {
        let found = self.shares.iter().find(|(_, sum)| number < *sum);
        found.map(|(tier, _)| *tier)
    }

    /// See [`Beyond`].
    pub fn beyond(&self) -> Beyond {
        self.beyond
    }

    /// Tier and share of each site that has one, best first.
    pub fn shares(&self) -> impl Iterator<Item = (u8, u16)> {
        let before = std::iter::once(0).chain(self.shares.iter().map(|it| it.1));
        let shares = self.shares.iter().zip(before);
        shares.map(|((tier, sum), before)| (*tier, sum - before))
    }

    /// Of [`ALL`], those who are turned away.
    pub fn excess(&self) -> u16 {
        ALL - self.shares.last().map_or(0, |it| it.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_healthy_instance_is_trusted_with_a_little_more_than_its_part() {
        for (healthy, needed, expected) in [
            (0, 3, 0),
            (1, 3, 466),
            (2, 3, 933),
            (3, 3, 1_000),
            (5, 3, 1_000),
            (1, 1, 1_000),
            (1, 2, 700),
            (7, 10, 980),
            (8, 10, 1_000),
            (0, 0, 0),
            (1, 0, 1_000),
            (u32::MAX, 1, 1_000),
            (1, u32::MAX, 0),
        ] {
            assert_eq!(carries(healthy, needed), expected, "{healthy} of {needed}");
        }
    }

    /// Offers as `carries/allowed`, best first; expects shares in order, then who is turned away.
    #[track_caller]
    fn check(offers: &str, expected: &[u16]) {
        let offers: Vec<Offer> = offers
            .split(' ')
            .zip(0..)
            .map(|(text, tier)| {
                let (carries, allowed) = text.split_once('/').unwrap();
                Offer {
                    tier,
                    carries: carries.parse().unwrap(),
                    allowed: allowed.parse().unwrap(),
                }
            })
            .collect();
        let Some(spread) = Spread::of(&offers, Beyond::Next) else {
            assert!(expected.is_empty(), "{offers:?}: nobody takes any");
            return;
        };
        let share = |tier: u8| {
            let mut all = spread.shares();
            all.find(|it| it.0 == tier).map_or(0, |it| it.1)
        };
        let mut found: Vec<u16> = offers.iter().map(|it| share(it.tier)).collect();
        found.push(spread.excess());
        assert_eq!(found, expected, "{offers:?}");
        assert_eq!(found.iter().sum::<u16>(), ALL);
        // Each number below ALL leads to one of them, in these parts.
        let drawn = |tier: Option<u8>| (0..ALL).filter(|it| spread.draw(*it) == tier).count();
        for it in &offers {
            assert_eq!(drawn(Some(it.tier)), usize::from(share(it.tier)));
        }
        assert_eq!(drawn(None), usize::from(spread.excess()));
    }

    #[test]
    fn the_first_takes_what_it_can_and_the_rest_spills_in_order() {
        check("1000/1000 1000/1000", &[1_000, 0, 0]);
        check("466/1000 1000/1000", &[466, 534, 0]);
        check("466/1000 300/1000 1000/1000", &[466, 300, 234, 0]);
        check("0/1000 1000/1000", &[0, 1_000, 0]);
    }

    #[test]
    fn what_nobody_can_carry_is_turned_away() {
        check("0/1000 466/1000", &[0, 466, 534]);
        check("466/1000 466/1000", &[466, 466, 68]);
        check("0/1000 0/1000", &[]);
    }

    #[test]
    fn who_comes_back_gets_little_unless_nobody_else_can() {
        check("1000/0 1000/1000", &[0, 1_000, 0]);
        check("1000/100 1000/1000", &[100, 900, 0]);
        check("1000/500 1000/1000", &[500, 500, 0]);
        check("1000/100 466/1000", &[534, 466, 0]);
        check("1000/0 0/1000", &[1_000, 0, 0]);
        check("300/0 466/1000", &[300, 466, 234]);
    }

    /// Three sites, each carrying and allowed any of these, in all combinations.
    const PARTS: [u16; 6] = [0, 1, 100, 466, 999, 1_000];

    /// Shares of the three in order, then who is turned away; nobody takes any: all are turned away, as far as shares go.
    fn shares_of(offers: &[Offer; 3]) -> [u16; 4] {
        let Some(spread) = Spread::of(offers, Beyond::Next) else {
            return [0, 0, 0, ALL];
        };
        let share = |tier| {
            let mut all = spread.shares();
            all.find(|it| it.0 == tier).map_or(0, |it| it.1)
        };
        [share(0), share(1), share(2), spread.excess()]
    }

    #[test]
    fn for_all_offers_shares_add_up_and_nobody_gets_more_than_it_carries() {
        let every = || {
            PARTS
                .into_iter()
                .flat_map(|one| PARTS.map(|other| (one, other)))
        };
        let offer = |tier, (carries, allowed)| Offer {
            tier,
            carries,
            allowed,
        };
        for (a, b) in every().flat_map(|a| every().map(move |b| (a, b))) {
            for c in every() {
                let offers = [offer(0, a), offer(1, b), offer(2, c)];
                let found = shares_of(&offers);
                assert_eq!(found.iter().sum::<u16>(), ALL, "{offers:?}: {found:?}");
                let sum: u16 = offers.iter().map(|it| it.carries).sum();
                assert_eq!(found[3], ALL.saturating_sub(sum), "{offers:?}: {found:?}");
                for (at, it) in offers.iter().enumerate() {
                    assert!(found[at] <= it.carries, "{offers:?}: {found:?}");
                    // More of one is never less for it.
                    let mut more = offers;
                    more[at].carries = (it.carries + 200).min(ALL);
                    assert!(shares_of(&more)[at] >= found[at], "{offers:?} {at}");
                    let mut more = offers;
                    more[at].allowed = (it.allowed + 200).min(ALL);
                    assert!(shares_of(&more)[at] >= found[at], "{offers:?} {at}");
                }
                // Nobody gets more than it may while others may take the rest.
                let may: u16 = offers.iter().map(|it| it.carries.min(it.allowed)).sum();
                let is_within = offers.iter().zip(found).all(|(it, got)| got <= it.allowed);
                assert!(may < ALL || is_within, "{offers:?}: {found:?}");
            }
        }
    }
}
