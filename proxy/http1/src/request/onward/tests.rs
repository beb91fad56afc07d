use super::*;

const ONWARD: RequestOnward<'_> = RequestOnward {
    path: "/",
    client: IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7)),
    trust: Trust::Unknown,
    scheme: "http",
    hops: None,
    upstream: SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 3000),
};

fn read(text: &str) -> RequestHead {
    let mut head = RequestHead::default();
    head.read(text.as_bytes()).unwrap();
    head
}

fn written(head: &RequestHead, onward: &RequestOnward<'_>) -> String {
    let mut out = b"before".to_vec();
    head.write(onward, &mut out);
    let text = String::from_utf8(out).unwrap();
    text.strip_prefix("before").unwrap().to_owned()
}

#[track_caller]
fn check(from: &str, onward: &RequestOnward<'_>, expected: &str) {
    let head = read(&format!("{}\r\n\r\n", from.trim().replace('\n', "\r\n")));
    let expected = format!("{}\r\n\r\n", expected.trim().replace('\n', "\r\n"));
    assert_eq!(written(&head, onward), expected, "{from}");
}

#[test]
fn a_request_goes_on_with_its_origin_named() {
    check(
        "GET /a/../b?q HTTP/1.1\nHost: A.test:80\nAccept:  */*\nx-Own:\nVia: 1.1 before",
        &RequestOnward {
            path: "/b",
            ..ONWARD
        },
        "GET /b?q HTTP/1.1\nHost: A.test:80\nAccept: */*\nx-Own: \nVia: 1.1 before\nX-Forwarded-For: 192.0.2.7\n\
         X-Forwarded-Proto: http\nX-Forwarded-Host: A.test:80\nVia: 1.1 minato",
    );
}

#[test]
fn fields_of_one_hop_and_what_confuses_stay_behind() {
    check(
        "GET / HTTP/1.1\nHost: a\nConnection: x-hop, cookie, keep-alive, host, authorization, content-length, X-Hop2\n\
         X-Hop: 1\nx-hop2: 2\nCookie: c=1\nAuthorization: b\nKeep-Alive: timeout=9\nTE: trailers\nProxy-Authorization: x\n\
         Proxy-Connection: close\nHTTP2-Settings: x\nUpgrade: h2c\nX_Forwarded_For: 1\nContent_Length: 9\nProxy: evil\n\
         Content-Length: 2\nContent-Length: 2\nX-Hop3: 3",
        &ONWARD,
        "GET / HTTP/1.1\nHost: a\nCookie: c=1\nAuthorization: b\nX-Hop3: 3\nX-Forwarded-For: 192.0.2.7\n\
         X-Forwarded-Proto: http\nX-Forwarded-Host: a\nVia: 1.1 minato\nContent-Length: 2",
    );
}

const CLAIMS: &str = "GET / HTTP/1.1\nHost: a\nConnection: X-Forwarded-For\nX-Forwarded-For: 198.51.100.1\nx-forwarded-for: 10.0.0.3\n\
    X-Forwarded-Proto: https\nX-Forwarded-Host: b:8\nX-Forwarded-Prefix: /x\nForwarded: for=x\nX-Real-IP: 192.0.2.1";

#[test]
fn strangers_are_not_believed_about_earlier_hops() {
    check(
        CLAIMS,
        &RequestOnward {
            scheme: "https",
            ..ONWARD
        },
        "GET / HTTP/1.1\nHost: a\nX-Forwarded-For: 192.0.2.7\nX-Forwarded-Proto: https\nX-Forwarded-Host: a\nVia: 1.1 minato",
    );
}

#[test]
fn trusted_proxies_are() {
    check(
        CLAIMS,
        &RequestOnward {
            trust: Trust::Trusted,
            ..ONWARD
        },
        "GET / HTTP/1.1\nHost: a\nX-Forwarded-Prefix: /x\nForwarded: for=x\nX-Real-IP: 192.0.2.1\n\
         X-Forwarded-For: 198.51.100.1, 10.0.0.3, 192.0.2.7\nX-Forwarded-Proto: https\nX-Forwarded-Host: b:8\nVia: 1.1 minato",
    );
}

#[test]
fn http_1_0_goes_on_as_1_1_with_a_host() {
    check(
        "GET /x HTTP/1.0\nExpect: 100-continue\nConnection: keep-alive",
        &RequestOnward {
            path: "/x",
            ..ONWARD
        },
        "GET /x HTTP/1.1\nHost: 127.0.0.1:3000\nX-Forwarded-For: 192.0.2.7\nX-Forwarded-Proto: http\nVia: 1.0 minato",
    );
}

