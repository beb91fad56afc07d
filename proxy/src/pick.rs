//! Two random choices, fewer in flight.
//!
//! Source: Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing" (2001).

use crate::{ALL, Beyond, Endpoint, ServiceEntry, Standing};
use minato_config::Health;
use std::sync::Arc;
use std::time::Instant;

/// From this many instances of a tier up, panic is possible.
pub const PANIC_INSTANCES: usize = 5;
/// Panic below this percentage of healthy (up or suspect) instances.
pub const PANIC_PERCENT: usize = 50;
/// Standings may change between counting and drawing; so often it is counted anew.
const DRAWS: usize = 4;

/// Which endpoints a request may go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// All of its service.
    Everywhere,
    /// Instances of this site only: it came from another one.
    Here,
}

/// The instance for a request, or `None` when nothing may take it.
///
/// The best tier with anything up or suspect, then the best standing in it; among those two random ones, the less loaded.
/// Where no tier has any, the held one.
/// In a tier of [`PANIC_INSTANCES`] or more with less than [`PANIC_PERCENT`] % healthy, the rest could not carry the
/// load: all take part but those that refuse, are stopped, leave, or have never been up.
/// Where visitors are shared out among sites ([`crate::Spread`]) the site is drawn first; what nobody can carry gets `None`.
/// `avoid`: the one that just failed this request; taken again only when nothing else is left in any tier.
/// `random(n)` returns a number below n; `endpoints` must be sorted by tier. Work is linear in the number of endpoints.
pub fn pick(
    service: &ServiceEntry,
    scope: Scope,
    avoid: Option<&Arc<Endpoint>>,
    now: Instant,
    random: &mut dyn FnMut(usize) -> usize,
) -> Option<Arc<Endpoint>> {
    let view = View {
        service,
        scope,
        avoid,
    };
    // Standings change meanwhile: what was counted may be of another class when it is drawn.
    for _ in 0..DRAWS {
        let choice = view.choose_site(random)?;
        if let Some(found) = view.draw(choice, now, random) {
            return Some(found);
        }
    }
    None
}

/// Which endpoints of a tier take part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Standing(Standing),
    Panic,
    Avoided,
}

/// Where to draw from. `count` is at least 1.
#[derive(Clone, Copy)]
struct Choice<'a> {
    tier: &'a [Arc<Endpoint>],
    class: Class,
    count: usize,
}

/// One tier counted: all of it that stays, and of what may be picked, that is without the avoided one, each class.
#[derive(Debug, Default, Clone, Copy)]
struct Census {
    staying: usize,
    healthy: usize,
    up: usize,
    suspect: usize,
    held: usize,
    last_resort: usize,
    avoided: usize,
}

struct View<'a> {
    service: &'a ServiceEntry,
    scope: Scope,
    avoid: Option<&'a Arc<Endpoint>>,
}

impl<'a> View<'a> {
    /// `None` where all that was counted has changed its standing.
    fn draw(
        &self,
        choice: Choice<'a>,
        now: Instant,
        random: &mut dyn FnMut(usize) -> usize,
    ) -> Option<Arc<Endpoint>> {
        let among = || choice.tier.iter().filter(|it| self.is_in(it, choice.class));
        let first = random(choice.count);
        let mut rest = among().skip(first);
        let Some(one) = rest.next() else {
            // A standing changed since it was counted.
            return among().next().map(Arc::clone);
        };
        if choice.count < 2 {
            return Some(Arc::clone(one));
        }
        let second = random(choice.count - 1);
        let other = if second < first {
            among().nth(second)
        } else {
            rest.nth(second - first)
        };
        let other = other.unwrap_or(one);
        let less = if other.load(now) < one.load(now) {
            other
        } else {
            one
        };
        Some(Arc::clone(less))
    }

