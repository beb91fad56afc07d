//! A service that follows its load, with nobody at the keyboard. Default times, so only upwards; back down is tested with
//! short ones where the leader is.

use crate::support::clock::{now, pause, wall_ms, within};
use crate::support::figures::{Figure, measured};
use crate::support::http::{Connection, Expect};
use crate::support::site::Site;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// One decision each 15 s, a mean of 5 s before it, and a busy machine.
const RELIEF: Duration = Duration::from_secs(60);
/// What one request takes.
const SLOW_MS: u64 = 400;

/// Requests for `path` one after the other, each slow; those that failed.
fn visitor(
    gateway: SocketAddr,
    path: &'static str,
    stop: Arc<AtomicBool>,
) -> JoinHandle<(u64, Vec<String>)> {
    std::thread::spawn(move || {
        let (mut sent, mut failed) = (0, Vec::new());
        while !stop.load(Ordering::SeqCst) {
            sent += 1;
            let answer = Connection::open(gateway).and_then(|mut it| {
                it.send(
                    format!("GET {path}/{SLOW_MS} HTTP/1.1\r\nHost: e2e.test\r\n\r\n").as_bytes(),
                )?;
                it.read(Expect::Body)
            });
            match answer {
                Ok(it) if it.status == 200 && it.text().ends_with("but whole") => {}
                Ok(it) => failed.push(format!("{} {}", it.status, it.text())),
                Err(error) => failed.push(error.to_string()),
            }
        }
        (sent, failed)
    })
}

/// A site with one instance of `app`, whose number follows its load as `replicas` says; and what ends its visitors.
fn begun(replicas: &str) -> (Site, Arc<AtomicBool>) {
    let mut site = Site::new();
    let text = site.python(1, "");
    site.write(
        "app",
        &text.replace("replicas = 1\n", &format!("replicas = {replicas}\n")),
    );
    site.start();
    site.wait_ok("app", 1);
    (site, Arc::new(AtomicBool::new(false)))
}

#[test]
fn overload_brings_instances_and_they_get_requests() {
    let (site, stop) = begun("{ min = 1, max = 4, in_flight = 4 }");
    let overload = wall_ms();
    let visitors: Vec<_> = (0..16)
        .map(|_| visitor(site.gateway(), "/slow", Arc::clone(&stop)))
        .collect();

    let decided = within(RELIEF, "the decision", || {
        let mut events = site.events();
        events.retain(|it| it.kind == "scaled");
        events.pop()
    });
    assert!(
        decided
            .message
            .starts_with("app: 4 instances in place of 1: 1")
            && decided.message.ends_with(" in flight of 4 each"),
        "{decided:?}"
    );
    let count = |of: &dyn Fn(&serde_json::Value) -> bool| {
        let service = site.service("app");
        let all = service["instances"].as_array().cloned().unwrap_or_default();
        all.iter().filter(|it| of(it)).count()
    };
    let (mut first_ready, mut first_routed) = (None, None);
    within(RELIEF, "all four to answer requests", || {
        if first_ready.is_none() && count(&|it| it["verdict"] == "up") > 1 {
            first_ready = Some(wall_ms());
        }
        let routed = count(&|it| it["requests"].as_u64() > Some(0));
        if first_routed.is_none() && routed > 1 {
            first_routed = Some(wall_ms());
        }
        (routed == 4).then_some(())
    });
    let all = wall_ms();
    // The load is spread: none has much more than it should.
    pause(Duration::from_millis(SLOW_MS * 3));
    let began = now();
    let status = site.type_in(&["status", "app"]);
    assert!(began.elapsed() < Duration::from_secs(5));
    assert!(
        status.contains("4 (scaled: ") && status.contains("file says 1 to 4"),
        "{status}"
    );
    stop.store(true, Ordering::SeqCst);
    let (mut sent, mut failed) = (0, Vec::new());
    for it in visitors {
        let (more, bad) = it.join().unwrap();
        sent += more;
        failed.extend(bad);
    }
    let after = |at: u64| Figure::Time(Duration::from_millis(at - overload));
    measured(
        "row 14, a load step x4",
        &[
            ("decided", after(decided.at_ms)),
            ("one more ready", after(first_ready.unwrap_or(all))),
            ("one more serves", after(first_routed.unwrap_or(all))),
            ("all four serve", after(all)),
            ("requests", Figure::Count(sent)),
            ("failed", Figure::Count(failed.len() as u64)),
        ],
    );
    assert!(failed.is_empty(), "{failed:?}");
    let by_hand = site.type_in(&["scale", "app", "2"]);
    assert!(
        by_hand.contains("app: 2 by hand, its file says 1 to 4"),
        "{by_hand}"
    );
    let status = site.type_in(&["status", "app"]);
    assert!(status.contains("2 by hand"), "{status}");
}

