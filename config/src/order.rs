//! Which site comes first for a service now, where that is not the order of its file.

use crate::{SiteId, Sites, Standby, Timestamp};
use serde::{Deserialize, Serialize};

/// The document at `orders/<service>`, and what sites tell each other of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderRecord {
    /// Format version, 1.
    pub v: u32,
    /// The site that comes first.
    pub first: SiteId,
    /// Rises with each decision.
    pub epoch: u64,
    /// Who decided: an operator's name, or `minato`.
    #[serde(default)]
    pub who: String,
    /// In words.
    #[serde(default)]
    pub why: String,
    /// When.
    #[serde(default)]
    pub since: Timestamp,
    /// The move that it is part of; `None` where nobody said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved: Option<Move>,
}

/// What a decision says of the move that it makes, for those who measure how visitors fare.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Move {
    /// Why.
    pub kind: MoveKind,
    /// Who came first before.
    pub from: SiteId,
    /// How old the data is that visitors are served with from then on: what was written since is lost. [`NEVER_COPIED`] where nothing
    /// was ever copied there; `None` where no command copies any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_age_ms: Option<u64>,
}

/// The age of data that was never copied to where it is served.
pub const NEVER_COPIED: u64 = u64::MAX;

/// Why a person moved a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MoveKind {
    /// Who served let go in order.
    Switch,
    /// The way back, to who served before or to the file's first site.
    Return,
    /// To see that it works.
    Drill,
    /// Who served was not heard any more.
    Failover,
}

impl OrderRecord {
    /// Whether this one holds where both are known: the higher epoch. Two that were made apart with the same epoch are told apart by
    /// when, then by the site, so that every site comes to the same answer.
    pub fn is_newer_than(&self, other: &Self) -> bool {
        let rank = |it: &Self| (it.epoch, it.since, it.first.clone());
        rank(self) > rank(other)
    }
}

impl Sites {
    /// As they are while `first` comes first: the others follow in their order. `None` where it is not among them.
    ///
    /// With `standby = "active"` each site serves its own visitors; once another than the file's first was made first, all go there, until
    /// the file's first is again.
    pub fn led_by(&self, first: &SiteId) -> Option<Self> {
        let place = usize::from(self.place(first)?);
        let mut led = self.clone();
        if place > 0 {
            let first = led.order.remove(place);
            led.order.insert(0, first);
            if led.standby == Standby::Active {
                led.standby = Standby::Warm;
            }
        }
        Some(led)
    }

    /// The site that comes first, with what was decided last.
    pub fn first(&self, order: Option<&OrderRecord>) -> Option<&SiteId> {
        let decided = order.and_then(|it| self.place(&it.first));
        self.order.get(usize::from(decided.unwrap_or(0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Consent;
    use std::collections::BTreeMap;

    fn site(text: &str) -> SiteId {
        SiteId::parse(text).unwrap()
    }

    fn record(first: &str, epoch: u64, since: u64) -> OrderRecord {
        OrderRecord {
            v: 1,
            first: site(first),
            epoch,
            who: String::new(),
            why: String::new(),
            since: Timestamp(since),
            moved: None,
        }
    }

    #[test]
    fn of_two_decisions_every_site_takes_the_same() {
        for (one, other) in [
            (record("tokyo", 5, 1), record("osaka", 4, 9)),
            (record("osaka", 4, 9), record("tokyo", 4, 8)),
            (record("tokyo", 4, 8), record("osaka", 4, 8)),
        ] {
            assert!(one.is_newer_than(&other), "{one:?} {other:?}");
            assert!(!other.is_newer_than(&one), "{one:?} {other:?}");
        }
        assert!(!record("tokyo", 5, 1).is_newer_than(&record("tokyo", 5, 1)));
    }

    #[test]
    fn who_is_made_first_leads_and_the_others_follow() {
        let sites = |order: &[&str], standby| Sites {
            order: order.iter().map(|it| site(it)).collect(),
            standby,
            failover: Consent::Auto,
            failback: Consent::Auto,
            sync: None,
            at: BTreeMap::new(),
            targets: crate::Targets::default(),
            base: None,
        };
        let order = ["tokyo", "osaka", "kyoto"];
        for (first, expected) in [
            ("tokyo", ["tokyo", "osaka", "kyoto"]),
            ("osaka", ["osaka", "tokyo", "kyoto"]),
            ("kyoto", ["kyoto", "tokyo", "osaka"]),
        ] {
            let led = sites(&order, Standby::Cold).led_by(&site(first));
            assert_eq!(led, Some(sites(&expected, Standby::Cold)), "{first}");
        }
        assert_eq!(sites(&order, Standby::Warm).led_by(&site("nara")), None);
        let active = sites(&order, Standby::Active);
        let led = |first: &str| active.led_by(&site(first)).unwrap().standby;
        assert_eq!(
            [led("tokyo"), led("osaka")],
            [Standby::Active, Standby::Warm]
        );
        let gone = record("nara", 1, 1);
        assert_eq!(active.first(Some(&gone)), Some(&site("tokyo")));
        assert_eq!(
            active.first(Some(&record("kyoto", 1, 1))),
            Some(&site("kyoto"))
        );
    }
}
