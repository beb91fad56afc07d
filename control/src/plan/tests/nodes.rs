//! Nodes that are lost, drained, back, or gone in a mass.

use crate::plan::scene::{NOW, Scene, name};
use crate::plan::{Absences, Losses, Patience, explain, plan_with};
use minato_config::{GatewayId, Health, NodeId};
use minato_health::{Phase, Verdict};
use std::time::Duration;

const WHY: &str = "node z is lost: its lease ended, and nothing there answers";

/// Lives through worlds, each from its second in office on; the losses at the last.
#[track_caller]
fn losses(turns: &[(u64, &Scene)]) -> Losses {
    let mut absences = Absences::default();
    let mut last = Losses::default();
    for (second, scene) in turns {
        let office = Duration::from_secs(*second);
        absences.observe(&scene.world, office);
        last = absences.judge(&scene.world, office, Patience::default());
    }
    last
}

#[track_caller]
fn plans(scene: &Scene, losses: &Losses, expected: &[&str]) {
    let text = plan_with(&scene.world, losses, NOW).to_string();
    assert_eq!(text.lines().collect::<Vec<_>>(), expected);
}

fn lost(losses: &Losses) -> Vec<&str> {
    losses.lost.iter().map(NodeId::as_str).collect()
}

/// One instance on each of a and z; z as `verdict` has it.
fn two(verdict: Verdict) -> Scene {
    Scene::of(2).up(0, "a", 1).running(1, "z", 1, verdict)
}

#[test]
fn a_node_is_lost_after_the_grace_when_nothing_there_answers() {
    let here = two(Verdict::Up).node("z");
    let gone = two(Verdict::Down);
    for (second, expected) in [(5, vec![]), (14, vec![]), (15, vec!["z"])] {
        let losses = losses(&[(0, &here), (5, &gone), (second, &gone)]);
        assert_eq!(lost(&losses), expected, "after {second} s");
    }
    let losses = losses(&[(0, &here), (5, &gone), (15, &gone)]);
    plans(
        &gone,
        &losses,
        &[&format!(
            "library/1: assign 0.2 on node a: {WHY}; down: connect refused"
        )],
    );
    // Without that knowledge it waits, as ever.
    plans(
        &gone,
        &Losses::default(),
        &["library: note: node z is gone: library/1 waits for it"],
    );
}

#[test]
fn a_node_whose_instances_answer_is_never_given_up() {
    let here = two(Verdict::Up).node("z");
    let table = [
        (Verdict::Up, "its instances still answer"),
        (Verdict::Suspect, "its instances still answer"),
    ];
    for (verdict, why) in table {
        let gone = two(verdict);
        let losses = losses(&[(0, &here), (5, &gone), (5_000, &gone)]);
        assert_eq!(lost(&losses), Vec::<&str>::new());
        plans(
            &gone,
            &losses,
            &[&format!(
                "library: note: node z is gone: library/1 waits for it, since {why}"
            )],
        );
    }
    // One that answers is enough, also of another service.
    let gone = two(Verdict::Down)
        .service("archive", 1)
        .running(0, "z", 1, Verdict::Up);
    assert_eq!(
        lost(&losses(&[(0, &here), (5, &gone), (500, &gone)])),
        [""; 0]
    );
}

#[test]
fn one_gateway_that_reaches_it_is_enough() {
    let here = two(Verdict::Up).node("z");
    let gone = two(Verdict::Down)
        .gateway("h")
        .verdict(1, "h", 1, Verdict::Up);
    assert_eq!(
        lost(&losses(&[(0, &here), (5, &gone), (500, &gone)])),
        [""; 0]
    );
    // Its word ends with its life.
    let mut gone = gone;
    gone.world.gateways.remove(&GatewayId::parse("h").unwrap());
    assert_eq!(
        lost(&losses(&[(0, &here), (5, &gone), (500, &gone)])),
        ["z"]
    );
}

#[test]
fn where_nobody_can_say_nothing_moves() {
    let here = two(Verdict::Up).node("z");
    let mut gone = two(Verdict::Down);
    gone.world.verdicts.clear();
    let found = losses(&[(0, &here), (5, &gone), (500, &gone)]);
    assert_eq!(
        found.waiting.values().collect::<Vec<_>>(),
        ["no gateway says whether its instances answer"]
    );
    let mut gone = two(Verdict::Down);
    gone.world.gateways.clear();
    assert_eq!(
        lost(&losses(&[(0, &here), (5, &gone), (500, &gone)])),
        [""; 0]
    );
    // A run that nobody has looked at yet is no silence.
    let gone = two(Verdict::Down).change_instances(|it| it.run.0 += 1);
    assert_eq!(
        lost(&losses(&[(0, &here), (5, &gone), (500, &gone)])),
        [""; 0]
    );
}

