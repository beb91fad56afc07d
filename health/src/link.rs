//! What gateways of one site tell those of another about the services that they share.

use minato_config::{NodeId, OrderRecord, ServiceName, SiteId, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The answer to `GET /v1/state` over a link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkState {
    /// Format version, 1.
    pub v: u32,
    /// Who answers. The certificate is what counts; this is for people.
    pub site: SiteId,
    /// On which machine.
    pub node: NodeId,
    /// Version of minato.
    pub version: String,
    /// Its wall clock.
    pub now: Timestamp,
    /// The services whose `sites` name both sites.
    pub services: BTreeMap<ServiceName, SharedService>,
    /// Whether it follows what other sites decide about which comes first.
    #[serde(default)]
    pub follows_orders: bool,
    /// Whether it reaches each other site that is a peer of its own. The asker is not among them.
    #[serde(default)]
    pub sees: BTreeMap<SiteId, bool>,
}

/// The document at `links/<gateway>/<site>`, under the gateway's lease: how that gateway sees that site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkReport {
    /// Format version, 1.
    pub v: u32,
    /// A gateway of the site answers.
    pub up: bool,
    /// Since when it is so.
    pub since: Timestamp,
    /// Why none answers; empty while one does.
    #[serde(default)]
    pub reason: String,
    /// From question to answer, of the gateway there that answers fastest; the median of the last minute.
    #[serde(default)]
    pub delay_us: Option<u64>,
    /// Of the questions of the last minute, those that were not answered in time, in thousandths; of the gateway there that loses least.
    #[serde(default)]
    pub loss_permille: u16,
    /// Bytes in a second, as last measured; `None` where that was not yet.
    #[serde(default)]
    pub bandwidth: Option<u64>,
    /// Version of minato there.
    #[serde(default)]
    pub version: String,
    /// The wall clock there minus this machine's.
    #[serde(default)]
    pub clock_off_ms: i64,
}

impl LinkReport {
    /// Whether people and other gateways should hear of it soon; figures swing by a little all the time.
    pub fn differs(&self, told: &Self) -> bool {
        let far = |one: u64, other: u64| one.abs_diff(other) * 5 > one.max(other).max(2_000);
        let words = |it: &Self| (it.up, it.reason.clone(), it.version.clone());
        words(self) != words(told)
            || far(self.delay_us.unwrap_or(0), told.delay_us.unwrap_or(0))
            || self.loss_permille.abs_diff(told.loss_permille) > 20
            || self.bandwidth != told.bandwidth
            || self.clock_off_ms.abs_diff(told.clock_off_ms) > 1_000
    }
}

/// One service at the site that speaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedService {
    /// The order of sites as it stands there.
    pub order: Vec<SiteId>,
    /// Instances that should be there.
    pub wanted: u32,
    /// Those that this gateway routes to.
    pub up: u32,
    /// An operator took it out there.
    #[serde(default)]
    pub draining: bool,
    /// Which site comes first, where that was decided; what this gateway follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided: Option<OrderRecord>,
    /// Requests that this gateway is serving.
    #[serde(default)]
    pub in_flight: u64,
    /// Since when nobody has come to this gateway for it; `None` while somebody does, or where nobody has looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quiet_since: Option<Timestamp>,
    /// Requests that have come to this gateway for it since its process began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub came: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_that_swing_a_little_are_not_told_again() {
        let report = LinkReport {
            v: 1,
            up: true,
            since: Timestamp(1),
            reason: String::new(),
            delay_us: Some(30_000),
            loss_permille: 10,
            bandwidth: None,
            version: "1".to_owned(),
            clock_off_ms: 0,
        };
        let check = |edit: fn(&mut LinkReport), expected: bool| {
            let mut fresh = report.clone();
            edit(&mut fresh);
            assert_eq!(fresh.differs(&report), expected, "{fresh:?}");
        };
        check(|_| {}, false);
        check(|it| it.delay_us = Some(35_000), false);
        check(|it| it.delay_us = Some(45_000), true);
        check(|it| it.loss_permille = 30, false);
        check(|it| it.loss_permille = 31, true);
        check(|it| it.up = false, true);
        check(|it| it.reason = "cut".to_owned(), true);
        check(|it| it.version = "2".to_owned(), true);
        check(|it| it.bandwidth = Some(1), true);
        check(|it| it.clock_off_ms = -1_001, true);
    }
}
