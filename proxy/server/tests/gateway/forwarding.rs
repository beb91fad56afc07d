//! What an instance is told, and what stays behind.

use crate::peer::{Origin, Peer, field};
use crate::setup::{OK, Running, Setup, route};
use minato_config::RouteAction;

async fn one(setup: Setup) -> (Origin, Running) {
    let origin = Origin::start().await;
    let running = setup.start(&[origin.address]).await;
    (origin, running)
}

async fn sent(origin: &Origin, running: &Running, request: &str) -> (Peer, Peer, String) {
    let mut client = running.client().await;
    client.send(request).await;
    let mut instance = origin.accept().await;
    let head = instance.head().await;
    (client, instance, head)
}

#[tokio::test]
async fn hop_by_hop_fields_stay_behind_in_both_directions() {
    let (origin, running) = one(Setup::new()).await;
    let request = "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: x-hop, cookie, keep-alive\r\nX-Hop: 1\r\nCookie: c=1\r\n\
        Keep-Alive: timeout=9\r\nTE: trailers\r\nProxy-Authorization: x\r\nX-Kept: yes\r\nVia: 1.1 before\r\n\r\n";
    let (mut client, mut instance, head) = sent(&origin, &running, request).await;
    for gone in [
        "connection",
        "x-hop",
        "keep-alive",
        "te",
        "proxy-authorization",
    ] {
        assert_eq!(field(&head, gone), None, "{head}");
    }
    assert_eq!(
        (field(&head, "cookie"), field(&head, "x-kept")),
        (Some("c=1"), Some("yes"))
    );
    let via: Vec<_> = head
        .lines()
        .filter(|it| it.to_lowercase().starts_with("via:"))
        .collect();
    assert_eq!(via, ["Via: 1.1 before", "Via: 1.1 minato"]);
    instance
        .send(
            "HTTP/1.1 200 OK\r\nConnection: x-hop, set-cookie\r\nX-Hop: 1\r\nSet-Cookie: a=b\r\nKeep-Alive: timeout=9\r\n\
             Trailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX-Sum: 1\r\n\r\n",
        )
        .await;
    let answer = client.answer().await;
    for gone in ["x-hop", "keep-alive", "connection"] {
        assert_eq!(answer.field(gone), None, "{}", answer.head);
    }
    assert_eq!(answer.field("set-cookie"), Some("a=b"));
    assert_eq!(answer.field("via"), Some("1.1 minato"));
    assert_eq!(answer.field("trailer"), Some("X-Sum"));
}

const CLAIMS: &str = "GET / HTTP/1.1\r\nHost: a.test:80\r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\n\
    X-Forwarded-Host: b.test\r\nForwarded: for=x\r\nX-Real-IP: 192.0.2.1\r\n\r\n";

