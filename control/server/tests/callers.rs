//! Who may call the admin API, how many at once, and how connections end.

mod site;

use site::PATIENCE;
use site::api::Api;
use site::client::raw;

#[tokio::test]
async fn every_answer_carries_the_headers_that_protect_it() {
    let api = Api::start().await;
    for path in [
        "/",
        "/healthz",
        "/metrics",
        "/v1/status",
        "/v1/events",
        "/nothing",
    ] {
        let headers = api.get(path).await.headers;
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(headers["x-frame-options"], "DENY", "{path}");
        assert_eq!(headers["cache-control"], "no-store", "{path}");
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("default-src 'none'"), "{path}: {policy}");
    }
    assert_eq!(api.get("/healthz").await.body, "ok\n");
}

#[tokio::test]
async fn only_callers_who_mean_it_are_answered() {
    let api = Api::start().await;
    let (at, port) = (api.at, api.at.port());
    let status = |request: String| async move {
        let answer = raw(at, &request).await;
        answer.get(9..12).unwrap_or("none").to_owned()
    };
    let get =
        |fields: &str| format!("GET /v1/status HTTP/1.1\r\nConnection: close\r\n{fields}\r\n");
    let ok = format!("Host: localhost:{port}\r\n");
    assert_eq!(status(get(&ok)).await, "200");
    assert_eq!(status(get("Host: evil.example\r\n")).await, "403");
    assert_eq!(status(get("")).await, "403");
    assert_eq!(status(get(&format!("{ok}{ok}"))).await, "403");
    assert_eq!(status(get(&format!("{ok}Origin: null\r\n"))).await, "403");
    assert_eq!(
        status(get(&format!("{ok}Origin: http://evil.example\r\n"))).await,
        "403"
    );
    assert_eq!(
        status(get(&format!("{ok}Sec-Fetch-Site: cross-site\r\n"))).await,
        "403"
    );
    let own = format!("{ok}Origin: http://localhost:{port}\r\n");
    assert_eq!(status(get(&own)).await, "200");
    let old = format!("GET /v1/status HTTP/1.0\r\n{ok}\r\n");
    assert_eq!(status(old).await, "200");

    let post = |kind: &str, body: &str| {
        let length = body.len();
        format!(
            "POST /v1/services/library/drain HTTP/1.1\r\nConnection: close\r\n{ok}{kind}\
             Content-Length: {length}\r\n\r\n{body}"
        )
    };
    let drain = r#"{"drain": true}"#;
    assert_eq!(
        status(post("Content-Type: text/plain\r\n", drain)).await,
        "415"
    );
    assert_eq!(status(post("", drain)).await, "415");
    assert!(api.site.world().await.world.intents.is_empty());
    let json = "Content-Type: application/json\r\n";
    let padded = format!(r#"{{"drain": true, "who": "{}"}}"#, "x".repeat(70_000));
    assert_eq!(status(post(json, &padded)).await, "413");
    assert!(api.site.world().await.world.intents.is_empty());
    assert_eq!(status(post(json, drain)).await, "200");
    // A head of 200 KB.
    let long = format!("{ok}X: {}\r\n", "x".repeat(200_000));
    assert_eq!(status(get(&long)).await, "431");
}

#[tokio::test]
async fn one_connection_too_many_gets_a_sentence() {
    let api = Api::start().await;
    let mut held = Vec::new();
    for _ in 0..64 {
        held.push(tokio::net::TcpStream::connect(api.at).await.unwrap());
    }
    let text = raw(api.at, "").await;
    assert!(text.starts_with("HTTP/1.1 503 "), "{text}");
    assert!(text.contains("64 callers are connected already"));
    drop(held);
    // They are gone as soon as the server has seen it.
    let free = async {
        loop {
            let host = format!("Host: {}\r\n", api.at);
            let request = format!("GET /healthz HTTP/1.1\r\nConnection: close\r\n{host}\r\n");
            if raw(api.at, &request).await.ends_with("ok\n") {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, free).await.unwrap();
}

#[tokio::test]
async fn stopping_ends_followers_too() {
    let api = Api::start().await;
    let host = format!("Host: {}\r\n", api.at);
    let request = format!("GET /v1/events?follow=true HTTP/1.1\r\n{host}\r\n");
    let at = api.at;
    let follower = tokio::spawn(async move { raw(at, &request).await });
    api.change("/v1/services/library/drain", r#"{"drain": true}"#)
        .await;
    api.site.stop.send_replace(true);
    tokio::time::timeout(PATIENCE, api.task)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    let text = tokio::time::timeout(PATIENCE, follower)
        .await
        .unwrap()
        .unwrap();
    assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
}

#[tokio::test]
async fn half_a_head_is_not_waited_for() {
    let api = Api::start().await;
    let half = format!("GET /v1/status HTTP/1.1\r\nHost: {}\r\n", api.at);
    let answer = tokio::time::timeout(PATIENCE, raw(api.at, &half)).await;
    let text = answer.expect("the connection is closed after 10 s");
    assert!(!text.contains(" 200 "), "{text}");
}
