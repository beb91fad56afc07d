//! Whether a change by hand has come true: in the store, and at this process's gateway.

use crate::api::{Settled, UpdateFailed};
use crate::view::ServiceTraffic;
use minato_config::ServiceName;
use minato_control::{Failure, FailureKind, RolloutStanding, World, rollout_standing};

/// What somebody waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Awaited {
    /// Its instances, drained or not: after `scale`.
    Instances,
    /// The version that is asked for, on all of them: after `restart`, `update` and `rollback`, with that release's number.
    Version(Option<u64>),
    /// What it is for its visitors.
    Service,
}

/// A drained service is settled once its gateway turns new requests away and none is left; any other once
/// `control::settled` says so and the gateway serves it.
pub(super) fn settled(
    world: &World,
    service: &ServiceName,
    traffic: Option<&ServiceTraffic>,
    awaited: Awaited,
) -> Settled {
    let drain = world.intents.get(service).is_some_and(|it| it.value.drain);
    let instances = || match minato_control::settled(world, service) {
        minato_control::Settled::Done(detail) => done(&detail),
        minato_control::Settled::Waiting(detail) => waiting(&detail),
    };
    let rolled = |number| match rollout_standing(world, service, number) {
        RolloutStanding::Whole => instances(),
        RolloutStanding::Unchanged(text) => Settled {
            unchanged: true,
            ..done(&text)
        },
        RolloutStanding::Going(text) => {
            let now = instances();
            waiting(&format!("{text}; {}", now.detail))
        }
        RolloutStanding::Asked if world.rollouts.contains_key(service) => {
            waiting("asked for, and not begun yet")
        }
        RolloutStanding::Asked => instances(),
        RolloutStanding::Failed { failure, text } => failed(&failure, &text, instances),
    };
    match awaited {
        Awaited::Instances => return instances(),
        Awaited::Version(number) => return rolled(number),
        Awaited::Service => {}
    }
    // A version that failed is news, and what serves in its place may be whole all the same.
    let instances = || match rolled(None) {
        Settled {
            failed: Some(_), ..
        } => instances(),
        settled => settled,
    };
    match traffic {
        Some(it) if drain && !it.draining => waiting("the gateway still takes new requests"),
        Some(it) if drain && it.in_flight + it.queued > 0 => waiting(&format!(
            "no new requests; {} in flight and {} queued",
            it.in_flight, it.queued
        )),
        _ if drain => done("drained: no new requests, none in flight"),
        Some(it) if it.draining => waiting("the gateway does not take new requests yet"),
        _ => instances(),
    }
}

fn failed(failure: &Failure, text: &str, instances: impl Fn() -> Settled) -> Settled {
    let failed = match failure.how {
        FailureKind::Reverting => return waiting(text),
        FailureKind::Refused => UpdateFailed::Refused,
        FailureKind::Reverted => UpdateFailed::Reverted,
    };
    Settled {
        done: instances().done,
        detail: text.to_owned(),
        failed: Some(failed),
        unchanged: false,
    }
}

fn done(detail: &str) -> Settled {
    Settled {
        done: true,
        detail: detail.to_owned(),
        failed: None,
        unchanged: false,
    }
}

fn waiting(detail: &str) -> Settled {
    Settled {
        done: false,
        detail: detail.to_owned(),
        failed: None,
        unchanged: false,
    }
}
