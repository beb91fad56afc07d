//! Fault row 1: what clients and the operator see when one of two instances fails.

use crate::support::clock::{until, wall_ms};
use crate::support::http::{get, post, until_status};
use crate::support::load::{Ask, Load};
use crate::support::processes::{python, signal};
use crate::support::site::{PATIENT, QUICK, Site};
use crate::support::view::Event;
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::fs;

/// What a busy machine may add to a deadline.
const SLACK_MS: u64 = 700;

/// Both take their part of the load.
#[track_caller]
fn balanced(site: &Site, name: &str) {
    let requests: Vec<u64> = (0..2)
        .map(|slot| {
            site.instance(name, slot).unwrap()["requests"]
                .as_u64()
                .unwrap()
        })
        .collect();
    let whole: u64 = requests.iter().sum();
    assert!(
        whole >= 100 && requests.iter().all(|it| it * 4 >= whole),
        "{requests:?}"
    );
}

/// Events of these kinds, in this order.
#[track_caller]
fn in_order(events: &[Event], kinds: &[&str]) {
    let mut rest = events.iter();
    for kind in kinds {
        assert!(
            rest.any(|it| it.kind == *kind),
            "{kind} does not come in its turn among {kinds:?}: {events:#?}"
        );
    }
}

#[track_caller]
fn new_run_is_up(site: &Site, name: &str, slot: u64, run: u64) {
    until("the new run to be up", || {
        let it = site.instance(name, slot)?;
        (it["run"].as_u64()? >= run && it["verdict"] == "up").then_some(())
    });
    site.wait_ok(name, 2);
}

#[test]
fn a_killed_instance_costs_no_request_and_comes_back_as_a_new_run() {
    let mut site = Site::new();
    fs::create_dir(site.path("www")).unwrap();
    fs::write(site.path("www/page"), "the page").unwrap();
    site.write(
        "pages",
        &format!(
            "command = [\"{}\", \"-m\", \"http.server\", \"--bind\", \"127.0.0.1\", \"--directory\", \"{}\", \"{{port}}\"]\n\
             replicas = 2\nroutes = [\"*\"]\nstop = {{ drain = \"1s\", grace = \"1s\" }}\n\
             {}",
            python(),
            site.path("www").display(),
            PATIENT.of("path = \"/page\"")
        ),
    );
    site.start();
    site.wait_ok("pages", 2);
    let load = site.load();
    load.wait_for(150);
    balanced(&site, "pages");
    let (before, pids, address) = (
        site.latest_event(),
        site.pids("pages"),
        site.address("pages", 0),
    );
    let run = site.instance("pages", 0).unwrap()["run"].as_u64().unwrap();

    signal(pids[0], Signal::KILL);
    new_run_is_up(&site, "pages", 0, run + 1);
    load.wait_for(50);
    load.stop().nothing_failed();

    let events = site.events_of("pages", 0, before);
    in_order(&events, &["exited", "started", "up"]);
    assert!(
        events
            .iter()
            .filter(|it| it.kind == "started")
            .all(|it| it.run == Some(run + 1)),
        "{events:#?}"
    );
    let after = site.pids("pages");
    assert_ne!(after[0], pids[0]);
    assert_eq!(
        site.address("pages", 0),
        address,
        "a restart keeps the port"
    );
    assert_eq!(after[1], pids[1], "the other one was left alone");
    assert!(
        site.events_of("pages", 1, before)
            .iter()
            .all(|it| it.kind != "exited" && it.kind != "killed")
    );
}