#[test]
fn what_runs_nowhere_needs_no_probe() {
    let here = Scene::of(1).node("z").slot(0, "z", 1);
    let gone = Scene::of(1).slot(0, "z", 1);
    assert_eq!(lost(&losses(&[(0, &here), (5, &gone), (15, &gone)])), ["z"]);
    let exited = Scene::of(1)
        .slot(0, "z", 1)
        .instance(0, "z", 1, Phase::Exited);
    assert_eq!(
        lost(&losses(&[(0, &here), (5, &exited), (15, &exited)])),
        ["z"]
    );
    let unchecked = two(Verdict::Down).record(|it| it.service.health = Health::Off);
    assert_eq!(
        lost(&losses(&[(0, &here), (5, &unchecked), (15, &unchecked)])),
        ["z"]
    );
}

#[test]
fn a_node_that_comes_back_in_time_keeps_what_it_has() {
    let here = two(Verdict::Up).node("z");
    let gone = two(Verdict::Down);
    let found = losses(&[
        (0, &here),
        (5, &gone),
        (14, &here),
        (20, &gone),
        (29, &gone),
    ]);
    assert_eq!(lost(&found), [""; 0]);
    let found = losses(&[
        (0, &here),
        (5, &gone),
        (14, &here),
        (20, &gone),
        (30, &gone),
    ]);
    assert_eq!(lost(&found), ["z"]);
}

/// Five nodes; of those in `gone` only instances that do not answer are left.
fn five(gone: &[&str]) -> Scene {
    let mut scene = Scene::empty().gateway("g").service("library", 5);
    for (n, node) in ["a", "b", "c", "d", "e"].into_iter().enumerate() {
        let n = u16::try_from(n).unwrap();
        scene = scene.info(node, |_| {});
        scene = match gone.contains(&node) {
            true => scene.running(n, node, 1, Verdict::Down),
            false => scene.node(node).up(n, node, 1),
        };
    }
    scene
}

#[test]
fn a_new_leader_waits_longer_where_several_nodes_are_missing() {
    let one = five(&["e"]);
    assert_eq!(lost(&losses(&[(0, &one), (10, &one)])), ["e"]);
    let two = five(&["d", "e"]);
    assert_eq!(lost(&losses(&[(0, &two), (59, &two)])), [""; 0]);
    assert_eq!(lost(&losses(&[(0, &two), (60, &two)])), ["d", "e"]);
    // One that goes later is none of those.
    assert_eq!(
        lost(&losses(&[(0, &five(&[])), (5, &two), (15, &two)])),
        ["d", "e"]
    );
}

#[test]
fn when_more_than_half_are_gone_at_once_nothing_moves() {
    let gone = five(&["c", "d", "e"]);
    let found = losses(&[(0, &five(&[])), (5, &gone), (500, &gone)]);
    assert_eq!(lost(&found), [""; 0]);
    let alarm = found.alarm.clone().unwrap();
    assert!(
        alarm.starts_with("3 of 5 nodes are gone at once"),
        "{alarm}"
    );
    let plan = plan_with(&gone.world, &found, NOW);
    assert_eq!(plan.steps, []);
    // Half is not more than half; one after the other is not at once.
    let half = five(&["d", "e"]);
    let found = losses(&[(0, &five(&[])), (5, &half), (500, &half)]);
    assert_eq!((lost(&found), found.alarm.clone()), (vec!["d", "e"], None));
    // Enough are back.
    let found = losses(&[(0, &five(&[])), (5, &gone), (50, &gone), (90, &half)]);
    assert_eq!((lost(&found), found.alarm.clone()), (vec!["d", "e"], None));
}

#[test]
fn nodes_without_slots_count_in_a_mass_too_and_those_of_long_ago_do_not() {
    let all = five(&[]);
    let mut gone = five(&["c", "d", "e"]);
    for n in [2, 3] {
        let slot = (name("library"), minato_config::SlotIndex(n));
        gone.world.slots.get_mut(&slot).unwrap().value.removed = true;
    }
    assert!(
        losses(&[(0, &all), (5, &gone), (50, &gone)])
            .alarm
            .is_some()
    );
    let found = losses(&[(0, &all), (5, &gone), (700, &gone)]);
    assert_eq!((lost(&found), found.alarm.clone()), (vec!["e"], None));
    // Machines that were given up before this leader came are no loss of now.
    assert!(losses(&[(0, &gone), (50, &gone)]).alarm.is_none());
}

#[test]
fn a_lost_node_without_another_says_what_is_missing() {
    let gone = two(Verdict::Down).label_wanted("zone", "west");
    let losses = losses(&[(0, &gone), (60, &gone)]);
    plans(
        &gone,
        &losses,
        &[&format!(
            "library: note: library/1 stays, although {WHY}: without the label zone = \"west\" (a)"
        )],
    );
}

