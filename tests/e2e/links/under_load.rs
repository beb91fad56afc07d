//! Gateways that are upgraded or killed while links are open and visitors come.

use super::Pair;
use crate::support::clock::until;
use crate::support::load::{Ask, Load};
use crate::support::origin::{Origin, ok};
use crate::upgrade::open::{Chat, Download, Gate, HOST, Upload, file, origin};

/// Both sites answer the same, so that each answer can be compared.
fn pair() -> (Pair, [Origin; 2]) {
    let mut pair = Pair::stopped("");
    let same = || Origin::start(|_, wire| ok(wire, b"same"));
    let origins = [same(), same()];
    pair.tokyo.shares(&origins[0], "");
    pair.osaka.shares(&origins[1], "");
    pair.tokyo.site.start();
    pair.osaka.site.start();
    pair.osaka.until_told(&["link to tokyo is up"]);
    crate::support::http::until_status(pair.osaka.site.gateway(), "e2e.test", "/", 200);
    (pair, origins)
}

/// Visitors of osaka's entrance.
fn visitors(pair: &Pair) -> Load {
    let ask = Ask::Get {
        path: "/".to_owned(),
        body: "same".to_owned(),
    };
    Load::start(pair.osaka.site.gateway(), "e2e.test", &ask)
}

/// Requests that osaka's gateway sent on to tokyo.
fn over_the_link(pair: &Pair) -> u64 {
    let text = pair.osaka.site.api("/metrics").text();
    let name = "minato_peer_requests_total{service=\"shared\",site=\"tokyo\"} ";
    let line = text.lines().find_map(|it| it.strip_prefix(name));
    line.and_then(|it| it.parse().ok()).unwrap_or(0)
}

#[test]
fn an_upgrade_of_either_gateway_fails_nothing() {
    let (mut pair, _origins) = pair();
    let load = visitors(&pair);
    until("visitors to go over the link", || {
        (over_the_link(&pair) > 50).then_some(())
    });
    pair.tokyo.site.upgrade();
    load.wait_for(100);
    pair.osaka.site.upgrade();
    load.wait_for(100);
    until("visitors to go over the link again", || {
        (over_the_link(&pair) > 50).then_some(())
    });
    pair.tokyo.site.upgrade();
    load.wait_for(100);
    load.stop().nothing_failed();
}

/// A WebSocket, a download and an upload of a visitor of osaka, whose other end is at tokyo.
#[test]
fn what_is_open_over_a_link_outlives_an_upgrade_at_either_end() {
    let gate = Gate::default();
    let origin = origin(&gate);
    let (mut pair, _origins) = pair();
    let of_tokyo = format!("{}sites = [\"tokyo\", \"osaka\"]\n", file(&origin));
    // Nobody serves it at osaka, so whatever is answered came over the link.
    let nobody = of_tokyo.replace(&origin.address.to_string(), "127.0.0.1:1");
    pair.tokyo.site.write("open", &of_tokyo);
    pair.osaka.site.write("open", &nobody);
    let gateway = pair.osaka.site.gateway();
    // Until its own route is there, the other service answers for every host.
    until("the service to be reached over the link", || {
        let answer = crate::support::http::get(gateway, HOST, "/").ok()?;
        (answer.text() == "plain").then_some(())
    });
    let load = visitors(&pair);
    let mut chat = Chat::open(gateway);
    chat.says("before");
    let (download, upload) = (Download::begin(gateway), Upload::begin(gateway));
    load.wait_for(50);

    pair.tokyo.site.upgrade();
    load.wait_for(50);
    chat.says("after the far end");
    let later = Download::begin(gateway);
    pair.osaka.site.upgrade();
    load.wait_for(50);
    chat.says("after both ends");
    gate.open();
    download.end();
    later.end();
    upload.end();
    chat.says("to the end");
    load.stop().nothing_failed();
}

#[test]
fn a_gateway_that_is_killed_costs_no_visitor_of_the_other_site() {
    let (mut pair, _origins) = pair();
    let load = visitors(&pair);
    until("visitors to go over the link", || {
        (over_the_link(&pair) > 50).then_some(())
    });
    pair.tokyo.site.crash();
    load.wait_for(200);
    pair.osaka.until_told(&["visitors leave tokyo"]);
    pair.tokyo.site.start();
    pair.osaka.until_told(&["link to tokyo is up"]);
    load.wait_for(100);
    load.stop().nothing_failed();
    // What it cost is measured, and shown against what is asked.
    let report = crate::support::clock::within(
        std::time::Duration::from_secs(60),
        "the failure to be recorded",
        || {
            let reports = pair.osaka.site.json("/v1/sites/report");
            let it = reports["services"].as_array()?.first()?.clone();
            it["last"].is_object().then_some(it)
        },
    );
    let last = &report["last"];
    assert_eq!(
        (&last["kind"], &last["from"], &last["to"]),
        (&"failover".into(), &"tokyo".into(), &"osaka".into()),
        "{report}"
    );
    let figure = |name: &str| {
        last[name]
            .as_u64()
            .unwrap_or_else(|| panic!("no {name} in {report}"))
    };
    assert!(
        figure("first_ms") <= figure("decide_ms"),
        "retries come first: {report}"
    );
    assert!((3_000..30_000).contains(&figure("detect_ms")), "{report}");
    assert_eq!(figure("errors"), 0, "{report}");
    let metrics = pair.osaka.site.api("/metrics").text();
    for name in [
        "measured_seconds",
        "detect_seconds",
        "first_success_seconds",
    ] {
        assert!(
            metrics.contains(&format!("minato_recovery_{name}{{service=\"shared\"}} ")),
            "{name}"
        );
    }
    assert!(metrics.contains("minato_recovery_target_met{service=\"shared\"} 1\n"));
    let printed = pair.osaka.site.type_in(&["site", "report"]);
    assert!(
        printed.contains("failover") && printed.contains("300.0s"),
        "{printed}"
    );
    // It outlives the process.
    pair.osaka.site.crash();
    pair.osaka.site.start();
    let reports = pair.osaka.site.json("/v1/sites/report");
    assert_eq!(reports["services"][0]["last"], *last);
}
