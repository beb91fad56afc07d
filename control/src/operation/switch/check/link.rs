//! What the two sites are to each other: whether the old one is heard, how soon, by which clock and version; and how long certificates hold.

use super::{Check, Facts, met, unmet};
use crate::operation::local_text;
use crate::operation::switch::record::Cause;
use crate::operation::switch::run::Start;
use std::time::Duration;

/// Links that are slower make a move a guess.
const SLOW: Duration = Duration::from_secs(1);
/// Clocks that differ by more make schedules and certificates go wrong.
const CLOCKS: Duration = Duration::from_secs(60);
/// Certificates must live at least as long as the site is to serve, or this where nobody says.
const CERTIFICATE: Duration = Duration::from_secs(24 * 3600);

pub(super) fn link(facts: &Facts<'_>, start: &Start) -> Check {
    let (from, to) = (&start.from, facts.to);
    match (facts.cause, &facts.peer.states) {
        (Cause::Planned, Err(why)) => unmet(
            "link",
            format!("{from} is not heard: {why}; if it is dead: minato failover --to {to}"),
        ),
        (Cause::Lost, Err(why)) => met("link", format!("{from} is not heard: {why}")),
        (Cause::Lost, Ok(states)) => unmet(
            "link",
            format!(
                "{from} is heard ({} gateways, {:.1} ms): it can let go in order; minato switch --to {to}",
                states.len(),
                milliseconds(facts.peer.delay)
            ),
        ),
        (Cause::Planned, Ok(states)) => {
            let delay = milliseconds(facts.peer.delay);
            if facts.peer.delay > SLOW {
                return unmet(
                    "link",
                    format!("{from} answers after {delay:.1} ms, more than {SLOW:?}"),
                );
            }
            let far = states.iter().map(|it| it.now.0.abs_diff(facts.now.0)).max();
            let far = Duration::from_millis(far.unwrap_or(0));
            if far > CLOCKS {
                return unmet(
                    "link",
                    format!(
                        "the clocks of {from} and {to} differ by {} s: timedatectl at both",
                        far.as_secs()
                    ),
                );
            }
            let own = env!("CARGO_PKG_VERSION");
            if let Some(other) = states.iter().find(|it| !it.follows_orders) {
                return unmet(
                    "link",
                    format!(
                        "{} at {from} runs minato {}, which follows no decisions of other sites ({own} does): minato upgrade there",
                        other.node, other.version
                    ),
                );
            }
            met(
                "link",
                format!("{from} answers in {delay:.1} ms, {} gateways", states.len()),
            )
        }
    }
}

fn milliseconds(it: Duration) -> f64 {
    it.as_secs_f64() * 1_000.0
}

pub(super) fn certificates(facts: &Facts<'_>) -> Option<Check> {
    let (what, end) = facts.certificates.iter().min_by_key(|it| it.1)?;
    let needed = match facts.schedule.until {
        Some(until) => until,
        None => facts.schedule.at.unwrap_or(facts.now).after(CERTIFICATE),
    };
    let zone = match facts.schedule.zone.as_str() {
        "" => "UTC",
        zone => zone,
    };
    let (end_text, needed_text) = (local_text(*end, zone), local_text(needed, zone));
    Some(if *end < needed {
        unmet(
            "certificate",
            format!("that of {what} ends {end_text}, before {needed_text}"),
        )
    } else {
        met(
            "certificate",
            format!("the next to end is that of {what}, {end_text}"),
        )
    })
}
