//! Services and endpoints for tests.

use crate::{Endpoint, EndpointId, Intake, Reach, ServiceEntry, Shared, Standing};
use minato_config::{
    Backend, Generation, Health, HealthProbe, HostPattern, Limits, PathPrefix, Route, RouteAction,
    RoutePattern, Run, Service, ServiceName, SlotIndex, Timeouts,
};
use minato_health::Verdict;
use std::sync::Arc;

pub(crate) fn limits(in_flight: u32, queue: u32) -> Limits {
    Limits {
        in_flight,
        queue,
        ..Limits::default()
    }
}

/// `example.org/a`, `*.example.org`, `*/a`.
pub(crate) fn pattern(text: &str) -> RoutePattern {
    let (host, path) = text.split_at(text.find('/').unwrap_or(text.len()));
    let host = match (host, host.strip_prefix("*.")) {
        ("*", _) => HostPattern::Any,
        (_, Some(suffix)) => HostPattern::Wildcard(suffix.to_owned()),
        (exact, None) => HostPattern::Exact(exact.to_owned()),
    };
    let path = if path.is_empty() { "/" } else { path };
    RoutePattern {
        host,
        path: PathPrefix(path.to_owned()),
    }
}

pub(crate) fn name(text: &str) -> ServiceName {
    ServiceName::parse(text).unwrap()
}

pub(crate) fn service(named: &str, routes: &[&str]) -> Service {
    Service {
        name: name(named),
        backend: Backend::Endpoints(Vec::new()),
        replicas: 1,
        scale: None,
        routes: routes
            .iter()
            .map(|it| Route {
                pattern: pattern(it),
                action: RouteAction::Forward { strip: false },
            })
            .collect(),
        health: Health::On {
            probe: HealthProbe::Tcp,
            timing: Default::default(),
        },
        upstream: Default::default(),
        limits: Limits::default(),
        timeouts: Timeouts::default(),
        retries: 1,
        nodes: Default::default(),
        update: Default::default(),
        depends_on: Default::default(),
        sites: None,
    }
}

pub(crate) fn entry(service: Service, endpoints: Vec<Arc<Endpoint>>) -> ServiceEntry {
    let shared = Shared::new(&service);
    ServiceEntry::new(Arc::new(service), shared, endpoints, Intake::Open)
}

pub(crate) fn endpoint(slot: u16, tier: u8, verdict: Verdict) -> Arc<Endpoint> {
    let id = EndpointId {
        service: name("library"),
        slot: SlotIndex(slot),
        generation: Generation::default(),
        run: Run(1),
        site: None,
    };
    Endpoint::new(id, ([127, 0, 0, 1], 20_000 + slot).into(), tier, verdict)
}

/// One letter an endpoint, `|` between tiers: U up, S suspect, Q suspect and refusing, H held, O out, R out and refusing, X out and stopped (all of
/// these were up before), N new and out, D draining.
pub(crate) fn endpoints(letters: &str) -> Vec<Arc<Endpoint>> {
    let tiers = (0..).zip(letters.split('|'));
    let each = tiers.flat_map(|(tier, letters)| letters.chars().map(move |it| (tier, it)));
    each.zip(0..)
        .map(|((tier, letter), slot)| {
            let endpoint = endpoint(slot, tier, Verdict::Down);
            if letter != 'N' {
                endpoint.set_standing(Standing::Up);
            }
            match letter {
                'U' => {}
                'S' => endpoint.set_standing(Standing::Suspect),
                'Q' => {
                    endpoint.set_standing(Standing::Suspect);
                    endpoint.set_reach(Reach::Refusing);
                }
                'H' => endpoint.set_standing(Standing::Held),
                'D' => endpoint.drain(),
                'R' => endpoint.set_reach(Reach::Refusing),
                'X' => endpoint.set_reach(Reach::Stopped),
                'O' | 'N' => {}
                other => panic!("no endpoint is `{other}`"),
            }
            if "ORXN".contains(letter) {
                endpoint.set_standing(Standing::Out);
            }
            endpoint
        })
        .collect()
}
