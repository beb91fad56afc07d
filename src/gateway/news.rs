//! What the operator reads when a standing changes. Pure.

use super::holding::{End, Turn as Hold};
use minato_config::{OrderRecord, ServiceName, SiteId, Timestamp};
use minato_control::{Event, EventKind};
use minato_control_store::StoreError;
use minato_health::Failure;
use minato_health::recovery::{Recovery, RecoveryKind};
use minato_health::site::{BACK, LEAVE_DEGRADED, LEAVE_GONE, SWINGS, Turn};
use minato_proxy::{EndpointId, Standing, StandingChange};

/// Another site comes first.
pub(crate) fn led(name: &ServiceName, order: &OrderRecord, at: Timestamp) -> Event {
    let OrderRecord {
        first, epoch, who, ..
    } = order;
    let text = format!("visitors of {name} go to {first} first (epoch {epoch}, by {who})");
    Event::info(at, EventKind::Link, text).of(name)
}

/// The event for a changed standing; `None` where others tell it.
pub(crate) fn of(
    change: &StandingChange,
    failure: Option<&Failure>,
    at: Timestamp,
) -> Option<Event> {
    let id = change.endpoint.id();
    let why = failure.map_or_else(|| "no reason known".to_owned(), ToString::to_string);
    let event = match (change.from, change.to) {
        (_, Standing::Up) => Event::info(at, EventKind::Up, "takes requests"),
        (_, Standing::Suspect) => return Some(suspect(id, failure, at)),
        (_, Standing::Held) => Event::error(
            at,
            EventKind::Held,
            format!("down ({why}), but the last instance: still takes requests"),
        )
        .hint(format!("minato logs {}", id.service)),
        (Standing::Draining | Standing::Out, Standing::Out) | (_, Standing::Draining) => {
            return None;
        }
        (_, Standing::Out) => Event::warn(at, EventKind::Down, format!("ejected: {why}")),
    };
    Some(about(event, id))
}

/// The event for a changed standing of a gateway of another site; `None` for what passes in half a second.
pub(crate) fn of_peer(
    change: &StandingChange,
    failure: Option<&Failure>,
    at: Timestamp,
) -> Option<Event> {
    let id = change.endpoint.id();
    let site = id.site.as_ref()?;
    let address = change.endpoint.address();
    let event = match (change.from, change.to) {
        (Standing::Out, Standing::Up) => {
            let message = format!("{site} can serve it, by its gateway at {address}");
            Event::info(at, EventKind::Link, message)
        }
        (_, Standing::Out) => {
            let why = failure.map_or("no reason known", |it| it.detail.as_str());
            let message = format!("not sent to {site} by its gateway at {address}: {why}");
            Event::warn(at, EventKind::Link, message)
        }
        _ => return None,
    };
    Some(
        event
            .of(&id.service)
            .hint(format!("minato status {}", id.service)),
    )
}

/// Requests wait while their service moves, or go on; `waiting`: how many.
pub(crate) fn held(
    service: &ServiceName,
    hold: &Hold,
    waiting: u32,
    at: Timestamp,
) -> Option<Event> {
    let event = match hold {
        Hold::Stays => return None,
        Hold::Hold(following) => {
            let message = format!("new requests wait: it moves ({})", following.by);
            Event::info(at, EventKind::Link, message)
        }
        Hold::Release(following, waited, end) => {
            let seconds = waited.as_secs_f64();
            let message = format!("{waiting} requests go on that waited, {seconds:.1} s at most");
            match end {
                End::Told => Event::info(at, EventKind::Link, message),
                End::Late => {
                    let by = &following.by;
                    let message = format!("{message}: {by} did not end its move in time");
                    Event::warn(at, EventKind::Link, message).hint("minato operation list")
                }
            }
        }
    };
    Some(event.of(service))
}

