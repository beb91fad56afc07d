//! Whole rollouts, second by second, by the documents that the leader writes and what it tells.

use crate::plan::Losses;
use crate::plan::scene::{NOW, Scene, command, generation, name, version};
use crate::{
    FailureKind, Freshness, ImageReport, ImageState, Level, RolloutRecord, RolloutStage,
    RolloutStanding, Rollouts, Stored, rollout_standing,
};
use minato_config::{
    Backend, Command, Image, ImageReference, NodeId, Release, Released, Restart, ServiceName,
    Timestamp,
};
use minato_health::{Phase, Verdict};
use std::time::{Duration, Instant};

/// A leader, and its clock.
struct Leader {
    rollouts: Rollouts,
    began: Instant,
    seconds: u64,
}

impl Leader {
    #[expect(clippy::disallowed_methods, reason = "an origin for simulated time")]
    fn new() -> Self {
        Self {
            rollouts: Rollouts::default(),
            began: Instant::now(),
            seconds: 0,
        }
    }

    /// Looks at a world this many seconds later, writes what follows into it, and says what it tells.
    fn after(&mut self, seconds: u64, scene: &mut Scene) -> Vec<String> {
        self.seconds += seconds;
        let now = self.began + Duration::from_secs(self.seconds);
        let wall = Timestamp(NOW.0 + self.seconds * 1_000);
        let losses = Losses::default();
        let steps = self.rollouts.turn(&scene.world, &losses, now, wall);
        let mut told = Vec::new();
        for step in steps {
            let before = scene.world.rollouts.get(&step.service);
            assert_eq!(before.map(|it| it.modified), step.modified);
            told.extend(step.news.into_iter().map(|it| match it.level {
                Level::Info => it.text,
                level => format!("{level}: {}", it.text),
            }));
            let stored = Stored {
                value: step.record,
                modified: before.map_or(1, |it| it.modified + 1),
            };
            scene.world.rollouts.insert(step.service, stored);
        }
        told
    }
}

fn record(scene: &Scene) -> &RolloutRecord {
    &scene.world.rollouts[&name("library")].value
}

/// Version 1 is what serves, as the leader knows; then the file says version 2.
fn begun(replicas: u16) -> (Leader, Scene) {
    let mut leader = Leader::new();
    let mut scene = Scene::of(replicas);
    for n in 0..replicas {
        scene = scene.up(n, "a", 1);
    }
    assert!(leader.after(0, &mut scene).is_empty());
    assert!(leader.after(0, &mut scene).is_empty());
    assert!(leader.after(9, &mut scene).is_empty());
    assert!(record(&scene).stable.is_none(), "not seen for long enough");
    assert!(leader.after(1, &mut scene).is_empty());
    let stable = record(&scene).stable.as_ref().unwrap();
    assert_eq!(stable.digest, command("1").digest());
    assert_eq!(record(&scene).going, None);
    let mut scene = scene.version("2");
    let [one] = leader.after(1, &mut scene).try_into().unwrap();
    assert!(
        one.contains("in place of serve") && one.contains("its file changed"),
        "{one}"
    );
    assert_eq!(
        record(&scene).going.as_ref().unwrap().step,
        RolloutStage::Replacing
    );
    (leader, scene)
}

/// A slot of version 2.
fn newer(scene: Scene, n: u16) -> Scene {
    let scene = scene.slot(n, "a", 9);
    scene.change_slot(n, |it| it.digest = command("2").digest())
}

fn up(scene: Scene, n: u16) -> Scene {
    let scene = newer(scene, n).instance(n, "a", 9, Phase::Running);
    scene.verdict(n, "g", 9, Verdict::Up)
}

#[test]
fn a_version_is_whole_after_ten_healthy_seconds_on_every_instance() {
    let (mut leader, scene) = begun(1);
    let mut scene = up(scene, 1);
    assert!(leader.after(1, &mut scene).is_empty());
    assert!(record(&scene).passed.is_empty());
    assert!(leader.after(9, &mut scene).is_empty());
    assert!(record(&scene).passed.is_empty(), "nine seconds are not ten");
    assert!(leader.after(1, &mut scene).is_empty());
    assert_eq!(record(&scene).passed.len(), 1);
    scene.plans(&["library/0: remove: another version has taken its place"]);
    let mut scene = scene.drop_slot(0);
    let [done] = leader.after(1, &mut scene).try_into().unwrap();
    assert!(done.contains("runs on all 1 instances"), "{done}");
    let record = record(&scene);
    assert_eq!(
        record.stable.as_ref().unwrap().digest,
        command("2").digest()
    );
    assert_eq!(
        record.before.as_ref().unwrap().digest,
        command("1").digest()
    );
    let standing = rollout_standing(&scene.world, &name("library"), None);
    assert_eq!(standing, RolloutStanding::Whole);
}