#[tokio::test]
async fn strangers_are_not_believed_about_earlier_hops() {
    let (origin, running) = one(Setup::new()).await;
    let (_client, _instance, head) = sent(&origin, &running, CLAIMS).await;
    assert_eq!(field(&head, "x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(field(&head, "x-forwarded-proto"), Some("http"));
    assert_eq!(field(&head, "x-forwarded-host"), Some("a.test:80"));
    assert_eq!(
        (field(&head, "forwarded"), field(&head, "x-real-ip")),
        (None, None)
    );
    assert_eq!(field(&head, "host"), Some("a.test:80"));
}

#[tokio::test]
async fn trusted_proxies_are() {
    let mut setup = Setup::new();
    setup.trusted = vec![([127, 0, 0, 0].into(), 8)];
    let (origin, running) = one(setup).await;
    let (_client, _instance, head) = sent(&origin, &running, CLAIMS).await;
    assert_eq!(
        field(&head, "x-forwarded-for"),
        Some("192.0.2.1, 127.0.0.1")
    );
    assert_eq!(field(&head, "x-forwarded-proto"), Some("https"));
    assert_eq!(field(&head, "x-forwarded-host"), Some("b.test"));
    assert_eq!(field(&head, "x-real-ip"), Some("192.0.2.1"));
}

#[tokio::test]
async fn http_1_0_is_forwarded_as_1_1_with_a_host() {
    let mut setup = Setup::new();
    setup.service.routes[0].pattern.host = minato_config::HostPattern::Any;
    let (origin, running) = one(setup).await;
    let (mut client, mut instance, head) = sent(
        &origin,
        &running,
        "GET /x HTTP/1.0\r\nExpect: 100-continue\r\n\r\n",
    )
    .await;
    assert!(head.starts_with("GET /x HTTP/1.1\r\n"), "{head}");
    assert_eq!(
        field(&head, "host"),
        Some(origin.address.to_string().as_str())
    );
    assert_eq!(
        (field(&head, "via"), field(&head, "expect")),
        (Some("1.0 minato"), None)
    );
    instance.send(OK).await;
    assert_eq!(client.answer().await.status, 200);
}

#[tokio::test]
async fn prefixes_are_stripped_where_the_route_says_so() {
    let mut setup = Setup::new();
    setup.service.routes = vec![
        route("a.test", "/", RouteAction::Forward { strip: false }),
        route("a.test", "/lib", RouteAction::Forward { strip: true }),
        route(
            "a.test",
            "/old",
            RouteAction::Redirect {
                to: "https://b.test/new".to_owned(),
            },
        ),
    ];
    let (origin, running) = one(setup).await;
    // Held open: an instance that hangs up is asked again.
    let mut held = Vec::new();
    for (asked, forwarded) in [
        ("/lib/x?y", "/x?y"),
        ("/lib", "/"),
        ("/library", "/library"),
        ("/lib?q", "/?q"),
    ] {
        let (client, instance, head) = sent(
            &origin,
            &running,
            &format!("GET {asked} HTTP/1.1\r\nHost: a.test\r\n\r\n"),
        )
        .await;
        assert!(
            head.starts_with(&format!("GET {forwarded} HTTP/1.1\r\n")),
            "{asked}: {head}"
        );
        held.push((client, instance));
    }
    let (_client, _instance, head) = sent(
        &origin,
        &running,
        "OPTIONS * HTTP/1.1\r\nHost: a.test\r\n\r\n",
    )
    .await;
    assert!(head.starts_with("OPTIONS * HTTP/1.1\r\n"), "{head}");

    let mut client = running.client().await;
    for (asked, location) in [
        ("/old/a?b", "https://b.test/new/a?b"),
        ("/old/é", "https://b.test/new/é"),
    ] {
        let answer = client
            .ask(&format!("GET {asked} HTTP/1.1\r\nHost: a.test\r\n\r\n"))
            .await;
        assert_eq!(
            (answer.status, answer.field("location")),
            (308, Some(location))
        );
    }
    let answer = client
        .ask("GET / HTTP/1.1\r\nHost: other.test\r\n\r\n")
        .await;
    assert_eq!(answer.status, 404);
}

#[tokio::test]
async fn our_own_answers_to_head_have_no_body() {
    let running = Setup::new().start(&[]).await;
    let mut client = running.client().await;
    for _ in 0..2 {
        client.send("HEAD / HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
        let head = client.head().await;
        assert!(head.starts_with("HTTP/1.1 503"), "{head}");
    }
    assert_eq!(
        client
            .ask("GET / HTTP/1.1\r\nHost: other.test\r\n\r\n")
            .await
            .status,
        404
    );
}

#[tokio::test]
async fn a_path_beyond_ascii_goes_on_in_one_form() {
    let (origin, running) = one(Setup::new()).await;
    let (_client, _instance, head) = sent(
        &origin,
        &running,
        "GET /é?é HTTP/1.1\r\nHost: a.test\r\n\r\n",
    )
    .await;
    let line = head.lines().next().unwrap();
    assert!(
        line == "GET /é?é HTTP/1.1" || line == "GET /%C3%A9?%C3%A9 HTTP/1.1",
        "{line}"
    );
}
