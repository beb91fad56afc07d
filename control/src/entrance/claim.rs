//! Who a published name belongs to, and what may be written where. No I/O.
//!
//! Beside each name stands its *claim*, a TXT record: the site that the name leads to, and the epoch of that decision. Every
//! update requires the claim to be exactly as it was read, in the same message that replaces it, so that of two writers
//! one is refused by the server; and nobody with an older epoch writes over a newer one.
//! Source of the prerequisites: RFC 2136, 2.4.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

/// Whose a name is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Of the decision; a higher one wins.
    pub epoch: u64,
    /// The site that the name leads to.
    pub site: String,
}

impl Claim {
    /// What stands in the TXT record.
    pub fn parse(text: &str) -> Option<Self> {
        let (epoch, site) = text
            .strip_prefix("minato v=1 epoch=")?
            .split_once(" site=")?;
        let digits = !epoch.is_empty() && epoch.bytes().all(|it| it.is_ascii_digit());
        let is_name = (1..=63).contains(&site.len())
            && site
                .bytes()
                .all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'-');
        (digits && is_name).then_some(())?;
        Some(Self {
            epoch: epoch.parse().ok()?,
            site: site.to_owned(),
        })
    }
}

/// As it stands in the TXT record: `minato v=1 epoch=17 site=tokyo`.
impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "minato v=1 epoch={} site={}", self.epoch, self.site)
    }
}

/// What somebody wants of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// It leads to this site, and to no other. Without an epoch: the next one, as an operator means it.
    Take {
        /// Of the decision.
        epoch: Option<u64>,
    },
    /// It does not lead to this site.
    Leave {
        /// Of the decision.
        epoch: Option<u64>,
    },
    /// This gateway's addresses are among those of the name, if it leads to this site.
    Join,
    /// This gateway's addresses are not.
    Part,
}

impl Wish {
    /// What is done: `publish` or `withdraw`.
    pub fn verb(self) -> &'static str {
        match self {
            Self::Take { .. } | Self::Join => "publish",
            Self::Leave { .. } | Self::Part => "withdraw",
        }
    }
}

/// What a server says of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The text of the claim; `None` where there is none.
    pub claim: Option<String>,
    /// Where the name leads.
    pub addresses: BTreeSet<IpAddr>,
}

/// One update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// What the claim must be, exactly; `None`: there must be none.
    pub require: Option<Claim>,
    /// What it is then.
    pub claim: Claim,
    /// What becomes of the addresses.
    pub change: Change,
}

/// What becomes of a name's addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// These and no others.
    Replace(BTreeSet<IpAddr>),
    /// These as well.
    Add(BTreeSet<IpAddr>),
    /// Not these.
    Remove(BTreeSet<IpAddr>),
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Move {
    /// It is so already.
    Done,
    /// Send this. The wish to go on with: a try after another writer must not become another decision.
    Send(Update, Wish),
    /// It must not be, and why.
    Refused(String),
}

/// Decides about `wish` of `site`, whose addresses are `own`, from what was read.
pub fn decide(site: &str, own: &BTreeSet<IpAddr>, wish: Wish, seen: &Seen) -> Move {
    let held = match seen.claim.as_deref().map(|text| (text, Claim::parse(text))) {
        None => None,
        Some((_, Some(claim))) => Some(claim),
        Some((text, None)) => {
            let shown: String = text
                .chars()
                .filter(|it| !it.is_control())
                .take(80)
                .collect();
            return Move::Refused(format!(
                "its claim is not understood (`{shown}`): a newer minato wrote it, or something else did; look who uses the name, then delete that TXT record"
            ));
        }
    };
    let is_ours = held.as_ref().is_none_or(|it| it.site == site);
    let (epoch, wish) = match wish {
        Wish::Take { epoch } => {
            let epoch = epoch.unwrap_or_else(|| next(held.as_ref(), site));
            (epoch, Wish::Take { epoch: Some(epoch) })
        }
        Wish::Leave { epoch } => {
            let current = held.as_ref().map_or(1, |it| it.epoch);
            let epoch = epoch.unwrap_or(current);
            (epoch, Wish::Leave { epoch: Some(epoch) })
        }
        Wish::Join | Wish::Part => (held.as_ref().map_or(1, |it| it.epoch), wish),
    };
    if let Some(why) = refusal(site, wish, epoch, held.as_ref()) {
        return Move::Refused(why);
    }
    let claim = Claim {
        epoch,
        site: site.to_owned(),
    };
    let among: BTreeSet<IpAddr> = own.intersection(&seen.addresses).copied().collect();
    let stands = held.as_ref() == Some(&claim);
    let change = match wish {
        Wish::Take { .. } if stands && seen.addresses == *own => return Move::Done,
        Wish::Take { .. } => Change::Replace(own.clone()),
        Wish::Join if stands && among.len() == own.len() => return Move::Done,
        Wish::Join => Change::Add(own.clone()),
        // Where it leads to another site what is left of ours goes, and the claim stays theirs.
        Wish::Leave { .. } | Wish::Part if among.is_empty() && (stands || !is_ours) => {
            return Move::Done;
        }
        Wish::Part if held.is_none() && among.is_empty() => return Move::Done,
        Wish::Leave { .. } | Wish::Part => Change::Remove(own.clone()),
    };
    let claim = match (wish, &held) {
        (Wish::Leave { .. } | Wish::Part, Some(theirs)) if !is_ours => theirs.clone(),
        _ => claim,
    };
    let update = Update {
        require: held,
        claim,
        change,
    };
    Move::Send(update, wish)
}

