//! Which site a name leads to, where it follows the order of sites. No I/O, no clock.
//!
//! A name needs a site whose gateways are there; which site serves is theirs to see to, as each of them sends requests on. So what
//! counts is whether a site is heard, not how its instances are. The decision is a gateway's, with what it and the other observers
//! see; that two sites do not both carry theirs out is the claim's matter ([`super::decide`]).
//!
//! Invariants: nobody takes a name from a site that is heard and comes before it in the order of any service of the name; of those that
//! are left when a site is gone exactly one is the first, also where services have orders of their own, as long as each knows all of them
//! (a site knows those that name it: where they differ the claim decides, and from a living site that serves nothing of the name as it is
//! known here nobody takes it back); nobody takes a name back from a site that wrote its claim while it was not heard, since that site
//! lives; nobody takes it alone from a site that it never heard: a gateway that has just begun cannot tell one that is gone from a line of
//! its own that is not there yet; and nobody takes it just after it was cut off itself.

use super::Claim;
use minato_config::{Consent, SiteId};
use minato_health::site;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// A site that was not heard since this gateway began counts as silent after this time.
const NEVER: Duration = Duration::from_secs(60);

/// Readings that are not further apart followed each other: a look, and one that failed in between.
const GAP: Duration = Duration::from_secs(30);

/// The first site has heard the one that has the name for so long before it takes it back: until visitors would be back there.
const BACK: Duration =
    Duration::from_secs(site::BACK.as_secs() + site::STEP.as_secs() * site::STEPS.len() as u64);

/// How a site is heard, by what this gateway and the other observers see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// It answers, without a break since then.
    Since(Instant),
    /// It does not; it was found silent then.
    SilentSince(Instant),
    /// It has not yet; looked for since then.
    NeverSince(Instant),
    /// Not here, and others are answered: the line from here is broken.
    ByOthers,
}

/// A service that the name leads to and that several sites serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Led {
    /// Its sites, best first, as it is decided now.
    pub order: Vec<SiteId>,
    /// Whether visitors leave a site by themselves.
    pub failover: Consent,
    /// Whether they come back by themselves.
    pub failback: Consent,
    /// Whether this site can carry all of it.
    pub is_well: bool,
}

/// What a gateway sees with regard to one name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sight {
    /// Those that the name leads to.
    pub services: Vec<Led>,
    /// Each peer.
    pub heard: BTreeMap<SiteId, Heard>,
}

/// What was read of a claim so far.
#[derive(Debug, Default)]
pub struct Readings {
    claim: Option<Claim>,
    first: Option<Instant>,
    last: Option<Instant>,
    /// When it was last read to be another: it was written after that.
    other: Option<Instant>,
    /// Nothing can be read at the moment.
    fails: bool,
    /// When it was read again after that.
    again: Option<Instant>,
}

impl Readings {
    /// Takes in what was read now.
    pub fn read(&mut self, claim: Option<Claim>, now: Instant) {
        if self.first.is_none() || self.claim != claim {
            (self.other, self.first) = (self.last, Some(now));
            self.claim = claim;
        }
        self.last = Some(now);
        if std::mem::take(&mut self.fails) {
            self.again = Some(now);
        }
    }

    /// Takes in that nothing could be read, or only after so long that nothing could before.
    pub fn failed(&mut self) {
        self.fails = true;
    }

    /// Whether nothing could be read in a silence that began at `since`, until a short time ago: what was broken is this site's own line,
    /// so that whoever is silent will be heard in a moment.
    fn is_again(&self, since: Instant, now: Instant) -> bool {
        let again = self.again.filter(|it| *it >= since);
        again.is_some_and(|it| now.saturating_duration_since(it) < NEVER)
    }

    /// Whether it was written within moments of a silence that began at `since`: by somebody who lived then, so that what is broken is the
    /// line. Not so where nothing could be read for long, since this site was cut off itself.
    fn is_of_the_moment(&self, since: Instant) -> bool {
        let found = self.first.zip(self.other);
        found.is_some_and(|(found, other)| {
            found >= since && found.saturating_duration_since(other) < GAP
        })
    }

