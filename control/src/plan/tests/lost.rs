//! Accidents: nodes and documents that vanish stop nothing.

use crate::plan::scene::{NOW, Scene, command, name};
use crate::plan::{Action, Object, plan};
use minato_health::{Phase, Verdict};

#[test]
fn slots_of_a_lost_node_wait_for_it() {
    let scene = Scene::of(2)
        .up(0, "a", 1)
        .slot(1, "z", 1)
        .instance(1, "z", 1, Phase::Failed);
    scene.plans(&["library: note: node z is gone: library/1 waits for it"]);
    scene.waits("1 of 2 up; library/1 waits for node z, which is gone");
    let note = "library: note: node z is gone: library/1 waits for it";
    let newer = scene.version("2");
    newer.clone().in_place().plans(&[
        note,
        "library: note: the update holds at library/0: library/1 is not ready",
    ]);
    newer.plans(&[
        "library/2: assign 0.1 on node a: its command changed; started first, 1 more to come",
        note,
    ]);
}

#[test]
fn a_record_that_vanishes_stops_nothing() {
    let mut scene = Scene::of(2)
        .up(0, "a", 1)
        .instance(3, "a", 1, Phase::Running);
    scene.world.services.clear();
    scene.plans(&[
        "library: note: its record vanished without having been removed; 1 slots and 1 instances without one stay as \
         they are until it is written again",
    ]);
    scene.waits("the record of library vanished; 2 slots are left as they are");
}

#[test]
fn slots_that_vanish_come_back_as_they_were() {
    let scene = Scene::of(2).node("b").up(0, "a", 5).up(1, "b", 6);
    let why = "its document is lost while an instance runs; if the command was being changed: minato restart library";
    let lost = scene.lose_slot(0).lose_slot(1);
    lost.plans(&[
        &format!("library/0: assign 0.5 on node a: {why}"),
        &format!("library/1: assign 0.6 on node b: {why}"),
    ]);
    lost.waits(
        "0 of 2 up; 2 without a node yet; library/0 without a slot; library/1 without a slot",
    );
    // Of several generations the newest; one that is being stopped does not come back.
    let lost = lost.instance(1, "b", 7, Phase::Running);
    lost.instance(0, "a", 5, Phase::Stopping)
        .plans(&[&format!("library/1: assign 0.7 on node b: {why}")]);
}

#[test]
fn an_instance_document_that_vanishes_is_no_reason_to_replace() {
    let mut scene = Scene::of(2).up(0, "a", 1).up(1, "a", 1).version("2");
    scene.world.instances.clear();
    scene.clone().in_place().plans(&[]);
    scene.plans(&[
        "library/2: assign 0.1 on node a: its command changed; started first, 1 more to come",
    ]);
}

#[test]
fn a_slot_that_went_back_follows_its_instance() {
    let scene = Scene::of(1)
        .slot(0, "a", 4)
        .instance(0, "a", 6, Phase::Running);
    scene.plans(&[
        "library/0: assign 0.6 on node a: its document is lost while an instance runs; if the command was being \
         changed: minato restart library",
    ]);
    // An older generation that has not been stopped yet is nothing of that kind.
    let scene = Scene::of(1).up(0, "a", 6);
    scene.instance(0, "a", 5, Phase::Running).plans(&[]);
}

#[test]
fn a_lost_slot_passes_for_current_only_while_it_is_ready() {
    let lost = Scene::of(1).version("2").gateway("g");
    let lost = lost.instance(0, "a", 6, Phase::Running);
    let digest = |scene: &Scene| match &plan(&scene.world, NOW).steps[0].action {
        Action::Assign(_, slot) => slot.digest.clone(),
        other => panic!("{other:?}"),
    };
    let ready = lost.clone().verdict(0, "g", 6, Verdict::Up);
    assert_eq!(digest(&ready), command("2").digest());
    assert_eq!(digest(&lost.verdict(0, "g", 6, Verdict::Down)), "");
}

#[test]
fn an_intent_that_vanishes_holds_and_is_no_conflict() {
    let mut scene = Scene::of(1).at(7).intent(|it| it.replicas = Some(2));
    let object = Object::Intent(name("library"));
    let relied = |scene: &Scene| {
        let steps = plan(&scene.world, NOW).steps;
        let found = steps[0].relies_on.iter().find(|it| it.object == object);
        found.map(|it| it.modified)
    };
    assert_eq!(relied(&scene), Some(Some(7)));
    scene.world.vanished.insert(object.clone());
    // Its document is not there, and that is what the transaction must find.
    assert_eq!(relied(&scene), Some(None));
    scene.plans(&[
        "library/0: assign 0.1 on node a: 2 wanted, 0 assigned",
        "library/1: assign 0.1 on node a: 2 wanted, 1 assigned",
        "library: note: what was set by hand vanished without having been reset and holds on; write it again: minato \
         scale library 2",
    ]);
    scene.intent(|it| it.drain = true).plans(&[
        "library/0: assign 0.1 on node a: 2 wanted, 0 assigned",
        "library/1: assign 0.1 on node a: 2 wanted, 1 assigned",
        "library: note: what was set by hand vanished without having been reset and holds on; write it again: minato \
         scale library 2; minato drain library",
    ]);
}

#[test]
fn a_record_of_fixed_endpoints_that_vanishes_is_said() {
    let mut scene = Scene::empty();
    let object = Object::Service(name("archive"));
    scene.world.vanished.insert(object);
    scene.plans(&[
        "archive: note: its record vanished without having been removed; gateways go on with what they know until it is \
         written again",
    ]);
}
