//! A target that is to have more instances before it serves.

use super::*;
use crate::OperationId;
use crate::World;
use crate::operation::switch::tests::{NOW, name, order, record, site, states, stored, world};
use crate::operation::{OperationState, Schedule, StepState, SwitchKind, Switches};
use crate::sync::{SyncId, SyncRecord};
use crate::{ImageReport, ImageState};
use minato_config::{
    Backend, Command, Image, Intent, MoveKind, NEVER_COPIED, NodeId, Scale, SiteId, Timestamp,
};
use std::time::Duration;

/// Osaka, with a library of 1 to `max` instances.
fn growing(max: u16) -> World {
    let mut world = world();
    let mut it = record("library", &["tokyo", "osaka"]);
    it.service.replicas = 1;
    it.service.scale = Some(Scale {
        max,
        in_flight: Some(40),
        p95: None,
        cpu_percent: None,
    });
    it.service.backend = Backend::Command(Command {
        argv: vec!["/bin/library".to_owned()],
        env: Default::default(),
        directory: None,
        port: None,
        stop: Default::default(),
        image: None,
    });
    world.services.insert(name("library"), stored(it));
    world
}

#[track_caller]
fn need(world: &World, there: u32, accepted: Bearing, expected: (u16, u16)) {
    let library = name("library");
    let told = states(there);
    let there = wanted_there(&told, &library);
    let ready = Ready::of(world, &site("osaka"), [(&library, there)], NOW);
    let accepted = Accepted {
        overload: accepted,
        ..Accepted::default()
    };
    let found = ready.need(&library, accepted);
    assert_eq!((found.wanted, found.enough), expected);
}

#[test]
fn as_many_are_asked_for_as_the_old_site_has() {
    let world = growing(8);
    need(&world, 6, Bearing::Refused, (6, 5));
    need(&world, 1, Bearing::Refused, (1, 1));
    need(&world, 6, Bearing::Accepted, (6, 0));
    // Within what its file allows.
    need(&growing(3), 6, Bearing::Refused, (3, 3));
    // A person's number wins, and a file's is what it says.
    let mut by_hand = growing(8);
    let intent = Intent {
        v: 1,
        replicas: Some(2),
        ..Intent::default()
    };
    by_hand.intents.insert(name("library"), stored(intent));
    need(&by_hand, 6, Bearing::Refused, (0, 0));
    need(&super::tests::world(), 6, Bearing::Refused, (0, 0));
}

#[test]
fn it_moves_when_all_are_up_or_in_the_end_when_enough_are() {
    let begin = || {
        let mut it = Switch::new(site("tokyo"), site("osaka"), 3, Data::None, Timestamp(0));
        it.phase = Phase::Warm;
        it.need = Need {
            wanted: 6,
            enough: 5,
        };
        it
    };
    let late = Timestamp(begin().timing.warm_ms);
    let look = |up: (u16, u16), enough: u16, now: Timestamp| {
        let mut switch = begin();
        switch.need.enough = enough;
        let sight = Sight {
            problems: Vec::new(),
            up,
            need: Need::default(),
            epoch: 3,
            answers: false,
            source: Some(Source {
                epoch: 3,
                held: Held::No,
                in_flight: 0,
                quiet_since: None,
                came: None,
            }),
            sync: Sync::None,
            entrance: Entrance::None,
        };
        advance(&switch, &sight, now).next
    };
    // What is up of what was wanted before is not all.
    for (up, at, expected) in [
        ((1, 1), Timestamp(1_000), Phase::Warm),
        ((5, 6), Timestamp(1_000), Phase::Warm),
        ((6, 6), Timestamp(1_000), Phase::Move),
        // No machine took the sixth.
        ((5, 5), late, Phase::Move),
    ] {
        assert_eq!(look(up, 5, at).phase, expected, "{up:?} {at:?}");
    }
    let given_up = look((4, 4), 5, late);
    assert_eq!(given_up.state, SwitchState::Aborted);
    assert_eq!(
        given_up.reason,
        "4 of 6 up at osaka after 300s, and 5 carry the work of tokyo"
    );
    // A person bears with the sorry page for the rest.
    assert_eq!(look((4, 4), 0, late).phase, Phase::Move);
}

fn switches(kind: SwitchKind, to: &str, asked_by: &str) -> Switches {
    Switches {
        to: site(to),
        kind,
        size: 1,
        stop_after: 1,
        forgiven: 0,
        timing: Timing::default(),
        accepted: Accepted::default(),
        asked_by: asked_by.to_owned(),
    }
}