    /// Whether what is read now was not there before a silence that began at `since`, and was found a short time ago.
    fn is_fresh(&self, since: Instant, now: Instant) -> bool {
        let found = self.first.filter(|_| self.other.is_some());
        found.is_some_and(|it| it >= since && now.saturating_duration_since(it) < NEVER)
    }
}

/// What follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lead {
    /// It leads to this site, by this epoch: the claim's where it is this site's already, else the next.
    Take(u64),
    /// It stays where it is, and why.
    Stay(String),
    /// It stays where it is until a person says otherwise: why, and what to type. `NAME` stands for the name.
    Ask(String),
}

/// Decides for a gateway of `own`.
pub fn lead(own: &SiteId, sight: &Sight, readings: &Readings, now: Instant) -> Lead {
    let services = &sight.services;
    let claim = readings.claim.as_ref();
    if let Some(it) = claim.filter(|it| it.site == own.as_str()) {
        return Lead::Take(it.epoch);
    }
    if services.is_empty() {
        return Lead::Stay("no service that several sites serve has a route for this name".into());
    }
    let asks = |which: fn(&Led) -> Consent| services.iter().any(|it| which(it) == Consent::Ask);
    let asks_to_leave = asks(|it| it.failover);
    // What a gone site had, or nobody, is for the first of the rest.
    let free = |epoch| {
        let order = order(services);
        let before: Vec<&SiteId> = order.into_iter().take_while(|it| *it != own).collect();
        for site in &before {
            if let Some(why) = stands(site, sight, now) {
                return Lead::Stay(format!("{site} comes first, and {why}"));
            }
        }
        if asks_to_leave && !before.is_empty() {
            return Lead::Ask(format!(
                "the sites before {own} are not heard, and `failover` of a service is \"ask\": `minato failover --to {own}`"
            ));
        }
        Lead::Take(epoch)
    };
    let Some(claim) = claim else {
        return free(1);
    };
    let next = claim.epoch.saturating_add(1);
    let heard = sight.heard.iter().find(|it| it.0.as_str() == claim.site);
    let Some((holder, heard)) = heard else {
        return Lead::Ask(format!(
            "it leads to {0}, and minato.toml has no [sites.{0}]: `minato entrance publish NAME` brings it here",
            claim.site
        ));
    };
    // From a site that comes before this one everywhere it would be the way there, not back.
    let returns = !services.iter().all(|it| before(it, own).contains(&holder));
    let asks_to_move = asks_to_leave || (returns && asks(|it| it.failback));
    match *heard {
        Heard::ByOthers => Lead::Stay(format!("it leads to {holder}, which others hear")),
        Heard::Since(since) => {
            let since = readings.first.map_or(since, |it| it.max(since));
            let lasted = now.saturating_duration_since(since);
            take_back(own, sight, (holder, lasted), now).unwrap_or(Lead::Take(next))
        }
        Heard::SilentSince(since) if readings.other.is_some_and(|it| it >= since) => {
            took_it_and_lives(holder)
        }
        Heard::SilentSince(since) if readings.is_again(since, now) => Lead::Stay(format!(
            "the name could not be read while {holder} is not heard, so {own} was cut off itself; it decides where {holder} is not heard for {} s more",
            NEVER.as_secs()
        )),
        // Found after this site was cut off itself: whoever has it will be heard in a moment.
        Heard::SilentSince(since) if readings.is_fresh(since, now) => Lead::Stay(format!(
            "{holder} has taken it while it was out of sight, and may live; {own} decides where {holder} is not heard for {} s more",
            NEVER.as_secs()
        )),
        Heard::SilentSince(since) if returns && readings.is_of_the_moment(since) => {
            took_it_and_lives(holder)
        }
        Heard::NeverSince(_) if stands(holder, sight, now).is_some() => {
            Lead::Stay(format!("it leads to {holder}, which may still be heard"))
        }
        // It may have served all the while that this gateway was away, also by a decision that was made meanwhile. Where a third site is
        // heard the line from here is there, and what the observers find counts.
        Heard::NeverSince(_) if !sight.heard.values().any(|it| matches!(it, Heard::Since(_))) => {
            Lead::Ask(format!(
                "it leads to {holder}, which was not heard since this gateway began, and may live: if it is gone, `minato entrance publish NAME`"
            ))
        }
        Heard::SilentSince(_) | Heard::NeverSince(_) => match free(next) {
            Lead::Take(_) if asks_to_move => Lead::Ask(format!(
                "it leads to {holder}, which is not heard, and a service asks before it moves: `minato entrance publish NAME`"
            )),
            decided => decided,
        },
    }
}

