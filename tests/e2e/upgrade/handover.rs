//! Upgrades that succeed, and what is open meanwhile.

use super::open::{Chat, Download, Gate, HOST, Kept, Upload, file, origin};
use super::{draining, site, state};
use crate::support::clock::{pause, until};
use crate::support::http::{get, until_status};
use crate::support::load::{Ask, Load};
use crate::support::origin::{Origin, ok};
use crate::support::processes::{is_alive, signal};
use crate::support::site::Site;
use rustix::process::Signal;
use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

/// The parent of a process.
fn parent(pid: u32) -> u32 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, rest) = stat.rsplit_once(')').unwrap();
    rest.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn orders(site: &Site) -> Load {
    Load::start(site.gateway(), "e2e.test", &Ask::Orders)
}

/// No order was executed twice, and none that was acknowledged is missing.
#[track_caller]
fn executed_once(site: &Site, taken: &[u64]) {
    let ledger = fs::read_to_string(site.ledger()).unwrap();
    let numbers: Vec<u64> = ledger
        .lines()
        .map(|it| it.split(' ').next().unwrap().parse().unwrap())
        .collect();
    let once: BTreeSet<u64> = numbers.iter().copied().collect();
    assert_eq!(once.len(), numbers.len(), "an order was executed twice");
    assert!(
        taken.iter().all(|it| once.contains(it)),
        "an order was lost"
    );
}

#[test]
fn nothing_fails_and_what_is_open_ends_whole_on_the_old_process() {
    let gate = Gate::default();
    let origin = origin(&gate);
    let mut site = Site::new();
    site.write("app", &site.python(2, "routes = [\"e2e.test\"]\n"));
    site.write("open", &file(&origin));
    site.start();
    site.wait_ok("app", 2);
    until_status(site.gateway(), HOST, "/", 200);
    let (instances, before) = (site.pids("app"), site.latest_event());
    let (pages, orders) = (site.load(), orders(&site));
    let gateway = site.gateway();
    let mut chat = Chat::open(gateway);
    chat.says("before");
    let (download, upload) = (Download::begin(gateway), Upload::begin(gateway));
    let (mut kept, mut unused) = (Kept::open(gateway), Kept::open(gateway));
    pages.wait_for(50);

    let (old, new) = site.upgrade();
    assert_eq!(state(&site).1, "done");
    pages.wait_for(100);
    orders.wait_for(100);
    assert!(site.first_lives(), "it has connections to serve");
    assert_eq!(draining(&site), [old]);
    assert!(
        site.type_in(&["status"])
            .contains(&format!("process {old} still serves"))
    );
    assert_ne!(parent(new), old, "a service manager must see its end");
    // The old one's table follows what the new one decides.
    chat.says("in between");
    let answer = kept.ask();
    assert_eq!(
        (answer.status, answer.header("connection")),
        (200, Some("close"))
    );
    kept.has_ended();
    gate.open();
    download.end();
    assert_eq!(upload.end().header("connection"), Some("close"));
    chat.says("after");
    assert!(site.first_lives());
    assert_eq!(unused.ask().status, 200);
    drop(chat);
    assert!(site.first_ends().success());
    until("the new process to notice", || {
        draining(&site).is_empty().then_some(())
    });
    site.wait_event("the end of the old one", |it| {
        it.seq > before && it.message.contains(&format!("process {old} of before"))
    });

    site.wait_ok("app", 2);
    let (pages, orders) = (pages.stop(), orders.stop());
    pages.nothing_failed();
    orders.nothing_failed();
    println!(
        "upgrade: {} requests, 0 failed, slowest {:?}",
        pages.sent + orders.sent,
        pages.slowest.max(orders.slowest)
    );
    executed_once(&site, &orders.taken);
    assert_eq!(site.pids("app"), instances, "the same processes");
    let disturbed = site.events().into_iter().filter(|it| {
        let kind = it.kind.as_str();
        it.seq > before
            && matches!(
                kind,
                "started" | "killed" | "exited" | "down" | "suspect" | "stopping" | "alarm"
            )
    });
    assert_eq!(disturbed.collect::<Vec<_>>(), Vec::new());
    site.stop_successor(Signal::TERM);
    assert!(instances.iter().all(|it| !is_alive(*it)), "told to stop");
}

