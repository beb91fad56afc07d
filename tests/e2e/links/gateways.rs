//! Sites with two gateways each, on one store: the loss of one costs nobody anything, and those of one site think alike.

use super::line::Line;
use super::{Cloud, door};
use crate::etcd::members::{Members, is_here};
use crate::support::clock::until;
use crate::support::load::{Ask, Load};
use crate::support::origin::{Origin, ok};
use crate::support::tls::Authority;
use std::fs;
use std::net::SocketAddr;

/// One process of a site that has its store in `members`; the first of a site has all roles, the others are gateways.
fn gateway(name: &'static str, node: &str, authority: &Authority, members: &Members) -> Cloud {
    let cloud = Cloud::new(name, authority, name);
    let roles = match node {
        "one" => "",
        _ => "roles = [\"gateway\"]\n",
    };
    let endpoints: Vec<String> = members
        .endpoints()
        .iter()
        .map(|it| format!("\"{it}\""))
        .collect();
    let store = format!("[store]\netcd = [{}]\n", endpoints.join(", "));
    let text = fs::read_to_string(cloud.site.settings()).unwrap();
    let text = text
        .replace("node = \"here\"\n", &format!("node = \"{node}\"\n{roles}"))
        .replace("[store]\n", &store);
    fs::write(cloud.site.settings(), text).unwrap();
    cloud
}

/// How `cloud` sees the gateway of another site at `address`: `up` or `down`.
fn link(cloud: &Cloud, address: SocketAddr) -> Option<String> {
    let status = cloud.site.json("/v1/sites");
    let links = status["links"].as_array()?.clone();
    let of = links
        .iter()
        .find(|it| it["address"] == address.to_string())?;
    Some(of["state"].as_str()?.to_owned())
}

#[track_caller]
fn until_link(cloud: &Cloud, address: SocketAddr, state: &str) {
    until(
        &format!("{address} to be {state} for {}", cloud.name),
        || (link(cloud, address).as_deref() == Some(state)).then_some(()),
    );
}

/// What each gateway of the site of `cloud` sees of `site`, as its store has it: node and whether it answers, sorted.
fn observers(cloud: &Cloud, site: &str) -> Vec<(String, bool)> {
    let status = cloud.site.json("/v1/sites");
    let all = status["observers"].as_array().cloned().unwrap_or_default();
    let of_site = all.iter().filter(|it| it["site"] == site);
    let seen = of_site.map(|it| (it["gateway"].as_str().unwrap().to_owned(), it["up"] == true));
    let mut seen: Vec<(String, bool)> = seen.collect();
    seen.sort();
    seen
}

#[track_caller]
fn until_observed(clouds: [&Cloud; 2], site: &str, expected: [bool; 2]) {
    let expected = [
        ("one".to_owned(), expected[0]),
        ("two".to_owned(), expected[1]),
    ];
    for cloud in clouds {
        let mut last = Vec::new();
        until(&format!("{expected:?} of {site}"), || {
            last = observers(cloud, site);
            (last == expected).then_some(())
        });
    }
}

/// Lines of `minato site list` about `site`.
fn listed(cloud: &Cloud, site: &str) -> Vec<String> {
    let printed = cloud.site.type_in(&["site", "list"]);
    let lines = printed.lines().map(str::to_owned);
    lines.filter(|it| it.starts_with(site)).collect()
}

