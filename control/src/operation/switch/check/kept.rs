//! What is kept here of the service, and of its data.

use super::{Bearing, Check, Facts, met, unmet};
use crate::operation::switch::record::{Cause, Data};
use crate::operation::switch::run::Start;
use crate::operation::switch::seen::source;
use minato_config::{ServiceName, Source};

/// Whether what is known here of a service of another site is what that site has.
pub(super) fn mirror(facts: &Facts<'_>, service: &ServiceName) -> Option<Check> {
    let record = &facts.world.services.get(service)?.value;
    let Source::Mirror { home, .. } = &record.source else {
        return None;
    };
    let mirrored = &facts
        .world
        .mirrors
        .get(&(home.clone(), service.clone()))?
        .value;
    let age = facts.now.since(mirrored.since).as_secs();
    Some(match &facts.peer.record {
        Some(theirs) if theirs.service != mirrored.record.service => unmet(
            "mirror",
            format!(
                "{home} has another version of it than is kept here since {age} s: wait until it is brought in line, minato events"
            ),
        ),
        Some(_) => met("mirror", format!("as {home} has it, since {age} s")),
        None => met(
            "mirror",
            format!("of {home}, changed {age} s ago; {home} was not asked"),
        ),
    })
}

pub(super) fn data(facts: &Facts<'_>, service: &ServiceName, start: &Start) -> Option<Check> {
    if start.data == Data::None {
        return None;
    }
    let told = facts.peer.states.as_ref().ok();
    let source = told.and_then(|it| source(it, service));
    Some(match (facts.cause, facts.accepted.data_loss, source) {
        (Cause::Lost, Bearing::Refused, _) => unmet(
            "data",
            format!(
                "its command cannot copy from {}, which is not heard: what was written there last is lost; --accept-data-loss",
                start.from
            ),
        ),
        (Cause::Lost, Bearing::Accepted, _) => {
            met("data", "what was written last is given up: accepted")
        }
        (Cause::Planned, _, _) => match facts.copy {
            Some(Ok(figure)) => met("data", figure.clone()),
            Some(Err(why)) => unmet("data", why.clone()),
            None => unmet("data", "whether its command may run is not known"),
        },
    })
}
