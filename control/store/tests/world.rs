//! Documents become a world: golden files, lenience, and events that lead where a list does.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests, outside their functions"
)]

use minato_config::*;
use minato_control::{FailureKind, ImageState, InstanceKey, Object, RolloutStage, World};
use minato_control_store::keys::{Key, Keys};
use minato_control_store::{Entry, Event, Listing, Observed, Revision};
use minato_health::{Phase, Verdict};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

fn keys() -> Keys {
    Keys::new(&SiteId::parse("tokyo").unwrap())
}

fn golden(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    std::fs::read(folder.join(name)).unwrap()
}

fn entry(key: &str, value: Vec<u8>, modified: u64) -> Entry {
    Entry {
        key: key.to_owned(),
        value,
        created: Revision(1),
        modified: Revision(modified),
        lease: None,
    }
}

fn put(observed: &mut Observed, key: &Key, value: Vec<u8>, modified: u64) {
    let key = keys().text(key);
    observed.apply(&Event::Put(entry(&key, value, modified)));
}

fn service(name: &str) -> ServiceName {
    ServiceName::parse(name).unwrap()
}

fn node() -> NodeId {
    NodeId::parse("tokyo-1").unwrap()
}

fn gateway() -> GatewayId {
    GatewayId::parse("gw-1").unwrap()
}

const GENERATION: Generation = Generation { era: 1, counter: 5 };

/// Each golden file, and where it lies.
fn documents() -> Vec<(&'static str, Key)> {
    let slot = SlotIndex(1);
    vec![
        ("service.json", Key::Service(service("library"))),
        ("service_endpoints.json", Key::Service(service("archive"))),
        ("service_tcp.json", Key::Service(service("mail"))),
        ("intent.json", Key::Intent(service("library"))),
        ("slot.json", Key::Slot(service("library"), slot)),
        (
            "instance.json",
            Key::Instance(node(), service("library"), slot, GENERATION),
        ),
        (
            "verdict.json",
            Key::Verdict(gateway(), service("library"), slot),
        ),
        ("node_alive.json", Key::NodeAlive(node())),
        ("node_info.json", Key::NodeInfo(node())),
        ("node_load.json", Key::NodeLoad(node())),
        ("node_drain.json", Key::Drain(node())),
        ("gateway_alive.json", Key::GatewayAlive(gateway())),
        ("load.json", Key::Load(gateway(), service("library"))),
        ("scale.json", Key::Scale(service("library"))),
        ("rollout.json", Key::Rollout(service("library"))),
        ("image.json", Key::Image(node(), service("library"))),
    ]
}

fn golden_world() -> Observed {
    let mut observed = Observed::new(keys());
    for (revision, (name, key)) in (1..).zip(documents()) {
        put(&mut observed, &key, golden(name), revision);
    }
    observed
}

fn count(world: &World) -> usize {
    world.services.len()
        + world.intents.len()
        + world.slots.len()
        + world.instances.len()
        + world.verdicts.len()
        + world.nodes.len()
        + world.node_infos.len()
        + world.node_loads.len()
        + world.drains.len()
        + world.gateways.len()
        + world.loads.len()
        + world.scales.len()
        + world.rollouts.len()
        + world.images.len()
}

#[test]
fn every_golden_file_decodes_and_none_is_left_out() {
    let observed = golden_world();
    assert_eq!(observed.undecodable, BTreeMap::new());
    assert_eq!(count(&observed.world), documents().len());
    assert_eq!(observed.revision, Revision(documents().len() as u64));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    assert_eq!(
        std::fs::read_dir(folder).unwrap().count(),
        documents().len()
    );
}

#[test]
fn a_golden_rollout_means_what_it_says() {
    let world = golden_world().world;
    let rollout = &world.rollouts[&service("library")].value;
    let stable = rollout.stable.as_ref().unwrap();
    assert_eq!(stable.command.argv, ["/usr/bin/library"]);
    assert_eq!(stable.restart, Some(Restart(7)));
    let going = rollout.going.as_ref().unwrap();
    assert_eq!(going.step, RolloutStage::Fetching);
    assert!(going.nodes.contains(&node()));
    let failed = rollout.failed.as_ref().unwrap();
    assert_eq!(
        (failed.how, failed.number),
        (FailureKind::Reverted, Some(4))
    );
    assert_eq!(rollout.passed.len(), 1);
    let image = &world.images[&(node(), service("library"))].value;
    assert!(matches!(&image.state, ImageState::Here { id, .. } if id == "sha256:11"));
}

