//! Two random choices, fewer in flight.
//!
//! Source: Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing" (2001).

use crate::{Endpoint, ServiceEntry, Standing};
use minato_config::Health;
use std::sync::Arc;
use std::time::Instant;

/// From this many instances of a tier up, panic is possible.
pub const PANIC_INSTANCES: usize = 5;
/// Panic below this percentage of healthy (up or suspect) instances.
pub const PANIC_PERCENT: usize = 50;

/// The instance for a request, or `None` when nothing may take it.
///
/// The best tier with anything up or suspect, then the best standing in it; among those two random ones, the less loaded.
/// Where no tier has any, the held one.
/// In a tier of [`PANIC_INSTANCES`] or more with less than [`PANIC_PERCENT`] % healthy, the rest could not carry the
/// load: all take part but those that refuse, are stopped, leave, or have never been up.
/// `avoid`: the one that just failed this request; taken again only when nothing else is left in any tier.
/// `random(n)` returns a number below n; `endpoints` must be sorted by tier. Work is linear in the number of endpoints.
pub fn pick(
    service: &ServiceEntry,
    avoid: Option<&Arc<Endpoint>>,
    now: Instant,
    random: &mut dyn FnMut(usize) -> usize,
) -> Option<Arc<Endpoint>> {
    let view = View { service, avoid };
    let (tier, class) = view.choose()?;
    let among = || tier.iter().filter(|it| view.is_in(it, class));
    let count = among().count();
    let first = random(count.max(1));
    let one = among().nth(first).or_else(|| among().next())?;
    if count < 2 {
        return Some(Arc::clone(one));
    }
    let second = random(count - 1);
    let second = if second < first { second } else { second + 1 };
    let other = among().nth(second).unwrap_or(one);
    let less = if other.load(now) < one.load(now) {
        other
    } else {
        one
    };
    Some(Arc::clone(less))
}

/// Which endpoints of a tier take part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Standing(Standing),
    Panic,
    Avoided,
}

type Tier<'a> = &'a [Arc<Endpoint>];

struct View<'a> {
    service: &'a ServiceEntry,
    avoid: Option<&'a Arc<Endpoint>>,
}

impl<'a> View<'a> {
    fn tiers(&self) -> impl Iterator<Item = Tier<'a>> {
        self.service
            .endpoints
            .chunk_by(|one, next| one.tier() == next.tier())
    }

    fn choose(&self) -> Option<(Tier<'a>, Class)> {
        use Class::{Avoided, Panic};
        const UP: Class = Class::Standing(Standing::Up);
        const SUSPECT: Class = Class::Standing(Standing::Suspect);
        const HELD: Class = Class::Standing(Standing::Held);
        let serving = self.tiers().find_map(|tier| {
            let best = self.first_of(tier, &[UP, SUSPECT])?;
            let all = self.is_panic(tier).then_some((tier, Panic));
            Some(all.unwrap_or(best))
        });
        serving
            .or_else(|| {
                let mut panicking = self.tiers().filter(|tier| self.is_panic(tier));
                panicking.find_map(|tier| self.first_of(tier, &[Panic]))
            })
            .or_else(|| self.tiers().find_map(|tier| self.first_of(tier, &[HELD])))
            .or_else(|| {
                self.tiers()
                    .find_map(|tier| self.first_of(tier, &[Avoided]))
            })
    }

    /// The first of `classes` with anything in it.
    fn first_of(&self, tier: Tier<'a>, classes: &[Class]) -> Option<(Tier<'a>, Class)> {
        let class = classes
            .iter()
            .find(|class| tier.iter().any(|it| self.is_in(it, **class)))?;
        Some((tier, *class))
    }

    fn is_in(&self, endpoint: &Arc<Endpoint>, class: Class) -> bool {
        let avoided = self.avoid.is_some_and(|it| Arc::ptr_eq(it, endpoint));
        match class {
            Class::Avoided => avoided && self.standing(endpoint) <= Standing::Held,
            Class::Standing(standing) => !avoided && self.standing(endpoint) == standing,
            Class::Panic => !avoided && endpoint.is_last_resort(),
        }
    }

    /// Health off: every instance counts as up, whatever was thought of it before.
    fn standing(&self, endpoint: &Endpoint) -> Standing {
        match (&self.service.service.health, endpoint.standing()) {
            (Health::Off, Standing::Suspect | Standing::Held) => Standing::Up,
            (_, standing) => standing,
        }
    }

    fn is_panic(&self, tier: Tier<'_>) -> bool {
        if tier.len() < PANIC_INSTANCES {
            return false;
        }
        let staying = tier.iter().map(|it| self.standing(it));
        let (mut all, mut healthy) = (0, 0);
        for standing in staying.filter(|it| *it != Standing::Draining) {
            all += 1;
            healthy += usize::from(standing <= Standing::Suspect);
        }
        all >= PANIC_INSTANCES && healthy * 100 < all * PANIC_PERCENT
    }
}

#[cfg(test)]
mod tests;
