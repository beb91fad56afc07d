//! More than one observer, and what of a site's swings outlives a process.

use super::line::Line;
use super::{Cloud, Pair, door};
use crate::support::clock::until;
use crate::support::tls::Authority;
use std::fs;

/// What this entrance thinks of `site`: percent of the visitors that may go there, and how often it was left.
fn course(cloud: &Cloud, site: &str) -> Option<(u64, u64)> {
    let status = cloud.site.json("/v1/sites");
    let all = status["courses"].as_array()?.clone();
    let of_site = all.iter().find(|it| it["site"] == site)?;
    Some((of_site["percent"].as_u64()?, of_site["left"].as_u64()?))
}

#[track_caller]
fn until_course(cloud: &Cloud, site: &str, expected: (u64, u64)) {
    let mut last = None;
    until(&format!("{expected:?} of {site} at {}", cloud.name), || {
        last = course(cloud, site);
        (last == Some(expected)).then_some(())
    });
}

fn told(cloud: &Cloud, words: &str) -> bool {
    let events = cloud.site.events();
    events.iter().any(|it| it.message.contains(words))
}

/// Osaka's own line to tokyo is cut, and kyoto still reaches tokyo: that is osaka's trouble, and no swing of tokyo's.
#[test]
fn a_site_that_others_still_reach_is_not_gone() {
    let authority = Authority::new("sites");
    let mut tokyo = Cloud::new("tokyo", &authority, "tokyo");
    let mut osaka = Cloud::new("osaka", &authority, "osaka");
    let mut kyoto = Cloud::new("kyoto", &authority, "kyoto");
    let line = Line::to(door(&tokyo.site));
    let at = |it: &Cloud| door(&it.site);
    tokyo.knows_at(&[("osaka", at(&osaka)), ("kyoto", at(&kyoto))]);
    kyoto.knows_at(&[("tokyo", at(&tokyo)), ("osaka", at(&osaka))]);
    osaka.knows_at(&[("tokyo", line.address), ("kyoto", at(&kyoto))]);
    let (of_tokyo, of_osaka) = (tokyo.instance(), osaka.instance());
    tokyo.shares(&of_tokyo, "");
    osaka.shares(&of_osaka, "");
    for cloud in [&mut tokyo, &mut osaka, &mut kyoto] {
        cloud.site.start();
    }
    kyoto.until_told(&["link to tokyo is up"]);
    osaka.until_told(&["link to kyoto is up"]);
    osaka.until_served_by("tokyo");

    line.cut();
    osaka.until_served_by("osaka");
    osaka.until_told(&["visitors of this gateway leave tokyo", "while others do"]);
    assert!(!told(&osaka, "visitors leave tokyo"));
    // Left, and it is no swing.
    until_course(&osaka, "tokyo", (0, 0));
    let printed = osaka.site.type_in(&["site", "list"]);
    assert!(
        printed.contains("shared at tokyo: left, left 0 times"),
        "{printed}"
    );

    // With the witness gone as well there is nobody who reaches it: two observers, one opinion.
    line.mend();
    until("the link to tokyo to be up again", || {
        let status = osaka.site.json("/v1/sites");
        let links = status["links"].as_array()?.clone();
        let is_up = |it: &serde_json::Value| it["site"] == "tokyo" && it["state"] == "up";
        links.iter().any(is_up).then_some(())
    });
    osaka
        .site
        .type_in(&["site", "release", "tokyo", "--service", "shared"]);
    osaka.until_served_by("tokyo");
    tokyo.site.crash();
    osaka.until_told(&["visitors leave tokyo"]);
    until_course(&osaka, "tokyo", (0, 1));
}

#[test]
fn that_a_site_was_left_outlives_a_kill_and_an_upgrade_until_a_person_releases_it() {
    let mut pair = Pair::start("");
    pair.osaka.until_served_by("tokyo");
    pair.tokyo.site.crash();
    pair.osaka.until_told(&["visitors leave tokyo"]);
    until_course(&pair.osaka, "tokyo", (0, 1));
    until("it is on disk", || {
        let saved = fs::read_to_string(pair.osaka.site.path("data/gateway.json")).ok()?;
        saved.contains("\"away\"").then_some(())
    });
    pair.tokyo.site.start();
    pair.osaka.site.crash();
    pair.osaka.site.start();
    let up = |pair: &Pair| {
        until("the link to be up", || {
            let status = pair.osaka.site.json("/v1/sites");
            (status["links"][0]["state"] == "up").then_some(())
        });
    };
    up(&pair);
    until_course(&pair.osaka, "tokyo", (0, 1));
    pair.osaka.until_served_by("osaka");
    pair.osaka.site.upgrade();
    up(&pair);
    until_course(&pair.osaka, "tokyo", (0, 1));
    // Whoever is wrong is told so, and nothing changes.
    for wrong in [
        &["site", "release", "kyoto"][..],
        &["site", "release", "tokyo", "--service", "other"],
    ] {
        let output = pair.osaka.site.cli(wrong);
        assert_eq!(output.status.code(), Some(3), "{wrong:?}");
    }
    pair.osaka.site.type_in(&["site", "release", "tokyo"]);
    pair.osaka.until_served_by("tokyo");
    pair.osaka
        .until_told(&["all visitors may go to tokyo again"]);
    // The word counts once: it does not undo what comes after it.
    pair.tokyo.site.crash();
    until_course(&pair.osaka, "tokyo", (0, 1));
    until("it is on disk", || {
        let saved = fs::read_to_string(pair.osaka.site.path("data/gateway.json")).ok()?;
        saved.contains("\"away\"").then_some(())
    });
    pair.osaka.site.crash_successor();
    pair.osaka.site.start();
    until_course(&pair.osaka, "tokyo", (0, 1));
}

#[test]
fn how_gateways_see_sites_is_in_the_store_and_shown() {
    let pair = Pair::start("");
    let seen = until("what osaka sees of tokyo", || {
        let status = pair.osaka.site.json("/v1/sites");
        let seen = status["observers"].as_array()?.first()?.clone();
        (seen["up"] == true).then_some(seen)
    });
    assert_eq!(seen["site"], "tokyo");
    assert_eq!(seen["gateway"], "here");
    assert!(seen["delay_us"].as_u64().unwrap() > 0);
    let printed = pair.osaka.site.type_in(&["site", "list"]);
    let line = printed.lines().find(|it| it.starts_with("tokyo"));
    assert!(line.is_some_and(|it| it.contains(" up ")), "{printed}");
    let metrics = pair.osaka.site.api("/metrics").text();
    for line in [
        "minato_site_observers{site=\"tokyo\"} 1\n",
        "minato_site_observers_up{site=\"tokyo\"} 1\n",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
}