#[test]
fn a_switch_asks_from_its_warm_step_until_the_target_serves() {
    let mut world = growing(8);
    let asked = AskedSwitch {
        to: site("osaka"),
        services: vec!["library".to_owned()],
        kind: SwitchKind::Switch,
        schedule: Default::default(),
        size: 1,
        stop_after: 1,
        timing: Timing::default(),
        accepted: Accepted::default(),
        asked_by: String::new(),
        who: "alice".to_owned(),
        why: String::new(),
    };
    let made = begin_switch(&world, &asked, NOW).unwrap();
    let mut operation = made.operation;
    operation.state = OperationState::Running;
    for (phase, expected) in [
        (Phase::Check, 0),
        (Phase::Warm, 6),
        (Phase::Hold, 6),
        (Phase::Verify, 6),
        (Phase::Quiet, 0),
    ] {
        let mut switch = Switch::new(site("tokyo"), site("osaka"), 0, Data::None, NOW);
        switch.phase = phase;
        switch.need.wanted = 6;
        let step = &mut operation.steps[0];
        step.state = StepState::Running;
        step.switch = Some(Box::new(switch));
        world.operations.insert(made.id, stored(operation.clone()));
        assert_eq!(asked_for(&world, &name("library")), expected, "{phase:?}");
        assert_eq!(asked_for(&world, &name("shop")), 0);
    }
}

#[test]
fn what_a_move_is_told_as() {
    let switch = |to: &str, from: &str| Switch::new(site(from), site(to), 3, Data::None, NOW);
    for (kind, to, asked_by, expected) in [
        (SwitchKind::Switch, "osaka", "", MoveKind::Switch),
        (SwitchKind::Drill, "osaka", "", MoveKind::Drill),
        (SwitchKind::Failover, "osaka", "", MoveKind::Failover),
        (SwitchKind::Switch, "tokyo", "", MoveKind::Return),
        (SwitchKind::Switch, "osaka", "tokyo/13", MoveKind::Return),
        (SwitchKind::Failover, "tokyo", "", MoveKind::Failover),
    ] {
        let from = if to == "osaka" { "tokyo" } else { "osaka" };
        let work = switches(kind, to, asked_by);
        let found = moved(&world(), &work, &name("library"), &switch(to, from), NOW);
        assert_eq!((found.kind, found.from), (expected, site(from)), "{kind:?}");
        assert_eq!(found.data_age_ms, None);
    }
}

#[test]
fn data_is_as_old_as_the_last_copy_that_ended_well() {
    let library = name("library");
    let age = |cause: Cause, copied: Option<u64>, left: Option<u64>| {
        let mut world = world();
        let id = SyncId {
            operation: OperationId(12),
            run: 1,
        };
        let node = NodeId::parse("a").unwrap();
        let seconds = |it: u64| Timestamp(NOW.0 - it * 1_000);
        // The last run has failed since.
        let mut record = SyncRecord::new(id, node, Duration::from_secs(8), seconds(1));
        record.copied = copied.map(seconds);
        world.syncs.insert(library.clone(), stored(record));
        if let Some(left) = left {
            let mut order = order("tokyo", 3);
            order.since = seconds(left);
            order.moved = Some(minato_config::Move {
                kind: MoveKind::Return,
                from: site("osaka"),
                data_age_ms: None,
            });
            world.orders.insert(library.clone(), stored(order));
        }
        let mut switch = Switch::new(site("tokyo"), site("osaka"), 3, Data::Hook, NOW);
        switch.cause = cause;
        let work = switches(SwitchKind::Switch, "osaka", "");
        moved(&world, &work, &library, &switch, NOW).data_age_ms
    };
    assert_eq!(age(Cause::Planned, Some(2), None), Some(2_000));
    assert_eq!(age(Cause::Lost, Some(7_200), None), Some(7_200_000));
    // Until it was led away from here it was written here.
    assert_eq!(age(Cause::Lost, Some(7_200), Some(60)), Some(60_000));
    assert_eq!(age(Cause::Lost, None, None), Some(NEVER_COPIED));
    let mut record = SyncRecord::new(
        SyncId {
            operation: OperationId(1),
            run: 1,
        },
        NodeId::parse("a").unwrap(),
        Duration::from_secs(8),
        Timestamp(5),
    );
    assert_eq!(record.copied, None);
    record = record.ended_well();
    assert_eq!(record.copied, Some(Timestamp(5)));
}

fn peer(wanted: u32) -> Peer {
    Peer {
        states: Ok(states(wanted)),
        delay: Duration::from_millis(31),
        record: None,
    }
}

fn facts<'a>(
    world: &'a World,
    ready: &'a Ready,
    to: &'a SiteId,
    peer: &'a Peer,
    schedule: &'a Schedule,
) -> Facts<'a> {
    Facts {
        world,
        ready,
        to,
        peer,
        certificates: &[],
        copy: None,
        schedule,
        cause: Cause::Planned,
        accepted: Accepted::default(),
        own: OperationId(7),
        now: NOW,
    }
}