#[test]
fn bodies_keep_their_framing_and_their_trailers_names() {
    check(
        "POST / HTTP/1.1\nHost: a\nTransfer-Encoding: Chunked\nTrailer: X-Sum\nExpect: 100-continue",
        &ONWARD,
        "POST / HTTP/1.1\nHost: a\nTrailer: X-Sum\nExpect: 100-continue\nX-Forwarded-For: 192.0.2.7\nX-Forwarded-Proto: http\n\
         X-Forwarded-Host: a\nVia: 1.1 minato\nTransfer-Encoding: chunked",
    );
    check(
        "POST / HTTP/1.1\nHost: a\nTrailer: X-Sum\nContent-Length: 18446744073709551615",
        &ONWARD,
        "POST / HTTP/1.1\nHost: a\nX-Forwarded-For: 192.0.2.7\nX-Forwarded-Proto: http\nX-Forwarded-Host: a\nVia: 1.1 minato\n\
         Content-Length: 18446744073709551615",
    );
}

#[test]
fn a_websocket_is_asked_for_again() {
    check(
        "GET / HTTP/1.1\nHost: a\nConnection: upgrade, x\nUpgrade: WebSocket\nSec-WebSocket-Key: k\nX: y",
        &ONWARD,
        "GET / HTTP/1.1\nHost: a\nSec-WebSocket-Key: k\nX-Forwarded-For: 192.0.2.7\nX-Forwarded-Proto: http\n\
         X-Forwarded-Host: a\nVia: 1.1 minato\nConnection: Upgrade\nUpgrade: websocket",
    );
}

#[test]
fn a_target_takes_its_own_host_along() {
    check(
        "FOO http://B.test/x HTTP/1.1\nHost: b.TEST",
        &RequestOnward {
            path: "/x",
            client: "2001:db8::1".parse().unwrap(),
            ..ONWARD
        },
        "FOO /x HTTP/1.1\nHost: B.test\nX-Forwarded-For: 2001:db8::1\nX-Forwarded-Proto: http\nX-Forwarded-Host: B.test\n\
         Via: 1.1 minato",
    );
}

fn emitted(head: &RequestHead, hop: Hop) -> Vec<String> {
    let mut fields = Vec::new();
    let text = |it: &[u8]| String::from_utf8(it.to_vec()).unwrap();
    let mut emit =
        |name: &[u8], value: &[u8]| fields.push(format!("{}: {}", text(name), text(value)));
    match hop {
        Hop::Http1 => head.forward(&ONWARD, &mut emit),
        Hop::Http2 => head.forward_http2(&ONWARD, &mut emit),
    }
    fields
}

#[test]
fn an_http_2_upstream_gets_no_fields_of_connections() {
    let head = read(
        "POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\nX: y\r\n\r\n",
    );
    assert_eq!(
        emitted(&head, Hop::Http2),
        [
            "X: y",
            "X-Forwarded-For: 192.0.2.7",
            "X-Forwarded-Proto: http",
            "X-Forwarded-Host: a",
            "Via: 1.1 minato",
            "te: trailers"
        ]
    );
    let upgrade =
        read("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert_eq!(emitted(&upgrade, Hop::Http2).len(), 4);
    assert_eq!(emitted(&upgrade, Hop::Http1).len(), 7);
}

#[test]
fn a_request_of_http_2_gets_the_framing_of_http_1() {
    let mut head = RequestHead::default();
    let mut ask = |method: &str| {
        head.assemble(method, "https", Some("a"), "/", std::iter::empty())
            .unwrap();
        let open = emitted(&head, Hop::Http1).pop();
        head.set_bodiless();
        (open.unwrap(), emitted(&head, Hop::Http1).pop().unwrap())
    };
    let chunked = "Transfer-Encoding: chunked".to_owned();
    assert_eq!(ask("GET"), (chunked.clone(), "Via: 2.0 minato".to_owned()));
    assert_eq!(ask("POST"), (chunked, "Content-Length: 0".to_owned()));
}

#[test]
fn hops_are_said_by_us_alone() {
    let claim = "GET / HTTP/1.1\nHost: a\nMinato-Hops: 7\nminato-hops: 0";
    let origin = "GET / HTTP/1.1\nHost: a\nX-Forwarded-For: 192.0.2.7\nX-Forwarded-Proto: http\nX-Forwarded-Host: a\nVia: 1.1 minato";
    check(claim, &ONWARD, origin);
    let trusted = RequestOnward {
        trust: Trust::Trusted,
        ..ONWARD
    };
    check(claim, &trusted, origin);
    let over_link = RequestOnward {
        hops: Some(1),
        ..ONWARD
    };
    check(claim, &over_link, &format!("{origin}\nMinato-Hops: 1"));
}
