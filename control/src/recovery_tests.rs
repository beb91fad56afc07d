//! Figures against targets.

use super::*;
use crate::Stored;
use minato_config::{Backend, Command, GatewayId, Health, Service, ServiceRecord, Source, Targets};
use minato_health::recovery::RecoveryLog;
use std::collections::BTreeMap;

const NOW: Timestamp = Timestamp(40_000_000_000_000);
const DAY: u64 = 86_400_000;

fn name() -> ServiceName {
    ServiceName::parse("library").unwrap()
}

fn event(kind: RecoveryKind, ago_ms: u64, first_ms: Option<u64>) -> Recovery {
    Recovery {
        kind,
        at: Timestamp(NOW.0 - ago_ms),
        from: SiteId::parse("tokyo").unwrap(),
        to: None,
        detect_ms: 3_000,
        decide_ms: Some(3_100),
        start_ms: Some(0),
        first_ms,
        errors: 7,
        data_age_ms: None,
    }
}

/// Of gateways `a`, `b`, ..., each of which has looked for ten days.
fn world(edit: impl Fn(&mut Sites), logs: &[Vec<Recovery>]) -> World {
    let mut sites = Sites {
        order: ["tokyo", "osaka"]
            .map(|it| SiteId::parse(it).unwrap())
            .to_vec(),
        standby: Standby::Warm,
        failover: Consent::Auto,
        failback: Consent::Auto,
        sync: None,
        at: BTreeMap::new(),
        targets: Targets::default(),
        base: None,
    };
    edit(&mut sites);
    let value = ServiceRecord {
        v: 1,
        source: Source::File {
            path: "library.toml".into(),
        },
        service: Service {
            name: name(),
            backend: Backend::Command(Command {
                argv: vec!["true".into()],
                env: BTreeMap::new(),
                directory: None,
                port: None,
                stop: Default::default(),
                image: None,
            }),
            replicas: 2,
            scale: None,
            routes: Vec::new(),
            health: Health::Off,
            upstream: Default::default(),
            limits: Default::default(),
            timeouts: Default::default(),
            retries: 1,
            nodes: Default::default(),
            update: Default::default(),
            depends_on: Default::default(),
            sites: Some(Box::new(sites)),
        },
        removed: false,
    };
    let mut world = World::default();
    world.services.insert(name(), Stored { value, modified: 1 });
    for (log, gateway) in logs.iter().zip(["a", "b"]) {
        let value = RecoveryLog {
            v: 1,
            since: Timestamp(NOW.0 - 10 * DAY),
            events: log.clone(),
        };
        let key = (name(), GatewayId::parse(gateway).unwrap());
        world.recoveries.insert(key, Stored { value, modified: 1 });
    }
    world
}

#[track_caller]
fn only(world: &World) -> RecoveryReport {
    let mut all = recovery_reports(world, NOW);
    assert_eq!(all.len(), 1);
    all.remove(0)
}

#[track_caller]
fn check(world: &World, expected: &[&str]) {
    let missed = only(world).missed;
    assert_eq!(missed.len(), expected.len(), "{missed:?}");
    for (found, words) in missed.iter().zip(expected) {
        assert!(found.contains(words), "{found} is not about {words}");
    }
}

#[test]
fn what_was_measured_is_held_against_the_target() {
    let failover = |first_ms| vec![event(RecoveryKind::Failover, DAY, first_ms)];
    let at_most =
        |seconds: u64| move |it: &mut Sites| it.targets.rto = Duration::from_secs(seconds);
    check(&world(|_| {}, &[failover(Some(3_700))]), &[]);
    check(
        &world(|_| {}, &[failover(Some(300_001))]),
        &["the last time it took 300.0 s"],
    );
    check(&world(at_most(4), &[failover(Some(3_700))]), &[]);
    check(
        &world(at_most(3), &[failover(Some(3_700))]),
        &["the last time", "it would take 4.0 s"],
    );
    // Nobody came: what counts is when they would have been sent there.
    check(&world(at_most(4), &[failover(None)]), &[]);
    assert_eq!(
        only(&world(|_| {}, &[failover(None)])).measured(),
        Some(Duration::from_millis(3_100))
    );
}