#[test]
fn one_gateway_of_two_may_go_and_those_of_one_site_agree() {
    if !is_here() {
        return;
    }
    let members = Members::start(1);
    let authority = Authority::new("sites");
    let of = |name, node| gateway(name, node, &authority, &members);
    let (mut osaka, mut osaka_two) = (of("osaka", "one"), of("osaka", "two"));
    let (mut tokyo, mut tokyo_two) = (of("tokyo", "one"), of("tokyo", "two"));
    let doors = [door(&osaka.site), door(&osaka_two.site)];
    // The first gateway of tokyo has lines of its own, which can be cut.
    let lines = doors.map(Line::to);
    let peers = |doors: &[SocketAddr]| -> String {
        let texts: Vec<String> = doors.iter().map(|it| format!("\"{it}\"")).collect();
        texts.join(", ")
    };
    let knows = |cloud: &Cloud, peer: &str, doors: &[SocketAddr]| {
        cloud.knows_at(&[(peer, doors[0])]);
        let text = fs::read_to_string(cloud.site.settings()).unwrap();
        let one = format!("gateways = [\"{}\"]", doors[0]);
        let all = format!("gateways = [{}]", peers(doors));
        fs::write(cloud.site.settings(), text.replace(&one, &all)).unwrap();
    };
    knows(&tokyo, "osaka", &[lines[0].address, lines[1].address]);
    knows(&tokyo_two, "osaka", &doors);
    let of_tokyo = [door(&tokyo.site), door(&tokyo_two.site)];
    knows(&osaka, "tokyo", &of_tokyo);
    knows(&osaka_two, "tokyo", &of_tokyo);

    // Osaka comes first; both answer the same, so that each answer can be compared.
    let same = || Origin::start(|_, wire| ok(wire, b"same"));
    let instances = [same(), same()];
    for (cloud, instance) in [(&osaka, &instances[0]), (&tokyo, &instances[1])] {
        let health = "health = { kind = \"tcp\", interval = \"1s\", fast = \"200ms\", timeout = \"900ms\" }\n";
        let file = format!(
            "endpoints = [\"{}\"]\nroutes = [\"*\"]\n{health}sites = [\"osaka\", \"tokyo\"]\n",
            instance.address
        );
        cloud.site.write("shared", &file);
    }
    for cloud in [&mut osaka, &mut osaka_two, &mut tokyo, &mut tokyo_two] {
        cloud.site.start();
    }
    for line in &lines {
        until_link(&tokyo, line.address, "up");
    }
    doors
        .iter()
        .for_each(|it| until_link(&tokyo_two, *it, "up"));
    until_observed([&tokyo, &tokyo_two], "osaka", [true, true]);
    let ask = Ask::Get {
        path: "/".to_owned(),
        body: "same".to_owned(),
    };
    for cloud in [&tokyo, &tokyo_two] {
        crate::support::http::until_status(cloud.site.gateway(), "e2e.test", "/", 200);
    }
    let loads = [&tokyo, &tokyo_two].map(|it| Load::start(it.site.gateway(), "e2e.test", &ask));
    let over_links = |cloud: &Cloud| {
        let name = "minato_peer_requests_total{service=\"shared\",site=\"osaka\"} ";
        let text = cloud.site.api("/metrics").text();
        let line = text.lines().find_map(|it| it.strip_prefix(name));
        line.and_then(|it| it.parse::<u64>().ok()).unwrap_or(0)
    };
    let go_over = |what: &str| {
        for cloud in [&tokyo, &tokyo_two] {
            let before = over_links(cloud);
            until(what, || (over_links(cloud) > before + 50).then_some(()));
        }
    };
    go_over("visitors to go over the link");

    // One of osaka's gateways is killed. The site is as well as its other one.
    osaka_two.site.crash();
    until_link(&tokyo, lines[1].address, "down");
    until_link(&tokyo_two, doors[1], "down");
    go_over("visitors to go by osaka's other gateway");
    until_observed([&tokyo, &tokyo_two], "osaka", [true, true]);
    for cloud in [&tokyo, &tokyo_two] {
        let lines = listed(cloud, "osaka");
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines.iter().all(|it| it.contains(" up ")), "{lines:?}");
    }

    // The lines of tokyo's first gateway are cut: osaka is gone for it alone, and is no worse for that.
    lines.iter().for_each(Line::cut);
    until_link(&tokyo, lines[0].address, "down");
    until_observed([&tokyo, &tokyo_two], "osaka", [false, true]);
    let shown = listed(&tokyo_two, "osaka");
    let of_node = |node: &str| {
        shown
            .iter()
            .find(|it| it.contains(&format!(" {node} ")))
            .unwrap()
    };
    assert!(of_node("one").contains(" down "), "{shown:?}");
    assert!(of_node("two").contains(" up "), "{shown:?}");
    loads.iter().for_each(|it| it.wait_for(100));
    lines.iter().for_each(Line::mend);
    until_link(&tokyo, lines[0].address, "up");
    until_observed([&tokyo, &tokyo_two], "osaka", [true, true]);
    for cloud in [&tokyo, &tokyo_two] {
        let events = cloud.site.events();
        let left = |text: &str| text.contains("visitors leave osaka");
        assert!(!events.iter().any(|it| left(&it.message)), "{events:?}");
    }

    // The other one is killed as well: now it is gone, for both.
    osaka.site.crash();
    for cloud in [&tokyo, &tokyo_two] {
        cloud.until_told(&["visitors leave osaka"]);
        until("it is left once", || {
            let status = cloud.site.json("/v1/sites");
            let of_osaka = status["courses"].as_array()?.first()?.clone();
            (of_osaka["percent"] == 0 && of_osaka["left"] == 1).then_some(())
        });
    }
    until_observed([&tokyo, &tokyo_two], "osaka", [false, false]);
    loads.iter().for_each(|it| it.wait_for(100));
    for load in loads {
        load.stop().nothing_failed();
    }
}
