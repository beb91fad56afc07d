//! A tag that means another image by now, and a fetch that is called off: real engine, real registry.

use super::registry::{Access, Registry};
use super::site;
use super::stage::{Engine, inside_with};
use super::updates::{NAME, said, service, version};
use crate::support::clock::until;
use crate::support::site::Site;
use rustix::process::Signal;

/// Pushes an image whose file says `content` as `tag`, and takes it off this machine.
fn push(engine: &Engine, content: &str, tag: &str) {
    let (local, reference) = (format!("local/{content}:1"), format!("{NAME}:{tag}"));
    engine.image(&[&local, &reference]);
    engine.docker(&["push", &reference]);
    engine.docker(&["rmi", &reference, &local]);
}

/// Which processes answer, once there are as many as wanted and no others.
fn pids(site: &Site, count: usize) -> Vec<u32> {
    until("those that are wanted, and no others", || {
        let pids = site.pids("app");
        (pids.len() == count && site.service("app")["state"] == "ok").then_some(pids)
    })
}

#[test]
fn a_tag_that_moved_replaces_what_runs_and_one_that_did_not_replaces_nothing() {
    let test = "containers::pull::a_tag_that_moved_replaces_what_runs_and_one_that_did_not_replaces_nothing";
    inside_with(&[("docker-registry", "docker-registry")], test, async {
        let engine = Engine::start().await;
        let mut registry = Registry::start(Access::Anybody).await;
        for (content, tag) in [("one", "a"), ("two", "b"), ("three", "c")] {
            push(&engine, content, tag);
        }
        registry.retag("library", "a", "stable");
        let image = format!("{NAME}:stable");
        let mut site = site(&engine);
        site.write("app", &service(&image, 2));
        site.start();
        site.wait_ok("app", 2);
        until("what serves to be known", || {
            site.service("app")["runs"].is_string().then_some(())
        });
        assert_eq!(version(&site), "local/one:1");
        let load = site.load();
        load.wait_for(50);
        let first = pids(&site, 2);

        // The same name, which means the same: asked, and nothing is replaced. The first version was never looked up before.
        let printed = site.type_in(&["update", "app", "--image", &image]);
        assert!(
            printed.contains("nothing to replace") && printed.contains("sha256:"),
            "{printed}"
        );
        assert!(!printed.contains("done:"), "{printed}");
        assert_eq!(pids(&site, 2), first);

        // It means another image by now; this machine still has the old one under that name.
        registry.retag("library", "b", "stable");
        let printed = site.type_in(&["update", "app", "--pull"]);
        assert!(printed.contains("done:"), "{printed}");
        let second = pids(&site, 2);
        assert!(
            second.iter().all(|it| !first.contains(it)),
            "{second:?} {first:?}"
        );
        assert_eq!(version(&site), "local/two:1");
        let printed = site.type_in(&["update", "app", "--pull"]);
        assert!(printed.contains("nothing to replace"), "{printed}");
        let json = site.cli(&["--json", "update", "app", "--pull"]);
        assert!(
            said(&json).contains("\"unchanged\":true"),
            "{}",
            said(&json)
        );
        assert_eq!(pids(&site, 2), second);

        // The way back runs what ran, not what its name means.
        site.type_in(&["rollback", "app"]);
        assert_eq!(version(&site), "local/one:1");
        let third = pids(&site, 2);

        // Where nobody answers for the registry nothing changes.
        registry.kill();
        let output = site.cli(&["update", "app", "--image", &image, "--pull"]);
        let text = said(&output);
        assert_eq!(output.status.code(), Some(3), "{text}");
        assert!(
            text.contains("was refused") && text.contains("could not be fetched"),
            "{text}"
        );
        assert_eq!(pids(&site, 2), third);
        registry.begin().await;

        // Waves: what is new is replaced, what is not is left as it is and said so.
        let printed = site.type_in(&["wave", "--services", "app", "--pull"]);
        assert!(printed.contains("1 of 1 done"), "{printed}");
        assert_eq!(version(&site), "local/two:1");
        let fourth = pids(&site, 2);
        for change in [&["--pull"][..], &["--image", &image]] {
            let printed = site.type_in(&[&["wave", "--services", "app"], change].concat());
            assert!(
                printed.contains("skipped") && printed.contains("nothing to replace"),
                "{printed}"
            );
        }
        assert_eq!(pids(&site, 2), fourth);

        // What is named by its digest cannot be newer.
        let runs = site.service("app")["runs"].as_str().unwrap().to_owned();
        let output = site.cli(&["update", "app", "--image", &runs, "--pull"]);
        assert_eq!(output.status.code(), Some(3), "{}", said(&output));
        assert!(said(&output).contains("by its digest"), "{}", said(&output));
        load.wait_for(50);
        let report = load.stop();
        println!(
            "{} requests over updates by a tag that moved, {} failed",
            report.sent, report.failed
        );
        report.nothing_failed();
    });
}

#[test]
fn an_update_that_is_taken_back_while_its_image_is_fetched_changes_nothing() {
    let test =
        "containers::pull::an_update_that_is_taken_back_while_its_image_is_fetched_changes_nothing";
    inside_with(&[("docker-registry", "docker-registry")], test, async {
        let engine = Engine::start().await;
        let registry = Registry::start(Access::Anybody).await;
        for (content, tag) in [("one", "a"), ("two", "b")] {
            push(&engine, content, tag);
        }
        let mut site = site(&engine);
        site.write("app", &service(&format!("{NAME}:a"), 2));
        site.start();
        site.wait_ok("app", 2);
        until("what serves to be known", || {
            site.service("app")["runs"].is_string().then_some(())
        });
        let load = site.load();
        load.wait_for(50);
        let before = pids(&site, 2);
        let other = format!("{NAME}:b");
        for undo in [&["rollback", "app"][..], &["update", "app", "--reset"]] {
            // It takes the request and never answers.
            let since = site.latest_event();
            registry.signal(Signal::STOP);
            site.type_in(&["update", "app", "--image", &other, "--no-wait"]);
            site.wait_event("the fetch", |it| {
                it.seq > since && it.message.contains(&format!("{other} is being fetched"))
            });
            let status = site.type_in_any(&["status", "app"]);
            assert!(status.contains("fetch it first"), "{status}");
            site.type_in(undo);
            registry.signal(Signal::CONT);
            // The service can be changed again, and nothing of what was under way came after all.
            site.type_in(&["restart", "app"]);
            assert_eq!(version(&site), "local/one:1", "{undo:?}");
            assert_eq!(engine.docker(&["images", "-q", &other]), "", "{undo:?}");
            let status = site.type_in(&["status", "app"]);
            assert!(!status.contains(&other), "{status}");
        }
        let after = pids(&site, 2);
        assert!(after.iter().all(|it| !before.contains(it)));
        load.wait_for(50);
        let report = load.stop();
        println!(
            "{} requests over updates that were taken back, {} failed",
            report.sent, report.failed
        );
        report.nothing_failed();
    });
}
