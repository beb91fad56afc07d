//! What counts as ready, and what a person who waits is told.

use crate::plan::scene::{Scene, generation};
use minato_config::{Health, Run};
use minato_health::{Phase, Verdict};

#[test]
fn ready_is_what_the_observers_agree_on() {
    use Verdict::{Down, Suspect, Up};
    let watched = |verdicts: &[Verdict]| {
        let gateways = ["g", "h", "i"];
        let scene = Scene::of(1)
            .slot(0, "a", 1)
            .instance(0, "a", 1, Phase::Running);
        let pairs = gateways.iter().zip(verdicts);
        pairs.fold(scene, |scene, (by, verdict)| {
            scene.gateway(by).verdict(0, by, 1, *verdict)
        })
    };
    for (verdicts, expected) in [
        (&[Up][..], Ok("1 of 1 up")),
        (&[Up, Suspect], Ok("1 of 1 up")),
        (
            &[Up, Down],
            Err("0 of 1 up; library/0 down: connect refused"),
        ),
        (
            &[Suspect],
            Err("0 of 1 up; library/0 suspect: connect refused"),
        ),
        (
            &[Up, Up, Down],
            Err("1 of 1 up; library/0 down for gateway i: connect refused"),
        ),
        (
            &[],
            Err("0 of 1 up; library/0 starting: no gateway has checked it yet"),
        ),
    ] {
        match expected {
            Ok(text) => watched(verdicts).is_done(text),
            Err(text) => watched(verdicts).waits(text),
        }
    }
    // One that has just joined has no word in it, and nothing rests on the instance before it has.
    watched(&[Up])
        .gateway("new")
        .waits("1 of 1 up; library/0 starting: gateway new has not checked it yet");
    // Another run, another generation, a gateway that no longer lives: not a word about this one.
    let starting = "0 of 1 up; library/0 starting: no gateway has checked it yet";
    watched(&[Up])
        .change_verdicts(|it| it.run = Run(2))
        .waits(starting);
    watched(&[Up])
        .change_verdicts(|it| it.generation = generation(2))
        .waits(starting);
    watched(&[]).verdict(0, "z", 1, Up).waits(starting);
}

#[test]
fn without_gateways_the_agent_decides_and_with_health_off_the_process() {
    let scene = Scene::empty().service("library", 1).node("a");
    let scene = scene.slot(0, "a", 1).instance(0, "a", 1, Phase::Running);
    scene.waits("0 of 1 up; library/0 no gateway is alive and its agent has not probed it yet");
    let local = |verdict| {
        scene
            .clone()
            .change_instances(move |it| it.local = Some(verdict))
    };
    local(Verdict::Up).is_done("1 of 1 up");
    local(Verdict::Down).waits("0 of 1 up; library/0 its agent's probe does not pass");
    let off = local(Verdict::Down)
        .gateway("g")
        .verdict(0, "g", 1, Verdict::Down);
    off.record(|it| it.service.health = Health::Off)
        .is_done("1 of 1 up");
}

#[test]
fn a_service_settles_in_every_state_but_up() {
    let with = |phase| Scene::of(1).slot(0, "a", 1).instance(0, "a", 1, phase);
    with(Phase::Exited).waits("0 of 1 up; library/0 ended: exited with status 3");
    with(Phase::Stopping).waits("0 of 1 up; library/0 stopping");
    Scene::of(0).is_done("0 of 0 up");
    Scene::of(1)
        .up(0, "a", 1)
        .up(1, "a", 1)
        .waits("1 of 1 up; library/1 to be stopped");
    let many = (0..9).fold(Scene::of(9), |scene, n| scene.slot(n, "a", 1));
    many.waits(
        "0 of 9 up; library/0 not started yet; library/1 not started yet; library/2 not started yet; \
         library/3 not started yet; library/4 not started yet; and 4 more",
    );
}