#[test]
fn golden_services_mean_what_they_say() {
    let world = golden_world().world;
    let record = &world.services[&service("library")];
    assert_eq!((record.modified, record.value.removed), (1, true));
    let library = &record.value.service;
    let Backend::Command(command) = &library.backend else {
        panic!("{:?}", library.backend);
    };
    assert_eq!(command.argv, ["/usr/bin/library", "--port", "{port}"]);
    assert_eq!(command.env["DB"], "127.0.0.1:3306");
    assert_eq!(command.directory.as_deref(), Some("/srv/library"));
    assert_eq!(command.port, Some(8080));
    assert_eq!(command.stop.drain, Duration::from_secs(20));
    assert_eq!(command.stop.grace, Duration::from_secs(5));
    let routes: Vec<String> = library
        .routes
        .iter()
        .map(|it| it.pattern.to_string())
        .collect();
    assert_eq!(
        routes,
        ["library.example.ac.jp", "*.example.org/library", "*/old"]
    );
    assert_eq!(
        library.routes[1].action,
        RouteAction::Forward { strip: true }
    );
    assert!(
        matches!(&library.routes[2].action, RouteAction::Redirect { to } if to.ends_with("ac.jp"))
    );
    let Health::On {
        probe: HealthProbe::Http(probe),
        timing,
    } = &library.health
    else {
        panic!("{:?}", library.health);
    };
    assert_eq!(
        (probe.status[1].first, probe.body.as_deref()),
        (304, Some("ok"))
    );
    assert_eq!((timing.fall, timing.rise), (4, 1));
    assert_eq!(timing.fast, Duration::from_millis(250));
    assert_eq!(
        (library.limits.in_flight, library.limits.body_bytes),
        (400, 100 << 20)
    );
    assert_eq!(library.timeouts.first_byte, Duration::from_secs(30));
    assert_eq!(library.retries, 2);

    let archive = &world.services[&service("archive")].value;
    assert!(!archive.removed);
    assert!(matches!(&archive.service.backend, Backend::Endpoints(it) if it.len() == 2));
    assert_eq!(archive.service.health, Health::Off);
    let mail = &world.services[&service("mail")].value.service;
    assert!(
        matches!(&mail.health, Health::On { probe: HealthProbe::Tcp, timing } if *timing == HealthTiming::default())
    );
}

#[test]
fn golden_observations_mean_what_they_say() {
    let world = golden_world().world;
    let intent = &world.intents[&service("library")].value;
    assert_eq!(
        (intent.replicas, intent.restart),
        (Some(4), Some(Restart(7)))
    );
    assert_eq!(intent.who, "operator");
    let slot = &world.slots[&(service("library"), SlotIndex(1))].value;
    assert_eq!((&slot.node, slot.generation), (&node(), GENERATION));
    assert_eq!(slot.digest, "00c0ffee00c0ffee");
    let key = InstanceKey {
        node: node(),
        service: service("library"),
        slot: SlotIndex(1),
        generation: GENERATION,
    };
    let instance = &world.instances[&key].value;
    assert_eq!((instance.run, instance.phase), (Run(3), Phase::Running));
    assert_eq!(
        (instance.pid, instance.local),
        (Some(4711), Some(Verdict::Up))
    );
    assert_eq!(instance.address.port(), 20001);
    let verdict = &world.verdicts[&(service("library"), SlotIndex(1), gateway())].value;
    assert_eq!((verdict.verdict, verdict.run), (Verdict::Suspect, Run(3)));
    assert_eq!(verdict.since, Timestamp(1_767_225_600_000));
    assert_eq!(world.node_infos[&node()].value.memory_bytes, 25_769_803_776);
}

#[test]
fn unknown_fields_are_ignored() {
    let wanted = golden_world().world;
    let mut observed = Observed::new(keys());
    for (revision, (name, key)) in (1..).zip(documents()) {
        let text = String::from_utf8(golden(name)).unwrap();
        let text = text.replacen('{', "{ \"from_tomorrow\": [1, {\"v\": 9}],", 1);
        put(&mut observed, &key, text.into(), revision);
    }
    assert_eq!(observed.undecodable, BTreeMap::new());
    assert_eq!(observed.world, wanted);
}

#[test]
fn what_does_not_decode_keeps_the_last_good_object_and_is_noted() {
    for (name, key) in documents() {
        let text = String::from_utf8(golden(name)).unwrap();
        for (bad, reason) in [
            (text.replacen("\"v\": 1", "\"v\": 2", 1), "newer minato"),
            (text.replacen("\"v\": 1", "\"v\": 0", 1), "version 0"),
            (text.replacen("\"v\": 1,", "", 1), "missing field"),
            ("{\"v\":1}".to_owned(), "missing field"),
            ("not json".to_owned(), "expected"),
            (String::new(), "EOF"),
            ("[".repeat(100_000), "recursion"),
        ] {
            if is_kept(&key) && bad == "{\"v\":1}" {
                continue;
            }
            let mut observed = golden_world();
            let good = observed.world.clone();
            put(&mut observed, &key, bad.clone().into(), 99);
            let expected = World {
                revision: 99,
                ..good.clone()
            };
            assert_eq!(observed.world, expected, "{name}");
            let noted = &observed.undecodable[&keys().text(&key)];
            let shown: String = bad.chars().take(40).collect();
            assert!(
                noted.contains(reason) || noted.contains("invalid type"),
                "{name}: {noted} for {shown}"
            );
            // The next good one is taken, and nothing is noted any more.
            put(&mut observed, &key, golden(name), 100);
            assert_eq!(observed.undecodable, BTreeMap::new());
            assert_eq!(count(&observed.world), count(&good));
        }
    }
}