#[test]
fn one_bad_moment_begins_the_ten_seconds_anew() {
    let (mut leader, scene) = begun(1);
    let mut scene = up(scene, 1);
    leader.after(1, &mut scene);
    let mut scene = scene.verdict(1, "g", 9, Verdict::Down);
    leader.after(8, &mut scene);
    let mut scene = scene.verdict(1, "g", 9, Verdict::Up);
    leader.after(1, &mut scene);
    leader.after(9, &mut scene);
    assert!(record(&scene).passed.is_empty());
    leader.after(1, &mut scene);
    assert_eq!(record(&scene).passed.len(), 1);
}

#[test]
fn a_crash_loop_brings_the_old_version_back_and_is_not_tried_again() {
    let (mut leader, scene) = begun(2);
    let scene = newer(scene, 2).instance(2, "a", 9, Phase::Exited);
    let ends = |scene: &Scene, restarts| {
        let mut scene = scene.clone();
        for (key, it) in &mut scene.world.instances {
            if key.slot.0 == 2 {
                it.value.restarts = restarts;
            }
        }
        scene
    };
    assert!(leader.after(1, &mut ends(&scene, 2)).is_empty());
    let mut scene = ends(&scene, 3);
    let [failed] = leader.after(1, &mut scene).try_into().unwrap();
    assert!(
        failed.starts_with("warn: library: serve (") && failed.contains("back to serve ("),
        "{failed}"
    );
    assert!(
        failed.contains("library/2 ended 3 times; ended: exited with status 3"),
        "{failed}"
    );
    assert_eq!(
        record(&scene).failed.as_ref().unwrap().how,
        FailureKind::Reverting
    );
    scene.plans(&[
        "library/2: remove: another version has taken its place; ended: exited with status 3",
    ]);
    let mut scene = scene.drop_slot(2);
    let [back] = leader.after(1, &mut scene).try_into().unwrap();
    assert!(back.contains("serves again on all instances"), "{back}");
    for _ in 0..5 {
        assert!(leader.after(100, &mut scene).is_empty());
    }
    scene.plans(&[]);
    scene.is_done("2 of 2 up");
    let RolloutStanding::Failed { text, .. } =
        rollout_standing(&scene.world, &name("library"), None)
    else {
        panic!("{:?}", record(&scene))
    };
    assert!(text.contains("is back: library/2 ended 3 times"), "{text}");
    // Another edit is another rollout.
    let mut scene = scene.version("3");
    assert_eq!(leader.after(1, &mut scene).len(), 1);
    assert!(record(&scene).going.is_some());
}

#[test]
fn what_is_never_healthy_goes_back_at_its_deadline() {
    let (mut leader, scene) = begun(1);
    let scene = newer(scene, 1).instance(1, "a", 9, Phase::Running);
    let mut scene = scene.verdict(1, "g", 9, Verdict::Down);
    assert!(leader.after(1, &mut scene).is_empty());
    assert!(leader.after(299, &mut scene).is_empty());
    let [failed] = leader.after(1, &mut scene).try_into().unwrap();
    assert!(
        failed.contains("no progress in 300s: library/1 down: connect refused"),
        "{failed}"
    );
}

#[test]
fn another_leader_waits_longer_and_never_shorter() {
    let (_, scene) = begun(1);
    let scene = up(scene, 1);
    let mut late = scene.verdict(1, "g", 9, Verdict::Down);
    let mut leader = Leader::new();
    assert!(leader.after(1_000, &mut late).is_empty());
    assert!(leader.after(299, &mut late).is_empty());
    assert_eq!(leader.after(1, &mut late).len(), 1);
}

