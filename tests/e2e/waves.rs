//! Updates of many services in waves: one first, held after failures, ended and gone on with by a word, carried on after kill -9.

use crate::support::clock::{until, within};
use crate::support::load::{Ask, Load};
use crate::support::processes::{beside, python};
use crate::support::site::{AtStop, Site, text};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Duration;

/// A wave of a dozen on a busy machine.
const LONG: Duration = Duration::from_secs(240);

fn name(n: usize) -> String {
    format!("repo-{n:02}")
}

/// `count` services that write each start down, and that do not start where a file named after them and `broken` is there.
fn write_repos(site: &Site, count: usize) {
    for n in 1..=count {
        let name = name(n);
        let starts = site.path("starts");
        let broken = site.path(&format!("{name}.broken"));
        let script = format!(
            "echo {name} >> {}; test -e {} && echo no such table && exit 3; exec {} {} $PORT {}",
            starts.display(),
            broken.display(),
            python(),
            beside("service.py").display(),
            site.ledger().display()
        );
        let file = format!(
            "command = [\"/bin/sh\", \"-c\", \"{script}\"]\nroutes = [\"{name}.test\"]\nstop = {{ drain = \"2s\", grace = \"1s\" }}\n\
             update = {{ healthy = \"500ms\", deadline = \"60s\" }}\n\
             health = {{ path = \"/healthz\", interval = \"5500ms\", fast = \"200ms\", timeout = \"5s\" }}\n"
        );
        site.write(&name, &file);
    }
}

/// Waits until every service has a version to go back to.
#[track_caller]
fn wait_stable(site: &Site, count: usize) {
    within(LONG, "all services to be known as what serves", || {
        let stable = |n| site.service(&name(n))["runs"].is_string();
        (1..=count).all(stable).then_some(())
    });
}

fn pids(site: &Site, count: usize) -> BTreeMap<String, Vec<u32>> {
    (1..=count)
        .map(|n| (name(n), site.pids(&name(n))))
        .collect()
}

/// How often each was started.
fn starts(site: &Site) -> BTreeMap<String, usize> {
    let mut starts = BTreeMap::new();
    for line in fs::read_to_string(site.path("starts")).unwrap().lines() {
        *starts.entry(line.to_owned()).or_insert(0) += 1;
    }
    starts
}

fn load_on(site: &Site, n: usize) -> Load {
    let ask = Ask::Get {
        path: "/page".to_owned(),
        body: "the page".to_owned(),
    };
    Load::start(site.gateway(), &format!("{}.test", name(n)), &ask)
}

fn operation(site: &Site, id: u64) -> Value {
    site.json(&format!("/v1/operations/{id}"))
}

fn count(operation: &Value, state: &str) -> usize {
    let steps = operation["steps"].as_array().unwrap();
    steps.iter().filter(|it| it["state"] == state).count()
}

#[track_caller]
fn wait_state(site: &Site, id: u64, state: &str) -> Value {
    within(LONG, &format!("operation {id} to be {state}"), || {
        let it = operation(site, id);
        (it["state"] == state).then_some(it)
    })
}