/// The epoch of a decision by hand.
fn next(held: Option<&Claim>, site: &str) -> u64 {
    match held {
        None => 1,
        Some(it) if it.site == site => it.epoch,
        Some(it) => it.epoch.saturating_add(1),
    }
}

fn refusal(site: &str, wish: Wish, epoch: u64, held: Option<&Claim>) -> Option<String> {
    let held = held?;
    let Claim { epoch: newest, .. } = held;
    let theirs = &held.site;
    match wish {
        Wish::Take { .. } if *newest > epoch => Some(format!(
            "epoch {epoch} is older than {newest}, by which the name leads to {theirs}; who decides anew takes a higher one"
        )),
        Wish::Take { .. } if *newest == epoch && theirs != site => Some(format!(
            "{theirs} was first: by the same epoch {epoch} the name leads there; who decides anew takes a higher one"
        )),
        Wish::Leave { .. } if *newest > epoch && theirs == site => Some(format!(
            "epoch {epoch} is older than {newest}, by which the name leads to this site; who decides anew takes a higher one"
        )),
        Wish::Join if theirs != site => Some(format!(
            "by epoch {newest} the name leads to {theirs}; `minato entrance publish` brings it here"
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(text: &str) -> BTreeSet<IpAddr> {
        text.split_whitespace()
            .map(|it| it.parse().unwrap())
            .collect()
    }

    /// `5 tokyo`
    fn claim(text: &str) -> Option<Claim> {
        let (epoch, site) = text.split_once(' ')?;
        Some(Claim {
            epoch: epoch.parse().unwrap(),
            site: site.to_owned(),
        })
    }

    const OWN: &str = "192.0.2.1 2001:db8::1";
    const BOTH: &str = "192.0.2.1 2001:db8::1 198.51.100.1";
    const THEIRS: &str = "198.51.100.1";

    /// What tokyo does: `REQUIRE > CLAIM how`, `done`, or part of the refusal.
    #[track_caller]
    fn check(wish: Wish, held: &str, at: &str, expected: &str) {
        let seen = Seen {
            claim: claim(held).map(|it| it.to_string()),
            addresses: addresses(at),
        };
        let name = |it: &Claim| format!("{} {}", it.epoch, it.site);
        let told = match decide("tokyo", &addresses(OWN), wish, &seen) {
            Move::Done => "done".to_owned(),
            Move::Refused(why) => why,
            Move::Send(update, _) => {
                let how = match &update.change {
                    Change::Replace(_) => "replace",
                    Change::Add(_) => "add",
                    Change::Remove(_) => "remove",
                };
                let require = update.require.as_ref().map_or("none".to_owned(), name);
                format!("{require} > {} {how}", name(&update.claim))
            }
        };
        assert!(
            told == expected || (told.len() > 40 && told.contains(expected)),
            "{wish:?} of {held:?} at {at:?}: {told}"
        );
    }

    fn take(epoch: impl Into<Option<u64>>) -> Wish {
        Wish::Take {
            epoch: epoch.into(),
        }
    }

    fn leave(epoch: impl Into<Option<u64>>) -> Wish {
        Wish::Leave {
            epoch: epoch.into(),
        }
    }

    #[test]
    fn a_newer_epoch_takes_an_older_one_never_does() {
        check(take(3), "", "", "none > 3 tokyo replace");
        check(take(3), "", THEIRS, "none > 3 tokyo replace");
        check(take(3), "2 osaka", THEIRS, "2 osaka > 3 tokyo replace");
        check(take(3), "2 tokyo", OWN, "2 tokyo > 3 tokyo replace");
        check(take(3), "3 tokyo", OWN, "done");
        check(take(3), "3 tokyo", BOTH, "3 tokyo > 3 tokyo replace");
        check(take(3), "3 osaka", THEIRS, "osaka was first");
        check(take(3), "4 osaka", THEIRS, "older than 4");
        check(take(3), "4 tokyo", OWN, "older than 4");
        check(
            take(u64::MAX),
            "7 osaka",
            "",
            "7 osaka > 18446744073709551615 tokyo replace",
        );
    }

    #[test]
    fn by_hand_the_next_epoch_is_taken_once() {
        check(take(None), "", "", "none > 1 tokyo replace");
        check(take(None), "6 osaka", THEIRS, "6 osaka > 7 tokyo replace");
        check(take(None), "6 tokyo", "", "6 tokyo > 6 tokyo replace");
        // The try after another was faster is the same decision, and loses.
        let seen = Seen {
            claim: None,
            addresses: BTreeSet::new(),
        };
        let Move::Send(_, again) = decide("tokyo", &addresses(OWN), take(None), &seen) else {
            panic!("nothing is sent");
        };
        check(again, "1 osaka", THEIRS, "osaka was first");
    }

    #[test]
    fn leaving_keeps_the_epoch_so_that_nobody_older_comes_back() {
        check(leave(None), "5 tokyo", OWN, "5 tokyo > 5 tokyo remove");
        check(leave(6), "5 tokyo", OWN, "5 tokyo > 6 tokyo remove");
        check(leave(6), "5 tokyo", "", "5 tokyo > 6 tokyo remove");
        check(leave(5), "5 tokyo", THEIRS, "done");
        check(leave(4), "5 tokyo", OWN, "older than 5");
        check(leave(None), "", OWN, "none > 1 tokyo remove");
        // It is osaka's already; what was left of ours goes.
        check(leave(4), "5 osaka", THEIRS, "done");
        check(leave(4), "5 osaka", BOTH, "5 osaka > 5 osaka remove");
    }

    #[test]
    fn a_gateway_joins_its_own_site_only() {
        check(Wish::Join, "", "", "none > 1 tokyo add");
        check(Wish::Join, "5 tokyo", THEIRS, "5 tokyo > 5 tokyo add");
        check(Wish::Join, "5 tokyo", BOTH, "done");
        check(Wish::Join, "5 osaka", THEIRS, "leads to osaka");
        check(Wish::Part, "5 tokyo", BOTH, "5 tokyo > 5 tokyo remove");
        check(Wish::Part, "5 tokyo", THEIRS, "done");
        check(Wish::Part, "5 osaka", BOTH, "5 osaka > 5 osaka remove");
        check(Wish::Part, "", "", "done");
    }

    #[test]
    fn a_claim_survives_the_record_and_nothing_else_passes_for_one() {
        let it = claim("18446744073709551615 tokyo-2").unwrap();
        assert_eq!(Claim::parse(&it.to_string()), Some(it));
        for text in [
            "",
            "v=spf1 -all",
            "minato v=2 epoch=1 site=a",
            "minato v=1 epoch= site=a",
            "minato v=1 epoch=+1 site=a",
            "minato v=1 epoch=1 site=",
            "minato v=1 epoch=1 site=A b",
            "minato v=1 epoch=18446744073709551616 site=a",
        ] {
            assert_eq!(Claim::parse(text), None, "{text}");
            let seen = Seen {
                claim: Some(text.to_owned()),
                addresses: BTreeSet::new(),
            };
            let told = decide("tokyo", &addresses(OWN), take(9), &seen);
            assert!(matches!(told, Move::Refused(_)), "{text}: {told:?}");
        }
    }
}
