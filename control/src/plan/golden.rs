//! Whole plans for whole sites, as text: what an operator would read, compared with files.

use super::plan;
use super::scene::{NOW, Scene, name};
use minato_config::{Backend, Restart};
use minato_health::{Phase, Verdict};

#[track_caller]
fn is(scene: &Scene, golden: &str) {
    let text = plan(&scene.world, NOW).to_string();
    assert_eq!(
        text, golden,
        "\n--- planned ---\n{text}--- wanted ---\n{golden}"
    );
}

#[test]
fn a_site_begins() {
    let scene = Scene::empty()
        .node("kobe")
        .node("nara")
        .gateway("g")
        .service("archive", 1)
        .service("journal", 3)
        .service("library", 2);
    is(&scene, include_str!("golden/begin.txt"));
}

#[test]
fn everything_happens_at_once() {
    let scene = Scene::empty()
        .node("kobe")
        .node("nara")
        .gateway("g")
        // Scaled down while one instance is down.
        .service("archive", 1)
        .up(0, "kobe", 1)
        .running(1, "nara", 4, Verdict::Down)
        .up(2, "kobe", 1)
        // An update in the middle: one done, one next, one after it.
        .service("journal", 3)
        .up(0, "kobe", 2)
        .up(1, "nara", 2)
        .up(2, "kobe", 3)
        .intent(|it| it.restart = Some(Restart(5)))
        .change_slot(0, |it| it.restart = Some(Restart(5)))
        // A crash loop whose pause is over, beside a healthy instance.
        .service("library", 2)
        .up(0, "nara", 1)
        .slot(1, "kobe", 7)
        .instance(1, "kobe", 7, Phase::Failed)
        // Removed: one still stops, one is gone.
        .service("museum", 2)
        .record(|it| it.removed = true)
        .slot(0, "kobe", 1)
        .change_slot(0, |it| it.removed = true)
        .instance(0, "kobe", 1, Phase::Stopping)
        .slot(1, "nara", 1)
        .change_slot(1, |it| it.removed = true)
        // From a command to fixed endpoints.
        .service("portal", 1)
        .up(0, "nara", 1)
        .record(|it| it.service.backend = Backend::Endpoints(Vec::new()))
        // As it should be.
        .service("wiki", 1)
        .up(0, "kobe", 1);
    is(&scene, include_str!("golden/busy.txt"));
}

#[test]
fn accidents_stop_nothing() {
    let mut scene = Scene::empty()
        .node("kobe")
        .gateway("g")
        // A node is gone.
        .service("archive", 2)
        .up(0, "kobe", 1)
        .up(1, "nara", 1)
        // Slot documents are gone.
        .service("journal", 2)
        .up(0, "kobe", 8)
        .up(1, "kobe", 9)
        .lose_slot(0)
        .lose_slot(1)
        // The record is gone.
        .service("library", 2)
        .up(0, "kobe", 1)
        .up(1, "kobe", 1)
        // A broken version that holds its update.
        .service("museum", 2)
        .up(0, "kobe", 1)
        .slot(1, "kobe", 2)
        .instance(1, "kobe", 2, Phase::Failed)
        .change_instances(|it| it.since = super::Timestamp(NOW.0 - 5_000))
        .intent(|it| it.restart = Some(Restart(5)))
        .change_slot(1, |it| it.restart = Some(Restart(5)));
    scene.world.services.remove(&name("library"));
    is(&scene, include_str!("golden/accidents.txt"));
}
