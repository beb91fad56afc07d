//! minato itself is killed with -9.

use crate::support::clock::until;
use crate::support::http::get;
use crate::support::processes::{is_alive, signal};
use crate::support::site::{AtStop, Site};
use rustix::process::Signal;
use std::fs;

/// The table on disk is at most a second older than the real one.
#[track_caller]
fn table_is_saved(site: &Site) {
    until("the table to be saved", || {
        let saved = fs::read_to_string(site.path("data/gateway.json")).ok()?;
        (saved.matches("\"up\"").count() == 2).then_some(())
    });
}

#[test]
fn instances_outlive_minato_and_the_next_one_serves_at_once_and_adopts_them() {
    let mut site = Site::new();
    site.write("app", &site.python(2, ""));
    site.start();
    site.wait_ok("app", 2);
    let pids = site.pids("app");
    let before = site.latest_event();
    table_is_saved(&site);

    site.crash();
    assert!(pids.iter().all(|it| is_alive(*it)), "{pids:?}");
    site.start();
    // The API answers, so the listeners do: no waiting for probes.
    let answer = get(site.gateway(), "e2e.test", "/page").unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (200, "the page"));
    let load = site.load();
    for slot in 0..2 {
        site.wait_event("the adoption", |it| {
            it.seq > before && it.kind == "adopted" && it.slot == Some(slot)
        });
    }
    site.wait_ok("app", 2);
    load.wait_for(50);
    load.stop().nothing_failed();
    assert_eq!(site.pids("app"), pids);
    let events = site.events();
    let restarted = events.iter().filter(|it| {
        it.seq > before && matches!(it.kind.as_str(), "started" | "killed" | "exited" | "down")
    });
    assert_eq!(restarted.collect::<Vec<_>>(), Vec::<&_>::new());
}

#[test]
fn an_instance_that_died_while_minato_was_away_is_started_again() {
    let mut site = Site::new();
    site.write("app", &site.python(2, ""));
    site.start();
    site.wait_ok("app", 2);
    let pids = site.pids("app");
    let before = site.latest_event();
    table_is_saved(&site);
    site.crash();
    signal(pids[0], Signal::KILL);
    until("its end", || (!is_alive(pids[0])).then_some(()));
    site.start();
    let load = site.load();
    // Until the agent has looked, the store says what was.
    site.wait_event("the new run", |it| {
        it.seq > before && it.kind == "started" && it.slot == Some(0)
    });
    site.wait_ok("app", 2);
    load.wait_for(50);
    load.stop().nothing_failed();
    let after = site.pids("app");
    assert!(
        after[0] != pids[0] && after[1] == pids[1],
        "{pids:?} {after:?}"
    );
}

#[test]
fn an_ordinary_stop_leaves_instances_running_for_the_next_minato() {
    let mut site = Site::new();
    site.at_stop = AtStop::LeaveInstances;
    site.write("app", &site.python(2, ""));
    site.start();
    site.wait_ok("app", 2);
    let pids = site.pids("app");
    assert!(site.stop(Signal::TERM).success());
    assert!(pids.iter().all(|it| is_alive(*it)), "{pids:?}");
    site.at_stop = AtStop::StopInstances;
    site.start();
    assert_eq!(
        get(site.gateway(), "e2e.test", "/page").unwrap().status,
        200
    );
    site.wait_ok("app", 2);
    assert_eq!(site.pids("app"), pids);
    // A word that comes while it still starts counts, too: nothing is left behind.
    assert!(site.stop(Signal::TERM).success());
    assert!(pids.iter().all(|it| !is_alive(*it)), "{pids:?}");
}
