//! Fault row 1: what clients and the operator see when one of two instances fails.

use crate::support::clock::{until, wall_ms};
use crate::support::figures::{Figure, measured};
use crate::support::http::{get, post, until_status};
use crate::support::load::Load;
use crate::support::orders::Orders;
use crate::support::processes::signal;
use crate::support::site::{Checks, QUICK, Site, USUAL};
use crate::support::view::Event;
use rustix::process::Signal;
use std::time::Duration;

/// What a busy machine may add to a deadline.
const SLACK_MS: u64 = 700;

/// Quick ones; with `MINATO_FAULT_TIMERS=default` those that users get.
fn checks() -> Checks {
    match std::env::var("MINATO_FAULT_TIMERS").as_deref() {
        Ok("default") => USUAL,
        _ => QUICK,
    }
}

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

/// One fault of one instance under way, with orders beside the load.
struct Row<'a> {
    site: &'a Site,
    what: &'static str,
    slot: u64,
    /// The newest event before it.
    before: u64,
    began: u64,
    orders: Orders,
}

impl<'a> Row<'a> {
    fn begin(site: &'a Site, what: &'static str, slot: u64) -> Self {
        let orders = Orders::start(site.gateway(), "e2e.test", site.ledger());
        orders.wait_for(30);
        Self {
            site,
            what,
            slot,
            before: site.latest_event(),
            began: wall_ms(),
            orders,
        }
    }

    /// Once all is well again: nothing failed, no order is lost or doubled. `found`: the event by which minato says that it has noticed.
    #[track_caller]
    fn end(self, load: Load, found: &str) -> Vec<Event> {
        let events = self.site.events_of("app", self.slot, self.before);
        let report = load.stop();
        report.nothing_failed();
        // One instance went, and with it what was under way to it.
        let carried = self.orders.judge(1);
        let after = |kind: &str| {
            let event = events.iter().find(|it| it.kind == kind);
            let event = event.unwrap_or_else(|| panic!("no {kind} among {events:#?}"));
            Figure::Time(Duration::from_millis(
                event.at_ms.saturating_sub(self.began),
            ))
        };
        let mut figures = vec![
            ("detected", after(found)),
            ("started again", after("started")),
            ("whole again", after("up")),
            ("slowest request", Figure::Time(report.slowest)),
            ("requests", Figure::Count(report.sent)),
            ("failed", Figure::Count(report.failed)),
        ];
        figures.extend(carried.figures());
        measured(&format!("row 1, {}", self.what), &figures);
        events
    }
}

#[test]
fn a_killed_instance_costs_no_request_and_comes_back_as_a_new_run() {
    let mut site = Site::new();
    site.write("app", &site.python(2, ""));
    site.start();
    site.wait_ok("app", 2);
    let load = site.load();
    load.wait_for(150);
    balanced(&site, "app");
    let (before, pids, address) = (
        site.latest_event(),
        site.pids("app"),
        site.address("app", 0),
    );
    let run = site.instance("app", 0).unwrap()["run"].as_u64().unwrap();

    let row = Row::begin(&site, "an instance killed", 0);
    signal(pids[0], Signal::KILL);
    new_run_is_up(&site, "app", 0, run + 1);
    load.wait_for(50);
    let events = row.end(load, "exited");
    in_order(&events, &["exited", "started", "up"]);
    assert!(
        events
            .iter()
            .filter(|it| it.kind == "started")
            .all(|it| it.run == Some(run + 1)),
        "{events:#?}"
    );
    let after = site.pids("app");
    assert_ne!(after[0], pids[0]);
    assert_eq!(site.address("app", 0), address, "a restart keeps the port");
    assert_eq!(after[1], pids[1], "the other one was left alone");
    assert!(
        site.events_of("app", 1, before)
            .iter()
            .all(|it| it.kind != "exited" && it.kind != "killed")
    );
}

#[test]
fn a_frozen_instance_is_ejected_in_time_and_replaced() {
    let mut site = Site::new();
    site.write("app", &site.python(2, &checks().of("path = \"/healthz\"")));
    site.start();
    site.wait_ok("app", 2);
    let load = site.load();
    load.wait_for(50);
    let pid = site.pids("app")[1];
    let run = site.instance("app", 1).unwrap()["run"].as_u64().unwrap();

    let row = Row::begin(&site, "an instance frozen", 1);
    let frozen = wall_ms();
    signal(pid, Signal::STOP);
    new_run_is_up(&site, "app", 1, run + 1);
    load.wait_for(50);
    let events = row.end(load, "down");
    in_order(&events, &["suspect", "down", "killed", "started", "up"]);
    let down = events.iter().find(|it| it.kind == "down").unwrap();
    let took = down.at_ms.saturating_sub(frozen);
    let limit = checks().bound_ms() + SLACK_MS;
    assert!(
        took <= limit,
        "ejected after {took} ms, at most {limit} ms are allowed: {events:#?}"
    );
}

#[test]
fn an_instance_that_fails_its_health_path_is_replaced_and_no_order_is_lost_or_doubled() {
    let mut site = Site::new();
    site.write("app", &site.python(2, &checks().of("path = \"/healthz\"")));
    site.start();
    site.wait_ok("app", 2);
    let address = site.address("app", 0);
    let run = site.instance("app", 0).unwrap()["run"].as_u64().unwrap();
    let load = site.load();
    load.wait_for(50);

    let row = Row::begin(&site, "an instance that answers 500", 0);
    assert_eq!(post(address, "e2e.test", "/sick", "").unwrap().status, 200);
    new_run_is_up(&site, "app", 0, run + 1);
    load.wait_for(50);
    let events = row.end(load, "down");
    in_order(&events, &["suspect", "down", "killed", "started", "up"]);
    let down = events.iter().find(|it| it.kind == "down").unwrap();
    assert!(down.message.contains("status: 500"), "{down:?}");
}

#[test]
fn an_instance_that_accepts_and_never_answers_is_ejected_and_replaced() {
    let mut site = Site::new();
    site.write("app", &site.python(2, &checks().of("path = \"/healthz\"")));
    site.start();
    site.wait_ok("app", 2);
    let load = site.load();
    load.wait_for(50);
    let address = site.address("app", 0);
    let run = site.instance("app", 0).unwrap()["run"].as_u64().unwrap();

    let row = Row::begin(&site, "an instance that never answers", 0);
    assert_eq!(post(address, "e2e.test", "/hang", "").unwrap().status, 200);
    new_run_is_up(&site, "app", 0, run + 1);
    load.wait_for(50);
    let events = row.end(load, "down");
    in_order(&events, &["suspect", "down", "killed", "started", "up"]);
}

#[test]
fn when_every_instance_dies_clients_are_told_and_the_service_returns() {
    let mut site = Site::new();
    site.write("app", &site.python(2, &checks().of("path = \"/healthz\"")));
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
