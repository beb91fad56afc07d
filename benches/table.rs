//! Times of the table: lookups, and the work of changing one service, beside 1, 100 and 10,000 services.
//!
//! `cargo bench --bench table`

#![expect(clippy::print_stdout, reason = "a table of figures is what it is for")]
#![expect(
    clippy::expect_used,
    reason = "a figure that cannot be measured is no figure"
)]

use minato_config::{
    Backend, Health, HealthProbe, HostPattern, Limits, PathPrefix, Route, RouteAction,
    RoutePattern, Service, ServiceName, Timeouts,
};
use minato_proxy::{
    Admission, Endpoint, EndpointId, Intake, Queue, ServiceEntry, Shared, Table, pick,
};
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[expect(clippy::disallowed_methods, reason = "measures")]
fn now() -> Instant {
    Instant::now()
}

/// Two hosts of its own and a prefix on a host that all services share.
fn routes(number: usize) -> Vec<RoutePattern> {
    let host = |text: String| (HostPattern::Exact(text), "/".to_owned());
    [
        host(format!("library{number}.example.ac.jp")),
        (
            HostPattern::Wildcard(format!("w{number}.example.org")),
            "/".to_owned(),
        ),
        (
            HostPattern::Exact("example.org".to_owned()),
            format!("/library{number}"),
        ),
    ]
    .into_iter()
    .map(|(host, path)| RoutePattern {
        host,
        path: PathPrefix(path),
    })
    .collect()
}

fn entry(number: usize, instances: u16) -> ServiceEntry {
    let name = ServiceName::parse(&format!("library-{number}")).expect("a name");
    let endpoints = (0..instances)
        .map(|slot| {
            let id = EndpointId {
                service: name.clone(),
                slot: minato_config::SlotIndex(slot),
                generation: Default::default(),
                run: minato_config::Run(1),
            };
            Endpoint::new(
                id,
                ([127, 0, 0, 1], slot).into(),
                0,
                minato_health::Verdict::Up,
            )
        })
        .collect();
    let service = Service {
        name,
        backend: Backend::Endpoints(Vec::new()),
        replicas: instances,
        routes: routes(number)
            .into_iter()
            .map(|pattern| Route {
                pattern,
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
    };
    let shared = Shared::new(&service);
    ServiceEntry::new(Arc::new(service), shared, endpoints, Intake::Open)
}

/// Median of 15 rounds, in nanoseconds for one call; `call` gets a running number.
fn measure(calls: u32, mut call: impl FnMut(usize)) -> u64 {
    let mut number = 0;
    let mut rounds: Vec<Duration> = (0..15)
        .map(|_| {
            let start = now();
            for _ in 0..calls {
                call(number);
                number = number.wrapping_add(7_919);
            }
            now() - start
        })
        .collect();
    rounds.sort();
    let median = rounds.get(rounds.len() / 2).copied().unwrap_or_default();
    u64::try_from(median.as_nanos()).unwrap_or(u64::MAX) / u64::from(calls)
}

fn tables() {
    println!(
        "{:>8} {:>10} {:>10} {:>10} {:>10} {:>10} {:>10}",
        "services", "exact", "wildcard", "prefix", "miss", "with", "without"
    );
    for services in [1, 100, 10_000] {
        let mut table = Table::default();
        for number in 0..services {
            table = table.with(entry(number, 2));
        }
        let exact: Vec<_> = (0..services)
            .map(|it| format!("library{it}.example.ac.jp"))
            .collect();
        let wildcard: Vec<_> = (0..services)
            .map(|it| format!("a.w{it}.example.org"))
            .collect();
        let prefix: Vec<_> = (0..services)
            .map(|it| format!("/library{it}/item/12345"))
            .collect();
        let deep = "/x".repeat(8_000);
        let find = |host: &str, path: &str| {
            black_box(table.find(black_box(host), black_box(path)));
        };
        let changed: Vec<_> = (0..services.min(64)).map(|it| entry(it, 2)).collect();
        let with = measure(500, |it| {
            if let Some(entry) = changed.get(it % changed.len()) {
                drop(black_box(table.with(entry.clone())));
            }
        });
        let without = measure(500, |it| {
            if let Some(entry) = changed.get(it % changed.len()) {
                drop(black_box(table.without(&entry.service.name)));
            }
        });
        println!(
            "{services:>8} {:>7} ns {:>7} ns {:>7} ns {:>7} ns {with:>7} ns {without:>7} ns",
            measure(20_000, |it| find(&exact[it % services], "/item/12345")),
            measure(20_000, |it| find(&wildcard[it % services], "/item/12345")),
            measure(20_000, |it| find("example.org", &prefix[it % services])),
            measure(20_000, |_| find("example.org", &deep)),
        );
    }
}

fn requests() {
    let mut random = fastrand::Rng::with_seed(1);
    for instances in [1, 2, 10, 100, 1_000] {
        let entry = entry(0, instances);
        let start = now();
        let time = measure(5_000, |_| {
            black_box(pick(&entry, None, start, &mut |n| random.usize(0..n)));
        });
        println!("pick among {instances:>5} instances: {time:>6} ns");
    }
    for in_flight in [0, 400] {
        let queue = Queue::new(&Limits {
            in_flight,
            ..Limits::default()
        });
        let time = measure(20_000, |_| drop(black_box::<Admission>(queue.admit())));
        println!("admit and leave, limit {in_flight:>3}: {time:>6} ns");
    }
}

fn main() {
    tables();
    requests();
}
