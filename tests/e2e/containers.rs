//! Services made of images, on a real engine.

#[path = "containers/growth.rs"]
mod growth;
#[path = "containers/moved.rs"]
mod moved;
#[path = "containers/pull.rs"]
mod pull;
#[allow(dead_code, reason = "shared with tests that use all of it")]
#[path = "../../control/agent/tests/agent/docker/registry.rs"]
mod registry;
#[allow(
    dead_code,
    reason = "shared with the tests of the runtime, which use all of it"
)]
#[path = "../../control/agent/tests/agent/docker/stage.rs"]
mod stage;
#[path = "containers/updates.rs"]
mod updates;

use crate::support::clock::{until, wall_ms};
use crate::support::figures::{Figure, measured};
use crate::support::http::get;
use crate::support::processes::{is_alive, signal};
use crate::support::site::{AtStop, PATIENT, Site};
use rustix::process::Signal;
use stage::{Engine, inside};
use std::fs;
use std::process::Command;
use std::time::Duration;

/// A site whose agent runs images of that engine.
fn site(engine: &Engine) -> Site {
    let site = Site::new();
    runs_images(&site, engine);
    site
}

/// Lets its agent run images of that engine.
fn runs_images(site: &Site, engine: &Engine) {
    let settings = fs::read_to_string(site.settings()).unwrap();
    let docker = format!(
        "[agent]\nruntime = \"docker\"\ndocker = {{ socket = \"{}\", free_space = 0 }}\n",
        engine.socket().display()
    );
    fs::write(site.settings(), settings.replace("[agent]\n", &docker)).unwrap();
}

/// A service file.
fn library(version: &str, more: &str) -> String {
    format!(
        "image = \"test/library:1\"\nport = 8080\ninit = true\nreplicas = 2\nroutes = [\"*\"]\nenv = {{ VERSION = \"{version}\" }}\n\
         stop = {{ drain = \"2s\", grace = \"1s\" }}\n\
         update = {{ healthy = \"1s\" }}\n{}{more}",
        PATIENT.of("path = \"/healthz\"")
    )
}

fn body(site: &Site, path: &str) -> String {
    get(site.gateway(), "e2e.test", path).unwrap().text()
}

#[test]
fn a_service_made_of_an_image_from_start_to_stop() {
    let test = "containers::a_service_made_of_an_image_from_start_to_stop";
    inside(test, async {
        let engine = Engine::start().await;
        engine.image(&["test/library:1"]);
        let mut site = site(&engine);
        site.write("app", &library("1", ""));
        site.start();
        site.wait_ok("app", 2);
        assert_eq!(body(&site, "/"), "hello 1");
        let load = site.load();
        load.wait_for(50);

        // One is killed: nobody notices but the events.
        let victim = site.pids("app")[0];
        killed_and_measured(&site, &engine, victim);
        site.wait_ok("app", 2);
        assert!(!site.pids("app").contains(&victim));

        // More, and fewer.
        site.type_in(&["scale", "app", "3"]);
        site.wait_ok("app", 3);
        site.type_in(&["scale", "app", "--reset"]);
        site.wait_ok("app", 2);
        until("the third to be gone", || {
            (running(&engine) == 2).then_some(())
        });

        // Another environment makes other containers, one at a time; other limits do not.
        let before = site.pids("app");
        site.write("app", &library("2", ""));
        until("the new version", || {
            (site.service("app")["state"] == "ok"
                && site.pids("app").iter().all(|it| !before.contains(it)))
            .then_some(())
        });
        site.wait_ok("app", 2);
        assert_eq!(body(&site, "/"), "hello 2");
        let (pids, before) = (site.pids("app"), site.latest_event());
        site.write(
            "app",
            &library("2", "resources = { cpu = 2, memory = \"64MiB\" }\n"),
        );
        // A new one takes the place of an old one under a number that is free.
        let service = site.service("app");
        let slots = service["instances"].as_array().unwrap().iter();
        let slots: Vec<u64> = slots.map(|it| it["slot"].as_u64().unwrap()).collect();
        let [first, second] = slots.clone().try_into().unwrap();
        for slot in slots {
            site.wait_event("other limits", |it| {
                it.seq > before && it.kind == "adjusted" && it.slot == Some(slot)
            });
        }
        let limits = engine.inspect(
            &container(&engine, &format!(".app.{second}.")),
            "{{.HostConfig.CpuShares}} {{.HostConfig.Memory}}",
        );
        assert_eq!(limits, format!("2048 {}", 64 << 20));
        assert_eq!(site.pids("app"), pids);
        let report = load.stop();
        println!("{} requests, {} failed", report.sent, report.failed);
        report.nothing_failed();

        let logs = site.type_in(&["logs", "app", "-n", "5"]);
        assert!(
            logs.contains(&format!("app/{first} | listens on 8080"))
                && logs.contains(&format!("app/{second} | ")),
            "{logs}"
        );

        // What is wrong with one service is told with its file, and touches no other.
        let before = site.latest_event();
        site.write("none", "image = \"127.0.0.1:9/none:1\"\nport = 80\n");
        let told = site.wait_event("the refusal", |it| {
            it.seq > before && it.message.contains("none/0 could not be started")
        });
        assert!(
            told.message
                .contains("none.toml: image: 127.0.0.1:9/none:1 could not be fetched"),
            "{told:?}"
        );
        assert_eq!(
            (body(&site, "/"), site.pids("app")),
            ("hello 2".to_owned(), pids.clone())
        );
        fs::remove_file(site.service_file("none")).unwrap();

        // minato goes and comes: the same containers. Stopped with its instances: none.
        site.crash();
        assert_eq!(running(&engine), 2);
        site.start();
        site.wait_ok("app", 2);
        assert_eq!(site.pids("app"), pids);
        site.at_stop = AtStop::StopInstances;
        site.stop(Signal::TERM);
        until("the end of all containers", || {
            (running(&engine) == 0).then_some(())
        });
    });
}