/// All fields of an intent and of a rollout but the version have defaults, and their last value stays when they vanish.
fn is_kept(key: &Key) -> bool {
    matches!(key, Key::Intent(_) | Key::Rollout(_))
}

#[test]
fn a_delete_takes_the_object_and_its_note() {
    for (name, key) in documents() {
        let mut observed = golden_world();
        let before = count(&observed.world);
        put(&mut observed, &key, b"bad".into(), 50);
        observed.apply(&Event::Delete {
            key: keys().text(&key),
            revision: Revision(51),
        });
        let kept = usize::from(is_kept(&key));
        assert_eq!(count(&observed.world), before - 1 + kept, "{name}");
        assert_eq!(observed.undecodable, BTreeMap::new(), "{name}");
        assert_eq!(observed.revision, Revision(51));
    }
}

fn gone(key: &Key, revision: u64) -> Event {
    Event::Delete {
        key: keys().text(key),
        revision: Revision(revision),
    }
}

/// A record that did not say `removed`, and an intent.
fn archive_by_hand() -> Observed {
    let mut observed = Observed::new(keys());
    let archive = || service("archive");
    put(
        &mut observed,
        &Key::Service(archive()),
        golden("service_endpoints.json"),
        1,
    );
    put(
        &mut observed,
        &Key::Intent(archive()),
        golden("intent.json"),
        2,
    );
    observed
}

#[test]
fn an_intent_that_vanishes_holds_until_it_is_written_again() {
    let archive = || service("archive");
    let mut observed = archive_by_hand();
    observed.apply(&gone(&Key::Intent(archive()), 3));
    let kept = &observed.world.intents[&archive()].value;
    assert_eq!(kept.replicas, Some(4));
    let vanished: Vec<&Object> = observed.world.vanished.iter().collect();
    assert_eq!(vanished, [&Object::Intent(archive())]);
    put(
        &mut observed,
        &Key::Intent(archive()),
        golden("intent.json"),
        4,
    );
    assert!(observed.world.vanished.is_empty());
    assert_eq!(observed.world.intents[&archive()].modified, 4);
    // A list without it is no other word than a delete.
    let listing = Listing {
        revision: Revision(5),
        entries: vec![entry(
            &keys().text(&Key::Service(archive())),
            golden("service_endpoints.json"),
            1,
        )],
    };
    observed.relist(&listing);
    assert_eq!(observed.world.intents.len(), 1);
    assert_eq!(observed.world.vanished.len(), 1);
}

#[test]
fn an_intent_ends_with_its_service_in_either_order() {
    let library = || service("library");
    for reversed in [false, true] {
        let mut observed = golden_world();
        let mut batch = [
            gone(&Key::Service(library()), 20),
            gone(&Key::Intent(library()), 20),
        ];
        if reversed {
            batch.reverse();
        }
        observed.apply_batch(&batch);
        assert!(observed.world.intents.is_empty(), "{reversed}");
        assert!(observed.world.vanished.is_empty(), "{reversed}");
    }
}

#[test]
fn a_record_that_vanishes_is_noted_and_keeps_its_intent() {
    let archive = || service("archive");
    let mut observed = archive_by_hand();
    observed.apply(&gone(&Key::Service(archive()), 3));
    observed.apply(&gone(&Key::Intent(archive()), 4));
    assert!(observed.world.services.is_empty());
    assert_eq!(observed.world.intents.len(), 1);
    assert_eq!(observed.world.vanished.len(), 2);
    put(
        &mut observed,
        &Key::Service(archive()),
        golden("service_endpoints.json"),
        5,
    );
    let vanished: Vec<&Object> = observed.world.vanished.iter().collect();
    assert_eq!(vanished, [&Object::Intent(archive())]);
}

