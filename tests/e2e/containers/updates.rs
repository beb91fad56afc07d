//! `minato update` and `rollback` on a real engine with a real registry.

use super::registry::{Access, Registry};
use super::stage::{Engine, inside_with};
use crate::support::clock::{now, until};
use crate::support::figures::{Figure, measured};
use crate::support::http::get;
use crate::support::load::{Ask, Load};
use crate::support::site::{PATIENT, Site};

use std::fs;

pub(super) const NAME: &str = "127.0.0.1:5000/library";

/// Puts an image into the registry, and takes it off this machine.
fn push(engine: &Engine, tag: &str) -> String {
    let reference = format!("{NAME}:{tag}");
    engine.image(&[&reference]);
    engine.docker(&["push", &reference]);
    engine.docker(&["rmi", &reference]);
    reference
}

/// The same, of a program that ends at once.
fn push_crashing(engine: &Engine, tag: &str) -> String {
    let reference = format!("{NAME}:{tag}");
    let tar = engine.folder.path().join("image.tar");
    let change = "CMD [\"/program\", \"fail\"]";
    let tar = tar.to_str().unwrap();
    engine.docker(&["import", "--change", change, tar, &reference]);
    engine.docker(&["push", &reference]);
    engine.docker(&["rmi", &reference]);
    reference
}

pub(super) fn service(reference: &str, replicas: u16) -> String {
    format!(
        "image = \"{reference}\"\nport = 8080\ninit = true\nreplicas = {replicas}\nroutes = [\"*\"]\n\
         stop = {{ drain = \"2s\", grace = \"1s\" }}\nupdate = {{ healthy = \"1s\", deadline = \"20s\" }}\n\
         {}",
        PATIENT.of("path = \"/healthz\"")
    )
}

/// Which image answers.
pub(super) fn version(site: &Site) -> String {
    get(site.gateway(), "e2e.test", "/file/name")
        .unwrap()
        .text()
}

/// The one process of the service, once nothing else is left.
fn alone(site: &Site) -> u32 {
    until("one instance alone", || {
        let service = site.service("app");
        match service["instances"].as_array()?.as_slice() {
            [only] => u32::try_from(only["pid"].as_u64()?).ok(),
            _ => None,
        }
    })
}

pub(super) fn said(output: &std::process::Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    format!(
        "{}{}",
        String::from_utf8_lossy(out),
        String::from_utf8_lossy(err)
    )
}

#[test]
fn an_update_that_works_and_four_that_do_not_cost_no_request() {
    let test = "containers::updates::an_update_that_works_and_four_that_do_not_cost_no_request";
    inside_with(&[("docker-registry", "docker-registry")], test, async {
        let engine = Engine::start().await;
        let mut registry = Registry::start(Access::Anybody).await;
        let one = push(&engine, "1");
        let two = push(&engine, "2");
        let bad = push_crashing(&engine, "bad");
        let site = Site::new();
        let settings = fs::read_to_string(site.settings()).unwrap();
        let docker = format!(
            "[agent]\nruntime = \"docker\"\ndocker = {{ socket = \"{}\", free_space = 0 }}\n",
            engine.socket().display()
        );
        fs::write(site.settings(), settings.replace("[agent]\n", &docker)).unwrap();
        let mut site = site;
        site.write("app", &service(&one, 1));
        site.start();
        site.wait_ok("app", 1);
        until("what serves to be known", || {
            site.service("app")["runs"].is_string().then_some(())
        });
        assert_eq!(version(&site), one);
        let load = site.load();
        load.wait_for(50);

        // An image that does not exist.
        let began = now();
        let output = site.cli(&["update", "app", "--image", &format!("{NAME}:none")]);
        let no_image = began.elapsed();
        let text = said(&output);
        assert_eq!(output.status.code(), Some(3), "{text}");
        assert!(
            text.contains("was refused") && text.contains(&format!("{one} serves on")),
            "{text}"
        );

        // A registry that is down.
        registry.kill();
        let began = now();
        let output = site.cli(&["update", "app", "--image", &two]);
        let no_registry = began.elapsed();
        let text = said(&output);
        assert_eq!(output.status.code(), Some(3), "{text}");
        assert!(
            text.contains("was refused") && text.contains("could not be fetched"),
            "{text}"
        );
        registry.begin().await;

        // An image that ends at once.
        let began = now();
        let output = site.cli(&["update", "app", "--image", &bad]);
        let crashed = began.elapsed();
        let text = said(&output);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(
            text.contains("ended 3 times") && text.contains("is back"),
            "{text}"
        );
        assert_eq!(version(&site), one);

        // What names no image.
        let output = site.cli(&["update", "app", "--image", "No Image"]);
        assert_eq!(output.status.code(), Some(3), "{}", said(&output));

        // One that works; the way back needs no registry.
        let pids = alone(&site);
        let printed = site.type_in(&["update", "app", "--image", &two]);
        assert!(printed.contains("undo: minato rollback app"), "{printed}");
        assert_eq!(version(&site), two);
        assert_ne!(alone(&site), pids);
        let status = site.type_in(&["status", "app"]);
        assert!(
            status.contains(&format!("image {two} by hand"))
                && status.contains(&format!("file says {one}")),
            "{status}"
        );
        let runs = site.service("app")["runs"].as_str().unwrap().to_owned();
        assert!(runs.starts_with(&format!("{two}@sha256:")), "{runs}");
        registry.kill();
        site.type_in(&["rollback", "app"]);
        assert_eq!(version(&site), one);
        registry.begin().await;

        // The file's next word ends what was set by hand.
        let before = site.latest_event();
        site.write("app", &service(&two, 1));
        site.wait_event("the file's version", |it| {
            it.seq > before
                && it.kind == "updated"
                && it.message.contains("runs on all 1 instances")
        });
        site.wait_ok("app", 1);
        assert_eq!(version(&site), two);
        let status = site.type_in(&["status", "app"]);
        assert!(!status.contains("by hand"), "{status}");
        load.wait_for(50);
        let report = load.stop();
        report.nothing_failed();
        measured(
            "row 9, bad images and a registry that is down",
            &[
                (
                    "an image that does not exist refused",
                    Figure::Time(no_image),
                ),
                ("a registry that is down refused", Figure::Time(no_registry)),
                (
                    "a crash loop found, the old one back",
                    Figure::Time(crashed),
                ),
                ("requests", Figure::Count(report.sent)),
                ("failed", Figure::Count(report.failed)),
            ],
        );
    });
}

