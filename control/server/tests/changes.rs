//! Changes by hand over the admin API, and what is refused.

mod site;

use minato_config::{Backend, ServiceRecord};
use minato_control::EventKind;
use minato_control_server::api::{ApiError, ChangeAnswer, ServiceState, ServiceStatus, Settled};
use minato_control_store::Commit;
use minato_control_store::keys::Key;
use site::api::{Api, refused};
use site::client::post;
use site::view::traffic;
use site::{command, name};

#[tokio::test]
async fn scaling_says_what_it_replaces_and_how_to_undo_it() {
    let api = Api::start().await;
    let path = "/v1/services/library/scale";
    let first = api.change(path, r#"{"replicas": 4, "who": "alice"}"#).await;
    assert_eq!(first.message, "library: 4 by hand, its file says 2");
    assert_eq!(first.undo.as_deref(), Some("minato scale library --reset"));
    let intent = api.intent().await;
    assert_eq!((intent.replicas, intent.who.as_str()), (Some(4), "alice"));
    let second = api.change(path, r#"{"replicas": 3, "who": "bob"}"#).await;
    let replaced = "library: 3 by hand, its file says 2, in place of 4 by alice since 20";
    assert!(second.message.starts_with(replaced), "{second:?}");
    assert_eq!(second.undo.as_deref(), Some("minato scale library 4"));
    let again = api.change(path, r#"{"replicas": 3, "who": "carol"}"#).await;
    assert_eq!(again.undo, None);
    assert_eq!(
        api.intent().await.who,
        "bob",
        "nothing changed, so it is bob's still"
    );
    let event = api.site.told("library: 3 by hand").await;
    assert_eq!(event.kind, EventKind::Intent);
    assert!(event.message.ends_with("(by bob)"), "{}", event.message);
    let status: ServiceStatus = api.get("/v1/services/library").await.json();
    let by_hand = status.by_hand.unwrap();
    assert_eq!((by_hand.replicas, by_hand.file_says), (3, 2));
    let reset = api.change(path, r#"{"who": "alice"}"#).await;
    assert!(
        reset
            .message
            .starts_with("library has what its file says again: 2")
    );
    assert_eq!(reset.undo.as_deref(), Some("minato scale library 3"));
    assert_eq!(api.intent().await.replicas, None);
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_a_sentence() {
    let api = Api::start().await;
    let scale = "/v1/services/library/scale";
    let cases = [
        (scale, r#"{"replicas": 0}"#, 409, "cannot be scaled to 0"),
        (scale, r#"{"replicas": 1001}"#, 409, "at most 1000"),
        (scale, r#"{"replicas": -1}"#, 400, "the body is not"),
        (scale, r#"{"replicas": "#, 400, "the body is not"),
        (scale, "", 400, "the body is not"),
        (
            "/v1/services/fixed/scale",
            r#"{"replicas": 2}"#,
            409,
            "endpoints are fixed",
        ),
        (
            "/v1/services/fixed/restart",
            "{}",
            409,
            "endpoints are fixed",
        ),
        (
            "/v1/services/nobody/drain",
            r#"{"drain": true}"#,
            404,
            "no service `nobody`",
        ),
        (
            "/v1/services/No%20body/restart",
            "{}",
            404,
            "no service `No body`",
        ),
        ("/v1/services/library/drain", "{}", 400, "the body is not"),
        ("/v1/services/library/nothing", "{}", 404, "no such page"),
        ("/v1/status", "{}", 405, "does not take this method"),
    ];
    for (path, body, status, words) in cases {
        refused(&api.post(path, body).await, status, words);
    }
    for (path, status, words) in [
        ("/v1/services/nobody", 404, "no service"),
        ("/v1/services/nobody/settled", 404, "no service"),
        ("/v1/logs/nobody", 404, "has written nothing here"),
        ("/v1/logs/Library", 400, "is not a name"),
        ("/v1/logs/library?slot=x", 400, "slot"),
        ("/v1/route", 400, "url"),
        ("/v1/route?url=nonsense", 400, "is not a URL"),
        ("/v1/events?after=x", 400, "after"),
        ("/v1/events?service=No", 400, "is not a name"),
        ("/nothing", 404, "no such page"),
        (
            "/v1/services/library/scale",
            405,
            "does not take this method",
        ),
    ] {
        refused(&api.get(path).await, status, words);
    }
    let missing: ApiError = api.get("/v1/services/nobody").await.json();
    assert_eq!(missing.hint, "there are: fixed, library");
    assert!(api.site.world().await.world.intents.is_empty());
}

#[tokio::test]
async fn one_instance_alone_can_have_a_fixed_port() {
    let api = Api::start().await;
    let mut service = command("library", 1);
    if let Backend::Command(it) = &mut service.backend {
        it.port = Some(9000);
    }
    api.site.put_service(&service).await;
    let answer = api
        .post("/v1/services/library/scale", r#"{"replicas": 2}"#)
        .await;
    refused(&answer, 409, "fixed port 9000");
}

#[tokio::test]
async fn a_service_that_ends_or_lost_its_record_is_not_changed() {
    let api = Api::start().await;
    let world = api.site.world().await.world;
    let record = ServiceRecord {
        removed: true,
        ..world.services[&name("library")].value.clone()
    };
    let key = Key::Service(name("library"));
    api.site.put(&key, &record).await;
    let answer = api.post("/v1/services/library/restart", "{}").await;
    refused(&answer, 409, "library is ending");
    let delete = Commit::delete(api.site.key(&key));
    api.site.store.commit(delete).await.unwrap();
    let answer = api.post("/v1/services/library/restart", "{}").await;
    refused(&answer, 409, "the record of library vanished");
}

#[tokio::test]
async fn each_restart_has_a_higher_number() {
    let api = Api::start().await;
    let path = "/v1/services/library/restart";
    let answer = api.change(path, r#"{"who": "alice"}"#).await;
    assert_eq!(answer.undo, None);
    let first = api.intent().await.restart.unwrap();
    api.change(path, r#"{"who": "bob"}"#).await;
    let second = api.intent().await.restart.unwrap();
    assert!(second > first, "{second:?} after {first:?}");
    let settled: Settled = api.get("/v1/services/library/settled").await.json();
    assert!(
        !settled.done && settled.detail.contains("library/"),
        "{settled:?}"
    );
}

#[tokio::test]
async fn drain_waits_for_the_gateway_and_for_what_is_in_flight() {
    let api = Api::start().await;
    let path = "/v1/services/library/drain";
    let answer = api.change(path, r#"{"drain": true, "who": "alice"}"#).await;
    assert_eq!(answer.undo.as_deref(), Some("minato drain library --reset"));
    for (draining, in_flight, done) in [(false, 3, false), (true, 3, false), (true, 0, true)] {
        *api.view.traffic.lock().unwrap() = vec![traffic("library", draining, in_flight)];
        let settled: Settled = api.get("/v1/services/library/settled").await.json();
        assert_eq!(settled.done, done, "{settled:?}");
    }
    // Whoever restarts or scales it meanwhile waits for its instances, of which none runs here.
    let asked = "/v1/services/library/settled?change=restart";
    let settled: Settled = api.get(asked).await.json();
    assert!(!settled.done, "{settled:?}");
    let status: ServiceStatus = api.get("/v1/services/library").await.json();
    assert_eq!(
        (status.state, status.draining),
        (ServiceState::Draining, true)
    );
    let back = api.change(path, r#"{"drain": false, "who": "bob"}"#).await;
    assert!(back.message.contains("alice"), "{back:?}");
    assert_eq!(back.undo.as_deref(), Some("minato drain library"));
}

#[tokio::test]
async fn operators_at_once_are_all_told_and_the_last_one_holds() {
    let api = Api::start().await;
    let path = "/v1/services/library/scale";
    let calls = (1..=8).map(|n| {
        let body = format!(r#"{{"replicas": {}, "who": "operator {n}"}}"#, n + 2);
        let at = api.at;
        tokio::spawn(async move { post(at, path, &body).await })
    });
    let calls: Vec<_> = calls.collect();
    let mut undone = Vec::new();
    for call in calls {
        let answer = call.await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
        undone.push(answer.json::<ChangeAnswer>().undo.unwrap());
    }
    // Every word but the last was replaced by exactly one other, which says so.
    undone.sort();
    undone.dedup();
    assert_eq!(undone.len(), 8, "{undone:?}");
    let last = api.intent().await.replicas.unwrap();
    assert!(
        !undone.contains(&format!("minato scale library {last}")),
        "{undone:?}"
    );
}

#[tokio::test]
async fn a_restart_says_that_a_new_instance_comes_first() {
    let api = Api::start().await;
    let path = "/v1/services/library/restart";
    let told =
        "library: every instance is restarted, one at a time, a new one before an old one ends";
    assert_eq!(api.change(path, "{}").await.message, told);
    api.change("/v1/services/library/scale", r#"{"replicas": 1}"#)
        .await;
    assert_eq!(api.change(path, "{}").await.message, told);
}

#[tokio::test]
async fn what_was_set_by_hand_holds_when_its_document_vanishes_and_can_be_written_again() {
    let api = Api::start().await;
    let path = "/v1/services/library/scale";
    api.change(path, r#"{"replicas": 4, "who": "alice"}"#).await;
    let _: ServiceStatus = api.get("/v1/services/library").await.json();
    let key = api.site.key(&Key::Intent(name("library")));
    let delete = Commit::delete(&key);
    api.site.store.commit(delete).await.unwrap();
    let status: ServiceStatus = api.get("/v1/services/library").await.json();
    assert_eq!(status.wanted, 4);
    api.change(path, r#"{"replicas": 4, "who": "bob"}"#).await;
    let intent = api.intent().await;
    assert_eq!((intent.replicas, intent.who.as_str()), (Some(4), "bob"));
}
