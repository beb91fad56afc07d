//! Edits and restarts of services that are processes: a new instance first, an old one only after it, and back when it fails.

use crate::support::clock::{now, until};
use crate::support::figures::{Figure, measured};
use crate::support::http::get;
use crate::support::orders::Orders;
use crate::support::site::{AtStop, Site};

/// Short times: the rule is tested, not its patience.
const SHORT: &str = "update = { healthy = \"1s\", deadline = \"6s\" }\n";

/// `service.py` once, with an environment that makes another version of it.
fn edition(site: &Site, number: u32) -> String {
    let more = format!("{SHORT}env = {{ EDITION = \"{number}\" }}\n");
    site.python(1, &more)
}

/// What was told of versions since `before`.
#[track_caller]
fn told(site: &Site, before: u64, words: &str) -> String {
    let event = site.wait_event(words, |it| {
        it.seq > before && it.kind == "updated" && it.message.contains(words)
    });
    event.message
}

fn page(site: &Site) -> u16 {
    get(site.gateway(), "e2e.test", "/page").map_or(0, |it| it.status)
}

/// Waits until the version is known as what serves: there is a way back to it.
#[track_caller]
fn wait_stable(site: &Site) {
    until("what serves to be known", || {
        site.service("app")["runs"].is_string().then_some(())
    });
}

/// A site whose first version of `app` serves, and is known to.
#[track_caller]
fn begun() -> Site {
    let mut site = Site::new();
    site.write("app", &edition(&site, 1));
    site.start();
    site.wait_ok("app", 1);
    wait_stable(&site);
    site
}

#[test]
fn an_edit_of_a_service_with_one_replica_costs_no_request() {
    let site = begun();
    let first = site.pids("app");
    let (load, before) = (site.load(), site.latest_event());
    load.wait_for(20);
    site.write("app", &edition(&site, 2));
    told(&site, before, "runs on all 1 instances");
    site.wait_ok("app", 1);
    load.wait_for(20);
    load.stop().nothing_failed();
    let second = site.pids("app");
    assert!(second.len() == 1 && second != first, "{first:?} {second:?}");

    // The way back, and forward again.
    let before = site.latest_event();
    let load = site.load();
    let printed = site.type_in(&["rollback", "app"]);
    assert!(printed.contains("back to"), "{printed}");
    told(&site, before, "runs on all 1 instances");
    site.wait_ok("app", 1);
    assert_eq!(environment(&site), Some("1".to_owned()));
    let status = site.type_in(&["status", "app"]);
    assert!(status.contains("by hand"), "{status}");
    site.type_in(&["rollback", "app", "--reset"]);
    site.wait_ok("app", 1);
    assert_eq!(environment(&site), Some("2".to_owned()));
    load.wait_for(20);
    load.stop().nothing_failed();
}

/// EDITION of the one process.
fn environment(site: &Site) -> Option<String> {
    let pid = *site.pids("app").first()?;
    let text = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let found = text.split('\0').find_map(|it| it.strip_prefix("EDITION="));
    found.map(str::to_owned)
}

#[test]
fn a_broken_edit_keeps_the_old_version_and_says_why() {
    let site = begun();
    let pids = site.pids("app");
    let load = site.load();
    let orders = Orders::start(site.gateway(), "e2e.test", site.ledger());
    load.wait_for(20);

    // A command that ends at once; it is found by its ends, not by the deadline.
    let began = now();
    let before = site.latest_event();
    let broken = "command = [\"/bin/sh\", \"-c\", \"echo no such table; exit 3\"]\nroutes = [\"*\"]\n\
                  update = { healthy = \"1s\", deadline = \"60s\" }\n";
    site.write("app", broken);
    let why = told(&site, before, "failed, back to");
    assert!(
        why.contains("ended 3 times") && why.contains("no such table"),
        "{why}"
    );
    let crashed = began.elapsed();
    told(&site, before, "serves again on all instances");
    until("the old one alone", || {
        (site.pids("app") == pids).then_some(())
    });
    let restored = began.elapsed();
    let status = site.type_in(&["status", "app"]);
    assert!(
        status.contains("failed") && status.contains("is back"),
        "{status}"
    );

    // One that lives and never answers, up to the deadline.
    let before = site.latest_event();
    let began = now();
    let mute = format!("command = [\"/bin/sleep\", \"600\"]\nroutes = [\"*\"]\n{SHORT}");
    site.write("app", &mute);
    let why = told(&site, before, "failed, back to");
    let muted = began.elapsed();
    assert!(why.contains("no progress in 6s"), "{why}");
    told(&site, before, "serves again on all instances");
    until("the old one alone", || {
        (site.pids("app") == pids).then_some(())
    });

    // A good one goes through afterwards.
    let before = site.latest_event();
    site.write("app", &edition(&site, 2));
    told(&site, before, "runs on all 1 instances");
    site.wait_ok("app", 1);
    assert_ne!(site.pids("app"), pids);
    load.wait_for(20);
    let report = load.stop();
    report.nothing_failed();
    let mut figures = vec![
        ("a crash loop found", Figure::Time(crashed)),
        ("the old version alone again", Figure::Time(restored)),
        (
            "one that never answers found (deadline 6 s)",
            Figure::Time(muted),
        ),
        ("requests", Figure::Count(report.sent)),
        ("failed", Figure::Count(report.failed)),
    ];
    // The good version took the place of one instance.
    figures.extend(orders.judge(1).figures());
    measured("row 9, bad versions of a process", &figures);
}

#[test]
fn a_restart_of_one_replica_costs_no_request() {
    let site = begun();
    let pids = site.pids("app");
    let load = site.load();
    load.wait_for(20);
    let printed = site.type_in(&["restart", "app"]);
    assert!(
        printed.contains("a new one before an old one ends"),
        "{printed}"
    );
    let after = site.pids("app");
    assert!(after.len() == 1 && after != pids, "{pids:?} {after:?}");
    load.wait_for(20);
    load.stop().nothing_failed();
}

#[test]
fn a_fixed_port_is_replaced_in_its_place_and_says_so() {
    let mut site = Site::new();
    let port = site.ports.own(5).port();
    let fixed = |number| format!("port = {port}\n{}", edition(&site, number));
    let (one, two) = (fixed(1), fixed(2));
    site.write("app", &one);
    site.start();
    site.wait_ok("app", 1);
    wait_stable(&site);
    let printed = site.type_in(&["restart", "app"]);
    assert!(
        printed.contains("in its place") && printed.contains("is fixed"),
        "{printed}"
    );
    let before = site.latest_event();
    site.write("app", &two);
    told(&site, before, "runs on all 1 instances");
    site.wait_ok("app", 1);
    assert_eq!(
        (page(&site), environment(&site)),
        (200, Some("2".to_owned()))
    );
}

#[test]
fn a_rollout_goes_on_after_its_leader_was_killed() {
    let mut site = Site::new();
    site.at_stop = AtStop::LeaveInstances;
    site.write("app", &edition(&site, 1));
    site.start();
    site.wait_ok("app", 1);
    wait_stable(&site);
    let before = site.latest_event();
    site.write("app", &edition(&site, 2));
    // As soon as it is written down, and before the new one has proved itself.
    told(&site, before, "its file changed");
    site.crash();
    site.at_stop = AtStop::StopInstances;
    site.start();
    told(&site, before, "runs on all 1 instances");
    site.wait_ok("app", 1);
    assert_eq!(environment(&site), Some("2".to_owned()));
    assert_eq!(page(&site), 200);
}
