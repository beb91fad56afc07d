//! Each way to fail is named by its layer, against real servers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests may panic as tests do"
)]

mod server;

use minato_config::{HealthProbe, HttpProbe, StatusRange};
use minato_health::{Layer, Outcome};
use minato_health_probe::{Target, probe, try_probe};
use server::{Answer, Server, answer, ok};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpSocket};

const TIMEOUT: Duration = Duration::from_millis(400);

fn http() -> HttpProbe {
    HttpProbe {
        path: "/healthz?deep=1".to_owned(),
        host: None,
        status: vec![StatusRange {
            first: 200,
            last: 399,
        }],
        headers: BTreeMap::new(),
        body: None,
    }
}

fn wanting_body(text: &str) -> HttpProbe {
    HttpProbe {
        body: Some(text.to_owned()),
        ..http()
    }
}

async fn ask(server: &Server, http: HttpProbe) -> Outcome {
    probe(
        &Target::at(server.address),
        &HealthProbe::Http(http),
        TIMEOUT,
    )
    .await
}

/// The outcome of `http` against a server that answers so; text `pass`, or layer and detail.
async fn told(behaviour: Answer, http: HttpProbe) -> String {
    let server = Server::start(behaviour).await;
    match ask(&server, http).await {
        Ok(()) => "pass".to_owned(),
        Err(failure) => failure.to_string(),
    }
}

#[track_caller]
fn assert_starts(text: &str, start: &str) {
    assert!(
        text.starts_with(start),
        "`{text}` does not start with `{start}`"
    );
}

#[tokio::test]
async fn statuses() {
    for (status, expected) in [
        ("200 OK", "pass"),
        ("204 No Content", "pass"),
        ("301 Moved", "pass"),
        ("399 Odd", "pass"),
        ("400 Bad Request", "status: 400"),
        ("404 Not Found", "status: 404"),
        ("500 Oops", "status: 500"),
        ("503 Busy", "status: 503"),
        ("999 Odd", "status: 999"),
    ] {
        let text = told(Answer::Bytes(answer(status, "", "")), http()).await;
        assert_eq!(text, expected, "{status}");
    }
    let listed = HttpProbe {
        status: vec![
            StatusRange {
                first: 503,
                last: 503,
            },
            StatusRange {
                first: 200,
                last: 200,
            },
        ],
        ..http()
    };
    let text = told(Answer::Bytes(answer("503 Busy", "", "")), listed.clone()).await;
    assert_eq!(text, "pass");
    let text = told(Answer::Bytes(answer("204 None", "", "")), listed).await;
    assert_eq!(text, "status: 204");
}

#[tokio::test]
async fn headers() {
    let wanting = |name: &str, value: &str| HttpProbe {
        headers: BTreeMap::from([(name.to_owned(), value.to_owned())]),
        ..http()
    };
    let behaviour = || {
        Answer::Bytes(answer(
            "200 OK",
            "X-Ready: no\r\nX-Two: a\r\nX-Two: b\r\n",
            "ok",
        ))
    };
    for (probe, expected) in [
        (wanting("x-ready", "no"), "pass"),
        (wanting("x-ready", ""), "pass"),
        (wanting("x-two", "b"), "pass"),
        (
            wanting("x-ready", "yes"),
            "status: 200, but header `x-ready` is `no`, wanted `yes`",
        ),
        (
            wanting("x-missing", "yes"),
            "status: 200, but header `x-missing` is missing",
        ),
    ] {
        assert_eq!(told(behaviour(), probe).await, expected);
    }
}

#[tokio::test]
async fn bodies() {
    let whole = |body: &str| Answer::Bytes(answer("200 OK", "", body));
    assert_eq!(told(whole("all ok here"), wanting_body("ok")).await, "pass");
    assert_eq!(told(whole("anything"), wanting_body("")).await, "pass");
    assert_eq!(
        told(whole("data\x1b[31mbase gone\r\n"), wanting_body("ok")).await,
        "body: body lacks `ok`: data\\u{1b}[31mbase gone\\r\\n"
    );
    assert_eq!(
        told(whole(""), wanting_body("ok")).await,
        "body: body lacks `ok`: "
    );
    let long = told(whole(&"x".repeat(5_000)), wanting_body("ok")).await;
    assert_eq!(long, format!("body: body lacks `ok`: {}", "x".repeat(200)));
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nall \r\n1\r\no\r\n3\r\nk!!\r\n0\r\n\r\n";
    assert_eq!(
        told(Answer::Bytes(chunked.to_vec()), wanting_body("ok")).await,
        "pass"
    );
}

