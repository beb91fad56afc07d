//! A planned switch and its way back while visitors come, typed at either side.

use super::{Pair, has_moved, number, until_operation};
use crate::support::clock::until;
use crate::support::figures::{Figure, measured};
use crate::support::http::get;

#[test]
fn under_load_a_switch_and_its_return_fail_no_request() {
    let pair = Pair::start(&["shared"], "");
    let (at_tokyo, at_osaka) = (
        pair.load(&pair.tokyo, "shared"),
        pair.load(&pair.osaka, "shared"),
    );
    at_tokyo.wait_for(50);
    // Typed at the site that serves now: it is passed on.
    let printed = pair.tokyo.site.type_in(&[
        "switch",
        "--to",
        "osaka",
        "shared",
        "--quiet",
        "2s",
        "--no-wait",
    ]);
    assert!(
        printed.contains("of osaka: switch of shared to osaka"),
        "{printed}"
    );
    assert!(printed.contains("--site osaka"), "{printed}");
    let first = number(&printed);
    until_operation(&pair.osaka, first, "moved", has_moved);
    pair.until_serves("osaka", "shared");
    at_tokyo.wait_for(100);
    at_osaka.wait_for(100);
    // While somebody comes to tokyo nobody may switch it off.
    let shown =
        pair.tokyo
            .site
            .type_in(&["operation", "show", &first.to_string(), "--site", "osaka"]);
    assert!(
        shown.contains("quiet") && !shown.contains("safe"),
        "{shown}"
    );
    let there = at_tokyo.stop();
    there.nothing_failed();
    let done = until_operation(&pair.osaka, first, "done", |it| it["state"] == "done");
    let reason = done["reason"].as_str().unwrap();
    assert!(reason.contains("tokyo is safe to power off"), "{reason}");
    pair.osaka.until_told(&[
        "operation 1",
        "osaka comes first (epoch 1), before it tokyo",
    ]);
    pair.tokyo
        .until_told(&["visitors of shared go to osaka first (epoch 1"]);

    let at_tokyo = pair.load(&pair.tokyo, "shared");
    at_tokyo.wait_for(50);
    // The way back, typed at osaka, lives at tokyo.
    let printed =
        pair.osaka
            .site
            .type_in(&["switch", "--to", "tokyo", "--quiet", "2s", "--no-wait"]);
    let back = number(&printed);
    until_operation(&pair.tokyo, back, "moved", has_moved);
    pair.until_serves("tokyo", "shared");
    at_tokyo.wait_for(100);
    at_osaka.wait_for(100);
    let here = at_osaka.stop();
    here.nothing_failed();
    // The command stays until it is over, and says so.
    let printed = pair.osaka.site.type_in(&[
        "operation",
        "show",
        &back.to_string(),
        "--site",
        "tokyo",
        "--follow",
    ]);
    assert!(printed.contains("osaka is safe to power off"), "{printed}");
    let again = at_tokyo.stop();
    again.nothing_failed();
    measured(
        "row 10, a planned switch and its return",
        &[
            (
                "requests",
                Figure::Count(there.sent + here.sent + again.sent),
            ),
            ("failed", Figure::Count(0)),
            (
                "longest pause at the first site's entrance",
                Figure::Time(there.slowest.max(again.slowest)),
            ),
            (
                "longest pause at the other site's entrance",
                Figure::Time(here.slowest),
            ),
        ],
    );
}

#[test]
fn all_services_go_together_and_the_command_says_what_it_does() {
    let pair = Pair::start(&["library", "shop", "wiki"], "");
    let printed = pair
        .osaka
        .site
        .type_in(&["switch", "--to", "osaka", "--dry-run"]);
    for word in [
        "dry run: switch of 3 services to osaka",
        "capacity",
        "1 of 1 up at osaka, 1 wanted at tokyo: 100%",
        "link",
        "answers in",
    ] {
        assert!(printed.contains(word), "{word}: {printed}");
    }
    assert!(
        pair.osaka
            .site
            .type_in(&["operation", "list"])
            .lines()
            .count()
            == 1
    );
    let printed = pair.osaka.site.type_in(&[
        "switch",
        "--to",
        "osaka",
        "--quiet",
        "1s",
        "--size",
        "2",
        "--why",
        "the yearly power outage",
    ]);
    assert!(printed.contains("tokyo is safe to power off"), "{printed}");
    for service in ["library", "shop", "wiki"] {
        assert!(printed.contains(&format!("{service} ")), "{printed}");
        pair.until_serves("osaka", service);
    }
    let page = get(
        pair.osaka.site.admin(),
        &pair.osaka.site.admin().to_string(),
        "/",
    )
    .unwrap();
    assert_eq!(page.status, 200);
    // Only one of them back.
    let printed = pair.tokyo.site.type_in(&[
        "switch",
        "--to",
        "tokyo",
        "--services",
        "sh*",
        "--quiet",
        "1s",
    ]);
    assert!(
        printed
            .contains("osaka still comes first for 2 more (library, wiki): not safe to power off"),
        "{printed}"
    );
    pair.until_serves("tokyo", "shop");
    pair.until_serves("osaka", "wiki");
}

#[test]
fn a_site_that_was_away_hears_of_it_before_it_serves() {
    let mut pair = Pair::start(&["shared"], "failover = \"ask\"\n");
    pair.tokyo.site.crash();
    pair.osaka.until_told(&["link to tokyo is down"]);
    let printed = pair
        .osaka
        .site
        .type_in(&["failover", "--to", "osaka", "--quiet", "1s"]);
    assert!(
        printed.contains("when tokyo is back it hears of it before it serves"),
        "{printed}"
    );
    let answer = get(pair.osaka.site.gateway(), "shared.test", "/who").unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (200, "osaka"));
    // Its instances live, its table of before says that it comes first: still nobody is served by them.
    pair.tokyo.site.start();
    let first = until("an answer of tokyo's entrance", || {
        get(pair.tokyo.site.gateway(), "shared.test", "/who").ok()
    });
    assert_eq!(
        (first.status, first.text().as_str()),
        (200, "osaka"),
        "{first:?}"
    );
    for _ in 0..50 {
        let answer = get(pair.tokyo.site.gateway(), "shared.test", "/who").unwrap();
        assert_eq!(answer.text(), "osaka");
    }
    // It is in its own store too: without osaka it still does not serve by itself.
    pair.tokyo
        .until_told(&["shared: osaka comes first since epoch 1", "osaka said so"]);
}
