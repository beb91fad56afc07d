//! A service whose data a command copies: orders under load through a switch and its return, and through runners that are killed.
//!
//! Each site's instance writes orders into a file of its own, which rsync copies (cat, where there is no rsync). In the end the site that
//! serves must have every order that was acknowledged, once.

use super::{has_moved, number, pause_of, refused, until_operation, until_reported};
use crate::links::Cloud;
use crate::support::clock::{now, pause, until};
use crate::support::figures::{Figure, measured};
use crate::support::http::{get, until_status};
use crate::support::load::{Ask, Load};
use crate::support::processes::{beside, python};
use crate::support::site::{PATIENT, text};
use crate::support::tls::Authority;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

const HOST: &str = "e2e.test";

/// Tokyo and osaka with one instance each of `app`, which tokyo's file describes.
struct Pair {
    tokyo: Cloud,
    osaka: Cloud,
}

/// Where the instance of a site writes its orders.
fn ledger(cloud: &Cloud) -> PathBuf {
    cloud.site.path("data/instances/app.0/ledger")
}

impl Pair {
    /// `before` is what the command does before it copies; `more` stands below its table.
    #[track_caller]
    fn start(before: &str, more: &str) -> Self {
        let authority = Authority::new("sites");
        let mut pair = Self {
            tokyo: Cloud::new("tokyo", &authority, "tokyo"),
            osaka: Cloud::new("osaka", &authority, "osaka"),
        };
        pair.tokyo.knows(&pair.osaka);
        pair.osaka.knows(&pair.tokyo);
        for cloud in [&pair.tokyo, &pair.osaka] {
            let script = cloud.site.path("copy");
            let (tokyo, osaka) = (ledger(&pair.tokyo), ledger(&pair.osaka));
            let (tokyo, osaka) = (tokyo.display(), osaka.display());
            // The instance has its file open, so it is written in place.
            let text = format!(
                "#!/bin/sh\nset -e\n{before}\ncase $MINATO_FROM in tokyo) from={tokyo} to={osaka};; osaka) from={osaka} to={tokyo};; esac\n\
                 echo minato: progress 10 %\n\
                 if command -v rsync >/dev/null; then rsync --inplace --ignore-times \"$from\" \"$to\"; else cat \"$from\" > \"$to\"; fi\n\
                 echo \"$MINATO_SERVICE copied from $MINATO_FROM to $MINATO_TO by try $MINATO_TRY\"\n"
            );
            fs::write(&script, text).unwrap();
            fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).unwrap();
            let settings = fs::read_to_string(cloud.site.settings()).unwrap();
            let hook = format!(
                "[hooks.run.orders]\ncommand = [\"{}\"]\ntimeout = \"8s\"\n{more}",
                script.display()
            );
            fs::write(cloud.site.settings(), settings + &hook).unwrap();
        }
        let file = format!(
            "command = [\"{}\", \"{}\", \"{{port}}\", \"ledger\"]\nroutes = [\"*\"]\nsites = [\"tokyo\", \"osaka\"]\nstop = {{ drain = \"2s\", grace = \"1s\" }}\n{}[switch]\nsync = \"orders\"\n",
            python(),
            beside("service.py").display(),
            PATIENT.of("path = \"/healthz\"")
        );
        pair.tokyo.site.write("app", &file);
        pair.tokyo.site.start();
        pair.osaka.site.start();
        pair.tokyo.until_told(&["link to osaka is up"]);
        pair.osaka.until_told(&["link to tokyo is up"]);
        for cloud in [&pair.tokyo, &pair.osaka] {
            cloud.site.wait_ok("app", 1);
            until_status(cloud.site.gateway(), HOST, "/page", 200);
        }
        pair
    }

    /// Numbers from `first` on, so that those of several loads differ.
    fn orders(cloud: &Cloud, first: u64) -> Load {
        Load::start(cloud.site.gateway(), HOST, &Ask::OrdersFrom(first))
    }

    /// Who serves, by the process that answers.
    fn serving(&self) -> &'static str {
        let pid = get(self.tokyo.site.gateway(), HOST, "/").unwrap().text();
        let of_tokyo = self.tokyo.site.json("/v1/services/app");
        let is_tokyo = of_tokyo["instances"]
            .as_array()
            .unwrap()
            .iter()
            .any(|it| it["pid"].as_u64().is_some_and(|it| it.to_string() == pid));
        if is_tokyo { "tokyo" } else { "osaka" }
    }

    /// Every order that was acknowledged is there once.
    #[track_caller]
    fn has_all(&self, at: &Cloud, taken: &[u64]) {
        let text = fs::read_to_string(ledger(at)).unwrap();
        let mut count: BTreeMap<u64, u32> = BTreeMap::new();
        for line in text.lines() {
            let number = line.split(' ').next().unwrap().parse().unwrap();
            *count.entry(number).or_default() += 1;
        }
        let lost: Vec<&u64> = taken.iter().filter(|it| !count.contains_key(it)).collect();
        assert!(
            lost.is_empty(),
            "{} of {} lost: {lost:?}",
            lost.len(),
            taken.len()
        );
        let doubled: Vec<_> = count.iter().filter(|it| *it.1 > 1).collect();
        assert!(doubled.is_empty(), "doubled: {doubled:?}");
    }
}

