//! What ends: surplus, removed slots, removed services.

use crate::plan::scene::{NOW, Scene, name};
use crate::plan::{Object, Relied, STEPS_PER_SERVICE, plan, wanted};
use minato_config::{Backend, SlotIndex};
use minato_health::{Phase, Verdict};

#[test]
fn a_service_that_should_have_no_instances_has_none() {
    Scene::of(0).plans(&[]);
    let scene = Scene::of(0).up(0, "a", 1).up(1, "a", 1);
    scene.plans(&[
        "library/1: remove: 0 wanted, 2 assigned",
        "library/0: remove: 0 wanted, 2 assigned",
    ]);
}

#[test]
fn surplus_goes_worst_first_then_highest_index() {
    let scene = Scene::of(1)
        .up(0, "a", 1)
        .up(1, "a", 1)
        .running(2, "a", 1, Verdict::Down)
        .running(3, "a", 1, Verdict::Suspect)
        .slot(4, "a", 1)
        .slot(5, "a", 1)
        .instance(5, "a", 1, Phase::Failed)
        .up(6, "a", 1);
    let all = [
        "library/5: remove: 1 wanted, 7 assigned; failed: exited with status 3",
        "library/4: remove: 1 wanted, 7 assigned; not started yet",
        "library/2: remove: 1 wanted, 7 assigned; down: connect refused",
        "library/3: remove: 1 wanted, 7 assigned; suspect: connect refused",
        "library/6: remove: 1 wanted, 7 assigned",
        "library/1: remove: 1 wanted, 7 assigned",
    ];
    scene.plans(&all);
    for keep in 2..=6_u16 {
        let count = 7 - usize::from(keep);
        let lines: Vec<String> = all[..count]
            .iter()
            .map(|it| it.replace("1 wanted", &format!("{keep} wanted")))
            .collect();
        let scene = scene.clone().intent(|it| it.replicas = Some(keep));
        let text = plan(&scene.world, NOW).to_string();
        let removed: Vec<&str> = text.lines().filter(|it| it.contains(": remove")).collect();
        assert_eq!(removed, lines);
    }
}

#[test]
fn a_removed_slot_is_forgotten_once_its_instances_are_gone() {
    let scene = Scene::of(1)
        .up(0, "a", 1)
        .slot(1, "a", 2)
        .change_slot(1, |it| it.removed = true);
    scene.plans(&["library/1: forget: removed, and its instances are gone"]);
    scene.waits("1 of 1 up; library/1 to be stopped");
    // An older generation that still stops counts.
    scene.instance(1, "a", 1, Phase::Stopping).plans(&[]);
}

#[test]
fn a_removed_service_ends_slot_by_slot() {
    let removed = |scene: Scene| scene.record(|it| it.removed = true);
    let scene = removed(Scene::of(2).up(0, "a", 1).up(1, "a", 1));
    scene.plans(&[
        "library/1: remove: the service is removed",
        "library/0: remove: the service is removed",
    ]);
    scene.waits("library is removed; 2 slots are left");
    let scene = removed(Scene::of(2).slot(0, "a", 1)).change_slot(0, |it| it.removed = true);
    scene.plans(&[
        "library/0: forget: removed, and its instances are gone",
        "library: forget: removed, and no slot is left",
    ]);
    removed(Scene::of(2).instance(0, "a", 1, Phase::Running)).plans(&[
        "library/0: assign 0.1 on node a: its document is lost while an instance runs; if the command was being \
         changed: minato restart library",
    ]);
    Scene::empty().is_done("library is not there");
}

#[test]
fn a_service_that_became_fixed_endpoints_needs_no_slots() {
    let endpoints = Backend::Endpoints(vec![([10, 0, 0, 7], 80).into()]);
    let scene = Scene::of(1).up(0, "a", 1);
    let scene = scene.record(|it| it.service.backend = endpoints.clone());
    scene.plans(&["library/0: remove: fixed endpoints need no slots"]);
    scene.waits("library has fixed endpoints; 1 slots of its command are left");
    let scene = Scene::of(1).record(|it| it.service.backend = endpoints);
    scene.plans(&[]);
    scene.is_done("1 fixed endpoints");
    assert_eq!(wanted(&scene.world, &name("library")), 1);
}

#[test]
fn a_plan_fits_in_one_transaction() {
    let plan = plan(&Scene::of(500).world, NOW);
    assert_eq!(plan.steps.len(), STEPS_PER_SERVICE);
    let removed = (0..200).fold(Scene::of(1), |scene, n| scene.slot(n, "a", 1));
    let removed = removed.record(|it| it.removed = true);
    assert_eq!(
        crate::plan(&removed.world, NOW).steps.len(),
        STEPS_PER_SERVICE
    );
}

#[test]
fn a_step_names_what_it_relies_on() {
    let scene = Scene::of(2)
        .at(5)
        .up(0, "a", 1)
        .at(6)
        .intent(|it| it.replicas = Some(3))
        .at(7)
        .slot(2, "a", 1)
        .change_slot(2, |it| it.removed = true);
    let relied = |object, modified| Relied { object, modified };
    let slot = |n| Object::Slot(name("library"), SlotIndex(n));
    let base = [
        relied(Object::Service(name("library")), Some(0)),
        relied(Object::Intent(name("library")), Some(6)),
        relied(slot(0), Some(5)),
    ];
    let plan = plan(&scene.world, NOW);
    let [forget, first, second] = plan.steps.as_slice() else {
        panic!("{plan}")
    };
    assert_eq!(forget.relies_on, [relied(slot(2), Some(7))]);
    let with = |absent| {
        let mut all = base.to_vec();
        all.extend([relied(slot(2), Some(7)), relied(slot(absent), None)]);
        all.sort();
        all
    };
    assert_eq!(first.relies_on, with(1));
    assert_eq!(second.relies_on, with(3));
    // What takes a slot away relies on those that stay.
    let full = vec![
        relied(Object::Service(name("library")), Some(0)),
        relied(Object::Intent(name("library")), None),
        relied(slot(0), Some(0)),
        relied(slot(1), Some(0)),
    ];
    let two = |replicas| Scene::of(replicas).up(0, "a", 1).up(1, "a", 1);
    assert_eq!(crate::plan(&two(1).world, NOW).steps[0].relies_on, full);
    let update = two(2).in_place().version("2");
    assert_eq!(crate::plan(&update.world, NOW).steps[0].relies_on, full);
    // No intent: it must stay so.
    let step = &crate::plan(&Scene::of(1).world, NOW).steps[0];
    assert_eq!(
        step.relies_on[1],
        relied(Object::Intent(name("library")), None)
    );
}