#[test]
fn without_a_version_that_ever_ran_there_is_nothing_to_go_back_to() {
    let mut leader = Leader::new();
    let scene = Scene::of(1).slot(0, "a", 1);
    let mut scene = scene.instance(0, "a", 1, Phase::Failed);
    for _ in 0..3 {
        assert!(leader.after(400, &mut scene).is_empty());
    }
    assert!(record(&scene).stable.is_none() && record(&scene).failed.is_none());
    // The next edit replaces it at once.
    let mut scene = scene.version("2");
    leader.after(1, &mut scene);
    scene.plans(&[
        "library/0: assign 0.2 on node a: its command changed; failed: exited with status 3",
    ]);
}

#[test]
fn an_edit_that_is_taken_back_ends_the_rollout() {
    let (mut leader, scene) = begun(1);
    let scene = newer(scene, 1).instance(1, "a", 9, Phase::Running);
    let mut scene = scene.version("1");
    let [told] = leader.after(1, &mut scene).try_into().unwrap();
    assert!(told.contains("is no longer asked for"), "{told}");
    scene.plans(&["library/1: remove: another version has taken its place; starting: no gateway has checked it yet"]);
    assert!(record(&scene).going.is_none() && record(&scene).failed.is_none());
}

#[test]
fn a_restart_goes_the_same_way() {
    let (mut leader, mut scene) = begun(1);
    scene = scene.version("1");
    leader.after(1, &mut scene);
    leader.after(11, &mut scene);
    let mut scene = scene.intent(|it| it.restart = Some(Restart(5)));
    let [told] = leader.after(1, &mut scene).try_into().unwrap();
    assert!(
        told.contains("is started anew: a restart was asked for"),
        "{told}"
    );
    scene.plans(&[
        "library/1: assign 0.1 on node a: a restart was asked for; started first, 0 more to come",
    ]);
    assert_eq!(record(&scene).before, None);
}

// Images.

fn contained(reference: &str) -> Backend {
    Backend::Command(Command {
        argv: Vec::new(),
        image: Some(Box::new(Image {
            reference: ImageReference::parse(reference).unwrap(),
            port: Some(80),
            network: "bridge".to_owned(),
            pull: Default::default(),
            init: false,
            user: None,
            secrets: Default::default(),
            volumes: Default::default(),
            resources: Default::default(),
            ceiling: Default::default(),
        })),
        ..command("1")
    })
}

fn digest_of(backend: &Backend) -> String {
    match backend {
        Backend::Command(it) => it.digest(),
        Backend::Endpoints(_) => String::new(),
    }
}

/// `r.example/app:1` serves.
fn image_serves() -> (Leader, Scene) {
    let mut leader = Leader::new();
    let backend = contained("r.example/app:1");
    let digest = digest_of(&backend);
    let scene = Scene::of(1).record(|it| it.service.backend = backend);
    let mut scene = scene.up(0, "a", 1).change_slot(0, |it| it.digest = digest);
    leader.after(0, &mut scene);
    leader.after(0, &mut scene);
    leader.after(10, &mut scene);
    assert!(record(&scene).stable.is_some());
    (leader, scene)
}

fn by_hand(number: u64, image: &str, before: Option<Release>) -> Release {
    Release {
        number,
        what: Released::Image(ImageReference::parse(image).unwrap()),
        over: "r.example/app:1".to_owned(),
        who: "alice".to_owned(),
        since: NOW,
        before: before.map(Box::new),
    }
}

/// An agent that does what it is asked for, and whose instances run these images.
fn says_running(scene: Scene, node: &str, state: ImageState, runs: &[String]) -> Scene {
    let freshness = record(&scene).going.as_ref().unwrap().freshness;
    says_as(scene, node, state, freshness, runs)
}

fn says(scene: Scene, node: &str, state: ImageState) -> Scene {
    says_running(scene, node, state, &[])
}

fn says_as(
    mut scene: Scene,
    node: &str,
    state: ImageState,
    freshness: Freshness,
    runs: &[String],
) -> Scene {
    let fetch = record(&scene).going.as_ref().unwrap().fetch;
    let report = ImageReport {
        v: 1,
        fetch,
        state,
        freshness,
        runs: runs.iter().cloned().collect(),
        registry: None,
        unknown: String::new(),
        since: NOW,
    };
    let key: (NodeId, ServiceName) = (NodeId::parse(node).unwrap(), name("library"));
    let stored = Stored {
        value: report,
        modified: 1,
    };
    scene.world.images.insert(key, stored);
    scene
}