#[test]
fn a_batch_tells_whom_it_touched() {
    for (name, key) in documents() {
        let mut observed = Observed::new(keys());
        let event = Event::Put(entry(&keys().text(&key), golden(name), 1));
        let touched = observed.apply_batch(&[event]);
        let named = (
            touched.services.len(),
            touched.nodes.len(),
            touched.gateways.len(),
        );
        let wanted = match key {
            Key::NodeAlive(_) | Key::NodeInfo(_) | Key::NodeLoad(_) | Key::Drain(_) => (0, 1, 0),
            Key::GatewayAlive(_) => (0, 0, 1),
            // Only slots follow from these.
            Key::Load(..) | Key::Scale(_) => (0, 0, 0),
            _ => (1, 0, 0),
        };
        assert_eq!(named, wanted, "{name}");
    }
}

#[test]
fn keys_are_taken_apart_as_they_are_put_together() {
    for (_, key) in documents() {
        assert_eq!(keys().parse(&keys().text(&key)), Some(key));
    }
    for key in [Key::Meta, Key::Leader] {
        assert_eq!(keys().parse(&keys().text(&key)), Some(key));
    }
    for strange in [
        "",
        "/minato/v1/tokyo/",
        "/minato/v1/osaka/leader",
        "/minato/v1/tokyo/leader/x",
        "/minato/v1/tokyo/slots/library/007",
        "/minato/v1/tokyo/slots/library/+7",
        "/minato/v1/tokyo/slots/library/70000",
        "/minato/v1/tokyo/slots/Library/7",
        "/minato/v1/tokyo/services/",
        "/minato/v1/tokyo/instances/tokyo-1/library/1/1.05",
        "/minato/v1/tokyo/instances/tokyo-1/library/1/1",
        "/minato/v1/tokyo/tomorrow/library",
    ] {
        assert_eq!(keys().parse(strange), None, "{strange}");
    }
}

/// A step of a random history: any document, whole, broken or gone, or a key of another kind.
fn step(random: &mut fastrand::Rng, entries: &mut BTreeMap<String, Entry>, revision: u64) -> Event {
    let (name, key) = random.choice(documents()).unwrap();
    let name_of =
        |random: &mut fastrand::Rng| service(["library", "archive", "mail"][random.usize(..3)]);
    let n = SlotIndex(random.u16(..3));
    let generation = Generation {
        counter: random.u64(..3),
        ..GENERATION
    };
    let key = match key {
        Key::Slot(..) => Key::Slot(name_of(random), n),
        Key::Verdict(gateway, ..) => Key::Verdict(gateway, name_of(random), n),
        Key::Instance(node, ..) => Key::Instance(node, name_of(random), n, generation),
        Key::Intent(_) => Key::Intent(name_of(random)),
        other => other,
    };
    let text = if random.u8(..20) == 0 {
        format!("{}tomorrow/{}", keys().root(), random.u8(..3))
    } else {
        keys().text(&key)
    };
    if random.u8(..3) == 0 {
        entries.remove(&text);
        return Event::Delete {
            key: text,
            revision: Revision(revision),
        };
    }
    let value = if random.u8(..10) == 0 {
        b"broken".to_vec()
    } else {
        golden(name)
    };
    let entry = entry(&text, value, revision);
    entries.insert(text, entry.clone());
    Event::Put(entry)
}

/// Without what a fresh list cannot know: the last good objects of what does not decode, and what vanished.
fn without_kept(observed: &Observed) -> World {
    let mut bare = observed.clone();
    for key in observed.undecodable.keys() {
        bare.apply(&Event::Delete {
            key: key.clone(),
            revision: observed.revision,
        });
    }
    for gone in std::mem::take(&mut bare.world.vanished) {
        match gone {
            Object::Intent(service) => drop(bare.world.intents.remove(&service)),
            Object::Rollout(service) => drop(bare.world.rollouts.remove(&service)),
            Object::Service(_) | Object::Slot(..) => {}
        }
    }
    bare.world
}

#[test]
fn events_lead_to_the_same_world_as_a_fresh_list() {
    let seed = fastrand::u64(..1_000_000);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    for _ in 0..30 {
        let mut entries = BTreeMap::new();
        let mut followed = Observed::new(keys());
        let mut behind = Observed::new(keys());
        for revision in 1..200 {
            let event = step(&mut random, &mut entries, revision);
            followed.apply(&event);
            if random.u8(..10) > 0 {
                continue;
            }
            let listing = Listing {
                revision: Revision(revision),
                entries: entries.values().cloned().collect(),
            };
            let mut fresh = Observed::new(keys());
            fresh.relist(&listing);
            let context = format!("seed {seed}, revision {revision}");
            assert_eq!(without_kept(&followed), fresh.world, "{context}");
            assert_eq!(followed.undecodable, fresh.undecodable, "{context}");
            assert_eq!(followed.revision, fresh.revision, "{context}");
            // One that was away and lists again, deletes included.
            behind.relist(&listing);
            assert_eq!(without_kept(&behind), fresh.world, "{context}");
            assert_eq!(behind.undecodable, fresh.undecodable, "{context}");
        }
    }
}