#[test]
fn gateways_that_saw_the_same_event_are_one_and_the_worst_counts() {
    let a = vec![
        event(RecoveryKind::Failover, 2 * DAY, Some(90_000)),
        event(RecoveryKind::Failover, DAY, Some(4_000)),
    ];
    let b = vec![event(RecoveryKind::Failover, DAY + 500, Some(5_000))];
    let report = only(&world(|_| {}, &[a, b]));
    assert_eq!(report.measured(), Some(Duration::from_secs(5)));
    let last = report.last.unwrap();
    assert_eq!((last.errors, last.at), (14, Timestamp(NOW.0 - DAY - 500)));
    assert_eq!(report.events, 3);
}

#[test]
fn a_return_proves_nothing() {
    let log = vec![
        event(RecoveryKind::Failover, 400 * DAY, Some(4_000)),
        event(RecoveryKind::Return, DAY, Some(400_000)),
    ];
    let report = only(&world(|_| {}, std::slice::from_ref(&log)));
    assert_eq!(report.returned.as_ref().unwrap().first_ms, Some(400_000));
    check(
        &world(|_| {}, &[log]),
        &["for a year that it goes on without tokyo"],
    );
    check(&world(|_| {}, &[vec![]]), &[]);
    check(&world(|_| {}, &[]), &[]);
}

#[test]
fn what_is_to_be_expected_follows_from_how_the_others_stand_by() {
    let mut cold = event(RecoveryKind::Failover, DAY, Some(20_000));
    cold.start_ms = Some(18_000);
    let predicted = |edit: fn(&mut Sites), log: &[Recovery]| {
        only(&world(edit, &[log.to_vec()]))
            .predicted
            .map(|it| it.as_secs())
    };
    assert_eq!(predicted(|_| {}, &[]), Some(4));
    assert_eq!(predicted(|it| it.failover = Consent::Ask, &[]), None);
    assert_eq!(predicted(|it| it.standby = Standby::Cold, &[]), None);
    assert_eq!(
        predicted(|it| it.standby = Standby::Cold, &[cold]),
        Some(19)
    );
}

#[test]
fn data_that_was_too_old_is_told() {
    let mut old = event(RecoveryKind::Switch, DAY, Some(1_000));
    old.data_age_ms = Some(2 * DAY);
    check(
        &world(|_| {}, &[vec![old]]),
        &["the data was 172800.0 s old"],
    );
}

#[test]
fn a_service_of_one_site_has_nowhere_to_go() {
    assert_eq!(
        recovery_reports(&world(|it| it.order.truncate(1), &[]), NOW),
        []
    );
}

#[test]
fn data_that_was_never_copied_meets_no_target() {
    let of = |age| {
        let mut it = event(RecoveryKind::Failover, DAY, Some(3_700));
        it.data_age_ms = age;
        vec![it]
    };
    let nothing_counts = |it: &mut Sites| it.targets.rpo = Duration::MAX;
    check(&world(nothing_counts, &[of(Some(9 * DAY))]), &[]);
    check(
        &world(nothing_counts, &[of(Some(NEVER_COPIED))]),
        &["nothing had ever been copied to where it was moved to"],
    );
}

#[test]
fn a_drill_and_a_failure_a_moment_apart_are_two_events() {
    let all = vec![
        event(RecoveryKind::Failover, DAY + 10_000, Some(90_000)),
        event(RecoveryKind::Drill, DAY, Some(500)),
    ];
    let last = only(&world(|_| {}, &[all])).last.unwrap();
    assert_eq!(
        (last.kind, last.first_ms, last.errors),
        (RecoveryKind::Drill, Some(500), 7)
    );
}