fn here(digest: char) -> ImageState {
    ImageState::Here {
        digest: Some(format!("sha256:{}", digest.to_string().repeat(64))),
        id: "sha256:id".to_owned(),
    }
}

fn digest_named(digest: char) -> String {
    format!("sha256:{}", digest.to_string().repeat(64))
}

fn newest(number: u64, image: &str) -> Release {
    Release {
        what: Released::Newest(ImageReference::parse(image).unwrap()),
        ..by_hand(number, image, None)
    }
}

#[test]
fn a_name_that_has_not_changed_is_asked_of_the_registry_and_what_is_new_replaces() {
    let (mut leader, scene) = image_serves();
    let mut scene = scene.intent(|it| it.release = Some(newest(7, "r.example/app:1")));
    let [told] = leader.after(1, &mut scene).try_into().unwrap();
    assert_eq!(
        told,
        "library: what r.example/app:1 means now is asked of its registry: by hand; by node a"
    );
    let going = record(&scene).going.as_ref().unwrap();
    assert_eq!(
        (going.step, going.freshness),
        (RolloutStage::Fetching, Freshness::Newest)
    );
    // What runs was never looked up; now it is known, and the way back leads there.
    let mut scene = says_running(scene, "a", here('2'), &[digest_named('1')]);
    assert!(leader.after(1, &mut scene).is_empty());
    let image_of = |it: &crate::Version| it.command.image.as_ref().unwrap().reference.to_string();
    let record = record(&scene);
    let (stable, going) = (
        record.stable.as_ref().unwrap(),
        record.going.as_ref().unwrap(),
    );
    assert_eq!(going.step, RolloutStage::Replacing);
    assert_eq!(
        image_of(stable),
        format!("r.example/app:1@{}", digest_named('1'))
    );
    assert_eq!(
        image_of(&going.to),
        format!("r.example/app:1@{}", digest_named('2'))
    );
    assert_ne!(going.to.digest, stable.digest, "a slot tells them apart");
    let plan = crate::plan::plan(&scene.world, NOW).to_string();
    assert!(plan.starts_with("library/1: assign"), "{plan}");
    // Nothing of the old one is looked up by its name any more.
    let stable = record.stable.clone().unwrap();
    let found = crate::rollout::command_of(&scene.world, &name("library"), &stable.digest);
    assert_eq!(
        found.unwrap().image.unwrap().reference.to_string(),
        image_of(&stable)
    );
}

#[test]
fn what_means_the_same_replaces_nothing_and_says_so() {
    let (mut leader, scene) = image_serves();
    let mut scene = scene.intent(|it| it.release = Some(newest(7, "r.example/app:1")));
    leader.after(1, &mut scene);
    let mut scene = says_running(scene, "a", here('1'), &[digest_named('1')]);
    let [told] = leader.after(1, &mut scene).try_into().unwrap();
    let expected = format!(
        "nothing to replace: r.example/app:1 is {} already",
        digest_named('1')
    );
    assert_eq!(told, format!("library: {expected}"));
    scene.plans(&[]);
    let standing = |number| rollout_standing(&scene.world, &name("library"), number);
    assert_eq!(standing(Some(7)), RolloutStanding::Unchanged(expected));
    assert_eq!(standing(None), RolloutStanding::Whole);
    assert_eq!(
        record(&scene).before,
        None,
        "there is no other version to go back to"
    );
    // Asked again, it is another question.
    let mut scene = scene.intent(|it| it.release = Some(newest(8, "r.example/app:1")));
    assert_eq!(leader.after(1, &mut scene).len(), 1);
    let mut scene = says_running(scene, "a", here('2'), &[digest_named('1')]);
    assert!(leader.after(1, &mut scene).is_empty());
    assert_eq!(
        record(&scene).going.as_ref().unwrap().step,
        RolloutStage::Replacing
    );
}

#[test]
fn instances_of_several_images_are_all_replaced_by_the_one_that_is_meant() {
    let (mut leader, scene) = image_serves();
    let mut scene = scene.intent(|it| it.release = Some(newest(7, "r.example/app:1")));
    leader.after(1, &mut scene);
    let runs = [digest_named('1'), digest_named('2')];
    let mut scene = says_running(scene, "a", here('2'), &runs);
    assert!(leader.after(1, &mut scene).is_empty());
    assert_eq!(
        record(&scene).going.as_ref().unwrap().step,
        RolloutStage::Replacing
    );
}

