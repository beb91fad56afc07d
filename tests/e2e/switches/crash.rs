//! The machine that runs a switch is killed at one moment after another. It completes, or everything stays where it was; no request fails.

use super::{Pair, number, until_operation};
use crate::support::clock::{now, pause, until};
use std::time::Duration;

/// Moments after the command, some of them in every phase: checks and start, the move, what comes after it.
const MOMENTS_MS: [u64; 8] = [0, 60, 150, 250, 350, 500, 800, 1_500];

#[test]
fn a_runner_that_is_killed_leaves_a_switch_that_completes() {
    let mut pair = Pair::start(&["shared"], "");
    let mut table = Vec::new();
    for moment in MOMENTS_MS {
        let load = pair.load(&pair.tokyo, "shared");
        load.wait_for(20);
        let printed =
            pair.osaka
                .site
                .type_in(&["switch", "--to", "osaka", "--quiet", "1s", "--no-wait"]);
        let id = number(&printed);
        let began = now();
        while began.elapsed() < Duration::from_millis(moment) {
            pause(Duration::from_millis(5));
        }
        let answer = pair.osaka.site.api(&format!("/v1/operations/{id}"));
        let seen: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        let phase = seen["steps"][0]["detail"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let phase = phase.split(':').next().unwrap_or_default().to_owned();
        pair.osaka.site.crash();
        load.wait_for(60);
        pair.osaka.site.start();
        pair.tokyo.until_told(&["link to osaka is up"]);
        load.wait_for(60);
        let report = load.stop();
        let ended = until_operation(&pair.osaka, id, "over", |it| it["ended"] == true);
        let state = ended["state"].as_str().unwrap().to_owned();
        let moved = ended["succeeded"] == true;
        pair.until_serves(if moved { "osaka" } else { "tokyo" }, "shared");
        table.push(format!(
            "killed after {moment:>4} ms, in phase {:<7}: {state}, served by {}, {} requests, {} failed",
            if phase.is_empty() { "begin" } else { &phase },
            if moved { "osaka" } else { "tokyo" },
            report.sent,
            report.failed
        ));
        report.nothing_failed();
        if moved {
            until("tokyo's own store to have it", || {
                let dry = ["switch", "--to", "tokyo", "--dry-run"];
                pair.tokyo.site.cli(&dry).status.success().then_some(())
            });
            let printed = pair
                .tokyo
                .site
                .type_in(&["switch", "--to", "tokyo", "--quiet", "0s"]);
            assert!(printed.contains("safe to power off"), "{printed}");
            pair.until_serves("tokyo", "shared");
            until("osaka's own store to have it", || {
                let dry = pair
                    .osaka
                    .site
                    .cli(&["switch", "--to", "osaka", "--dry-run"]);
                dry.status.success().then_some(())
            });
        }
    }
    eprintln!("{}", table.join("\n"));
}