#[test]
fn a_wave_restarts_a_dozen_services_one_first_and_costs_no_request() {
    const ALL: usize = 12;
    let mut site = Site::new();
    write_repos(&site, ALL);
    site.start();
    wait_stable(&site, ALL);
    let before = pids(&site, ALL);
    let wave = ["wave", "--services", "repo-*", "--restart", "--size", "4"];

    // Looking at it changes nothing.
    let printed = site.type_in(&[&wave[..], &["--dry-run"]].concat());
    assert!(printed.contains("in 5 waves"), "{printed}");
    assert_eq!(printed.matches("repo-").count(), ALL, "{printed}");
    assert_eq!(
        site.json("/v1/operations")["operations"],
        serde_json::json!([])
    );

    let loads: Vec<Load> = [1, 2, 7, 12].map(|n| load_on(&site, n)).into();
    loads.iter().for_each(|it| it.wait_for(20));
    let since = site.latest_event();
    let printed = site.type_in(&wave);
    assert!(printed.contains("12 of 12 done"), "{printed}");
    loads.iter().for_each(|it| it.wait_for(20));
    for load in loads {
        let report = load.stop();
        println!(
            "{} requests, {} failed, slowest {:?}",
            report.sent, report.failed, report.slowest
        );
        report.nothing_failed();
    }
    let after = pids(&site, ALL);
    for (name, old) in &before {
        assert!(
            after[name].len() == 1 && after[name] != *old,
            "{name}: {before:?} {after:?}"
        );
    }
    assert!(
        starts(&site).values().all(|it| *it == 2),
        "{:?}",
        starts(&site)
    );

    // One alone, and nothing else until it was done; then at most four at a time.
    let events: Vec<String> = site
        .events()
        .into_iter()
        .filter(|it| it.seq > since && it.kind == "operation")
        .map(|it| it.message)
        .collect();
    let place = |words: &str| {
        let found = events.iter().position(|it| it.contains(words));
        found.unwrap_or_else(|| panic!("{words}: {events:#?}"))
    };
    assert!(place("wave 1 of 5: repo-01") < place("repo-01 done"));
    assert!(place("repo-01 done") < place("wave 2 of 5: repo-02, repo-03"));
    assert!(place("repo-07 done") < place("wave 4 of 5"));
    assert!(place("wave 5 of 5: repo-12") < place("is done: 12 of 12 done"));
}