#[test]
fn an_agent_that_cannot_ask_anew_is_named_and_nothing_changes() {
    let (mut leader, scene) = image_serves();
    let mut scene = scene.intent(|it| it.release = Some(newest(7, "r.example/app:1")));
    leader.after(1, &mut scene);
    let mut scene = says_as(scene, "a", here('1'), Freshness::Any, &[]);
    let [told] = leader.after(1, &mut scene).try_into().unwrap();
    assert!(
        told.contains("was refused before anything changed")
            && told.contains(
                "node a says what it has, and not what its registry has now; upgrade its minato"
            ),
        "{told}"
    );
    scene.plans(&[]);
}

#[test]
fn what_is_asked_for_no_longer_while_it_is_fetched_changes_nothing() {
    let (mut leader, scene) = image_serves();
    let mut scene = scene.intent(|it| it.release = Some(by_hand(7, "r.example/app:2", None)));
    leader.after(1, &mut scene);
    let mut scene = says(scene, "a", ImageState::Fetching);
    leader.after(1, &mut scene);
    let mut scene = scene.intent(|it| it.release = None);
    let [told] = leader.after(1, &mut scene).try_into().unwrap();
    assert_eq!(
        told,
        "library: r.example/app:2 is no longer asked for: r.example/app:1 goes on, or comes back"
    );
    assert_eq!(record(&scene).going, None);
    scene.plans(&[]);
    for _ in 0..3 {
        assert!(leader.after(100, &mut scene).is_empty());
    }
}

fn fails(why: &str) -> ImageState {
    ImageState::Failed(why.to_owned())
}

#[test]
fn every_node_has_the_image_before_anything_changes_and_all_run_the_same_one() {
    let (mut leader, scene) = image_serves();
    let scene = scene.node("b");
    let mut scene = scene.intent(|it| it.release = Some(by_hand(7, "r.example/app:2", None)));
    let [told] = leader.after(1, &mut scene).try_into().unwrap();
    assert_eq!(
        told,
        "library: r.example/app:2 in place of r.example/app:1: by hand; node a, node b fetch it first"
    );
    scene.plans(&[]);
    let mut scene = says(scene, "a", here('1'));
    assert!(leader.after(30, &mut scene).is_empty());
    let mut scene = says(scene, "b", ImageState::Fetching);
    assert!(leader.after(60, &mut scene).is_empty());
    scene.plans(&[]);
    let mut scene = says(scene, "b", here('1'));
    assert!(leader.after(1, &mut scene).is_empty());
    let going = record(&scene).going.as_ref().unwrap();
    assert_eq!(going.step, RolloutStage::Replacing);
    let image = going.to.command.image.as_ref().unwrap();
    assert_eq!(
        image.reference.to_string(),
        format!("r.example/app:2@sha256:{}", "1".repeat(64))
    );
    assert_eq!(going.to.digest, going.to.command.digest());
    let plan = crate::plan::plan(&scene.world, NOW).to_string();
    assert!(
        plan.starts_with("library/1: assign 0.1 on node b: its command changed"),
        "{plan}"
    );
}

#[test]
fn a_registry_that_is_down_refuses_and_what_was_before_counts_again() {
    let (mut leader, scene) = image_serves();
    let mut scene = scene.intent(|it| it.release = Some(by_hand(7, "r.example/app:2", None)));
    leader.after(1, &mut scene);
    let mut scene = says(scene, "a", fails("no answer from r.example"));
    let [told] = leader.after(1, &mut scene).try_into().unwrap();
    assert_eq!(
        told,
        "warn: library: r.example/app:2 was refused before anything changed, r.example/app:1 serves on: node a: no answer \
         from r.example"
    );
    scene.plans(&[]);
    assert_eq!(record(&scene).ended, [7]);
    for _ in 0..3 {
        assert!(leader.after(100, &mut scene).is_empty());
    }
    let standing = |number| rollout_standing(&scene.world, &name("library"), number);
    assert_eq!(standing(None), RolloutStanding::Whole);
    let RolloutStanding::Failed { failure, .. } = standing(Some(7)) else {
        panic!("{:?}", standing(Some(7)))
    };
    assert_eq!(failure.how, FailureKind::Refused);
    // The same image may be asked for again.
    let mut scene = scene.intent(|it| it.release = Some(by_hand(8, "r.example/app:2", None)));
    assert_eq!(leader.after(1, &mut scene).len(), 1);
}

