//! What the commands print, and their exit codes.

use crate::support::clock::until;
use crate::support::http::until_status;
use crate::support::site::{Site, text};
use crate::support::view::event;
use serde_json::Value;
use std::io::{BufRead, BufReader};

#[test]
fn commands_say_what_is_and_give_the_documented_exit_codes() {
    let mut site = Site::new();
    site.write("app", &site.python(2, "routes = [\"e2e.test/app\"]\n[[route]]\nmatch = \"e2e.test/old\"\nredirect = \"https://new.test\"\n"));
    site.start();
    site.wait_ok("app", 2);
    until_status(site.gateway(), "e2e.test", "/app", 200);

    let logs = site.type_in(&["logs", "app"]);
    for slot in 0..2 {
        assert!(
            logs.lines()
                .any(|it| it.starts_with(&format!("app/{slot} | listening on "))),
            "{logs}"
        );
    }
    let logs = site.type_in(&["logs", "app", "--slot", "1", "--json"]);
    let line: Value = serde_json::from_str(logs.lines().next().unwrap()).unwrap();
    assert!(line["service"] == "app" && line["slot"] == 1, "{logs}");

    let events = site.type_in(&["events", "--json", "-n", "500"]);
    let events: Vec<_> = events.lines().map(event).collect();
    assert!(
        events.windows(2).all(|it| it[0].seq < it[1].seq),
        "{events:?}"
    );
    assert_eq!(
        events
            .iter()
            .filter(|it| it.kind == "started" && it.service == "app")
            .count(),
        2
    );
    let printed = site.type_in(&["events", "--service", "app"]);
    assert!(
        printed.lines().all(|it| it.contains("app")) && printed.contains("was started"),
        "{printed}"
    );

    let status: Value = serde_json::from_str(&site.type_in(&["status", "--json"])).unwrap();
    assert_eq!(status["pid"], site.pid());
    assert_eq!(status["listeners"][0], site.gateway().to_string());
    assert!(
        status["leading"] == true
            && status["store"]["healthy"] == true
            && status["config"]["files"] == 1,
        "{status:#}"
    );
    let service: Value = serde_json::from_str(&site.type_in(&["status", "app", "--json"])).unwrap();
    assert_eq!(service["instances"].as_array().unwrap().len(), 2);
    let printed = site.type_in(&["status", "app"]);
    assert!(
        printed.contains("route e2e.test/app") && printed.contains("running"),
        "{printed}"
    );

    for (url, code, words) in [
        ("http://e2e.test/app/book?x=1", 0, ["app", "forward", "->"]),
        ("e2e.test/old/x", 0, ["app", "redirect", "https://new.test"]),
        ("http://unknown.test/", 1, ["none", "404", "route"]),
    ] {
        let output = site.cli(&["route", "test", url]);
        let printed = text(&output.stdout);
        assert_eq!(output.status.code(), Some(code), "{url}: {printed}");
        assert!(
            words.iter().all(|it| printed.contains(it)),
            "{url}: {printed}"
        );
    }
    let output = site.cli(&["route", "test", "http://e2e.test/app", "--json"]);
    let test: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(
        test["service"] == "app"
            && test["candidates"]
                .as_array()
                .is_some_and(|it| it.len() == 2),
        "{test:#}"
    );
    let answer = crate::support::http::get(site.gateway(), "e2e.test", "/old/x?y=1").unwrap();
    assert_eq!(
        (answer.status, answer.header("location")),
        (308, Some("https://new.test/x?y=1"))
    );

    let check = site.type_in(&["check", "--config", site.settings().to_str().unwrap()]);
    assert!(check.starts_with("ok"), "{check}");
    assert_eq!(site.cli(&["no-such-command"]).status.code(), Some(2));
}

#[test]
fn without_a_running_minato_commands_say_how_to_start_one() {
    let site = Site::new();
    let output = site.cli(&["status"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains(&site.admin().to_string())
            && said.contains("minato run")
            && said.lines().count() == 1,
        "{said}"
    );
}

#[test]
fn the_status_page_is_there_and_strangers_are_turned_away() {
    use crate::support::http::get;
    let mut site = Site::new();
    site.write("app", &site.python(1, ""));
    site.start();
    site.wait_ok("app", 1);
    let page = site.api("/");
    assert!(
        page.status == 200
            && page.text().contains("app")
            && page
                .header("content-type")
                .unwrap()
                .starts_with("text/html")
    );
    // A page of another site cannot reach it by a name of its own.
    let stranger = get(site.admin(), "evil.test", "/v1/status").unwrap();
    assert!(matches!(stranger.status, 400..=499), "{stranger:?}");
    let crossing = format!(
        "POST /v1/services/app/drain HTTP/1.1\r\nHost: {}\r\nOrigin: http://evil.test\r\nContent-Type: application/json\r\nContent-Length: 14\r\nConnection: close\r\n\r\n{{\"drain\":true}}",
        site.admin()
    );
    let mut connection = crate::support::http::Connection::open(site.admin()).unwrap();
    connection.send(crossing.as_bytes()).unwrap();
    let answer = connection.read(crate::support::http::Expect::Body).unwrap();
    assert!(matches!(answer.status, 400..=499), "{answer:?}");
    assert_eq!(site.service("app")["draining"], false);
}

#[test]
fn events_are_followed_as_they_happen() {
    let mut site = Site::new();
    site.write("app", &site.python(1, ""));
    site.start();
    site.wait_ok("app", 1);
    let admin = site.admin().to_string();
    let mut follower = std::process::Command::new(env!("CARGO_BIN_EXE_minato"))
        .args(["--admin", &admin, "--json", "events", "-f", "-n", "1"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines();
    let past = event(&lines.next().unwrap().unwrap());
    let answer = site.type_in(&["--json", "drain", "app", "--no-wait"]);
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert!(
        answer["change"]["undo"].is_string() && answer["settled"].is_null(),
        "{answer:#}"
    );
    let next = event(&lines.next().unwrap().unwrap());
    assert!(
        next.seq == past.seq + 1 && next.kind == "intent",
        "{past:?} {next:?}"
    );
    // The stream ends with minato, and its reader with the stream.
    site.stop(rustix::process::Signal::TERM);
    let ended = until("the follower to end", || follower.try_wait().unwrap());
    assert!(ended.code().is_some(), "{ended:?}");
}