#[test]
fn orders_under_load_through_a_switch_and_its_return_are_there_once() {
    let pair = Pair::start("", "");
    let at_tokyo = Pair::orders(&pair.tokyo, 0);
    let at_osaka = Pair::orders(&pair.osaka, 1_000_000);
    at_tokyo.wait_for(50);
    at_osaka.wait_for(50);
    let switch = |to: &str, at: &Cloud| {
        let words = ["switch", "--to", to, "app", "--quiet", "1s", "--no-wait"];
        // A site's control hears a little later than its gateways who comes first.
        let printed = until("the switch to begin", || {
            let output = pair.tokyo.site.cli(&words);
            output.status.success().then(|| text(&output.stdout))
        });
        let id = number(&printed);
        until_operation(at, id, "moved or over", |it| {
            has_moved(it) || it["ended"] == true
        });
        assert_eq!(pair.serving(), to, "{}", super::operation(at, id));
        at_tokyo.wait_for(100);
        at_osaka.wait_for(100);
    };
    switch("osaka", &pair.osaka);
    let told = pair
        .osaka
        .until_told(&["the copy of operation", "ended well"]);
    assert!(
        told.contains("app copied from tokyo to osaka by try 1"),
        "{told}"
    );
    pair.tokyo.until_told(&["new requests wait: it moves"]);
    pair.tokyo.until_told(&["requests go on that waited"]);
    switch("tokyo", &pair.tokyo);
    let (one, other) = (at_tokyo.stop(), at_osaka.stop());
    one.nothing_failed();
    other.nothing_failed();
    let taken: Vec<u64> = one.taken.iter().chain(&other.taken).copied().collect();
    pair.has_all(&pair.tokyo, &taken);
    // What would have been lost is what the copy took, as long as requests waited.
    let report = until_reported(&pair.tokyo, "app", "the switch and the return", |it| {
        it["last"]["kind"] == "switch" && it["returned"]["kind"] == "return"
    });
    for of in ["last", "returned"] {
        let figure = |name: &str| report[of][name].as_u64().unwrap();
        assert!(figure("data_age_ms") < 10_000, "{report}");
        assert!(figure("first_ms") <= 10_000, "{report}");
        assert_eq!(figure("errors"), 0, "{report}");
    }
    measured(
        "row 10, a planned switch that copies data, and its return",
        &[
            ("orders", Figure::Count(taken.len() as u64)),
            ("lost, doubled or failed", Figure::Count(0)),
            (
                "longest pause at the first site's entrance",
                Figure::Time(one.slowest),
            ),
            (
                "longest pause at the other site's entrance",
                Figure::Time(other.slowest),
            ),
        ],
    );
}