/// The only machine is drained: what is there stays until others serve, and nothing comes.
#[test]
fn more_than_the_nodes_take_gets_the_sorry_page_and_an_event_says_what_is_missing() {
    let mut site = Site::new();
    let text = site.python(
        1,
        "limits = { in_flight = 6, queue = 1, queue_timeout = \"200ms\" }\n",
    );
    let replicas = "replicas = { min = 1, max = 4, in_flight = 2 }\n";
    site.write("app", &text.replace("replicas = 1\n", replicas));
    site.start();
    site.wait_ok("app", 1);
    let pid = site.pids("app");
    site.type_in(&["node", "drain", "here", "--no-wait"]);
    let stop = Arc::new(AtomicBool::new(false));
    let visitors: Vec<_> = (0..12)
        .map(|_| visitor(site.gateway(), "/slow", Arc::clone(&stop)))
        .collect();
    let told = within(RELIEF, "what is missing", || {
        let mut events = site.events().into_iter();
        events.find(|it| {
            it.kind == "alarm" && it.service == "app" && it.message.contains("drained (here)")
        })
    });
    let explained = site.type_in(&["explain", "app"]);
    assert!(explained.contains("missing: "), "{told:?} {explained}");
    stop.store(true, Ordering::SeqCst);
    let (mut sent, mut turned_away) = (0, Vec::new());
    for it in visitors {
        let (more, bad) = it.join().unwrap();
        sent += more;
        turned_away.extend(bad);
    }
    // What fits is served, the rest is told to come back; nothing else happens to anybody.
    assert!(!turned_away.is_empty() && sent > turned_away.len() as u64);
    let odd = turned_away
        .iter()
        .find(|it| !it.starts_with("503 ") || !it.contains("<html"));
    assert_eq!(odd, None);
    assert_eq!(site.pids("app"), pid);
    site.type_in(&["node", "undrain", "here"]);
}

/// Sites that take a load step at the same time: each is a run of its own, and mostly waits.
const STEPS: usize = 5;
/// Shrinking takes a window of 300 s of which every wish is known, the decisions before and after, and the stops.
const REST: Duration = Duration::from_secs(480);

/// What one step cost.
#[derive(Debug)]
struct Step {
    /// Until every instance that the load asks for serves.
    relief: Duration,
    /// From the end of the load to as few as before.
    rest: Duration,
    sent: u64,
    failed: Vec<String>,
}

/// Four visitors at one instance that should have four; sixteen; four again.
fn step() -> Step {
    let (site, stop) = begun("{ min = 1, max = 4, in_flight = 4 }");
    let start = |count: usize, stop: &Arc<AtomicBool>| -> Vec<_> {
        let one = |_| visitor(site.gateway(), "/slow", Arc::clone(stop));
        (0..count).map(one).collect()
    };
    let serving = || {
        let service = site.service("app");
        let all = service["instances"].as_array().cloned().unwrap_or_default();
        let serve = all.iter().filter(|it| it["requests"].as_u64() > Some(0));
        serve.count()
    };
    let few = start(4, &stop);
    within(RELIEF, "the first visitors to be served", || {
        (serving() == 1).then_some(())
    });
    let more = Arc::new(AtomicBool::new(false));
    let began = now();
    let many = start(12, &more);
    within(RELIEF * 2, "four instances to serve", || {
        (serving() == 4).then_some(())
    });
    let relief = began.elapsed();
    pause(Duration::from_millis(SLOW_MS * 10));
    more.store(true, Ordering::SeqCst);
    let (mut sent, mut failed) = (0, Vec::new());
    let mut hear = |all: Vec<JoinHandle<(u64, Vec<String>)>>| {
        for it in all {
            let (more, bad) = it.join().unwrap();
            sent += more;
            failed.extend(bad);
        }
    };
    hear(many);
    let ended = now();
    within(REST, "one instance again", || {
        let service = site.service("app");
        let all = service["instances"].as_array()?;
        (all.len() == 1 && service["state"] == "ok").then_some(())
    });
    let rest = ended.elapsed();
    stop.store(true, Ordering::SeqCst);
    hear(few);
    Step {
        relief,
        rest,
        sent,
        failed,
    }
}