/// Visitors of a service go elsewhere, or a person has to say that they do.
pub(crate) fn turned(service: &ServiceName, site: &SiteId, turn: Turn, at: Timestamp) -> Event {
    let link = EventKind::Link;
    let back = BACK.as_secs();
    let event = match turn {
        Turn::Leaves => Event::warn(
            at,
            link,
            format!(
                "visitors leave {site}: none of it has been there for {} s; the next site in order takes them",
                LEAVE_GONE.as_secs()
            ),
        ),
        Turn::LeavesAlone => Event::warn(
            at,
            link,
            format!(
                "visitors of this gateway leave {site}, which it has not reached for {} s while others do: look at this machine's line to it",
                LEAVE_DEGRADED.as_secs()
            ),
        ),
        Turn::Spills => Event::warn(
            at,
            link,
            format!(
                "{site} can carry a part only, for {} s: the rest goes to the next site in order",
                LEAVE_DEGRADED.as_secs()
            ),
        ),
        Turn::Whole => Event::info(at, link, format!("{site} can carry all visitors again")),
        Turn::Returns(percent) => Event::info(
            at,
            link,
            format!(
                "{percent} % of the visitors may go to {site} again, which has been well for {back} s"
            ),
        ),
        Turn::Back => Event::info(at, link, format!("all visitors may go to {site} again")),
        Turn::AsksToLeave => Event::error(
            at,
            link,
            format!(
                "{site} does not answer, and `failover` is \"ask\": visitors get the sorry page until a person moves them"
            ),
        ),
        Turn::AsksToReturn => Event::error(
            at,
            link,
            format!(
                "{site} has been well for {back} s, and `failback` is \"ask\": visitors stay where they are until a person moves them"
            ),
        ),
        Turn::Holds => Event::error(
            at,
            link,
            format!(
                "{site} is well, but was left {SWINGS} times within an hour: visitors stay away from it until a person says otherwise"
            ),
        ),
    };
    let hint = match turn {
        Turn::AsksToLeave => {
            format!(
                "put {site} behind the site that is to serve in `sites` of the service file, at each site that lives"
            )
        }
        Turn::AsksToReturn | Turn::Holds => {
            format!(
                "minato site release {site} --service {service}, once it is known why it failed"
            )
        }
        _ => format!("minato status {service}"),
    };
    event.of(service).hint(hint)
}

/// What a failure of a site, or the way back, cost visitors.
pub(crate) fn recovered(service: &ServiceName, it: &Recovery, at: Timestamp) -> Event {
    let seconds = |ms: u64| format!("{}.{} s", ms / 1_000, ms % 1_000 / 100);
    let errors = it.errors;
    let message = match (it.kind, it.first_ms, &it.to) {
        (RecoveryKind::Return, _, to) => format!(
            "visitors are back at {}; requests that failed on the way: {errors}",
            to.as_ref().map_or("its first site", SiteId::as_str)
        ),
        (RecoveryKind::Switch | RecoveryKind::Drill, first, Some(to)) => {
            let kind = it.kind.as_str();
            let took = match (first, it.decide_ms) {
                (Some(first), _) => {
                    format!("{to} answered the first request after {}", seconds(first))
                }
                (None, Some(it)) => format!(
                    "visitors are led to {to} after {}, and none came",
                    seconds(it)
                ),
                (None, None) => format!("no request was answered by {to}"),
            };
            format!(
                "{kind} from {}: {took}; requests that failed: {errors}",
                it.from
            )
        }
        (_, Some(first), Some(to)) => format!(
            "{to} answered the first request {} after the last one of {} ({} of them to find out); requests that failed: {errors}",
            seconds(first),
            it.from,
            seconds(it.detect_ms)
        ),
        _ => format!(
            "{} served nothing, found out after {}; no other site answered a request; requests that failed: {errors}",
            it.from,
            seconds(it.detect_ms)
        ),
    };
    let event = Event::info(at, EventKind::Link, message);
    event.of(service).hint("minato site report")
}

