//! What a file says comes back from its text, and what no file could say does not pass.

use super::*;
use crate::{
    Backend, Base, Health, HealthProbe, HostPattern, PathPrefix, RouteAction, Scale, SiteId,
};
use std::time::Duration;

/// Files that say as much as can be said, each in its own way.
const FILES: [&str; 9] = [
    "command = [\"a\"]",
    "endpoints = [\"10.0.0.7:8080\", \"[fd00::7]:8080\"]\nroutes = [\"*\"]\nhealth = \"off\"\n",
    "command = [\"/bin/sh\", \"-c\", \"echo \\\"it's\\\" \\\\ \\n \\u0001 {port}\"]\nenv = { MODE = \"a \\u007f b\", E_ = \"\" }\n",
    "command = [\"a\"]\nport = 8080\ndirectory = \"/srv\"\nstop = { drain = \"0s\", grace = \"1m30s\" }\nnodes = { zone = \"a\", \"disk.kind\" = \"ssd\" }\ndepends_on = [\"db\", \"cache\"]\nretries = 3\nupdate = { healthy = \"0s\", deadline = \"1h\", parallel = 3, order = \"stop-first\" }\n",
    "command = [\"a\"]\nreplicas = { min = 2, max = 8, in_flight = 40, p95 = \"500ms\", cpu = 0.07 }\nsites = [\"tokyo\", \"osaka\"]\nstandby = \"cold\"\nfailover = \"ask\"\nrto = \"90s\"\nrpo = \"1h\"\n[at.osaka]\nreplicas = 1\n[at.tokyo]\n",
    "command = [\"a\"]\nsites = [\"tokyo\", \"osaka\"]\n[switch]\nsync = \"copy\"\n",
    "image = \"registry.example:5000/a/b:1.2\"\nport = 80\nnetwork = \"net-1\"\npull = \"always\"\ninit = true\nuser = \"1000:1000\"\ncommand = [\"x\"]\nenv = { A = \"b\" }\nsecrets = { DB = \"library-db\", T = { name = \"t\", as = \"variable\" } }\nvolumes = { \"/data\" = \"d\", \"/ro\" = { name = \"r\", access = \"ro\" } }\nresources = { cpu = 0.05, cpu_limit = 2, cpu_max = 1.125, memory = \"512MiB\", memory_max = \"1GiB\" }\n",
    "image = \"a\"\nnetwork = \"host\"\n",
    "command = [\"a\"]\nroutes = [\"example.org\", \"*.example.org/x%20y\", \"[::1]\"]\nprotocol = \"h2\"\ntls = { sni = \"db.example.org\", ca = \"/etc/ca \\\"x\\\".pem\" }\nhealth = { path = \"/h?a=b\", host = \"h\", status = [204, \"200-201\"], headers = { server = \"x \\\"y\\\"\" }, body = \"ok\\n\", interval = \"15ms\", fast = \"10ms\", fall = 9, rise = 1 }\nlimits = { in_flight = 9, queue = 7, queue_timeout = \"10ms\", body = \"18446744073709551615B\", connections = 3, idle = 0 }\ntimeouts = { connect = \"1m\", first_byte = \"24h\", idle = \"10ms\", tunnel = \"168h\" }\n[[route]]\nmatch = \"a.example/b\"\nstrip = true\n[[route]]\nmatch = \"old.example\"\nredirect = \"https://new.example:8443/x\"\n",
];

#[test]
fn what_a_file_says_passes_wherever_it_is_placed() {
    for text in FILES {
        let service = library(text).unwrap_or_else(|it| panic!("{text}: {it:?}"));
        assert_eq!(check_service(&service), Ok(()), "{text}");
        for site in ["tokyo", "osaka", "kyoto"] {
            let placed = service.clone().at(&SiteId::parse(site).unwrap());
            assert_eq!(check_service(&placed), Ok(()), "{text} at {site}");
        }
    }
    for example in [
        include_str!("../../../../examples/services/orders.toml"),
        include_str!("../../../../examples/services/pages.toml"),
        include_str!("../../../../examples/services/elsewhere.toml"),
    ] {
        assert_eq!(check_service(&library(example).unwrap()), Ok(()));
    }
}