#[test]
fn a_frozen_instance_is_ejected_in_time_and_replaced() {
    let mut site = Site::new();
    site.write("app", &site.python(2, &QUICK.of("path = \"/healthz\"")));
    site.start();
    site.wait_ok("app", 2);
    let load = site.load();
    load.wait_for(50);
    let (before, pid) = (site.latest_event(), site.pids("app")[1]);
    let run = site.instance("app", 1).unwrap()["run"].as_u64().unwrap();

    let frozen = wall_ms();
    signal(pid, Signal::STOP);
    new_run_is_up(&site, "app", 1, run + 1);
    load.wait_for(50);
    let report = load.stop();
    report.nothing_failed();

    let events = site.events_of("app", 1, before);
    in_order(&events, &["suspect", "down", "killed", "started", "up"]);
    let down = events.iter().find(|it| it.kind == "down").unwrap();
    let took = down.at_ms.saturating_sub(frozen);
    let limit = QUICK.bound_ms() + SLACK_MS;
    assert!(
        took <= limit,
        "ejected after {took} ms, at most {limit} ms are allowed: {events:#?}"
    );
    eprintln!(
        "ejected after {took} ms, longest request {:?}",
        report.slowest
    );
}

#[test]
fn an_instance_that_fails_its_health_path_is_replaced_and_no_order_is_lost_or_doubled() {
    let mut site = Site::new();
    site.write("app", &site.python(2, &QUICK.of("path = \"/healthz\"")));
    site.start();
    site.wait_ok("app", 2);
    let (before, address) = (site.latest_event(), site.address("app", 0));
    let run = site.instance("app", 0).unwrap()["run"].as_u64().unwrap();
    let (gets, orders) = (
        site.load(),
        Load::start(site.gateway(), "e2e.test", &Ask::Orders),
    );
    orders.wait_for(50);

    assert_eq!(post(address, "e2e.test", "/sick", "").unwrap().status, 200);
    new_run_is_up(&site, "app", 0, run + 1);
    orders.wait_for(50);
    let report = orders.stop();
    gets.stop().nothing_failed();

    let events = site.events_of("app", 0, before);
    in_order(&events, &["suspect", "down", "killed", "started", "up"]);
    let down = events.iter().find(|it| it.kind == "down").unwrap();
    assert!(down.message.contains("status: 500"), "{down:?}");

    let ledger = fs::read_to_string(site.ledger()).unwrap();
    let mut executed: BTreeMap<u64, u32> = BTreeMap::new();
    for number in ledger
        .lines()
        .filter_map(|it| it.split(' ').next()?.parse().ok())
    {
        *executed.entry(number).or_default() += 1;
    }
    let doubled: Vec<_> = executed.iter().filter(|(_, times)| **times > 1).collect();
    assert!(doubled.is_empty(), "executed more than once: {doubled:?}");
    let lost: Vec<_> = report
        .taken
        .iter()
        .filter(|it| !executed.contains_key(it))
        .collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    // At most those in flight when it was killed: one for each thread of the load.
    assert!(report.failed <= 4, "{report:?}");
    assert!(report.taken.len() >= 100, "{report:?}");
}

#[test]
fn an_instance_that_accepts_and_never_answers_is_ejected_and_replaced() {
    let mut site = Site::new();
    site.write("app", &site.python(2, &QUICK.of("path = \"/healthz\"")));
    site.start();
    site.wait_ok("app", 2);
    let load = site.load();
    load.wait_for(50);
    let (before, address) = (site.latest_event(), site.address("app", 0));
    let run = site.instance("app", 0).unwrap()["run"].as_u64().unwrap();

    assert_eq!(post(address, "e2e.test", "/hang", "").unwrap().status, 200);
    new_run_is_up(&site, "app", 0, run + 1);
    load.wait_for(50);
    load.stop().nothing_failed();

    let events = site.events_of("app", 0, before);
    in_order(&events, &["suspect", "down", "killed", "started", "up"]);
}

#[test]
fn when_every_instance_dies_clients_are_told_and_the_service_returns() {
    let mut site = Site::new();
    site.write("app", &site.python(2, &QUICK.of("path = \"/healthz\"")));
    site.start();
    site.wait_ok("app", 2);
    let pids = site.pids("app");
    for pid in &pids {
        signal(*pid, Signal::KILL);
    }
    let answer = until("an answer", || {
        get(site.gateway(), "e2e.test", "/page").ok()
    });
    assert!(matches!(answer.status, 200 | 502 | 503), "{answer:?}");
    until_status(site.gateway(), "e2e.test", "/page", 200);
    site.wait_ok("app", 2);
    assert!(site.pids("app").iter().all(|it| !pids.contains(it)));
}