#[tokio::test]
async fn of_a_huge_body_only_the_first_64_kib_count() {
    let at = |offset: usize| {
        let mut body = "x".repeat(4 << 20);
        body.replace_range(offset..offset + 2, "ok");
        Answer::Bytes(answer("200 OK", "", &body))
    };
    assert_eq!(told(at(65_534), wanting_body("ok")).await, "pass");
    let text = told(at(65_535), wanting_body("ok")).await;
    assert_starts(&text, "body: body lacks `ok`: xxx");
    assert_eq!(told(at(0), http()).await, "pass");
}

#[tokio::test]
async fn a_wrong_status_is_told_even_when_its_body_never_ends() {
    let head = b"HTTP/1.1 500 Oops\r\nContent-Length: 100\r\n\r\nhalf".to_vec();
    assert_eq!(told(Answer::Stall(head), http()).await, "status: 500");
}

#[tokio::test]
async fn no_whole_answer() {
    for (behaviour, probe, expected) in [
        (Answer::Silence, http(), "no answer: no answer in 400ms"),
        (
            Answer::Stall(Vec::new()),
            http(),
            "no answer: no answer in 400ms",
        ),
        (
            Answer::Stall(b"HTTP/1.1 200 OK\r\nContent-Le".to_vec()),
            http(),
            "no answer: no answer in 400ms",
        ),
        (
            Answer::Drip(answer("200 OK", "", "ok")),
            http(),
            "no answer: no answer in 400ms",
        ),
        (
            Answer::Stall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf".to_vec()),
            wanting_body("ok"),
            "no answer: no whole body in 400ms",
        ),
        (Answer::Close, http(), "no answer: "),
        (Answer::Reset, http(), "no answer: "),
        (
            Answer::Bytes(Vec::new()),
            http(),
            "no answer: connection closed before a whole answer",
        ),
        (
            Answer::Bytes(b"HTTP/1.1 200 OK\r\nContent-Le".to_vec()),
            http(),
            "no answer: connection closed before a whole answer",
        ),
        (
            Answer::Bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf".to_vec()),
            wanting_body("ok"),
            "no answer: connection broke: ",
        ),
    ] {
        let begin = Instant::from(tokio::time::Instant::now());
        let text = told(behaviour.clone(), probe).await;
        assert_starts(&text, expected);
        let took = begin.elapsed();
        assert!(took < TIMEOUT * 3, "{behaviour:?} took {took:?}");
    }
}

#[tokio::test]
async fn what_is_no_http_is_no_answer() {
    let mut many = b"HTTP/1.1 200 OK\r\n".to_vec();
    (0..200).for_each(|n| many.extend(format!("X-{n}: 1\r\n").into_bytes()));
    many.extend(b"\r\n");
    let mut long = b"HTTP/1.1 200 OK\r\nX: ".to_vec();
    long.extend([b'x'; 200_000]);
    for bytes in [
        b"SSH-2.0-OpenSSH_9.2p1\r\n".to_vec(),
        vec![0; 10_000],
        b"\x16\x03\x01\x02\x00".to_vec(),
        b"HTTP/1.1 twohundred OK\r\n\r\n".to_vec(),
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n".to_vec(),
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nok".to_vec(),
        many,
        long,
    ] {
        let text = told(Answer::Bytes(bytes.clone()), http()).await;
        assert_starts(&text, "no answer: not an HTTP answer");
        assert!(text.len() < 320);
    }
}

#[tokio::test]
async fn interim_answers_are_none() {
    let interim = |count: usize| {
        let mut bytes = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n".repeat(count);
        bytes.extend(answer("200 OK", "", "ok"));
        Answer::Bytes(bytes)
    };
    assert_eq!(told(interim(2), wanting_body("ok")).await, "pass");
    let text = told(interim(1_000), http()).await;
    assert_starts(&text, "no answer: not an HTTP answer: interim");
}

#[tokio::test]
async fn a_body_that_breaks_the_rules_is_no_answer_where_it_matters() {
    let broken = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4 \r\nall ok\r\n0\r\n\r\n";
    let text = told(Answer::Bytes(broken.to_vec()), wanting_body("ok")).await;
    assert_starts(&text, "no answer: not an HTTP answer: a chunk's size");
    assert_eq!(told(Answer::Bytes(broken.to_vec()), http()).await, "pass");
}

