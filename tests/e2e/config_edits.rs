//! Edits of the watched folder while requests come in.

use crate::support::clock::{now, pause, until, within};
use crate::support::http::{get, until_status};
use crate::support::processes::is_alive;
use crate::support::site::{Site, text};
use std::fs;
use std::time::Duration;

#[test]
fn a_route_edit_takes_effect_and_a_broken_one_changes_nothing() {
    let mut site = Site::new();
    let file = |site: &Site, host: &str| site.python(1, &format!("routes = [\"{host}\"]\n"));
    site.write("app", &file(&site, "one.test"));
    site.start();
    site.wait_ok("app", 1);
    until_status(site.gateway(), "one.test", "/page", 200);
    let pids = site.pids("app");

    let edited = now();
    site.write("app", &file(&site, "two.test"));
    until_status(site.gateway(), "two.test", "/page", 200);
    let took = edited.elapsed();
    eprintln!("followed an edit after {took:?}");
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert_eq!(
        get(site.gateway(), "one.test", "/page").unwrap().status,
        404
    );

    site.write("app", "routes = [\"three.test\"]\nreplicas = \"many\"\n");
    until("the problem in the metrics", || {
        site.metric("minato_config_problems").filter(|it| *it > 0.0)
    });
    let output = site.cli(&["status"]);
    let status = text(&output.stdout);
    assert!(
        output.status.code() == Some(1)
            && status.contains("config:")
            && status.contains("app.toml"),
        "{status}"
    );
    assert_eq!(
        get(site.gateway(), "two.test", "/page").unwrap().status,
        200
    );
    assert_eq!(
        get(site.gateway(), "three.test", "/page").unwrap().status,
        404
    );
    site.wait_event("the refusal", |it| it.kind == "config_rejected");

    site.write("app", &file(&site, "three.test"));
    until_status(site.gateway(), "three.test", "/page", 200);
    until("the metric to clear", || {
        site.metric("minato_config_problems")
            .filter(|it| *it == 0.0)
    });
    let status = site.type_in(&["status"]);
    assert!(!status.contains("config:"), "{status}");
    assert_eq!(site.pids("app"), pids, "an edit of routes restarts nothing");
}

#[test]
fn a_deleted_file_stops_nothing_at_first_and_its_return_changes_nothing() {
    let mut site = Site::new();
    site.write("app", &site.python(1, ""));
    // Deleting more than half of all at once is refused, so there is another.
    site.write("other", &site.python(1, "routes = [\"other.test\"]\n"));
    site.start();
    site.wait_ok("app", 1);
    site.wait_ok("other", 1);
    let (pids, file) = (
        site.pids("app"),
        fs::read(site.service_file("app")).unwrap(),
    );
    let before = site.latest_event();

    let load = site.load();
    fs::remove_file(site.service_file("app")).unwrap();
    let deleted = now();
    until("the folder to be read again", || {
        site.metric("minato_config_files").filter(|it| *it == 1.0)
    });
    while deleted.elapsed() < Duration::from_secs(2) {
        pause(Duration::from_millis(50));
        assert!(is_alive(pids[0]));
    }
    let back = site.path("services/app.new");
    fs::write(&back, &file).unwrap();
    fs::rename(back, site.service_file("app")).unwrap();
    until("the folder to be read again", || {
        site.metric("minato_config_files").filter(|it| *it == 2.0)
    });
    site.wait_ok("app", 1);
    load.wait_for(20);
    load.stop().nothing_failed();
    assert_eq!(site.pids("app"), pids);
    let events = site.events_of("app", 0, before);
    assert!(events.is_empty(), "{events:#?}");
}