#[test]
fn a_drain_moves_start_first_one_at_a_time() {
    let scene = Scene::of(2)
        .node("z")
        .up(0, "z", 1)
        .up(1, "z", 1)
        .drained("z");
    scene.plans(&[
        "library/2: assign 0.1 on node a: in place of one on a drained node; a of 2 nodes: 0 of it there, 0% in use",
    ]);
    scene.waits("2 of 2 up; library/0 to be moved: node z is drained; library/1 to be moved: node z is drained");
    // It starts, and nothing goes before it is ready.
    let coming = scene.clone().running(2, "a", 1, Verdict::Down).gateway("h");
    coming.plans(&[]);
    let ready = scene.up(2, "a", 1);
    ready.plans(&["library/1: remove: 2 wanted, 3 assigned"]);
    let going = ready.change_slot(1, |it| it.removed = true);
    going.plans(&[
        "library/3: assign 0.1 on node a: in place of one on a drained node; a of 2 nodes: 1 of it there, 0% in use",
    ]);
    let done = Scene::of(2)
        .node("z")
        .up(2, "a", 1)
        .up(3, "a", 1)
        .drained("z");
    done.plans(&[]);
    done.is_done("2 of 2 up");
}

#[test]
fn what_does_not_serve_leaves_a_drained_node_at_once() {
    let scene = Scene::of(2).node("z").up(0, "a", 1);
    let scene = scene.slot(1, "z", 1).instance(1, "z", 1, Phase::Failed);
    scene.drained("z").plans(&[
        "library/1: assign 0.2 on node a: node z is drained; failed: exited with status 3; a of 2 nodes: 1 of it there, \
         0% in use",
    ]);
}

#[test]
fn a_drain_without_room_elsewhere_stops_nothing_and_an_update_says_what_it_waits_for() {
    let scene = Scene::of(1).up(0, "a", 1).drained("a");
    let note = "library: note: library/0 stays on a drained node: drained (a)";
    scene.plans(&[note]);
    let newer = scene.version("2");
    newer.plans(&[
        note,
        "library: note: the update waits, since one more than wanted is started first: drained (a); with update = \
         { order = \"stop-first\" } each is replaced in its place",
    ]);
    newer.in_place().plans(&[
        "library/0: assign 0.2 on node a: its command changed; 0 more to come",
        note,
    ]);
}

#[test]
fn a_drain_that_is_taken_back_takes_the_newcomer_back() {
    let scene = Scene::of(1).node("z").up(0, "z", 1);
    scene
        .running(1, "a", 1, Verdict::Down)
        .plans(&["library/1: remove: 1 wanted, 2 assigned; down: connect refused"]);
}

#[test]
fn an_update_in_a_drain_goes_with_the_move() {
    let scene = Scene::of(1)
        .node("z")
        .up(0, "z", 1)
        .drained("z")
        .version("2");
    scene.plans(&[
        "library/1: assign 0.1 on node a: in place of one on a drained node; a of 2 nodes: 0 of it there, 0% in use",
    ]);
}

#[test]
fn the_drain_of_a_node_that_is_gone_is_the_operators_word() {
    let here = two(Verdict::Up).node("z");
    let gone = two(Verdict::Down).drained("z");
    let losses = losses(&[(0, &here), (5, &gone)]);
    plans(
        &gone,
        &losses,
        &["library/1: assign 0.2 on node a: node z is drained; down: connect refused"],
    );
}

#[test]
fn placing_is_explained() {
    let scene = Scene::of(3).node("z").up(0, "a", 1).up(1, "a", 1);
    let scene = scene
        .label_wanted("zone", "west")
        .label("z", "zone", "east");
    let found = explain(&scene.world, &Losses::default(), &name("library"), NOW).unwrap();
    assert_eq!(found.wanted, 3);
    assert_eq!(found.slots.len(), 2);
    assert_eq!(found.slots[0].condition, "ready");
    assert_eq!(
        found.slots[0].otherwise,
        "to place it anew: without the label zone = \"west\" (a, z)"
    );
    assert_eq!(
        found.missing,
        ["2 of 3 slots have a node: without the label zone = \"west\" (a, z)"]
    );
    let nodes: Vec<_> = found
        .nodes
        .iter()
        .map(|it| (it.node.as_str(), it.here, it.fits))
        .collect();
    assert_eq!(nodes, [("a", 2, false), ("z", 0, false)]);
    let scene = Scene::of(2).node("z").up(0, "a", 1).up(1, "a", 1);
    let found = explain(&scene.world, &Losses::default(), &name("library"), NOW).unwrap();
    assert_eq!(
        found.slots[0].why,
        "it was placed there, and nothing moves while it serves; now it would go elsewhere: z of 2 nodes: 0 of it there, 0% in use"
    );
    assert!(explain(&scene.world, &Losses::default(), &name("none"), NOW).is_none());
}