/// `edit` makes of a service what no file says; the error has `words`.
#[track_caller]
fn refused(edit: impl FnOnce(&mut Service), words: &str) {
    let text = "command = [\"a\"]\nroutes = [\"a.example\", \"b.example\"]\nreplicas = 2\nsites = [\"tokyo\", \"osaka\"]\n[at.osaka]\nreplicas = 1\n";
    let mut service = library(text).unwrap();
    edit(&mut service);
    let why = check_service(&service).expect_err("it passes");
    assert!(why.contains(words), "{why}");
}

fn command(service: &mut Service) -> &mut crate::Command {
    match &mut service.backend {
        Backend::Command(it) => it,
        Backend::Endpoints(_) => panic!("it has endpoints"),
    }
}

#[test]
fn what_no_file_says_is_named() {
    refused(
        |it| it.replicas = 65_535,
        "service.library.replicas: must be a whole number from 1 to 1000, got the number 65535",
    );
    refused(|it| it.replicas = 0, "replicas: must be at least 1");
    refused(
        |it| {
            it.sites
                .as_mut()
                .unwrap()
                .at
                .values_mut()
                .next()
                .unwrap()
                .replicas = Some(1_001);
        },
        "at.osaka.replicas: must be a whole number from 1 to 1000",
    );
    refused(
        |it| {
            it.scale = Some(Scale {
                max: 60_000,
                in_flight: Some(1),
                p95: None,
                cpu_percent: None,
            });
        },
        "replicas.max: must be a whole number from 1 to 1000",
    );
    refused(
        |it| it.retries = 200,
        "retries: must be a whole number from 0 to 3",
    );
    refused(|it| command(it).argv.clear(), "command: must be a list");
    refused(
        |it| command(it).argv = vec!["a".to_owned(); 300],
        "at most 256",
    );
    refused(
        |it| command(it).argv.push("x".repeat(100_000)),
        "may have 96 KiB together",
    );
    refused(
        |it| {
            drop(
                command(it)
                    .env
                    .insert("LD PRELOAD".to_owned(), String::new()),
            );
        },
        "a variable's name",
    );
    refused(
        |it| command(it).directory = Some("x".to_owned()),
        "an absolute path",
    );
    refused(
        |it| command(it).stop.drain = Duration::from_secs(1 << 40),
        "stop.drain: must be from 0s to 24h",
    );
    refused(|it| it.limits.queue = 5, "does nothing without `in_flight`");
    refused(
        |it| it.timeouts.connect = Duration::ZERO,
        "timeouts.connect: must be from 10ms",
    );
    refused(
        |it| {
            let Health::On { timing, .. } = &mut it.health else {
                panic!()
            };
            timing.timeout = timing.interval * 2;
        },
        "health.timeout: must be below interval",
    );
    refused(
        |it| {
            let Health::On {
                probe: HealthProbe::Http(probe),
                ..
            } = &mut it.health
            else {
                panic!()
            };
            probe.path = "/a\r\nX: y".to_owned();
        },
        "health.path: must be a path",
    );
    refused(
        |it| it.sites.as_mut().unwrap().order = vec![SiteId::parse("tokyo").unwrap(); 2],
        "stands here already",
    );
    refused(
        |it| {
            it.routes[0].action = RouteAction::Redirect {
                to: "javascript:x".to_owned(),
            };
        },
        "cannot redirect",
    );
    // These are read as something else than they are.
    refused(
        |it| it.routes[0].pattern.host = HostPattern::Exact("*".to_owned()),
        "service.library.route: it says what no service file can",
    );
    refused(
        |it| it.routes[0].pattern.path = PathPrefix("/a/".to_owned()),
        "it says what no service file can",
    );
    refused(|it| it.routes.reverse(), "it says what no service file can");
    // A site's own number stands where `at` says so, and nowhere else.
    refused(
        |it| {
            it.sites.as_mut().unwrap().base = Some(Base {
                replicas: 2,
                scale: None,
            });
            it.replicas = 65_535;
        },
        "65535 is the number of no site",
    );
}
