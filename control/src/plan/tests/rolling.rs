//! One version takes another's place: started first, and an old one goes only for a new one that has proved itself.

use crate::plan::scene::{Scene, command, generation, version};
use crate::{Going, Passed, RolloutStage};
use minato_config::{SlotIndex, Timestamp};
use minato_health::{Phase, Verdict};

fn going(to: &str) -> Going {
    Going {
        to: version(to),
        step: RolloutStage::Replacing,
        fetch: 0,
        freshness: Default::default(),
        nodes: Default::default(),
        reason: "its file changed".to_owned(),
        since: Timestamp(0),
    }
}

fn passed(n: u16, counter: u64) -> Passed {
    Passed {
        slot: SlotIndex(n),
        generation: generation(counter),
    }
}

/// Two of version 1 that serve, and version 2 under way.
fn half_way() -> Scene {
    Scene::of(2)
        .up(0, "a", 1)
        .up(1, "a", 1)
        .version("2")
        .rollout(|it| {
            it.stable = Some(version("1"));
            it.going = Some(going("2"));
        })
}

/// A slot of version 2.
fn newer(scene: Scene, n: u16) -> Scene {
    let scene = scene.slot(n, "a", 9);
    scene.change_slot(n, |it| it.digest = command("2").digest())
}

#[test]
fn nothing_happens_before_the_rollout_is_written_down() {
    let scene = Scene::of(2).up(0, "a", 1).up(1, "a", 1).version("2");
    let scene = scene.rollout(|it| it.stable = Some(version("1")));
    scene.plans(&[]);
    scene.is_done("2 of 2 up");
    scene
        .rollout(|it| {
            it.going = Some(Going {
                step: RolloutStage::Fetching,
                ..going("2")
            });
        })
        .plans(&[]);
}

#[test]
fn one_more_is_started_and_an_old_one_goes_when_it_has_passed() {
    half_way().plans(&[
        "library/2: assign 0.1 on node a: its command changed; started first, 1 more to come",
    ]);
    let on_trial = newer(half_way(), 2).instance(2, "a", 9, Phase::Running);
    let note = "library: note: the update holds: library/2 is not ready";
    on_trial.plans(&[note]);
    let up = on_trial.verdict(2, "g", 9, Verdict::Up);
    up.plans(&[]);
    let proven = up.rollout(|it| it.passed = [passed(2, 9)].into());
    proven.plans(&["library/1: remove: another version has taken its place"]);
    // A generation that nobody saw pass has not.
    let other = proven.rollout(|it| it.passed = [passed(2, 8)].into());
    other.plans(&[]);
}

#[test]
fn the_next_waits_until_the_old_one_is_gone() {
    let scene = newer(half_way(), 2)
        .instance(2, "a", 9, Phase::Running)
        .verdict(2, "g", 9, Verdict::Up)
        .rollout(|it| it.passed = [passed(2, 9)].into())
        .change_slot(1, |it| it.removed = true);
    scene.plans(&[]);
    scene.drop_slot(1).plans(&[
        "library/1: assign 0.1 on node a: its command changed; started first, 0 more to come",
    ]);
}

#[test]
fn a_newcomer_that_fails_takes_nobody_away() {
    let scene = newer(half_way(), 2).instance(2, "a", 9, Phase::Exited);
    scene.plans(&["library: note: the update holds: library/2 is not ready"]);
    // Given up: it goes, and nothing else.
    let back = scene.rollout(|it| {
        it.going = None;
        it.passed = [passed(0, 1), passed(1, 1)].into();
    });
    back.plans(&[
        "library/2: remove: another version has taken its place; ended: exited with status 3",
    ]);
}

#[test]
fn repairs_are_of_the_version_that_serves_until_the_other_has_proved_itself() {
    let scene = half_way().drop_slot(1);
    let digest = |scene: &Scene| match &crate::plan::plan(&scene.world, crate::plan::scene::NOW)
        .steps[0]
        .action
    {
        crate::plan::Action::Assign(_, slot) => slot.digest.clone(),
        other => format!("{other:?}"),
    };
    assert_eq!(digest(&scene), command("1").digest());
    let proven = newer(scene, 2)
        .rollout(|it| it.passed = [passed(2, 9)].into())
        .drop_slot(2);
    assert_eq!(digest(&proven), command("2").digest());
}

#[test]
fn more_at_once_where_the_file_says_so() {
    half_way()
        .record(|it| it.service.update.parallel = 2)
        .plans(&[
            "library/2: assign 0.1 on node a: its command changed; started first, 1 more to come",
            "library/3: assign 0.1 on node a: its command changed; started first, 0 more to come",
        ]);
}

#[test]
fn fewer_wanted_in_the_middle_takes_old_ones_first() {
    let scene = newer(half_way(), 2).instance(2, "a", 9, Phase::Running);
    let scene = scene.intent(|it| it.replicas = Some(1));
    scene.plans(&["library/1: remove: 1 wanted, 3 assigned"]);
}
