//! Services, routes and worlds of any number, all alike.

use minato_config::{
    Backend, Command, Generation, Health, HealthProbe, HostPattern, Limits, NodeId, PathPrefix,
    Route, RouteAction, RoutePattern, Run, Service, ServiceName, ServiceRecord, Slot, SlotIndex,
    Source, StopPolicy, Timeouts, Timestamp,
};
use minato_control::{InstanceKey, Stored, World};
use minato_health::{GatewayAlive, Instance, NodeAlive, Phase, Verdict, VerdictReport};
use minato_proxy::{Endpoint, EndpointId, Intake, ServiceEntry, Shared, Table};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How many services there are.
pub(crate) const SIZES: [usize; 5] = [10, 100, 1_000, 10_000, 100_000];

/// When everything is planned; long after it began.
pub(crate) const NOW: Timestamp = Timestamp(1_000_000_000);

pub(crate) fn name(number: usize) -> ServiceName {
    ServiceName::parse(&format!("library-{number}")).expect("a name")
}

/// A host and a wildcard of its own, and a prefix on a host that all services share.
fn routes(number: usize) -> Vec<Route> {
    let patterns = [
        (
            HostPattern::Exact(format!("library{number}.example.ac.jp")),
            "/".to_owned(),
        ),
        (
            HostPattern::Wildcard(format!("w{number}.example.org")),
            "/".to_owned(),
        ),
        (
            HostPattern::Exact("example.org".to_owned()),
            format!("/library{number}"),
        ),
    ];
    let routes = patterns.into_iter().map(|(host, path)| Route {
        pattern: RoutePattern {
            host,
            path: PathPrefix(path),
        },
        action: RouteAction::Forward { strip: false },
    });
    routes.collect()
}

fn command() -> Command {
    Command {
        argv: vec!["serve".to_owned(), "{port}".to_owned()],
        env: BTreeMap::new(),
        directory: None,
        port: None,
        stop: StopPolicy::default(),
        image: None,
    }
}

pub(crate) fn service(number: usize, replicas: u16) -> Service {
    Service {
        name: name(number),
        backend: Backend::Command(command()),
        replicas,
        scale: None,
        routes: routes(number),
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

/// A service with this many instances, all up.
pub(crate) fn entry(number: usize, instances: u16) -> ServiceEntry {
    let service = service(number, instances);
    let endpoints = (0..instances).map(|slot| {
        let id = EndpointId {
            service: service.name.clone(),
            slot: SlotIndex(slot),
            generation: Generation::default(),
            run: Run(1),
            site: None,
        };
        Endpoint::new(id, ([127, 0, 0, 1], 20_000 + slot).into(), 0, Verdict::Up)
    });
    let endpoints = endpoints.collect();
    let shared = Shared::new(&service);
    ServiceEntry::new(Arc::new(service), shared, endpoints, Intake::Open)
}

pub(crate) fn table(entries: &[ServiceEntry]) -> Table {
    entries
        .iter()
        .fold(Table::default(), |table, it| table.with(it.clone()))
}

pub(crate) fn entries(services: usize) -> Vec<ServiceEntry> {
    (0..services).map(|it| entry(it, 2)).collect()
}

fn stored<T>(value: T) -> Stored<T> {
    Stored { value, modified: 1 }
}

/// Two nodes and a gateway, and this many services of two replicas of which nothing runs yet.
pub(crate) fn fresh_world(services: usize) -> World {
    let mut world = World {
        revision: 1,
        ..World::default()
    };
    for node in ["a", "b"] {
        let alive = stored(NodeAlive {
            v: 1,
            since: Timestamp(0),
        });
        world
            .nodes
            .insert(NodeId::parse(node).expect("a node"), alive);
    }
    let alive = stored(GatewayAlive {
        v: 1,
        since: Timestamp(0),
    });
    world.gateways.insert(
        minato_config::GatewayId::parse("g").expect("a gateway"),
        alive,
    );
    for number in 0..services {
        let record = stored(ServiceRecord {
            v: 1,
            source: Source::File {
                path: format!("services/library-{number}.toml"),
            },
            service: service(number, 2),
            removed: false,
        });
        world.services.insert(name(number), record);
    }
    world
}

/// The same when all of it runs and is up: what a leader sees nearly always.
pub(crate) fn settled_world(services: usize) -> World {
    let mut world = fresh_world(services);
    let generation = Generation { era: 0, counter: 1 };
    let gateway = minato_config::GatewayId::parse("g").expect("a gateway");
    for number in 0..services {
        for (index, node) in ["a", "b"].into_iter().enumerate() {
            let slot = SlotIndex(u16::try_from(index).expect("two"));
            let node = NodeId::parse(node).expect("a node");
            let assigned = stored(Slot {
                v: 1,
                node: node.clone(),
                generation,
                digest: command().digest(),
                restart: None,
                removed: false,
            });
            world.slots.insert((name(number), slot), assigned);
            let key = InstanceKey {
                node,
                service: name(number),
                slot,
                generation,
            };
            let instance = stored(Instance {
                v: 1,
                run: Run(1),
                phase: Phase::Running,
                address: ([127, 0, 0, 1], 20_000).into(),
                since: Timestamp(NOW.0 - 100_000),
                pid: None,
                restarts: 0,
                local: None,
                reason: String::new(),
                retry_at: None,
            });
            world.instances.insert(key, instance);
            let verdict = stored(VerdictReport {
                v: 1,
                generation,
                run: Run(1),
                verdict: Verdict::Up,
                reason: String::new(),
                since: Timestamp(NOW.0 - 100_000),
                drained: false,
            });
            world
                .verdicts
                .insert((name(number), slot, gateway.clone()), verdict);
        }
    }
    world
}
