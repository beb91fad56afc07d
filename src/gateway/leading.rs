//! What the names that follow the sites are told: which services lead where, how each site is heard, and since when.
//!
//! Not here: which site a name leads to (`control::entrance::lead`), name servers (`control/entrance`).

use minato_config::{EntranceName, SiteId};
use minato_control::entrance::{Heard, Led, Sight};
use minato_control_entrance::Names;
use minato_health::site::Reach;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

/// Of one gateway. Costs nothing where no name follows the sites.
#[derive(Debug)]
pub(crate) struct Leading {
    names: Arc<Names>,
    /// Those that follow, each with its host.
    led: Vec<(EntranceName, String)>,
    /// Every peer.
    heard: BTreeMap<SiteId, Heard>,
}

impl Leading {
    /// Nothing was heard of any of `peers` yet.
    pub(crate) fn new(
        names: &Arc<Names>,
        peers: impl Iterator<Item = SiteId>,
        now: Instant,
    ) -> Self {
        Self {
            led: names.led(),
            names: Arc::clone(names),
            heard: peers.map(|it| (it, Heard::NeverSince(now))).collect(),
        }
    }

    /// Takes in how sites are reached now and tells each name what matters to it. `services`: those that lead to a host.
    pub(super) fn look(
        &mut self,
        reach: impl Fn(&SiteId) -> Reach,
        services: impl Fn(&str) -> Vec<Led>,
        now: Instant,
    ) {
        if self.led.is_empty() {
            return;
        }
        for (site, heard) in &mut self.heard {
            *heard = hear(*heard, reach(site), now);
        }
        for (name, host) in &self.led {
            let sight = Sight {
                services: services(host),
                heard: self.heard.clone(),
            };
            self.names.see(name, sight);
        }
    }
}

/// What is known by now, of what was.
fn hear(before: Heard, reach: Reach, now: Instant) -> Heard {
    match (reach, before) {
        (Reach::Answers, Heard::Since(_)) => before,
        (Reach::Answers, _) => Heard::Since(now),
        (Reach::Alone, _) => Heard::ByOthers,
        (Reach::Silent, Heard::SilentSince(_) | Heard::NeverSince(_)) => before,
        (Reach::Silent, Heard::Since(_) | Heard::ByOthers) => Heard::SilentSince(now),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// A letter each second: `+` answers, `-` silent, `?` others are answered; what is known then, as `control` writes it.
    #[track_caller]
    fn check(reaches: &str, expected: &str) {
        let begin = crate::clock::now();
        let mut heard = Heard::NeverSince(begin);
        for (second, letter) in (0..).zip(reaches.chars()) {
            let reach = match letter {
                '+' => Reach::Answers,
                '-' => Reach::Silent,
                _ => Reach::Alone,
            };
            heard = hear(heard, reach, begin + Duration::from_secs(second));
        }
        let second = |at: Instant| at.duration_since(begin).as_secs();
        let found = match heard {
            Heard::Since(at) => format!("+{}", second(at)),
            Heard::SilentSince(at) => format!("-{}", second(at)),
            Heard::NeverSince(at) => format!(".{}", second(at)),
            Heard::ByOthers => "?".to_owned(),
        };
        assert_eq!(found, expected, "{reaches}");
    }

    #[test]
    fn what_lasts_counts_from_its_beginning() {
        check("---", ".0");
        check("--+++", "+2");
        check("++---", "-2");
        check("++--+", "+4");
        check("++??", "?");
        check("++??-", "-4");
        check("--?+", "+3");
    }
}
