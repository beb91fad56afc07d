//! What the operator reads when a standing changes. Pure.

use minato_config::{ServiceName, Timestamp};
use minato_control::{Event, EventKind};
use minato_control_store::StoreError;
use minato_health::Failure;
use minato_proxy::{EndpointId, Standing, StandingChange};

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
