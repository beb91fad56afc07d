//! Which site answers.

use super::{Pair, caller, door};
use crate::support::http::{Connection, Expect};
use crate::support::tls::Time;

#[test]
fn the_first_site_serves_at_both_entrances_and_the_next_takes_over() {
    let mut pair = Pair::start("");
    pair.tokyo.until_served_by("tokyo");
    let text = pair.osaka.until_served_by("tokyo");
    // The visitor, then osaka's gateway, whose word is believed.
    assert!(
        text.contains("x-forwarded-for: 127.0.0.1, 127.0.0.1\n"),
        "{text}"
    );
    assert!(!text.contains("minato-hops"), "{text}");
    // The instances of tokyo are gone: osaka's answer, at tokyo's entrance through the link.
    pair.of_tokyo = None;
    pair.tokyo.until_served_by("osaka");
    pair.osaka.until_served_by("osaka");
    pair.osaka
        .until_told(&["not sent to tokyo", "none of 1 instances at tokyo is up"]);
}

#[test]
fn a_site_serves_by_itself_when_the_first_is_gone_whole() {
    let mut pair = Pair::start("");
    pair.osaka.until_served_by("tokyo");
    pair.tokyo.site.crash();
    pair.osaka.until_served_by("osaka");
    pair.osaka.until_told(&["link to tokyo is down"]);
    pair.tokyo.site.start();
    pair.osaka.until_told(&["link to tokyo is up"]);
}

#[test]
fn with_active_standby_each_site_serves_its_own_visitors() {
    let mut pair = Pair::start("standby = \"active\"\n");
    pair.tokyo.until_served_by("tokyo");
    pair.osaka.until_served_by("osaka");
    pair.of_osaka = None;
    pair.osaka.until_served_by("tokyo");
}

#[test]
fn what_a_visitor_says_of_links_means_nothing() {
    let pair = Pair::start("");
    pair.osaka.until_served_by("tokyo");
    let mut connection = Connection::open(pair.osaka.site.gateway()).unwrap();
    let forged = "GET / HTTP/1.1\r\nHost: e2e.test\r\nMinato-Hops: 9\r\nX-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Host: evil.test\r\n\r\n";
    connection.send(forged.as_bytes()).unwrap();
    let answer = connection.read(Expect::Body).unwrap();
    let text = answer.text();
    assert_eq!(answer.status, 200, "{text}");
    assert!(text.starts_with("tokyo\n"), "{text}");
    for forged in ["minato-hops", "203.0.113.9", "evil.test"] {
        assert!(!text.contains(forged), "{forged} in {text}");
    }
}

#[test]
fn what_came_over_a_link_never_goes_over_a_link_again() {
    let mut pair = Pair::start("");
    let osaka = ["gw.osaka.minato.internal"];
    let osaka = pair.authority.sign(&osaka, Time::Now);
    let ask = |more: &str| {
        let request = caller::get_of("e2e.test", more);
        let door = door(&pair.tokyo.site);
        caller::ask(door, "tokyo", &pair.authority, Some(&osaka), &request).unwrap()
    };
    pair.tokyo.until_served_by("tokyo");
    assert_eq!(ask("").status, 200);
    assert_eq!(ask("Minato-Hops: 1\r\n").status, 200);
    assert_eq!(ask("Minato-Hops: 2\r\n").status, 508);
    pair.of_tokyo = None;
    pair.tokyo.until_served_by("osaka");
    assert_eq!(ask("").status, 503);
}

#[test]
fn a_peer_sends_only_for_services_that_list_its_site() {
    let pair = Pair::start("");
    let own = pair.tokyo.instance();
    let health = "health = \"off\"\n";
    let file = format!(
        "endpoints = [\"{}\"]\nroutes = [\"own.test\"]\n{health}",
        own.address
    );
    pair.tokyo.site.write("own", &file);
    let tokyo = pair.tokyo.site.gateway();
    // Until then the other service, whose route takes every host, would answer.
    pair.tokyo.until_told(&["routes in effect: own.test"]);
    crate::support::http::until_status(tokyo, "own.test", "/", 200);
    let osaka = pair
        .authority
        .sign(&["gw.osaka.minato.internal"], Time::Now);
    let request = caller::get_of("own.test", "");
    let door = door(&pair.tokyo.site);
    let answer = caller::ask(door, "tokyo", &pair.authority, Some(&osaka), &request).unwrap();
    assert_eq!(answer.status, 421, "{}", answer.text());
}

#[test]
fn what_the_backup_cannot_carry_gets_the_sorry_page() {
    let mut pair = Pair::start("");
    // Tokyo wants three instances, osaka has one.
    let (one, two) = (pair.tokyo.instance(), pair.tokyo.instance());
    let first = pair.of_tokyo.as_ref().unwrap().address;
    pair.tokyo.site.write(
        "shared",
        &format!(
            "endpoints = [\"{first}\", \"{}\", \"{}\"]\nroutes = [\"*\"]\nhealth = {{ kind = \"tcp\", interval = \"1s\", fast = \"200ms\", timeout = \"900ms\" }}\nsites = [\"tokyo\", \"osaka\"]\n",
            one.address, two.address
        ),
    );
    pair.tokyo.site.wait_ok("shared", 3);
    pair.osaka.until_served_by("tokyo");
    // Osaka has heard how many there should be before they are gone.
    pair.tokyo.until_served_by("tokyo");
    pair.of_tokyo = None;
    drop((one, two));
    for cloud in [&pair.tokyo, &pair.osaka] {
        cloud.until_told(&["visitors leave tokyo"]);
        crate::support::clock::until("shares in status", || {
            let status = cloud.site.json("/v1/status");
            let shares = status["shares"].as_array()?.first()?.clone();
            (shares["excess"].as_f64()? > 50.0).then_some(())
        });
        let answers: Vec<u16> = (0..300).map(|_| cloud.get().unwrap().status).collect();
        let served = answers.iter().filter(|it| **it == 200).count();
        let sorry = answers.iter().filter(|it| **it == 503).count();
        assert_eq!(served + sorry, 300, "{answers:?}");
        // 46.6 % of 300 are 140, give or take six times what chance allows.
        assert!(
            (88..=192).contains(&served),
            "{served} of 300 at {}",
            cloud.name
        );
    }
    let printed = pair.osaka.site.type_in(&["events"]);
    assert!(printed.contains("visitors leave tokyo"), "{printed}");
}

#[test]
fn status_and_metrics_show_links() {
    let pair = Pair::start("");
    let output = pair.tokyo.site.cli(&["status"]);
    let printed = crate::support::site::text(&output.stdout);
    let line = printed.lines().find(|it| it.starts_with("osaka"));
    let line = line.unwrap_or_else(|| panic!("no link in {printed}"));
    assert!(line.contains(&door(&pair.osaka.site).to_string()), "{line}");
    assert!(line.contains(" up "), "{line}");
    assert!(line.contains("here runs"), "{line}");
    let metrics = pair.tokyo.site.api("/metrics").text();
    let label = format!("{{site=\"osaka\",gateway=\"{}\"}}", door(&pair.osaka.site));
    assert!(
        metrics.contains(&format!("minato_link_up{label} 1\n")),
        "{metrics}"
    );
    pair.osaka.until_served_by("tokyo");
    // Counted once the whole of it is over, which the visitor need not wait for.
    let counted = "minato_peer_requests_total{service=\"shared\",site=\"tokyo\"}";
    crate::support::clock::until("a request over the link in the metrics", || {
        let metrics = pair.osaka.site.api("/metrics").text();
        metrics.contains(counted).then_some(())
    });
}