    /// By the shares of sites, where there are any; one that nobody may take it at is passed over.
    fn choose_site(&self, random: &mut dyn FnMut(usize) -> usize) -> Option<Choice<'a>> {
        let Some(spread) = &self.service.spread else {
            return self.choose(|_| true);
        };
        // Over a link others have chosen this site.
        if self.scope == Scope::Here {
            return self.choose(|_| true);
        }
        // A second attempt goes wherever it can.
        let is_next = |tier: u8| {
            spread.beyond() == Beyond::Next || spread.shares().any(|(shared, _)| shared == tier)
        };
        if self.avoid.is_some() {
            return self.choose(is_next);
        }
        let number = u16::try_from(random(ALL.into())).unwrap_or(0);
        let drawn = spread.draw(number)?;
        let found = self.choose(|tier| tier == drawn);
        found.or_else(|| self.choose(is_next))
    }

    /// Among the tiers that `takes` says yes to.
    fn choose(&self, takes: impl Fn(u8) -> bool) -> Option<Choice<'a>> {
        let (mut panicking, mut held, mut avoided) = (None, None, None);
        let endpoints = &self.service.endpoints;
        for tier in endpoints.chunk_by(|one, next| one.tier() == next.tier()) {
            let is_taken = tier.first().is_some_and(|it| takes(it.tier()));
            // A tier is one site.
            let is_here = || tier.iter().all(|it| it.site().is_none());
            if !is_taken || (self.scope == Scope::Here && !is_here()) {
                continue;
            }
            let census = self.count(tier);
            let some = |class, count| (count > 0).then_some(Choice { tier, class, count });
            let panic = some(Class::Panic, census.last_resort).filter(|_| census.is_panic());
            let best = some(Class::Standing(Standing::Up), census.up)
                .or_else(|| some(Class::Standing(Standing::Suspect), census.suspect));
            if best.is_some() {
                return panic.or(best);
            }
            panicking = panicking.or(panic);
            held = held.or_else(|| some(Class::Standing(Standing::Held), census.held));
            avoided = avoided.or_else(|| some(Class::Avoided, census.avoided));
        }
        panicking.or(held).or(avoided)
    }

    fn count(&self, tier: &[Arc<Endpoint>]) -> Census {
        let mut census = Census::default();
        for endpoint in tier {
            let standing = self.standing(endpoint);
            census.staying += usize::from(standing != Standing::Draining);
            census.healthy += usize::from(standing <= Standing::Suspect);
            if self.avoids(endpoint) {
                census.avoided += usize::from(standing <= Standing::Held);
                continue;
            }
            match standing {
                Standing::Up => census.up += 1,
                Standing::Suspect => census.suspect += 1,
                Standing::Held => census.held += 1,
                Standing::Draining | Standing::Out => {}
            }
            census.last_resort += usize::from(endpoint.is_last_resort());
        }
        census
    }

    fn is_in(&self, endpoint: &Arc<Endpoint>, class: Class) -> bool {
        match class {
            Class::Avoided => self.avoids(endpoint),
            _ if self.avoids(endpoint) => false,
            Class::Standing(standing) => self.standing(endpoint) == standing,
            Class::Panic => endpoint.is_last_resort(),
        }
    }

    fn avoids(&self, endpoint: &Arc<Endpoint>) -> bool {
        self.avoid.is_some_and(|it| Arc::ptr_eq(it, endpoint))
    }

    /// Health off: every instance counts as up, whatever was thought of it before. Other sites are watched all the same.
    fn standing(&self, endpoint: &Endpoint) -> Standing {
        match (&self.service.service.health, endpoint.standing()) {
            (Health::Off, Standing::Suspect | Standing::Held) if endpoint.site().is_none() => {
                Standing::Up
            }
            (_, standing) => standing,
        }
    }
}

impl Census {
    fn is_panic(&self) -> bool {
        self.staying >= PANIC_INSTANCES && self.healthy * 100 < self.staying * PANIC_PERCENT
    }
}

#[cfg(test)]
mod tests;
