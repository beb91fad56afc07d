//! minato itself is killed with -9.

use crate::support::http::get;
use crate::support::processes::is_alive;
use crate::support::site::Site;

#[test]
fn instances_outlive_minato_and_the_next_one_serves_at_once_and_adopts_them() {
    let mut site = Site::new();
    site.write("app", &site.python(2, ""));
    site.start();
    site.wait_ok("app", 2);
    let pids = site.pids("app");
    let before = site.latest_event();
    // The table on disk is at most a second older than the real one.
    crate::support::clock::until("the table to be saved", || {
        let saved = std::fs::read_to_string(site.path("data/gateway.json")).ok()?;
        (saved.matches("\"up\"").count() == 2).then_some(())
    });

    site.crash();
    assert!(pids.iter().all(|it| is_alive(*it)), "{pids:?}");
    site.start();
    // The API answers, so the listeners do: no waiting for probes.
    let answer = get(site.gateway(), "e2e.test", "/page").unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (200, "the page"));
    let load = site.load();
    for slot in 0..2 {
        site.wait_event("the adoption", |it| it.seq > before && it.kind == "adopted" && it.slot == Some(slot));
    }
    site.wait_ok("app", 2);
    load.wait_for(50);
    load.stop().nothing_failed();
    assert_eq!(site.pids("app"), pids);
    let events = site.events();
    let restarted = events.iter().filter(|it| it.seq > before && matches!(it.kind.as_str(), "started" | "killed" | "exited" | "down"));
    assert_eq!(restarted.collect::<Vec<_>>(), Vec::<&_>::new());
}

#[test]
fn an_instance_that_died_while_minato_was_away_is_started_again() {
    let mut site = Site::new();
    site.write("app", &site.python(2, ""));
    site.start();
    site.wait_ok("app", 2);
    let pids = site.pids("app");
    site.crash();
    crate::support::processes::signal(pids[0], rustix::process::Signal::KILL);
    crate::support::clock::until("its end", || (!is_alive(pids[0])).then_some(()));
    site.start();
    let load = site.load();
    site.wait_ok("app", 2);
    load.wait_for(30);
    load.stop().nothing_failed();
    let after = site.pids("app");
    assert!(after[0] != pids[0] && after[1] == pids[1], "{pids:?} {after:?}");
}
