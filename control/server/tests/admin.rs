//! What the admin API says: status, page, logs, routes, metrics.

mod site;

use minato_config::{Problem, Timestamp};
use minato_control::{Event, EventKind};
use minato_control_server::LeaderRecord;
use minato_control_server::api::{LogLines, RouteTest, ServiceState, ServiceStatus, Status};
use minato_control_store::keys::Key;
use site::api::{Api, refused};
use std::sync::Arc;

#[tokio::test]
async fn status_shows_services_files_and_store() {
    let api = Api::start().await;
    let status: Status = api.get("/v1/status").await.json();
    assert_eq!(
        (status.site.as_str(), status.node.as_str()),
        ("tokyo", "one")
    );
    assert!(!status.leading && status.leader.is_none());
    assert!(status.alarms[0].starts_with("nobody leads"), "{status:?}");
    assert!(status.store.healthy && status.store.revision > 0);
    assert_eq!((status.config.files, status.config.services), (2, 2));
    let names: Vec<&str> = status.services.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["fixed", "library"]);
    let library = &status.services[1];
    assert_eq!(library.state, ServiceState::Degraded);
    assert_eq!((library.wanted, library.up, library.in_flight), (2, 1, 3));
    let one: ServiceStatus = api.get("/v1/services/library").await.json();
    assert_eq!(&one, library);
}

#[tokio::test]
async fn problems_and_trouble_show() {
    let api = Api::start().await;
    let problem = Problem {
        file: "services/library.toml".into(),
        line: 14,
        field: "service.library.retries".to_owned(),
        message: "at most 3".to_owned(),
    };
    api.folder.send_modify(|it| {
        let mut broken = (**it).clone();
        broken.problems = vec![problem];
        *it = Arc::new(broken);
    });
    let status: Status = api.get("/v1/status").await.json();
    assert_eq!(
        status.config.problems,
        ["services/library.toml:14: service.library.retries: at most 3"]
    );
    let metrics = api.get("/metrics").await.body;
    assert!(metrics.contains("\nminato_config_last_apply_success 0\n"));
    assert!(metrics.contains("\nminato_config_problems 1\n"));
}

#[tokio::test]
async fn logs_and_routes_come_from_the_view() {
    let api = Api::start().await;
    let logs: LogLines = api.get("/v1/logs/library?slot=1&lines=2").await.json();
    assert_eq!(
        (logs.slot, logs.lines),
        (1, vec!["line 0".to_owned(), "line 1".to_owned()])
    );
    let url = "http%3A%2F%2Fexample.org%2Flibrary";
    let test: RouteTest = api.get(&format!("/v1/route?url={url}")).await.json();
    assert_eq!(test.url, "http://example.org/library");
    assert_eq!(test.chosen, Some(0));
}

#[tokio::test]
async fn metrics_have_good_names_and_no_label_that_a_client_chooses() {
    let api = Api::start().await;
    api.change("/v1/services/library/restart", "{}").await;
    api.site.told("library: every instance").await;
    let answer = api.get("/metrics").await;
    let kind = answer.headers["content-type"].to_str().unwrap();
    assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8");
    let mut types = std::collections::BTreeMap::new();
    for line in answer.body.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert_eq!(types.insert(name, kind), None, "{name} twice");
        } else if !line.starts_with("# HELP ") {
            let (series, value) = line.rsplit_once(' ').unwrap();
            value.parse::<f64>().unwrap();
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            assert!(name.starts_with("minato_"), "{line}");
            let kind = types[name];
            assert_eq!(name.ends_with("_total"), kind == "counter", "{line}");
            for label in labels.trim_end_matches('}').split(',') {
                let label = label.split('=').next().unwrap();
                let known = ["", "service", "level", "version"];
                assert!(known.contains(&label), "{line}");
            }
        }
    }
    assert_eq!(
        types["minato_requests_total"], "counter",
        "the view's come too"
    );
    assert!(
        answer
            .body
            .contains("\nminato_events_total{level=\"info\"} 1\n")
    );
    assert!(
        answer
            .body
            .contains("\nminato_build_info{version=\"0.1.0\"} 1\n")
    );
}