/// The figures of docs/measurements.md: `make test-scale`.
#[test]
#[ignore = "seven minutes: five load steps of four times the load, and back to rest (make test-scale)"]
fn five_load_steps_are_answered_and_taken_back() {
    let steps: Vec<_> = (0..STEPS).map(|_| std::thread::spawn(step)).collect();
    let mut steps: Vec<Step> = steps.into_iter().map(|it| it.join().unwrap()).collect();
    let sent: u64 = steps.iter().map(|it| it.sent).sum();
    let failed: Vec<String> = steps.iter().flat_map(|it| it.failed.clone()).collect();
    let mut sorted = |of: fn(&Step) -> Duration| {
        steps.sort_by_key(of);
        (of(&steps[STEPS / 2]), of(&steps[STEPS - 1]))
    };
    let (relief, rest) = (sorted(|it| it.relief), sorted(|it| it.rest));
    println!(
        "load step x4, {STEPS} runs: relief {:.1?} median, {:.1?} worst; at rest again {:.0?} median, {:.0?} worst; {sent} requests, {} failed",
        relief.0,
        relief.1,
        rest.0,
        rest.1,
        failed.len()
    );
    assert!(failed.is_empty(), "{failed:?}");
}

/// One visitor keeps one instance busy. What it uses is a matter of the machine; that it is far more than a twentieth of a
/// processor, and that nothing else asks for more, is not.
#[test]
fn processors_in_use_bring_instances_and_are_shown() {
    let (site, stop) = begun("{ min = 1, max = 2, cpu = 0.05 }");
    let busy = visitor(site.gateway(), "/burn", Arc::clone(&stop));
    let decided = within(RELIEF, "the decision", || {
        let mut events = site.events();
        events.retain(|it| it.kind == "scaled");
        events.pop()
    });
    assert!(
        decided
            .message
            .starts_with("app: 2 instances in place of 1: processor ")
            && decided.message.ends_with(" % of 5 % each"),
        "{decided:?}"
    );
    site.wait_ok("app", 2);
    let figures = within(RELIEF, "the figures of both", || {
        let service = site.service("app");
        let of = |it: &serde_json::Value| {
            Some((it["cpu_milli"].as_u64()?, it["memory_bytes"].as_u64()?))
        };
        service["instances"]
            .as_array()?
            .iter()
            .map(of)
            .collect::<Option<Vec<_>>>()
    });
    assert!(figures.iter().all(|it| it.1 > 1 << 20), "{figures:?}");
    // The counter of the one that was busy: nearly all of what passed, on a machine with nothing else to do.
    let seconds = |slot: u8| {
        site.metric(&format!(
            "minato_instance_cpu_seconds_total{{service=\"app\",slot=\"{slot}\"}}"
        ))
    };
    let first = within(RELIEF, "the counters of both", || {
        seconds(0).zip(seconds(1)).map(|it| it.0)
    });
    assert!(first > 0.2, "{first} s");
    let status = site.type_in(&["status", "app"]);
    assert!(
        status.contains("CPU") && status.contains(" MiB"),
        "{status}"
    );
    stop.store(true, Ordering::SeqCst);
    let (sent, failed) = busy.join().unwrap();
    assert!(sent > 0 && failed.is_empty(), "{failed:?}");
}