/// Kills the container of slot 0 and waits until the next one has got a request; what of that time was its own start, and what was ours.
fn killed_and_measured(site: &Site, engine: &Engine, victim: u32) {
    let (address, before) = (site.address("app", 0), site.latest_event());
    let killed = wall_ms();
    signal(victim, Signal::KILL);
    until("the old one to be gone", || {
        (!is_alive(victim)).then_some(())
    });
    // It keeps its port, so whoever answers there now is the new one.
    let answers = until("the new one to answer by itself", || {
        let answer = get(address, "e2e.test", "/").ok()?;
        (answer.status == 200).then(wall_ms)
    });
    let noticed = site.wait_event("the end", |it| {
        it.seq > before && it.kind == "exited" && it.slot == Some(0)
    });
    let routed = until("it to get a request", || {
        let it = site.instance("app", 0)?;
        let is_new = it["pid"].as_u64()? != u64::from(victim);
        (is_new && it["requests"].as_u64()? > 0).then(wall_ms)
    });
    let made = engine.inspect(&container(engine, ".app.0."), "{{.Created}}");
    let made = Command::new("date")
        .args(["+%s%3N", "--date", &made])
        .output()
        .unwrap();
    let made: u64 = String::from_utf8_lossy(&made.stdout)
        .trim()
        .parse()
        .unwrap();
    let own = answers.saturating_sub(made);
    let time = |it: u64| Figure::Time(Duration::from_millis(it));
    measured(
        "row 1, a container killed",
        &[
            ("detected", time(noticed.at_ms.saturating_sub(killed))),
            ("the next one made", time(made.saturating_sub(killed))),
            ("its own start", time(own)),
            ("its first success", time(routed - killed)),
            (
                "the same beyond its own start",
                time((routed - killed).saturating_sub(own)),
            ),
        ],
    );
}

fn running(engine: &Engine) -> usize {
    engine.docker(&["ps", "-q"]).lines().count()
}

/// The running container whose name has `part`.
fn container(engine: &Engine, part: &str) -> String {
    let names = engine.docker(&["ps", "--format", "{{.Names}}"]);
    let found = names.lines().find(|it| it.contains(part));
    found
        .unwrap_or_else(|| panic!("no {part} in {names}"))
        .to_owned()
}

#[test]
fn visitors_notice_nothing_of_an_engine_that_is_killed() {
    let test = "containers::visitors_notice_nothing_of_an_engine_that_is_killed";
    inside(test, async {
        let mut engine = Engine::start().await;
        engine.image(&["test/library:1"]);
        let mut site = site(&engine);
        site.write("app", &library("1", ""));
        site.start();
        site.wait_ok("app", 2);
        let pids = site.pids("app");
        let load = site.load();
        load.wait_for(50);
        let before = site.latest_event();
        engine.kill();
        site.wait_event("the engine's end", |it| {
            it.seq > before && it.kind == "engine" && it.message.contains("containers go on")
        });
        load.wait_for(200);
        engine.begin().await;
        site.wait_event("the engine's return", |it| {
            it.seq > before && it.message.contains("answers again")
        });
        load.wait_for(200);
        let report = load.stop();
        println!(
            "{} requests over the end and the return of an engine, {} failed",
            report.sent, report.failed
        );
        report.nothing_failed();
        site.wait_ok("app", 2);
        assert_eq!(site.pids("app"), pids, "containers were started again");
        let harm = ["suspect", "down", "exited", "killed", "started"];
        let events = site.events();
        let harmed: Vec<_> = events
            .iter()
            .filter(|it| it.seq > before && harm.contains(&it.kind.as_str()))
            .collect();
        assert!(harmed.is_empty(), "{harmed:#?}");
    });
}
