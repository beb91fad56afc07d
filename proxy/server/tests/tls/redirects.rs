//! From plain HTTP to TLS.

use crate::peer::Origin;
use crate::setup::{OK, route};
use crate::stage::Stage;
use minato_config::RouteAction;
use minato_tls::Certificates;

#[tokio::test]
async fn who_can_come_encrypted_is_told_so() {
    let stage = Stage::new();
    stage.serve("wild", &["*.b.test"]);
    let mut setup = stage.setup();
    setup.redirect = Some(Certificates::open(&stage.folder()));
    for host in ["x.b.test", "plain.test"] {
        let forward = RouteAction::Forward { strip: false };
        setup.service.routes.push(route(host, "/", forward));
    }
    // A certificate authority, or a load balancer that took TLS off.
    setup.trusted = vec![([127, 0, 0, 1].into(), 32)];
    let running = setup.start(&[Origin::start().await.always(OK)]).await;
    let port = running.secure[0].port();
    let to = |rest: &str| {
        Some(format!("https://{rest}")).map(|it| it.replace("PORT", &port.to_string()))
    };
    for (request, location) in [
        (
            "GET /p?q=1&r=%20 HTTP/1.1\r\nHost: a.test",
            to("a.test:PORT/p?q=1&r=%20"),
        ),
        ("GET / HTTP/1.1\r\nHost: A.TEST:8080", to("a.test:PORT/")),
        (
            "GET /a/../b? HTTP/1.1\r\nHost: a.test",
            to("a.test:PORT/b?"),
        ),
        (
            "GET http://x.b.test/p HTTP/1.1\r\nHost: x.b.test",
            to("x.b.test:PORT/p"),
        ),
        (
            "POST /p HTTP/1.1\r\nHost: a.test\r\nContent-Length: 2",
            to("a.test:PORT/p"),
        ),
        ("HEAD /p HTTP/1.1\r\nHost: a.test", to("a.test:PORT/p")),
        // Nobody serves it, which TLS would say too.
        ("GET /p HTTP/1.1\r\nHost: y.b.test", to("y.b.test:PORT/p")),
        ("GET /p HTTP/1.1\r\nHost: plain.test", None),
        (
            "GET /.well-known/acme-challenge/token HTTP/1.1\r\nHost: a.test",
            None,
        ),
        (
            "GET /p HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-Proto: https",
            None,
        ),
    ] {
        let mut client = running.client().await;
        let body = if request.starts_with("POST") {
            "ab"
        } else {
            ""
        };
        client.send(format!("{request}\r\n\r\n{body}")).await;
        let head = client.head().await;
        let status = if location.is_some() { "308" } else { "200" };
        assert_eq!(head.split(' ').nth(1), Some(status), "{request}: {head}");
        let said = crate::peer::field(&head, "location");
        assert_eq!(said, location.as_deref(), "{request}");
    }
    // What follows the location is served.
    let mut client = stage.visitor().connect(&running).await;
    let answer = client.ask("GET /p HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
    assert_eq!(answer.text(), "ok");
}

#[tokio::test]
async fn without_a_redirect_plain_requests_are_served() {
    let stage = Stage::new();
    let running = stage
        .setup()
        .start(&[Origin::start().await.always(OK)])
        .await;
    let answer = running.ask("GET /p HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
    assert_eq!(answer.text(), "ok");
}
