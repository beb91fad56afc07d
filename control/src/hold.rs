//! Holding requests of a service while it moves: what stands in the store of each site, and what follows from it.
//!
//! A switch orders a hold at every site of a service (`holds/<service>`); each gateway follows the document and says so
//! (`held/<gateway>/<service>`), and only where all that live do, the service is held ([`seen`]). It ends when the switch says so,
//! or by this site's own clock: never more than [`MOST`] after it was ordered, whatever became of whoever ordered it.
//!
//! Not here: how requests wait (`proxy`), who writes and reads (`control/server`, the gateway), what a switch makes of it
//! (`operation::switch`).

use crate::OperationId;
use crate::operation::switch::Held;
use minato_config::{GatewayId, SiteId, Timestamp};
use minato_health::GatewayAlive;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// Nobody holds for longer.
pub const MOST: Duration = Duration::from_secs(10);

/// Whose hold it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Where the switch lives; who asks proves it by his certificate.
    pub site: SiteId,
    /// Its number there.
    pub operation: OperationId,
}

/// `operation 12 of osaka`
impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "operation {} of {}", self.operation, self.site)
    }
}

/// The document at `holds/<service>`: written by whoever takes a switch's order at this site, each comparing what it read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldRecord {
    /// Format version, 1.
    pub v: u32,
    /// Whose.
    pub by: Holder,
    /// Which try of it.
    #[serde(rename = "try")]
    pub run: u32,
    /// Since when.
    pub since: Timestamp,
    /// Until when, by the clocks of this site.
    pub until: Timestamp,
    /// It was ended before.
    #[serde(default)]
    pub released: bool,
}

impl HoldRecord {
    /// Whether requests wait.
    pub fn is_in_force(&self, now: Timestamp) -> bool {
        !self.released && now < self.until
    }
}

/// The document at `held/<gateway>/<service>`, under the gateway's lease, for as long as requests wait there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldReport {
    /// Format version, 1.
    pub v: u32,
    /// The hold that it follows.
    pub held: Following,
    /// Requests that are being served through it still: they only become fewer.
    pub in_flight: u32,
}

/// Which hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Following {
    /// Whose.
    pub by: Holder,
    /// Which try of it.
    #[serde(rename = "try")]
    pub run: u32,
}

/// What a switch orders.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldOrder {
    /// Whose.
    pub by: Holder,
    /// Which try of it.
    #[serde(rename = "try")]
    pub run: u32,
    /// How long at most; what is above [`MOST`] counts as that.
    pub limit_ms: u64,
}

/// Why an order is not carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HoldRefusal {
    /// It was held for this try before, and that is over.
    Over(u32),
    /// Another switch holds it.
    Taken(Holder),
}

impl fmt::Display for HoldRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Over(run) => write!(f, "try {run} has had its time, and is never held again"),
            Self::Taken(by) => write!(f, "its requests are held for {by} now"),
        }
    }
}

/// What is to be written; `None`: it is so already.
pub fn hold(
    current: Option<&HoldRecord>,
    order: &HoldOrder,
    now: Timestamp,
) -> Result<Option<HoldRecord>, HoldRefusal> {
    if let Some(it) = current {
        let is_same = it.by == order.by && it.run == order.run;
        if is_same && it.is_in_force(now) {
            return Ok(None);
        }
        if it.by != order.by && it.is_in_force(now) {
            return Err(HoldRefusal::Taken(it.by.clone()));
        }
        let place = |by: &Holder, run| (by.operation, run);
        if it.by.site == order.by.site && place(&order.by, order.run) <= place(&it.by, it.run) {
            return Err(HoldRefusal::Over(order.run));
        }
    }
    Ok(Some(HoldRecord {
        v: 1,
        by: order.by.clone(),
        run: order.run,
        since: now,
        until: now.after(Duration::from_millis(order.limit_ms).min(MOST)),
        released: false,
    }))
}

/// What is to be written; `None`: nothing is held for `by`.
pub fn release(
    current: Option<&HoldRecord>,
    by: &Holder,
    now: Timestamp,
) -> Result<Option<HoldRecord>, HoldRefusal> {
    match current.filter(|it| it.is_in_force(now)) {
        None => Ok(None),
        Some(it) if it.by != *by => Err(HoldRefusal::Taken(it.by.clone())),
        Some(it) => Ok(Some(HoldRecord {
            released: true,
            ..it.clone()
        })),
    }
}

/// What of one service stands in the store of a site.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// Its hold.
    pub hold: Option<HoldRecord>,
    /// Living gateways.
    pub gateways: BTreeMap<GatewayId, GatewayAlive>,
    /// What they say.
    pub reports: BTreeMap<GatewayId, HeldReport>,
}

/// How a site stands to a switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldSeen {
    /// How requests are held.
    pub held: Held,
    /// Requests that are being served still, at gateways that hold.
    pub in_flight: u64,
}

impl HoldSeen {
    /// Nothing is held there for a switch.
    pub const NO: Self = Self {
        held: Held::No,
        in_flight: 0,
    };

    /// Nobody is served through this site's gateways any more, and nobody new comes in.
    pub fn is_empty(&self) -> bool {
        matches!(self.held, Held::For(_)) && self.in_flight == 0
    }

    /// Both together: it is held where both are, and not held where neither is.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let run = |it: Held| match it {
            Held::No => 0,
            Held::Partly(run) | Held::For(run) | Held::Broken(run) | Held::Expired(run) => run,
        };
        let held = match (self.held, other.held) {
            (one, other) if one == other => one,
            // One of them lets requests in again.
            (Held::Expired(run), _) | (_, Held::Expired(run)) => Held::Expired(run),
            (Held::Broken(run), _) | (_, Held::Broken(run)) => Held::Broken(run),
            (one, other) => Held::Partly(run(one).max(run(other))),
        };
        Self {
            held,
            in_flight: self.in_flight + other.in_flight,
        }
    }
}

/// Which part a site has in a switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// It serves until the move. A gateway that began after the hold did may have served before it heard of it: with one of those
    /// the hold never is complete.
    Serves,
    /// It is to serve, and led its visitors on before: what a gateway sent that began meanwhile waits at the other site.
    Takes,
}

/// What the site says to the switch `by`. `now` is of this site's clock.
pub fn seen(standing: &Standing, by: &Holder, part: Part, now: Timestamp) -> HoldSeen {
    let living = || {
        let all = standing.gateways.iter();
        all.map(|(name, alive)| (alive, standing.reports.get(name)))
    };
    let follows = |hold: &HoldRecord| {
        !standing.gateways.is_empty()
            && living().all(|(_, report)| {
                report.is_some_and(|it| it.held.by == hold.by && it.held.run == hold.run)
            })
    };
    let is_broken = |hold: &HoldRecord| {
        part == Part::Serves && living().any(|(alive, _)| alive.since > hold.since)
    };
    let held = match standing.hold.as_ref().filter(|it| it.by == *by) {
        Some(it) if it.released => Held::No,
        Some(it) if now >= it.until => Held::Expired(it.run),
        Some(it) if is_broken(it) => Held::Broken(it.run),
        Some(it) if follows(it) => Held::For(it.run),
        Some(it) => Held::Partly(it.run),
        None => Held::No,
    };
    let reports = living().filter_map(|(_, report)| report);
    HoldSeen {
        held,
        in_flight: reports.map(|it| u64::from(it.in_flight)).sum(),
    }
}

#[cfg(test)]
mod tests;
