//! What golden files mean; each of them is named here.

use super::*;

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
fn a_golden_mirror_and_order_mean_what_they_say() {
    let world = golden_world().world;
    let osaka = SiteId::parse("osaka").unwrap();
    let mirror = &world.mirrors[&(osaka.clone(), service("shop"))].value;
    let sites = mirror.record.service.sites.as_ref().unwrap();
    assert_eq!((&mirror.home, sites.place(&osaka)), (&osaka, Some(0)));
    assert_eq!(sites.standby, Standby::Cold);
    let tokyo = SiteId::parse("tokyo").unwrap();
    assert_eq!(mirror.record.service.clone().at(&tokyo).replicas, 2);
    let order = &world.orders[&service("library")].value;
    assert_eq!((&order.first, order.epoch), (&osaka, 4));
    assert!(
        !world.services.contains_key(&service("shop")),
        "only the leader says what it is here"
    );
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
fn a_golden_operation_means_what_it_says() {
    let world = golden_world().world;
    let operation = &world.operations[&OperationId(12)].value;
    let Work::Wave(wave) = &operation.work;
    let image = ImageReference::parse("registry.example/repo:3.2").unwrap();
    assert_eq!(wave.change, WaveChange::Image(image));
    assert_eq!((wave.size, wave.stop_after, wave.forgiven), (5, 2, 1));
    assert_eq!(operation.state, OperationState::Held);
    assert_eq!(operation.schedule.repeat, Repeat::Daily);
    assert_eq!(operation.schedule.until, Some(Timestamp(1_767_229_300_000)));
    let steps = &operation.steps;
    assert_eq!(
        (steps[0].state, steps[0].number),
        (StepState::Failed, Some(9))
    );
    assert_eq!((steps[1].state, steps[1].wave), (StepState::Waiting, 2));
    // What this minato writes is what it reads.
    let text = serde_json::to_vec(operation).unwrap();
    assert_eq!(
        &serde_json::from_slice::<minato_control::Operation>(&text).unwrap(),
        operation
    );
}

#[test]
fn golden_absences_and_reach_mean_what_they_say() {
    let world = golden_world().world;
    let record = &world.absences.as_ref().unwrap().value;
    let of = |name: &str| &record.nodes[&NodeId::parse(name).unwrap()];
    assert!(of("tokyo-2").lost && !of("tokyo-3").lost);
    assert_eq!(of("tokyo-2").since, Timestamp(1_767_225_600_000));
    let losses = record.losses();
    assert_eq!(
        (losses.lost.len(), losses.waiting.len(), losses.alarm),
        (1, 1, None)
    );
    let lacks = &world.reaches[&node()].value.lacks;
    let name = DependencyName::parse("library-db").unwrap();
    assert!(lacks[&name].starts_with("database: 10.0.0.9:3306 "));
}