#[tokio::test]
async fn refused_and_never_connected() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    for what in [HealthProbe::Tcp, HealthProbe::Http(http())] {
        let failure = probe(&Target::at(address), &what, TIMEOUT)
            .await
            .unwrap_err();
        assert_eq!(failure.to_string(), "connect refused: connection refused");
    }

    // A full backlog: the kernel drops further SYNs.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let full = socket.listen(1).unwrap();
    let address = full.local_addr().unwrap();
    let mut held = Vec::new();
    for _ in 0..8 {
        match tokio::time::timeout(TIMEOUT / 4, tokio::net::TcpStream::connect(address)).await {
            Ok(stream) => held.push(stream.unwrap()),
            Err(_) => break,
        }
    }
    let failure = probe(&Target::at(address), &HealthProbe::Tcp, TIMEOUT)
        .await
        .unwrap_err();
    assert_eq!(failure.layer, Layer::ConnectTimeout, "{failure}");
    assert_eq!(failure.detail, "no connection in 400ms");
}

#[tokio::test]
async fn a_tcp_probe_asks_nothing() {
    let server = Server::start(Answer::Silence).await;
    let outcome = probe(&Target::at(server.address), &HealthProbe::Tcp, TIMEOUT).await;
    assert_eq!(outcome, Ok(()));
    assert_eq!(server.heads(), Vec::<String>::new());
}

#[tokio::test]
async fn the_request_as_sent() {
    let server = Server::start(ok()).await;
    let mut target = Target::at(server.address);
    let mut asked = http();
    for host in [None, Some("default.example"), Some("named.example")] {
        match host {
            Some("named.example") => asked.host = host.map(str::to_owned),
            _ => target.host = host.map(str::to_owned),
        }
        let outcome = probe(&target, &HealthProbe::Http(asked.clone()), TIMEOUT).await;
        assert_eq!(outcome, Ok(()));
    }
    let heads = server.heads();
    let address = server.address.to_string();
    for (head, host) in heads
        .iter()
        .zip([&*address, "default.example", "named.example"])
    {
        let mut lines: Vec<&str> = head.trim_end().split("\r\n").collect();
        let first = lines.remove(0);
        lines.sort_unstable();
        assert_eq!(first, "GET /healthz?deep=1 HTTP/1.1");
        let (host, agent) = (
            format!("host: {host}"),
            format!("user-agent: minato/{} health", env!("CARGO_PKG_VERSION")),
        );
        assert_eq!(lines, ["accept: */*", "connection: close", &host, &agent]);
    }
    assert_eq!(heads.len(), 3);
}

#[tokio::test]
async fn an_impossible_request_fails_without_a_panic() {
    for path in [
        "",
        "no slash",
        "/a b",
        "/\u{0}",
        "http://other.example/",
        "*",
    ] {
        let asked = HttpProbe {
            path: path.to_owned(),
            ..http()
        };
        // Whatever it says, it says it in time and without a panic.
        let _ = told(ok(), asked).await;
    }
    let asked = HttpProbe {
        host: Some("two\r\nlines".to_owned()),
        ..http()
    };
    assert_starts(&told(ok(), asked).await, "no answer: not asked: ");
}

#[tokio::test]
async fn any_other_error_of_connect_says_what_the_kernel_said() {
    // TCP to the broadcast address is refused by the kernel itself; no packet leaves.
    let target = Target::at("255.255.255.255:9".parse().unwrap());
    let outcome = try_probe(&target, &HealthProbe::Tcp, TIMEOUT).await;
    let failure = outcome.expect("an outcome").unwrap_err();
    assert_eq!(failure.layer, Layer::ConnectFailed, "{failure}");
    assert!(failure.detail.contains("unreachable"), "{failure}");
}

/// A server that closes first keeps the TIME_WAIT; one that does not is reset. Either way none is left to us.
#[tokio::test]
async fn no_connection_lingers() {
    let behaviours = [
        ok(),
        Answer::Stall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec()),
        Answer::Stall(b"HTTP/1.1 503 Busy\r\nContent-Length: 9\r\n\r\nok".to_vec()),
        Answer::Silence,
    ];
    for behaviour in behaviours {
        let server = Server::start(behaviour.clone()).await;
        let _ = ask(&server, http()).await;
        let port = format!(":{:04X}", server.address.port());
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let lingering: Vec<&str> = table
            .lines()
            .filter(|line| {
                let fields: Vec<&str> = line.split_whitespace().collect();
                // Remote port is the server's, state is neither closed nor the server's business.
                fields[2].ends_with(&port) && matches!(fields[3], "06" | "04" | "05")
            })
            .collect();
        assert!(lingering.is_empty(), "{behaviour:?}: {lingering:?}");
    }
}