const FAMILY: [&str; 3] = ["repo-1", "repo-2", "repo-3"];

/// What each of the family answers with.
fn versions(site: &Site) -> Vec<String> {
    let answer = |it: &&str| get(site.gateway(), &format!("{it}.test"), "/file/name").unwrap();
    FAMILY.iter().map(|it| answer(it).text()).collect()
}

#[test]
fn a_wave_of_images_goes_through_or_is_held_and_has_a_way_back() {
    let test = "containers::updates::a_wave_of_images_goes_through_or_is_held_and_has_a_way_back";
    inside_with(&[("docker-registry", "docker-registry")], test, async {
        let engine = Engine::start().await;
        let _registry = Registry::start(Access::Anybody).await;
        let (one, two) = (push(&engine, "1"), push(&engine, "2"));
        let bad = push_crashing(&engine, "bad");
        let mut site = Site::new();
        let settings = fs::read_to_string(site.settings()).unwrap();
        let docker = format!(
            "[agent]\nruntime = \"docker\"\ndocker = {{ socket = \"{}\", free_space = 0 }}\n",
            engine.socket().display()
        );
        fs::write(site.settings(), settings.replace("[agent]\n", &docker)).unwrap();
        for it in FAMILY {
            let file = service(&one, 1).replace("[\"*\"]", &format!("[\"{it}.test\"]"));
            site.write(it, &file);
        }
        site.start();
        for it in FAMILY {
            site.wait_ok(it, 1);
            until("what serves to be known", || {
                site.service(it)["runs"].is_string().then_some(())
            });
        }
        assert_eq!(versions(&site), vec![one.clone(); 3]);
        let ask = Ask::Get {
            path: "/healthz".to_owned(),
            body: get(site.gateway(), "repo-2.test", "/healthz")
                .unwrap()
                .text(),
        };
        let load = Load::start(site.gateway(), "repo-2.test", &ask);
        load.wait_for(50);

        let wave = ["wave", "--services", "repo-*", "--image", &two];
        let printed = site.type_in(&wave);
        assert!(printed.contains("3 of 3 done"), "{printed}");
        assert_eq!(versions(&site), vec![two.clone(); 3]);
        let pids = || FAMILY.map(|it| site.pids(it));
        let before = pids();
        let printed = site.type_in(&wave);
        assert!(printed.contains("skipped nothing to replace"), "{printed}");
        assert_eq!(pids(), before, "there is nothing to replace");

        // One that ends at once is tried on the first service alone, and goes back by itself.
        let output = site.cli(&["wave", "--services", "repo-*", "--image", &bad]);
        let text = said(&output);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(
            text.contains("is held") && text.contains("ended 3 times"),
            "{text}"
        );
        site.type_in(&["operation", "abort", "3"]);
        assert_eq!(versions(&site), vec![two.clone(); 3]);
        assert_eq!(pids(), before);

        // All of them back to what they ran before.
        let printed = site.type_in(&["wave", "--services", "repo-*", "--rollback"]);
        assert!(printed.contains("3 of 3 done"), "{printed}");
        assert_eq!(versions(&site), vec![one; 3]);
        load.wait_for(50);
        let report = load.stop();
        println!(
            "{} requests over waves of images, {} failed",
            report.sent, report.failed
        );
        report.nothing_failed();
    });
}
