//! Changes by hand: they wait until they are true, name their undo, and cost no request.

use crate::support::clock::until;
use crate::support::http::{get, until_status};
use crate::support::site::Site;

/// What follows `undo: `, as it would be typed after `minato`.
#[track_caller]
fn undo(printed: &str) -> Vec<&str> {
    let line = printed
        .lines()
        .find_map(|it| it.strip_prefix("undo: minato "));
    line.unwrap_or_else(|| panic!("no undo: {printed}"))
        .split(' ')
        .collect()
}

#[test]
fn scale_waits_until_it_is_true_and_its_undo_takes_it_back() {
    let mut site = Site::new();
    site.write("app", &site.python(2, ""));
    site.start();
    site.wait_ok("app", 2);
    let load = site.load();

    let printed = site.type_in(&["scale", "app", "3"]);
    let service = site.service("app");
    assert!(
        service["up"] == 3 && service["by_hand"]["replicas"] == 3,
        "{service:#}"
    );
    let status = site.type_in(&["status"]);
    assert!(status.contains("file says 2"), "{status}");

    let undo = undo(&printed);
    assert_eq!(undo, ["scale", "app", "--reset"], "{printed}");
    site.type_in(&undo);
    site.wait_ok("app", 2);
    let service = site.service("app");
    assert!(service["by_hand"].is_null(), "{service:#}");
    until("the third to be gone", || {
        (site.service("app")["instances"].as_array()?.len() == 2).then_some(())
    });
    load.wait_for(20);
    load.stop().nothing_failed();
}

#[test]
fn restart_replaces_every_instance_without_a_failed_request() {
    let mut site = Site::new();
    site.write("app", &site.python(2, ""));
    site.start();
    site.wait_ok("app", 2);
    let pids = site.pids("app");
    let load = site.load();
    load.wait_for(20);

    site.type_in(&["restart", "app"]);
    site.wait_ok("app", 2);
    load.wait_for(20);
    load.stop().nothing_failed();
    let after = site.pids("app");
    assert!(
        after.len() == 2 && after.iter().all(|it| !pids.contains(it)),
        "{pids:?} {after:?}"
    );
}

#[test]
fn a_drained_service_shows_the_sorry_page_until_its_undo() {
    let mut site = Site::new();
    site.write("app", &site.python(1, ""));
    site.start();
    site.wait_ok("app", 1);
    let pids = site.pids("app");

    let printed = site.type_in(&["drain", "app"]);
    let answer = get(site.gateway(), "e2e.test", "/page").unwrap();
    assert_eq!(answer.status, 503);
    assert!(
        answer
            .header("retry-after")
            .is_some_and(|it| it.parse::<u64>().is_ok()),
        "{answer:?}"
    );
    assert!(
        answer.text().contains("<html")
            && answer
                .header("content-type")
                .unwrap()
                .starts_with("text/html"),
        "{answer:?}"
    );

    site.type_in(&undo(&printed));
    until_status(site.gateway(), "e2e.test", "/page", 200);
    assert_eq!(site.pids("app"), pids, "draining stops no instance");
}

#[test]
fn what_cannot_be_changed_is_refused_with_a_reason() {
    let mut site = Site::new();
    site.write("app", &site.python(1, ""));
    site.start();
    site.wait_ok("app", 1);
    for (arguments, word) in [
        (&["scale", "app", "0"][..], "0"),
        (&["scale", "nobody", "2"][..], "nobody"),
        (&["status", "nobody"][..], "nobody"),
    ] {
        let output = site.cli(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            !output.status.success() && said.contains(word) && said.lines().count() == 1,
            "{arguments:?}: {said}"
        );
    }
    assert_eq!(site.cli(&["scale", "app"]).status.code(), Some(2));
}