#[test]
fn instances_that_are_asked_for_count_for_capacity() {
    let world = growing(8);
    let library = name("library");
    let (to, peer, schedule) = (site("osaka"), peer(6), Default::default());
    let ready = Ready::of(&world, &to, [(&library, Some(6))], NOW);
    let facts = facts(&world, &ready, &to, &peer, &schedule);
    let begin = start(&world, &site("osaka"), &library).unwrap();
    let all = checks(&facts, &library, &begin);
    let of = |name: &str| all.iter().find(|it| it.name == name).unwrap();
    assert_eq!(
        of("capacity").figure,
        "0 of 6 up at osaka (5 more are asked for first), 6 wanted at tokyo: 100% of the work"
    );
    assert!(of("capacity").is_met);
    // There is no machine for them, and that is told before anything is begun.
    assert!(!of("room").is_met, "{:?}", of("room"));
}

#[test]
fn an_image_that_cannot_be_had_is_known_before() {
    let mut world = growing(8);
    let library = name("library");
    let image: Image = serde_json::from_value(serde_json::json!({
        "reference": "registry.example.org/library:1",
        "port": 8080,
        "network": "bridge",
    }))
    .unwrap();
    let record = world.services.get_mut(&library).unwrap();
    let Backend::Command(command) = &mut record.value.service.backend else {
        panic!("a command");
    };
    command.image = Some(Box::new(image));
    let number = crate::images_ahead(&world)[&library].0;
    assert!(crate::is_ahead(number));
    let check = |states: &[Option<ImageState>], fetch: u64| {
        let mut world = world.clone();
        for (state, node) in states.iter().zip(["a", "b"]) {
            let node = NodeId::parse(node).unwrap();
            let alive = serde_json::from_value(serde_json::json!({ "v": 1, "since": 0 })).unwrap();
            world.nodes.insert(node.clone(), stored(alive));
            let Some(state) = state.clone() else { continue };
            let report = ImageReport {
                v: 1,
                fetch,
                state,
                freshness: Default::default(),
                runs: Default::default(),
                registry: None,
                unknown: String::new(),
                since: NOW,
            };
            let report = match &report.state {
                ImageState::Failed(why) if why.starts_with("away") => ImageReport {
                    unknown: why.clone(),
                    state: ImageState::Fetching,
                    ..report
                },
                ImageState::Failed(why) if why == "at its registry" => ImageReport {
                    registry: Some("sha256:2".to_owned()),
                    state: ImageState::Fetching,
                    ..report
                },
                _ => report,
            };
            world.images.insert((node, name("library")), stored(report));
        }
        let (to, peer, schedule) = (site("osaka"), peer(2), Default::default());
        let ready = Ready::of(&world, &to, [(&library, None)], NOW);
        let facts = facts(&world, &ready, &to, &peer, &schedule);
        let begin = start(&world, &site("osaka"), &library).unwrap();
        let all = checks(&facts, &library, &begin);
        let found = all.iter().find(|it| it.name == "image").unwrap();
        (found.is_met, found.figure.clone())
    };
    let here = || {
        let (digest, id) = (None, "sha256:1".to_owned());
        Some(ImageState::Here { digest, id })
    };
    let registry = || Some(ImageState::Failed("at its registry".to_owned()));
    let failed = || {
        Some(ImageState::Failed(
            "no such tag; look for a typo".to_owned(),
        ))
    };
    let away = || Some(ImageState::Failed("away: docker restarts".to_owned()));
    for (states, is_met, words) in [
        // Who does not know hinders nothing, and may be the one that has it.
        (
            [away(), None],
            true,
            "unknown: registry.example.org/library:1: a: away: docker restarts",
        ),
        ([away(), away()], true, "unknown"),
        (
            [failed(), away()],
            true,
            "a: no such tag; look for a typo; b: away",
        ),
        (
            [away(), registry()],
            true,
            "1 can have it from its registry; a: away",
        ),
        (
            [here(), registry()],
            true,
            "1 of 2 machines have it, 1 can have it",
        ),
        ([failed(), registry()], true, "a: no such tag"),
        (
            [failed(), failed()],
            false,
            "library:1 cannot be had at osaka: b: no such tag; look for a typo; machines look again",
        ),
        ([failed(), None], false, "cannot be had"),
        (
            [Some(ImageState::NoEngine), Some(ImageState::NoEngine)],
            false,
            "runtime = \"docker\"",
        ),
        ([None, None], true, "unknown: no machine of osaka"),
        ([Some(ImageState::NoEngine), None], true, "unknown"),
        ([Some(ImageState::Fetching), None], true, "unknown"),
    ] {
        let found = check(&states, number);
        assert!(
            found.0 == is_met && found.1.contains(words),
            "{found:?} {words}"
        );
    }
    // What was found of another image says nothing.
    for states in [[here(), here()], [failed(), failed()]] {
        let found = check(&states, number ^ 1);
        assert!(found.0 && found.1.contains("unknown"), "{found:?}");
    }
}