/// A person ended the hold of a site, or what of its return was left.
pub(crate) fn released(service: &ServiceName, site: &SiteId, who: &str, at: Timestamp) -> Event {
    let message = format!(
        "all visitors may go to {site} again, and how often it was left is forgotten: {who} says so"
    );
    let event = Event::info(at, EventKind::Link, message);
    event.of(service).hint(format!("minato status {service}"))
}

/// The first doubt about an instance.
pub(crate) fn suspect(id: &EndpointId, failure: Option<&Failure>, at: Timestamp) -> Event {
    let why = failure.map_or_else(|| "a connect failed".to_owned(), ToString::to_string);
    about(
        Event::warn(at, EventKind::Suspect, format!("suspect: {why}")),
        id,
    )
}

/// An instance that has not passed its checks since it began.
pub(crate) fn overdue(id: &EndpointId, failure: Option<&Failure>, at: Timestamp) -> Event {
    let why = failure.map_or_else(|| "no check was answered".to_owned(), ToString::to_string);
    let message = format!("not up yet, so no request goes to it: {why}");
    let event = Event::warn(at, EventKind::Down, message);
    about(event.hint(format!("minato status {}", id.service)), id)
}

/// An instance that took requests, and of which the agent says that it ended.
pub(crate) fn gone(id: &EndpointId, at: Timestamp) -> Event {
    about(
        Event::warn(
            at,
            EventKind::Down,
            "out of the table: its agent says that it does not run",
        ),
        id,
    )
}

/// A service's routes are in effect.
pub(crate) fn routed(service: &ServiceName, routes: &[String], at: Timestamp) -> Event {
    let text = if routes.is_empty() {
        "none".to_owned()
    } else {
        routes.join(", ")
    };
    Event::info(at, EventKind::Routed, format!("routes in effect: {text}")).of(service)
}

/// A service was removed.
pub(crate) fn unrouted(service: &ServiceName, at: Timestamp) -> Event {
    let message = "its routes are gone: the service was removed";
    Event::info(at, EventKind::Routed, message).of(service)
}

/// The store ended for good.
pub(crate) fn store_lost(error: &StoreError, at: Timestamp) -> Event {
    let message = format!("the store cannot be followed any more; serving what is known: {error}");
    Event::error(at, EventKind::Store, message).hint("minato status; then restart minato")
}

fn about(event: Event, id: &EndpointId) -> Event {
    event
        .of(&id.service)
        .instance(id.slot, id.generation, id.run)
}

#[cfg(test)]
mod tests {
    use super::*;
    use minato_config::{Generation, Run, SlotIndex};
    use minato_health::{Layer, Verdict};
    use minato_proxy::Endpoint;

    #[track_caller]
    fn check(from: Standing, to: Standing, expected: Option<&str>) {
        let id = EndpointId {
            service: ServiceName::parse("library").expect("a name"),
            slot: SlotIndex(1),
            generation: Generation::default(),
            run: Run(3),
            site: None,
        };
        let endpoint = Endpoint::new(id, ([127, 0, 0, 1], 1).into(), 0, Verdict::Down);
        let failure = Failure::new(Layer::Status, "503");
        let event = of(
            &StandingChange { endpoint, from, to },
            Some(&failure),
            Timestamp(0),
        );
        assert_eq!(event.map(|it| it.message).as_deref(), expected);
    }

    #[test]
    fn every_change_that_people_should_hear_of_says_why() {
        check(
            Standing::Up,
            Standing::Suspect,
            Some("suspect: status: 503"),
        );
        check(
            Standing::Suspect,
            Standing::Out,
            Some("ejected: status: 503"),
        );
        check(
            Standing::Suspect,
            Standing::Held,
            Some("down (status: 503), but the last instance: still takes requests"),
        );
        check(Standing::Held, Standing::Up, Some("takes requests"));
        check(Standing::Held, Standing::Out, Some("ejected: status: 503"));
        check(Standing::Up, Standing::Draining, None);
        check(Standing::Draining, Standing::Out, None);
    }
}