#[test]
fn a_release_that_fails_gives_way_to_the_one_before_it_not_to_the_file() {
    let (mut leader, scene) = image_serves();
    let first = by_hand(7, "r.example/app:2", None);
    let mut scene = scene.intent(|it| it.release = Some(first.clone()));
    leader.after(1, &mut scene);
    let mut scene = says(scene, "a", here('1'));
    leader.after(1, &mut scene);
    leader.after(1, &mut scene);
    let digest = record(&scene).going.as_ref().unwrap().to.digest.clone();
    let mut scene = scene.up(0, "a", 3).change_slot(0, |it| it.digest = digest);
    leader.after(1, &mut scene);
    leader.after(10, &mut scene);
    assert_eq!(record(&scene).stable.as_ref().unwrap().number, Some(7));
    let second = by_hand(9, "r.example/app:bad", Some(first));
    let mut scene = scene.intent(|it| it.release = Some(second));
    leader.after(1, &mut scene);
    let mut scene = says(scene, "a", fails("there is no such image"));
    leader.after(1, &mut scene);
    for _ in 0..3 {
        assert!(leader.after(100, &mut scene).is_empty());
    }
    scene.plans(&[]);
    assert_eq!(record(&scene).stable.as_ref().unwrap().number, Some(7));
}

#[test]
fn a_file_with_another_image_ends_what_was_set_by_hand_for_good() {
    let (mut leader, scene) = image_serves();
    let mut scene = scene.intent(|it| it.release = Some(by_hand(7, "r.example/app:2", None)));
    leader.after(1, &mut scene);
    let mut scene = scene.record(|it| it.service.backend = contained("r.example/app:3"));
    let [told] = leader.after(1, &mut scene).try_into().unwrap();
    assert!(
        told.starts_with("library: r.example/app:3 in place of r.example/app:1"),
        "{told}"
    );
    assert_eq!(record(&scene).ended, [7]);
    // Also when the file goes back to what it said then.
    let mut scene = scene.record(|it| it.service.backend = contained("r.example/app:1"));
    leader.after(1, &mut scene);
    assert!(record(&scene).going.is_none());
}

#[test]
fn an_edit_of_something_else_keeps_the_very_image_and_asks_no_registry() {
    let (mut leader, scene) = image_serves();
    let pinned = format!("r.example/app:1@sha256:{}", "1".repeat(64));
    let scene = scene.rollout(|it| {
        let image = it.stable.as_mut().unwrap().command.image.as_mut().unwrap();
        image.reference = ImageReference::parse(&pinned).unwrap();
    });
    let mut scene = scene.record(|it| {
        if let Backend::Command(it) = &mut it.service.backend {
            it.env.insert("MODE".to_owned(), "new".to_owned());
        }
    });
    leader.after(1, &mut scene);
    let going = record(&scene).going.as_ref().unwrap();
    assert_eq!(going.step, RolloutStage::Replacing);
    let image = going.to.command.image.as_ref().unwrap();
    assert_eq!(image.reference.to_string(), pinned);
}

#[test]
fn the_way_back_runs_what_ran_before_though_the_file_says_something_else() {
    let (mut leader, scene) = begun(1);
    let mut scene = up(scene, 1).drop_slot(0);
    leader.after(1, &mut scene);
    leader.after(10, &mut scene);
    assert_eq!(
        record(&scene).before,
        Some(crate::Version {
            since: record(&scene).before.as_ref().unwrap().since,
            ..version("1")
        })
    );
    let release = Release {
        number: 9,
        what: Released::Version(command("1").digest()),
        over: command("2").digest(),
        who: "alice".to_owned(),
        since: NOW,
        before: None,
    };
    let mut scene = scene.intent(|it| it.release = Some(release));
    let [told] = leader.after(1, &mut scene).try_into().unwrap();
    assert!(told.contains("back to what ran before"), "{told}");
    let going = record(&scene).going.as_ref().unwrap();
    assert_eq!(going.to.digest, command("1").digest());
    assert_eq!(generation(1).era, 0);
}
