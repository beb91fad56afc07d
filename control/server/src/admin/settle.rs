//! Whether a change by hand has come true: in the store, and at this process's gateway.

use crate::api::Settled;
use crate::view::ServiceTraffic;
use minato_config::ServiceName;
use minato_control::World;

/// What somebody waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Awaited {
    /// Its instances, drained or not: after `scale` and `restart`.
    Instances,
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
    if awaited == Awaited::Instances {
        return instances();
    }
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

fn done(detail: &str) -> Settled {
    Settled {
        done: true,
        detail: detail.to_owned(),
    }
}

fn waiting(detail: &str) -> Settled {
    Settled {
        done: false,
        detail: detail.to_owned(),
    }
}