/// Why this site does not take it from one that lives and was heard for so long; `None` where it does.
fn take_back(
    own: &SiteId,
    sight: &Sight,
    (holder, lasted): (&SiteId, Duration),
    now: Instant,
) -> Option<Lead> {
    let services = &sight.services;
    let others = services.iter().flat_map(|it| before(it, own));
    let mut others = others.filter_map(|it| stands(it, sight, now).map(|why| (it, why)));
    if let Some((site, why)) = others.next() {
        return Some(Lead::Stay(format!("{site} comes first, and {why}")));
    }
    // Each of two that know services of their own only would take it from the other again and again.
    if !services.iter().any(|it| it.order.contains(holder)) {
        let why = format!(
            "it leads to {holder}, which lives and serves nothing of it that {own} knows; all services of a name should have the same `sites`"
        );
        return Some(if lasted < BACK {
            Lead::Stay(why)
        } else {
            Lead::Ask(format!(
                "{why}; `minato entrance publish NAME` brings it here"
            ))
        });
    }
    if services.iter().any(|it| it.failback == Consent::Ask) {
        return Some(Lead::Ask(format!(
            "it leads to {holder}, and `failback` of a service is \"ask\": `minato entrance publish NAME` brings it back"
        )));
    }
    let steps_in = |it: &Led| it.failover == Consent::Ask && !before(it, own).is_empty();
    if services.iter().any(steps_in) {
        return Some(Lead::Stay(format!(
            "it leads to {holder}, which lives, and {own} is not the first; `failover` of a service is \"ask\""
        )));
    }
    if !services.iter().all(|it| it.is_well) {
        return Some(Lead::Stay(format!(
            "it leads to {holder}, which is heard; {own} takes it back once its instances carry all"
        )));
    }
    (lasted < BACK).then(|| {
        let seconds = BACK.as_secs();
        Lead::Stay(format!(
            "it leads to {holder}; {own} takes it back once it has heard {holder} for {seconds} s"
        ))
    })
}

fn took_it_and_lives(holder: &SiteId) -> Lead {
    Lead::Ask(format!(
        "{holder} took it while it was not heard here, so it lives; if it is gone by now: `minato entrance publish NAME`"
    ))
}

/// The sites that come before `own`; all of them where it is not one of them.
fn before<'a>(led: &'a Led, own: &SiteId) -> Vec<&'a SiteId> {
    led.order.iter().take_while(|it| *it != own).collect()
}

/// One order of all sites, of the orders of all services: the sum of a site's places counts, then its name. Each site that knows
/// all of them finds the same, so that no two wait for each other. Who does not serve a service comes last in it.
fn order(services: &[Led]) -> Vec<&SiteId> {
    let all: BTreeSet<&SiteId> = services.iter().flat_map(|it| &it.order).collect();
    let place = |site: &SiteId, it: &Led| {
        let place = it.order.iter().position(|it| it == site);
        place.unwrap_or(all.len())
    };
    let sum = |site: &SiteId| -> usize { services.iter().map(|it| place(site, it)).sum() };
    let mut order: Vec<&SiteId> = all.iter().copied().collect();
    order.sort_by_key(|it| sum(it));
    order
}

/// Why a site is not gone; `None` where it is.
fn stands(site: &SiteId, sight: &Sight, now: Instant) -> Option<String> {
    match sight.heard.get(site) {
        None => Some(format!("minato.toml has no [sites.{site}]")),
        Some(Heard::Since(_)) => Some("is heard".to_owned()),
        Some(Heard::ByOthers) => Some("is heard by others".to_owned()),
        Some(Heard::NeverSince(since)) if now.saturating_duration_since(*since) < NEVER => {
            Some("may still be heard".to_owned())
        }
        Some(Heard::NeverSince(_) | Heard::SilentSince(_)) => None,
    }
}

#[cfg(test)]
#[path = "lead_tests.rs"]
mod tests;