#[tokio::test]
async fn the_page_escapes_what_services_say_and_forbids_scripts() {
    let api = Api::start().await;
    let answer = api.get("/").await;
    assert!(
        answer
            .body
            .contains("&lt;script&gt;alert(1)&lt;/script&gt;")
    );
    assert!(!answer.body.contains("<script"));
    assert!(answer.body.contains("http-equiv=\"refresh\""));
    let policy = answer.headers["content-security-policy"].to_str().unwrap();
    let nonce = policy
        .split("'nonce-")
        .nth(1)
        .unwrap()
        .split('\'')
        .next()
        .unwrap();
    assert!(policy.starts_with("default-src 'none';"), "{policy}");
    assert!(answer.body.contains(&format!("<style nonce=\"{nonce}\">")));
    let again = api.get("/?refresh=off").await;
    assert!(!again.body.contains("http-equiv"));
    assert_ne!(
        again.headers["content-security-policy"], policy,
        "a new nonce each time"
    );
}

#[tokio::test]
async fn without_a_store_the_last_state_is_shown_and_changes_are_refused() {
    let api = Api::start().await;
    let before: Status = api.get("/v1/status").await.json();
    api.site.embedded.close().await;
    let status: Status = api.get("/v1/status").await.json();
    assert!(!status.store.healthy);
    let detail = &status.store.detail;
    assert!(
        detail.starts_with("the store is closed; what is shown is "),
        "{detail}"
    );
    let names = |it: &Status| {
        it.services
            .iter()
            .map(|it| it.name.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&status), names(&before));
    let page = api.get("/").await;
    assert!(page.body.contains("the store is closed"), "{}", page.body);
    let metrics = api.get("/metrics").await.body;
    assert!(metrics.contains("\nminato_store_up 0\n"), "{metrics}");
    refused(
        &api.get("/v1/services/library").await,
        503,
        "the store is closed",
    );
    let answer = api.post("/v1/services/library/restart", "{}").await;
    refused(&answer, 503, "the store is closed");
    assert_eq!(api.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn a_store_that_reads_but_does_not_write_is_told() {
    let api = Api::start().await;
    let event = Event::error(Timestamp(1), EventKind::Store, "no space left");
    api.site.events.send(event).await.unwrap();
    api.site.told("no space left").await;
    let status: Status = api.get("/v1/status").await.json();
    assert!(!status.store.healthy);
    assert_eq!(status.store.detail, "no space left");
}

#[tokio::test]
async fn who_leads_is_shown() {
    let api = Api::start().await;
    let mut record = LeaderRecord {
        v: 1,
        node: site::node(),
        pid: std::process::id(),
        since: Timestamp(1),
    };
    api.site.put(&Key::Leader, &record).await;
    let status: Status = api.get("/v1/status").await.json();
    assert!(status.leading && status.alarms.is_empty(), "{status:?}");
    assert!(
        api.get("/metrics")
            .await
            .body
            .contains("\nminato_leader 1\n")
    );
    record.pid += 1;
    api.site.put(&Key::Leader, &record).await;
    let status: Status = api.get("/v1/status").await.json();
    assert_eq!(
        (status.leading, status.leader.as_deref()),
        (false, Some("one"))
    );
    assert!(
        api.get("/metrics")
            .await
            .body
            .contains("\nminato_leader 0\n")
    );
}

#[tokio::test]
async fn files_that_are_gone_are_shown() {
    let api = Api::start().await;
    api.folder
        .send_replace(site::folder(&[site::command("library", 2)]));
    let status: Status = api.get("/v1/status").await.json();
    let one = "services/fixed.toml is gone: fixed ends unless it comes back soon";
    assert!(status.alarms.iter().any(|it| it == one), "{status:?}");
    api.folder.send_replace(site::folder(&[]));
    let status: Status = api.get("/v1/status").await.json();
    let all = "the files of 2 of 2 services are gone at once (fixed, library): nothing is ended";
    assert!(status.alarms.iter().any(|it| it == all), "{status:?}");
}
