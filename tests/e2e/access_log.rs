//! Requests that stay on disk: each once, over restarts and upgrades.

use crate::support::clock::until;
use crate::support::http::get;
use crate::support::site::{Site, text};
use rustix::process::Signal;
use std::collections::BTreeSet;
use std::fs;

/// Asks for `count` pages that nobody asked for before.
fn ask(site: &Site, from: usize, count: usize) {
    for n in from..from + count {
        let answer = get(site.gateway(), "e2e.test", &format!("/page?n={n}")).unwrap();
        assert_eq!(answer.status, 200);
    }
}

/// Waits until the log holds these requests.
fn until_kept(site: &Site, count: usize) {
    until("every request in the log", || {
        let lines = site.type_in(&["logs", "app", "--access", "-n", "9999"]);
        let asked = lines.lines().filter_map(|it| {
            let (_, rest) = it.split_once("?n=")?;
            Some(rest.split('"').next()?.to_owned())
        });
        let all: Vec<String> = asked.collect();
        let each: BTreeSet<&String> = all.iter().collect();
        assert_eq!(all.len(), each.len(), "twice: {lines}");
        (all.len() == count).then_some(())
    });
}

#[test]
fn every_request_is_kept_once_over_a_restart_and_an_upgrade() {
    let mut site = Site::new();
    let settings = fs::read_to_string(site.settings()).unwrap();
    let kept = "[gateway]\naccess_log_size = \"1GiB\"\n";
    fs::write(site.settings(), settings.replace("[gateway]\n", kept)).unwrap();
    site.write("app", &site.python(1, ""));
    site.start();
    site.wait_ok("app", 1);
    ask(&site, 0, 20);
    until_kept(&site, 20);
    assert!(site.stop(Signal::TERM).success());
    site.start();
    site.wait_ok("app", 1);
    ask(&site, 20, 20);
    until_kept(&site, 40);
    site.upgrade();
    ask(&site, 40, 20);
    until_kept(&site, 60);
    assert_eq!(
        site.type_in(&["logs", "app", "--access", "-n", "1"])
            .lines()
            .count(),
        1
    );
    // Those of one millisecond stand in any order.
    let lines = site.type_in(&["logs", "app", "--access", "-n", "20"]);
    let mut last = lines.lines().filter(|it| it.contains("?n=59"));
    let line = last.next().unwrap_or_default();
    assert!(
        line.contains("\"GET e2e.test/page?n=59\" 200 ") && line.contains(" app/0 "),
        "{lines}"
    );
    // Of a site that nobody has heard of there is nothing.
    assert_eq!(site.type_in(&["logs", "app", "--site", "osaka"]), "");
}

#[test]
fn without_it_the_command_says_what_to_write() {
    let mut site = Site::new();
    site.write("app", &site.python(1, ""));
    site.start();
    let refused = site.cli(&["logs", "app", "--access"]);
    assert_eq!(refused.status.code(), Some(1));
    let said = text(&refused.stderr);
    assert!(said.contains("access_log_size"), "{said}");
}