#[test]
fn a_command_that_fails_or_does_not_fit_leaves_the_service_where_it_is() {
    let pair = Pair::start("echo password=hunter2; echo no space left; exit 3", "");
    let load = Pair::orders(&pair.tokyo, 0);
    load.wait_for(50);
    let words = ["switch", "--to", "osaka", "app", "--quiet", "1s"];
    let failed = pair.osaka.site.cli(&words);
    assert_eq!(failed.status.code(), Some(1), "{failed:?}");
    let told = pair
        .osaka
        .until_told(&["the copy of operation", "failed", "exit status: 3"]);
    assert!(
        told.contains("no space left") && !told.contains("hunter2"),
        "{told}"
    );
    assert_eq!(pair.serving(), "tokyo");
    load.wait_for(100);
    let report = load.stop();
    report.nothing_failed();
    pair.has_all(&pair.tokyo, &report.taken);

    let slow = "estimate = [\"/bin/echo\", \"minato: seconds 30\"]\n";
    let pair = Pair::start("", slow);
    let output = pair.osaka.site.cli(&words);
    refused(&output, &["30.0 s by its estimate", "8.0 s"]);
    assert_eq!(pair.serving(), "tokyo");
}

/// Moments after the command, some in every phase.
const MOMENTS_MS: [u64; 6] = [100, 400, 700, 1_000, 1_500, 2_500];

#[test]
fn a_runner_that_is_killed_loses_no_order() {
    // Long enough to be met by some of the moments.
    let mut pair = Pair::start("sleep 0.6", "");
    let mut table = Vec::new();
    let mut taken = Vec::new();
    for (round, moment) in (0..).zip(MOMENTS_MS) {
        let load = Pair::orders(&pair.tokyo, round * 1_000_000);
        load.wait_for(20);
        let words = [
            "switch",
            "--to",
            "osaka",
            "app",
            "--quiet",
            "1s",
            "--no-wait",
        ];
        // Osaka, which was killed, may not have heard yet that tokyo is first again.
        let id = until("the switch to be begun", || {
            let begun = pair.osaka.site.cli(&words);
            let printed = String::from_utf8_lossy(&begun.stdout).into_owned();
            begun.status.success().then(|| number(&printed))
        });
        let began = now();
        while began.elapsed() < Duration::from_millis(moment) {
            pause(Duration::from_millis(5));
        }
        let seen = super::operation(&pair.osaka, id);
        let detail = seen["steps"][0]["detail"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let phase = detail.split(':').next().unwrap_or_default().to_owned();
        pair.osaka.site.crash();
        pair.osaka.site.start();
        // After the move it watches for as long as somebody comes to the old entrance, which the load does.
        let ended = until_operation(&pair.osaka, id, "moved or over", |it| {
            has_moved(it) || it["ended"] == true
        });
        load.wait_for(60);
        let report = load.stop();
        let serving = pair.serving();
        let moved = has_moved(&ended);
        // Requests that waited go on as soon as it is plain that the move cannot become whole, not when their time is over.
        let waited = report.slowest;
        assert!(waited < Duration::from_secs(7), "{waited:?}: {ended}");
        assert_eq!(serving == "osaka", moved, "{ended}");
        taken.extend(&report.taken);
        let at = if moved { &pair.osaka } else { &pair.tokyo };
        pair.has_all(at, &taken);
        table.push(format!(
            "killed after {moment:>4} ms, in phase {phase:<7}: {}, served by {serving}, {} orders, {} failed, slowest {}",
            ended["state"].as_str().unwrap_or_default(),
            report.taken.len(),
            report.failed,
            pause_of(report.slowest)
        ));
        let first_lines = report.failures.iter().filter_map(|it| it.lines().next());
        table.extend(first_lines.map(|it| format!("    failed: {it}")));
        // Before the move osaka carries nothing, and what waits at tokyo waits on. After it osaka alone has the data: killed, it takes along
        // what is under way there, and the rest gets the sorry page until it listens again.
        let is_refusal = |it: &&String| it.contains(": 502 ") || it.contains(": 503 ");
        if ["hold", "drain", "sync"].contains(&phase.as_str()) {
            let refused: Vec<_> = report.failures.iter().filter(is_refusal).collect();
            assert!(refused.is_empty(), "{phase}: {refused:?}");
        }
        if moved {
            let words = ["switch", "--to", "tokyo", "app", "--quiet", "0s"];
            until("the way back", || {
                pair.tokyo.site.cli(&words).status.success().then_some(())
            });
        }
    }
    eprintln!("{}", table.join("\n"));
}