#[test]
fn a_failure_holds_the_wave_until_a_person_says_how_it_goes_on() {
    const ALL: usize = 6;
    let mut site = Site::new();
    write_repos(&site, ALL);
    site.start();
    wait_stable(&site, ALL);
    let before = pids(&site, ALL);
    fs::write(site.path("repo-02.broken"), "").unwrap();
    let load = load_on(&site, 2);
    load.wait_for(20);

    let output = site.cli(&["wave", "--services", "repo-*", "--restart", "--size", "2"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for words in [
        "is held",
        "1 failed",
        "no such table",
        "minato operation resume 1",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let now = pids(&site, ALL);
    assert_ne!(now["repo-01"], before["repo-01"]);
    for n in 4..=ALL {
        assert_eq!(now[&name(n)], before[&name(n)], "nothing more begins");
    }
    assert_eq!(now["repo-02"], before["repo-02"], "the old one serves");
    let status = site.type_in_any(&["status"]);
    assert!(
        status.contains("operation 1") && status.contains("resume 1"),
        "{status}"
    );

    // Somebody else who wants the same services is told who has them.
    let output = site.cli(&["wave", "--services", "repo-06", "--restart", "--no-wait"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(
        said.contains("operation 1") && said.contains("abort 1"),
        "{said}"
    );

    let output = site.cli(&["operation", "resume", "1"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("5 of 6 done, 1 failed"), "{said}");
    let now = pids(&site, ALL);
    for n in (1..=ALL).filter(|n| *n != 2) {
        assert_ne!(now[&name(n)], before[&name(n)], "{}", name(n));
    }
    assert_eq!(now["repo-02"], before["repo-02"]);
    load.wait_for(20);
    load.stop().nothing_failed();

    // It has ended, so the services are free again.
    fs::remove_file(site.path("repo-02.broken")).unwrap();
    let printed = site.type_in(&["wave", "--services", "repo-02", "--restart"]);
    assert!(printed.contains("1 of 1 done"), "{printed}");
    assert_ne!(pids(&site, ALL)["repo-02"], before["repo-02"]);
}

#[test]
fn an_ended_wave_begins_nothing_more() {
    const ALL: usize = 5;
    let mut site = Site::new();
    write_repos(&site, ALL);
    site.start();
    wait_stable(&site, ALL);
    let before = pids(&site, ALL);
    let printed = site.type_in(&[
        "wave",
        "--services",
        "repo-*",
        "--restart",
        "--size",
        "1",
        "--no-wait",
    ]);
    assert!(printed.contains("minato operation show 1"), "{printed}");
    within(LONG, "the second to begin", || {
        (count(&operation(&site, 1), "done") >= 1).then_some(())
    });
    site.type_in(&["operation", "abort", "1"]);
    let it = operation(&site, 1);
    assert_eq!(it["state"], "aborted", "{it}");
    let (done, waiting) = (count(&it, "done"), count(&it, "waiting"));
    assert!(waiting >= 1 && done + waiting == ALL, "{it}");
    let now = pids(&site, ALL);
    let changed = (1..=ALL)
        .filter(|n| now[&name(*n)] != before[&name(*n)])
        .count();
    assert_eq!(changed, done);
    let output = site.cli(&["operation", "resume", "1"]);
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
}

/// Killed before and after each step: every service is restarted once, none twice, none left out.
#[test]
fn a_wave_goes_on_after_its_leader_was_killed_at_each_step() {
    const ALL: usize = 6;
    let mut site = Site::new();
    site.at_stop = AtStop::LeaveInstances;
    write_repos(&site, ALL);
    site.start();
    wait_stable(&site, ALL);
    let before = pids(&site, ALL);
    site.type_in(&[
        "wave",
        "--services",
        "repo-*",
        "--restart",
        "--size",
        "2",
        "--no-wait",
    ]);
    let mut seen = BTreeSet::new();
    loop {
        // The next state of its steps that was not seen yet.
        let it = within(LONG, "the next step", || {
            let it = operation(&site, 1);
            let states = format!("{} {}", it["state"], it["progress"]);
            let is_new = it["ended"] == true || seen.insert(states);
            is_new.then_some(it)
        });
        if it["ended"] == true {
            break;
        }
        site.crash();
        site.start();
    }
    site.at_stop = AtStop::StopInstances;
    println!("killed at {} states: {seen:?}", seen.len());
    assert!(seen.len() >= 3, "{seen:?}");
    let it = operation(&site, 1);
    assert_eq!(it["progress"], format!("{ALL} of {ALL} done"), "{it}");
    let now = pids(&site, ALL);
    for n in 1..=ALL {
        assert_ne!(now[&name(n)], before[&name(n)], "{}", name(n));
    }
    assert!(
        starts(&site).values().all(|it| *it == 2),
        "{:?}",
        starts(&site)
    );
    site.crash();
    site.start();
}

#[test]
fn schedules_that_cannot_be_kept_are_refused_and_others_run_by_themselves() {
    let mut site = Site::new();
    write_repos(&site, 2);
    site.start();
    wait_stable(&site, 2);
    let before = pids(&site, 2);
    let wave = ["wave", "--services", "repo-*", "--restart"];
    for (times, words) in [
        (&["--at", "2020-01-01 08:00 Asia/Tokyo"][..], "in the past"),
        (&["--at", "2036-01-01 08:00"], "no time zone"),
        (&["--at", "2036-01-01 08:00 JST"], "Asia/Tokyo"),
        (&["--until", "2020-01-01 08:00 UTC"], "in the past"),
    ] {
        let output = site.cli(&[&wave[..], times].concat());
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{said}");
        assert!(said.contains(words), "{said}");
    }
    assert_eq!(
        site.json("/v1/operations")["operations"],
        serde_json::json!([])
    );

    let at = offset_text(3);
    let printed = site.type_in(&[&wave[..], &["--at", &at]].concat());
    assert!(
        printed.contains("operation 1") && printed.contains("from 2"),
        "{printed}"
    );
    assert_eq!(pids(&site, 2), before, "not before its time");
    let listed = site.type_in(&["operation", "list"]);
    assert!(listed.contains("restart of 2 services"), "{listed}");
    let it = wait_state(&site, 1, "done");
    assert_eq!(it["progress"], "2 of 2 done");
    let now = pids(&site, 2);
    assert!(now.iter().all(|(name, it)| *it != before[name]), "{now:?}");

    // One that would be late is called off before it begins.
    let at = offset_text(3600);
    site.type_in(&[&wave[..], &["--at", &at]].concat());
    site.type_in(&["operation", "abort", "2"]);
    until("it to be ended", || {
        (operation(&site, 2)["state"] == "aborted").then_some(())
    });
    assert_eq!(pids(&site, 2), now);
}

/// So many seconds from now, as a person writes it.
fn offset_text(seconds: u64) -> String {
    let at = crate::support::clock::wall_ms() + seconds * 1000;
    let clock = minato_control::clock_text(minato_config::Timestamp(at));
    let (date, time) = clock.split_once('T').unwrap();
    format!("{date} {} UTC", time.split('.').next().unwrap())
}
