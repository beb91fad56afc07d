//! What switches, drills and failovers cost visitors, as `minato site report` has it afterwards.

use super::{Pair, has_moved, until_operation, until_reported};
use crate::support::clock::until;
use crate::support::site::text;
use serde_json::{Value, json};

/// A number of the last event, in milliseconds.
#[track_caller]
fn figure(report: &Value, of: &str, name: &str) -> u64 {
    let figure = report[of][name].as_u64();
    figure.unwrap_or_else(|| panic!("no {name} in {report}"))
}

#[test]
fn a_drill_whose_command_is_killed_goes_back_by_itself_and_is_in_the_report() {
    let pair = Pair::start(&["shared"], "rto = \"1m\"\n");
    let (at_tokyo, at_osaka) = (
        pair.load(&pair.tokyo, "shared"),
        pair.load(&pair.osaka, "shared"),
    );
    at_tokyo.wait_for(50);
    let words = ["drill", "--to", "osaka", "--for", "5s", "--quiet", "1s"];
    let mut command = pair.tokyo.site.begin_cli(&words);
    until("the drill to be begun", || {
        let all = pair.osaka.site.json("/v1/operations");
        (all["operations"].as_array()?.len() == 2).then_some(())
    });
    command.kill().unwrap();
    command.wait().unwrap();
    let begun = pair.osaka.site.json("/v1/operations/1");
    assert_eq!(begun["kind"], "drill", "{begun}");
    until_operation(&pair.osaka, 1, "moved", has_moved);
    until_operation(&pair.osaka, 2, "done", |it| it["state"] == "done");
    pair.until_serves("tokyo", "shared");
    at_tokyo.wait_for(50);
    at_osaka.wait_for(50);
    // Each entrance has measured what its own visitors saw.
    for cloud in [&pair.tokyo, &pair.osaka] {
        let report = until_reported(cloud, "shared", "the drill and the return", |it| {
            it["last"]["kind"] == "drill" && it["returned"]["kind"] == "return"
        });
        let (last, back) = (&report["last"], &report["returned"]);
        for (it, from, to) in [(last, "tokyo", "osaka"), (back, "osaka", "tokyo")] {
            assert_eq!(
                (&it["from"], &it["to"]),
                (&json!(from), &json!(to)),
                "{report}"
            );
            assert_eq!(
                (&it["errors"], &it["data_age_ms"]),
                (&json!(0), &Value::Null)
            );
        }
        let of = |name| figure(&report, "last", name);
        assert_eq!(of("detect_ms"), 0, "{report}");
        // The other entrance hears twice a second which instances are up.
        assert!(of("start_ms") <= of("first_ms"), "{report}");
        assert!(of("first_ms") < 5_000, "{report}");
        assert_eq!(report["missed"], json!([]), "{report}");
    }
    let printed = pair.tokyo.site.type_in(&["site", "report"]);
    assert!(
        printed.contains("drill") && printed.contains("visitors came back to tokyo"),
        "{printed}"
    );
    let metrics = pair.tokyo.site.api("/metrics").text();
    for name in ["measured_seconds", "first_success_seconds", "target_met"] {
        assert!(
            metrics.contains(&format!("minato_recovery_{name}{{service=\"shared\"}} ")),
            "{name}: {metrics}"
        );
    }
    at_tokyo.stop().nothing_failed();
    at_osaka.stop().nothing_failed();
}

#[test]
fn a_failover_by_hand_counts_from_the_last_request_that_was_served() {
    let mut pair = Pair::start(&["shared"], "failover = \"ask\"\nrto = \"1s\"\n");
    let load = pair.load(&pair.osaka, "shared");
    load.wait_for(50);
    pair.tokyo.site.crash();
    pair.osaka.until_told(&["link to tokyo is down"]);
    let printed = pair
        .osaka
        .site
        .type_in(&["failover", "--to", "osaka", "--quiet", "1s"]);
    assert!(
        printed.contains("hears of it before it serves"),
        "{printed}"
    );
    load.wait_for(50);
    load.stop();
    let report = until_reported(&pair.osaka, "shared", "the failover", |it| {
        it["last"].is_object()
    });
    assert_eq!(report["last"]["kind"], "failover", "{report}");
    let of = |name| figure(&report, "last", name);
    // It is refused while tokyo is heard, for three seconds.
    assert!(of("detect_ms") >= 3_000, "{report}");
    assert!(of("decide_ms") >= of("detect_ms"), "{report}");
    assert!(of("first_ms") >= of("decide_ms"), "{report}");
    assert!(of("errors") > 0, "{report}");
    // A target that was missed is told by the command, and by its exit status.
    let output = pair.osaka.site.cli(&["site", "report"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let printed = text(&output.stdout);
    assert!(printed.contains("1.0 s are asked for"), "{printed}");
}

#[test]
fn a_site_that_is_still_visited_is_not_watched_for_ever() {
    let pair = Pair::start(&["shared"], "");
    let load = pair.load(&pair.tokyo, "shared");
    load.wait_for(50);
    let words = ["switch", "--to", "osaka", "--quiet", "2s", "--watch", "4s"];
    let mut command = pair.osaka.site.begin_cli(&words);
    let ended = until_operation(&pair.osaka, 1, "over", |it| it["ended"] == true);
    let status = command.wait().unwrap();
    load.stop().nothing_failed();
    let reason = ended["reason"].as_str().unwrap();
    assert!(
        reason.contains("tokyo is still visited for 1 (shared): not safe to power off"),
        "{ended}"
    );
    // With how many came, and where it stands who.
    let detail = ended["steps"][0]["detail"].as_str().unwrap();
    let count: u64 = detail.split(' ').next().unwrap().parse().unwrap_or(0);
    assert!(
        count > 0 && detail.contains("requests came to tokyo"),
        "{ended}"
    );
    assert_eq!(ended["succeeded"], false, "{ended}");
    assert!(
        ended["hint"]
            .as_str()
            .unwrap()
            .contains("minato logs shared --access --site tokyo"),
        "{ended}"
    );
    assert_eq!(status.code(), Some(1));
    pair.osaka
        .until_told(&["operation 1", "is not watched any longer"]);
}