#[test]
fn one_after_the_other_and_while_others_drain() {
    let gate = Gate::default();
    let origin = origin(&gate);
    let mut site = Site::new();
    site.write("app", &site.python(2, "routes = [\"e2e.test\"]\n"));
    site.write("open", &file(&origin));
    site.start();
    site.wait_ok("app", 2);
    until_status(site.gateway(), HOST, "/", 200);
    let (instances, load) = (site.pids("app"), site.load());
    let mut first = Chat::open(site.gateway());
    let (one, two) = site.upgrade();
    let mut second = Chat::open(site.gateway());
    let (_, three) = site.upgrade();
    assert_eq!(draining(&site), [one, two]);
    load.wait_for(50);
    first.says("still there");
    second.says("here too");
    // Told to stop, a draining process ends what it can; a tunnel has its time.
    drop(second);
    until("the second to end", || {
        (draining(&site) == [one]).then_some(())
    });
    drop(first);
    assert!(site.first_ends().success());
    until("the first to end", || {
        draining(&site).is_empty().then_some(())
    });
    load.wait_for(50);
    load.stop().nothing_failed();
    site.wait_ok("app", 2);
    assert_eq!((site.pids("app"), site.pid()), (instances, three));
}

#[test]
fn who_stops_minato_stops_the_draining_process_as_well() {
    let gate = Gate::default();
    let origin = origin(&gate);
    let mut site = Site::new();
    site.write("open", &file(&origin));
    site.start();
    until_status(site.gateway(), HOST, "/", 200);
    let download = Download::begin(site.gateway());
    let mut kept = Kept::open(site.gateway());
    site.upgrade();
    assert!(site.first_lives());
    let new = site.pid();
    signal(new, Signal::TERM);
    // An idle connection of the old process ends at once; a request in flight has its time.
    kept.has_ended();
    gate.open();
    download.end();
    assert!(site.first_ends().success());
    until("the new one to end", || (!is_alive(new)).then_some(()));
}

#[test]
fn a_signal_does_the_same_as_the_command() {
    let mut site = site();
    let (old, load) = (site.pid(), site.load());
    signal(old, Signal::USR2);
    until("another process to serve", || {
        let (pid, state, _) = state(&site);
        (pid != u64::from(old) && state == "done").then_some(())
    });
    site.follow_upgrade();
    assert!(site.first_ends().success());
    load.wait_for(50);
    load.stop().nothing_failed();
    assert_eq!(
        get(site.gateway(), "e2e.test", "/page").unwrap().status,
        200
    );
}

#[test]
fn a_draining_process_learns_where_instances_are() {
    let gate = Gate::default();
    let origin = origin(&gate);
    let mut site = Site::new();
    site.write("app", &site.python(2, "routes = [\"e2e.test\"]\n"));
    site.write("open", &file(&origin));
    site.start();
    site.wait_ok("app", 2);
    until_status(site.gateway(), HOST, "/", 200);
    let chat = Chat::open(site.gateway());
    let mut kept: Vec<Kept> = (0..40).map(|_| Kept::open(site.gateway())).collect();
    site.upgrade();
    // The service moves to another address while the old process still has connections that may ask for it.
    let moved = Origin::start(|_, wire| ok(wire, b"moved"));
    site.write("open", &file(&moved));
    drop(origin);
    // Each connection gets one answer more.
    until("the old process to know the new address", || {
        pause(Duration::from_millis(100));
        let answer = kept.pop().expect("connections are left").ask();
        (answer.text() == "moved").then_some(())
    });
    drop((chat, kept));
    assert!(site.first_ends().success());
}
