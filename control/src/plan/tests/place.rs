//! Where missing slots go, and under which generation.

use crate::plan::scene::{NOW, Scene, command, name};
use crate::plan::{Losses, explain, plan, wanted};
use minato_config::Backend;
use minato_health::Phase;

#[test]
fn missing_slots_get_the_lowest_free_index() {
    Scene::of(3).up(1, "a", 4).plans(&[
        "library/0: assign 0.1 on node a: 3 wanted, 1 assigned",
        "library/2: assign 0.1 on node a: 3 wanted, 2 assigned",
    ]);
}

#[test]
fn an_index_that_is_being_stopped_is_not_free() {
    Scene::of(1)
        .up(0, "a", 1)
        .change_slot(0, |it| it.removed = true)
        .plans(&["library/1: assign 0.1 on node a: 1 wanted, 0 assigned"]);
}

#[test]
fn a_service_spreads_first_then_the_nodes_fill_evenly() {
    let scene = Scene::of(3).node("b").node("c");
    scene
        .service("archive", 1)
        .up(0, "a", 1)
        .service("library", 3)
        .up(0, "b", 1)
        .plans(&[
            "library/1: assign 0.1 on node c: 3 wanted, 1 assigned; c of 3 nodes: 0 of it there, 0% in use",
            "library/2: assign 0.1 on node a: 3 wanted, 2 assigned; a of 3 nodes: 0 of it there, 0% in use",
        ]);
}

#[test]
fn services_of_one_plan_see_each_others_slots() {
    Scene::of(1).node("b").service("archive", 1).plans(&[
        "archive/0: assign 0.1 on node a: 1 wanted, 0 assigned; a of 2 nodes: 0 of it there, 0% in use",
        "library/0: assign 0.1 on node b: 1 wanted, 0 assigned; b of 2 nodes: 0 of it there, 0% in use",
    ]);
}

#[test]
fn without_a_node_nothing_is_placed() {
    let scene = Scene::empty().service("library", 2).gateway("g");
    scene.plans(&["library: note: 0 of 2 slots have a node: no node is alive"]);
    scene.waits("0 of 2 up; 2 without a node yet");
}

#[test]
fn a_fixed_port_takes_one_instance_on_a_node() {
    let fixed = |scene: Scene| {
        let mut command = command("1");
        command.port = Some(9000);
        let digest = command.digest();
        scene
            .record(|it| it.service.backend = Backend::Command(command.clone()))
            .change_slot(0, |it| it.digest = digest)
    };
    let note = "library: note: 1 of 2 slots have a node: port 9000 is fixed, so a node takes one at most (a)";
    fixed(Scene::of(2).up(0, "a", 1)).plans(&[note]);
    fixed(Scene::of(2).up(0, "a", 1))
        .node("b")
        .plans(&["library/1: assign 0.1 on node b: 2 wanted, 1 assigned; b of 2 nodes: 0 of it there, 0% in use"]);
    fixed(Scene::of(1).up(0, "a", 1))
        .change_slot(0, |it| it.removed = true)
        .plans(&[
            "library: note: 0 of 1 slots have a node: port 9000 is fixed, so a node takes one at most (a)",
        ]);
}

#[test]
fn a_new_slot_never_takes_a_used_generation() {
    let mut scene = Scene::of(1).instance(0, "a", 7, Phase::Stopping);
    scene.plans(&["library/0: assign 0.8 on node a: 1 wanted, 0 assigned"]);
    scene.world.revision = 40;
    scene.plans(&["library/0: assign 0.41 on node a: 1 wanted, 0 assigned"]);
    // The operator's last word came after whatever the slot was before.
    let scene = scene.at(50).intent(|it| it.replicas = Some(1));
    scene.plans(&["library/0: assign 0.51 on node a: 1 wanted, 0 assigned"]);
}

#[test]
fn a_new_slot_begins_in_the_highest_era() {
    let scene = Scene::of(2).slot(0, "a", 3);
    scene
        .change_slot(0, |it| it.generation.era = 2)
        .plans(&["library/1: assign 2.1 on node a: 2 wanted, 1 assigned"]);
}

#[test]
fn an_intent_beats_the_file() {
    let scene = Scene::of(1).up(0, "a", 1);
    let scene = scene.intent(|it| it.replicas = Some(2));
    assert_eq!(wanted(&scene.world, &name("library")), 2);
    scene.plans(&["library/1: assign 0.1 on node a: 2 wanted, 1 assigned"]);
}

#[test]
fn the_highest_counter_does_not_overflow() {
    let scene = Scene::of(2).slot(0, "a", u64::MAX).version("2").instance(
        1,
        "a",
        u64::MAX,
        Phase::Stopping,
    );
    assert_eq!(plan(&scene.world, NOW).steps.len(), 2);
}

#[test]
fn nothing_is_placed_or_moved_to_where_a_dependency_is_out_of_reach() {
    let scene = Scene::of(2)
        .depends_on("library-db")
        .node("b")
        .lacks("a", "library-db");
    scene.plans(&[
        "library/0: assign 0.1 on node b: 2 wanted, 0 assigned; b of 2 nodes: 0 of it there, 0% in use",
        "library/1: assign 0.1 on node b: 2 wanted, 1 assigned; b of 2 nodes: 1 of it there, 0% in use",
    ]);
    let explained = |scene: &Scene| {
        let explained = explain(&scene.world, &Losses::default(), &name("library"), NOW);
        explained.unwrap()
    };
    let nodes = explained(&scene).nodes;
    assert!(!nodes[0].fits && nodes[1].fits);
    assert_eq!(
        nodes[0].why,
        "does not reach library-db (server: 10.0.0.9:1 connect refused)"
    );
    // A drain is an operator's word: without another node that reaches it, what is on b goes to a and waits there.
    let drained = scene.clone().up(0, "b", 1).up(1, "b", 1).drained("b");
    let plan_of = plan(&drained.world, NOW).to_string();
    assert!(
        plan_of.contains("on node a: in place of one on a drained node"),
        "{plan_of}"
    );
    // Nobody reaches it: they are spread as ever, and wait.
    let nobody = scene.clone().lacks("b", "library-db");
    nobody.plans(&[
        "library/0: assign 0.1 on node a: 2 wanted, 0 assigned; a of 2 nodes: 0 of it there, 0% in use",
        "library/1: assign 0.1 on node b: 2 wanted, 1 assigned; b of 2 nodes: 0 of it there, 0% in use",
    ]);
    // What is there already stays, and it is said why another would not come.
    let there = scene.up(0, "a", 1).up(1, "b", 1);
    there.plans(&[]);
    let slot = &explained(&there).slots[0];
    assert!(
        slot.why
            .starts_with("node a does not reach library-db (server: ")
            && slot
                .why
                .ends_with("now it would go elsewhere: b of 2 nodes: 1 of it there, 0% in use"),
        "{slot:?}"
    );
    // Who depends on something else does not care.
    let free = Scene::of(1).node("b").lacks("a", "library-db");
    free.plans(&["library/0: assign 0.1 on node a: 1 wanted, 0 assigned; a of 2 nodes: 0 of it there, 0% in use"]);
}
