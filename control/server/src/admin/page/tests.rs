use super::*;
use crate::api::{ByHand, ConfigStatus, StoreStatus};
use crate::api::{InstanceStatus, ServiceStatus};
use minato_config::Timestamp;
use minato_control::{Event, EventKind};

fn service(name: &str, state: ServiceState) -> ServiceStatus {
    ServiceStatus {
        name: name.to_owned(),
        state,
        detail: "1 of 2 up; library/1 down: connect refused".to_owned(),
        source: "services/library.toml".to_owned(),
        wanted: 2,
        up: 1,
        by_hand: None,
        release: None,
        runs: None,
        rollout: None,
        scaled: None,
        raised: None,
        draining: false,
        routes: vec!["example.org/library".to_owned()],
        in_flight: 3,
        queued: 0,
        requests: 100,
        gateway_errors: 0,
        p50_ms: Some(1.234),
        p95_ms: None,
        p99_ms: None,
        instances: vec![InstanceStatus {
            slot: 1,
            run: 3,
            phase: "running".to_owned(),
            verdict: "down".to_owned(),
            reason: "connect refused".to_owned(),
            ..InstanceStatus::default()
        }],
    }
}

fn status(services: Vec<ServiceStatus>) -> Status {
    Status {
        site: "tokyo".to_owned(),
        node: "one".to_owned(),
        version: "0.1.0".to_owned(),
        pid: 42,
        since_ms: 1_000,
        now_ms: 601_000,
        leading: true,
        leader: Some("one".to_owned()),
        listeners: vec!["127.0.0.1:8080".to_owned()],
        admin: "127.0.0.1:7070".to_owned(),
        config: ConfigStatus::default(),
        store: StoreStatus {
            healthy: true,
            ..StoreStatus::default()
        },
        services,
        alarms: Vec::new(),
        operations: Vec::new(),
        draining: Vec::new(),
        links: Vec::new(),
        observers: Vec::new(),
        shares: Vec::new(),
        entrance: None,
    }
}

fn line(message: &str) -> Arc<EventLine> {
    let event = Event::warn(Timestamp(600_000), EventKind::Down, message).hint("look <there>");
    Arc::new(EventLine { seq: 1, event })
}

#[test]
fn whatever_comes_from_outside_is_escaped() {
    let evil = "<script>alert('1')</script>\"&";
    let mut it = service("library", ServiceState::Degraded);
    for field in [&mut it.detail, &mut it.source, &mut it.routes[0]] {
        evil.clone_into(field);
    }
    it.by_hand = Some(ByHand {
        replicas: 2,
        who: evil.to_owned(),
        since_ms: 1,
        file_says: 1,
    });
    let row = &mut it.instances[0];
    for field in [
        &mut row.reason,
        &mut row.verdict,
        &mut row.phase,
        &mut row.address,
        &mut row.standing,
    ] {
        evil.clone_into(field);
    }
    let mut status = status(vec![it]);
    status.store.healthy = false;
    for field in [
        &mut status.site,
        &mut status.node,
        &mut status.version,
        &mut status.store.detail,
        &mut status.store.path,
        &mut status.config.folder,
        &mut status.admin,
        &mut status.listeners[0],
    ] {
        evil.clone_into(field);
    }
    status.alarms = vec![evil.to_owned()];
    status.config.problems = vec![evil.to_owned()];
    let page = render(&status, &[line(evil)], Refresh::Every2s, "n0");
    assert!(!page.contains("<script"), "{page}");
    assert!(!page.contains("alert('"), "{page}");
    let escaped = "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&quot;&amp;";
    assert!(
        page.matches(escaped).count() >= 17,
        "{}",
        page.matches(escaped).count()
    );
}

#[test]
fn other_sites_are_shown_as_each_gateway_sees_them() {
    let mut status = status(Vec::new());
    let none = render(&status, &[], Refresh::Off, "n");
    assert!(!none.contains("Other sites"), "{none}");
    status.observers = vec![crate::api::ObserverStatus {
        gateway: "gw<2>".to_owned(),
        site: "osaka".to_owned(),
        up: false,
        since_ms: 541_000,
        reason: "no answer in <1s>".to_owned(),
        delay_us: Some(30_912),
        loss_permille: 15,
        bandwidth: None,
        version: String::new(),
        clock_off_ms: 0,
    }];
    let page = render(&status, &[], Refresh::Off, "n");
    for text in [
        "osaka",
        "gw&lt;2&gt;",
        "down",
        "30.9 ms",
        "1.5 %",
        "no answer in &lt;1s&gt;",
    ] {
        assert!(page.contains(text), "{text} in {page}");
    }
}

#[test]
fn states_are_words_and_trouble_comes_first() {
    let services = vec![
        service("alpha", ServiceState::Ok),
        service("zeta", ServiceState::Down),
    ];
    let page = render(&status(services), &[], Refresh::Off, "n0");
    assert!(page.contains("<h1>2 services: 1 down, 1 ok</h1>"), "{page}");
    let at = |text: &str| page.find(text).unwrap();
    assert!(at("zeta") < at("alpha"));
    assert!(at(">down</span>") < at(">ok</span>"));
    assert!(page.contains("connect refused") && page.contains("p50 1.2 ms"));
    assert!(!page.contains("http-equiv"), "held still");
}

#[test]
fn a_broken_file_or_store_is_seen_although_all_services_are_ok() {
    let mut broken = status(vec![service("library", ServiceState::Ok)]);
    broken.config.problems = vec!["services/x.toml:3: retries: at most 3".to_owned()];
    let (state, sentence) = verdict(&broken);
    assert_eq!(
        (state, sentence.as_str()),
        (ServiceState::Degraded, "the service is ok")
    );
    let page = render(&broken, &[], Refresh::Every2s, "n0");
    assert!(page.contains("services/x.toml:3: retries: at most 3"));
    broken.store.healthy = false;
    "no space left".clone_into(&mut broken.store.detail);
    assert_eq!(verdict(&broken).0, ServiceState::Down);
    assert!(render(&broken, &[], Refresh::Every2s, "n0").contains("no space left"));
}

#[test]
fn long_lists_are_cut_and_an_empty_site_says_what_to_do() {
    let mut many = status(Vec::new());
    many.alarms = (0..100).map(|n| format!("alarm {n}")).collect();
    let page = render(&many, &[], Refresh::Every2s, "n0");
    assert!(page.contains("alarm 29<") && !page.contains("alarm 30<"));
    assert!(page.contains("and 70 more"));
    assert!(page.contains("Put a file into"));
}

#[test]
fn spans_and_moments() {
    for (ms, text) in [
        (0, "0 ms"),
        (999, "999 ms"),
        (1_000, "1 s"),
        (119_999, "119 s"),
        (120_000, "2 min"),
        (7_200_000, "2 h"),
        (172_800_000, "2 d"),
    ] {
        assert_eq!(span(ms), text);
    }
    assert_eq!(moment(1_795_358_101_123), "2026-11-22 14:35:01");
}