#[test]
fn check_lists_every_problem_of_every_file_and_run_refuses_bad_settings() {
    let site = Site::new();
    site.write("one", "command = [\"true\"]\nreplicas = 0\nunknown = 1\n");
    site.write("two", "endpoints = [\"nowhere\"]\nroutes = [\"Bad_Host/\"]\nhealth = { interval = \"1s\", timeout = \"2s\" }\n");
    let settings = site.settings();
    let output = site.cli(&["check", "--config", settings.to_str().unwrap()]);
    let printed = text(&output.stdout);
    assert_eq!(output.status.code(), Some(3), "{printed}");
    for (file, word) in [
        ("one.toml:2", "replicas"),
        ("one.toml:3", "unknown"),
        ("two.toml:1", "endpoints"),
        ("two.toml:2", "routes"),
        ("two.toml:3", "timeout"),
    ] {
        assert!(
            printed
                .lines()
                .any(|it| it.contains(file) && it.contains(word)),
            "{file} {word} is missing: {printed}"
        );
    }

    // Certificates that would not be served.
    let tls = settings.with_file_name("tls");
    fs::create_dir(&tls).unwrap();
    fs::write(tls.join("half.crt"), "").unwrap();
    let secure = "[gateway]\nhttps = [\"127.0.0.1:0\"]\ncertificates = \"tls\"\n";
    let plain = fs::read_to_string(&settings).unwrap();
    fs::write(&settings, plain.replace("[gateway]\n", secure)).unwrap();
    let output = site.cli(&["check", "--config", settings.to_str().unwrap()]);
    let printed = text(&output.stdout);
    let half = "half.key is missing; put the other half there";
    assert!(
        output.status.code() == Some(3) && printed.contains(half),
        "{printed}"
    );

    site.write_settings("[gatway]\n");
    let (code, said) = site.run_in_vain();
    assert_eq!(code, Some(3), "{said}");
    assert!(
        said.contains("gatway") && said.contains("minato.toml"),
        "{said}"
    );
}

#[test]
fn edits_of_one_service_cost_no_request_of_another() {
    let mut site = Site::new();
    site.write("app", &site.python(2, ""));
    let other = |n: u32| {
        format!(
            "endpoints = [\"127.0.0.1:9\"]\nroutes = [\"other{n}.test\", \"other.test/{n}\"]\nhealth = \"tcp\"\n"
        )
    };
    site.write("other", &other(0));
    site.start();
    site.wait_ok("app", 2);
    let load = site.load();
    for n in 1..=15 {
        site.write("other", &other(n));
        until_status(site.gateway(), &format!("other{n}.test"), "/", 503);
    }
    load.wait_for(20);
    load.stop().nothing_failed();
}

#[test]
fn a_folder_that_vanishes_ends_nothing() {
    let mut site = Site::new();
    site.write("app", &site.python(1, ""));
    site.start();
    site.wait_ok("app", 1);
    let pids = site.pids("app");
    fs::rename(site.path("services"), site.path("elsewhere")).unwrap();
    until("the problem to show", || {
        site.metric("minato_config_problems").filter(|it| *it > 0.0)
    });
    let status = text(&site.cli(&["status"]).stdout);
    assert!(
        status.contains("config:") && status.contains("services"),
        "{status}"
    );
    assert_eq!(
        get(site.gateway(), "e2e.test", "/page").unwrap().status,
        200
    );
    fs::rename(site.path("elsewhere"), site.path("services")).unwrap();
    until("the problem to go", || {
        site.metric("minato_config_problems")
            .filter(|it| *it == 0.0)
    });
    site.wait_ok("app", 1);
    assert_eq!(site.pids("app"), pids);
}

#[test]
fn a_deleted_file_ends_its_service_after_thirty_seconds() {
    let mut site = Site::new();
    site.write("app", &site.python(1, ""));
    site.write("other", &site.python(1, "routes = [\"other.test\"]\n"));
    site.start();
    site.wait_ok("app", 1);
    site.wait_ok("other", 1);
    let pids = site.pids("app");
    fs::remove_file(site.service_file("app")).unwrap();
    let deleted = now();
    within(Duration::from_secs(60), "its routes to go", || {
        (get(site.gateway(), "e2e.test", "/page").unwrap().status == 404).then_some(())
    });
    let took = deleted.elapsed();
    assert!(took >= Duration::from_secs(29), "ended after {took:?}");
    until("its instance to end", || (!is_alive(pids[0])).then_some(()));
    until("it to be gone from status", || {
        (site.api("/v1/services/app").status == 404).then_some(())
    });
    assert_eq!(
        get(site.gateway(), "other.test", "/page").unwrap().status,
        200
    );
}
