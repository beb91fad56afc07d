//! New generations: updates, restarts, retries of what failed.

use crate::plan::plan;
use crate::plan::scene::{NOW, Scene, command, generation};
use minato_config::{Backend, Command, Restart, Timestamp};
use minato_health::{Instance, Phase, Verdict};

#[test]
fn in_its_place_one_slot_at_a_time() {
    let scene = Scene::of(2).in_place().up(0, "a", 1).up(1, "a", 1);
    let scene = scene.version("2");
    scene.plans(&["library/0: assign 0.2 on node a: its command changed; 1 more to come"]);
    let half = scene.slot(0, "a", 2);
    let half = half.change_slot(0, |it| it.digest = command("2").digest());
    half.plans(&[]);
    let half = half.instance(0, "a", 2, Phase::Running);
    half.clone()
        .verdict(0, "g", 2, Verdict::Suspect)
        .plans(&["library: note: the update holds at library/1: library/0 is not ready"]);
    half.verdict(0, "g", 2, Verdict::Up)
        .plans(&["library/1: assign 0.2 on node a: its command changed; 0 more to come"]);
}

#[test]
fn a_restart_replaces_one_slot_at_a_time() {
    let scene = Scene::of(2).in_place().up(0, "a", 1).up(1, "a", 1);
    let scene = scene.intent(|it| it.restart = Some(Restart(9)));
    scene.plans(&["library/0: assign 0.2 on node a: a restart was asked for; 1 more to come"]);
    scene.waits(
        "2 of 2 up; library/0 to be replaced: a restart was asked for; library/1 to be replaced: a restart was asked for",
    );
    let done = scene.change_slot(0, |it| it.restart = Some(Restart(9)));
    let done = done.change_slot(1, |it| it.restart = Some(Restart(10)));
    done.plans(&[]);
    done.is_done("2 of 2 up");
}

#[test]
fn what_is_broken_and_out_of_date_is_replaced_at_once() {
    Scene::of(4)
        .up(0, "a", 1)
        .running(1, "a", 1, Verdict::Down)
        .slot(2, "a", 1)
        .slot(3, "a", 1)
        .instance(3, "a", 1, Phase::Failed)
        .version("2")
        .plans(&[
            "library/1: assign 0.2 on node a: its command changed; down: connect refused",
            "library/2: assign 0.2 on node a: its command changed; not started yet",
            "library/3: assign 0.2 on node a: its command changed; failed: exited with status 3",
        ]);
}

#[test]
fn observers_that_have_just_started_break_nothing() {
    let scene = Scene::of(2).in_place().version("2");
    let scene = scene.running(0, "a", 1, Verdict::Down);
    let scene = scene.running(1, "a", 1, Verdict::Down);
    let scene = scene.change_instances(|it| it.local = Some(Verdict::Down));
    let note = "library: note: the update holds at library/0: library/1 is not ready";
    let fresh = |ms: u64| {
        let scene = scene.clone();
        scene.change_verdicts(move |it| it.since = Timestamp(NOW.0 - ms))
    };
    fresh(9_999).plans(&[note]);
    assert_eq!(plan(&fresh(10_000).world, NOW).steps.len(), 2);
    // No report on this generation at all: nobody knows.
    scene
        .change_verdicts(|it| it.generation = generation(9))
        .plans(&[note]);
}

#[test]
fn an_update_waits_for_a_slot_that_is_not_ready() {
    let scene = Scene::of(2).in_place().up(0, "a", 1).version("2");
    let scene = scene.running(1, "a", 2, Verdict::Down);
    let scene = scene.change_slot(1, |it| it.digest = command("2").digest());
    scene.plans(&["library: note: the update holds at library/0: library/1 is not ready"]);
    scene.waits(
        "1 of 2 up; library/0 to be replaced: its command changed; library/1 down: connect refused",
    );
    // Freshly started: no reason to tell anybody.
    let young = |it: &mut Instance| it.since = Timestamp(NOW.0 - 59_000);
    scene.change_instances(young).plans(&[]);
}

#[test]
fn a_fixed_port_is_replaced_in_place_where_no_other_node_takes_it() {
    let fixed = |version| {
        Backend::Command(Command {
            port: Some(8080),
            ..command(version)
        })
    };
    let digest = |version| match fixed(version) {
        Backend::Command(it) => it.digest(),
        Backend::Endpoints(_) => String::new(),
    };
    let scene = Scene::of(1).up(0, "a", 1);
    let scene = scene.change_slot(0, |it| it.digest = digest("1"));
    let scene = scene.record(|it| it.service.backend = fixed("2"));
    scene.plans(&["library/0: assign 0.2 on node a: its command changed; 0 more to come"]);
    scene.node("b").plans(&[
        "library/1: assign 0.1 on node b: its command changed; started first, 0 more to come; b of 2 nodes: 0 of it there, \
         0% in use",
    ]);
}

#[test]
fn no_update_begins_while_slots_come_or_go() {
    Scene::of(3)
        .up(0, "a", 1)
        .up(1, "a", 1)
        .version("2")
        .plans(&["library/2: assign 0.1 on node a: 3 wanted, 2 assigned"]);
    Scene::of(1)
        .up(0, "a", 1)
        .up(1, "a", 1)
        .version("2")
        .plans(&["library/1: remove: 1 wanted, 2 assigned"]);
}

#[test]
fn failed_is_tried_again_after_a_minute_and_not_before() {
    let scene = Scene::of(1)
        .slot(0, "a", 3)
        .instance(0, "a", 3, Phase::Failed);
    let since = |ms: u64| {
        let scene = scene.clone();
        scene.change_instances(move |it| it.since = Timestamp(NOW.0 - ms))
    };
    since(60_000)
        .plans(&["library/0: assign 0.4 on node a: failed: exited with status 3 for 60 s"]);
    let note =
        "library: note: library/0 failed: exited with status 3; tried again 60 s after it failed";
    since(59_999).plans(&[note]);
    // A moment ahead: of a clock that goes a little fast, or of one that was set back since.
    let ahead = |ms: u64| {
        let scene = scene.clone();
        scene.change_instances(move |it| it.since = Timestamp(NOW.0 + ms))
    };
    ahead(60_000).plans(&[note]);
    for ms in [60_001, 31_536_000_000, u64::MAX - NOW.0] {
        ahead(ms)
            .plans(&["library/0: assign 0.4 on node a: failed: exited with status 3 for 60 s"]);
    }
    scene.waits("0 of 1 up; library/0 failed: exited with status 3");
}

#[test]
fn failed_moves_where_fewer_slots_are() {
    let scene = Scene::of(2)
        .node("b")
        .slot(0, "a", 3)
        .instance(0, "a", 3, Phase::Failed)
        .up(1, "a", 1);
    scene.plans(&["library/0: assign 0.4 on node b: failed: exited with status 3 for 60 s"]);
    scene
        .service("archive", 2)
        .up(0, "b", 1)
        .up(1, "b", 1)
        .plans(&["library/0: assign 0.4 on node a: failed: exited with status 3 for 60 s"]);
}
