//! Every line of the strictness list: its status, `Connection: close`, an orderly end, a count, and nothing behind it served.

use crate::refused_bodies::BODIES;
use crate::refused_heads::{FIELDS, FRAMING, HOSTS, LINES, SEVERAL_HOSTS};
use crate::stage::{Afterwards, Case, Stage, onward};

/// What would come to life if a body were overlooked.
const HIDDEN: &[u8] = b"0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n";

async fn check_all(cases: impl Iterator<Item = Case>) {
    let mut stage = Stage::start().await;
    for case in cases {
        stage.check(&case).await;
    }
}

fn with_fields(fields: &[u8]) -> Case {
    let start: &[u8] = b"POST / HTTP/1.1\r\nHost: a.test\r\n";
    Case::refused([start, fields, b"\r\n"].concat(), 400)
}

/// Heads that are refused, and what they were sent with.
pub(crate) fn heads() -> impl Iterator<Item = Case> {
    let framing = FRAMING.iter().map(|it| with_fields(it));
    framing.chain(LINES.iter().map(|it| Case::refused(it.0, it.1)))
}

#[tokio::test]
async fn framing_that_two_parsers_read_differently() {
    let cases = FRAMING.iter().map(|fields| {
        let start: &[u8] = b"POST / HTTP/1.1\r\nHost: a.test\r\n";
        Case::refused([start, fields, b"\r\n", HIDDEN].concat(), 400)
    });
    check_all(cases).await;
}

#[tokio::test]
async fn fields_that_break_their_form() {
    check_all(FIELDS.iter().chain(SEVERAL_HOSTS).map(|it| with_fields(it))).await;
}

#[tokio::test]
async fn hosts_that_are_no_authority() {
    let cases = HOSTS.iter().map(|host| {
        let start: &[u8] = b"GET / HTTP/1.1\r\nHost: ";
        Case::refused([start, host, b"\r\n\r\n"].concat(), 400)
    });
    check_all(cases).await;
}

#[tokio::test]
async fn first_lines_targets_versions_methods_and_expectations() {
    check_all(LINES.iter().map(|it| Case::refused(it.0, it.1))).await;
}

#[tokio::test]
async fn chunked_bodies_that_two_parsers_read_differently() {
    let head = "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n";
    let seen = onward(
        "POST / HTTP/1.1\r\nHost: a.test\r\n",
        "a.test",
        "Transfer-Encoding: chunked\r\n",
        "",
    );
    let cases = BODIES.iter().map(|body| Case {
        afterwards: Afterwards::BrokenOff(seen.clone()),
        ..Case::refused([head.as_bytes(), body].concat(), 400)
    });
    check_all(cases).await;
}

/// Behind a request that is served, on the same connection, what is refused is refused alike.
#[tokio::test]
async fn garbage_behind_a_served_request() {
    let served = "GET /first HTTP/1.1\r\nHost: a.test\r\n";
    let forwarded = onward(served, "a.test", "", "");
    let garbage: [&[u8]; 8] = [
        b"X\r\n\r\n",
        b"\r\n\r\nGET / HTTP/1.1\r\nHost: a.test\r\n\r\n",
        b"\nGET / HTTP/1.1\r\nHost: a.test\r\n\r\n",
        b"0\r\n\r\n",
        b"hello\r\n",
        b"\0\0\0\0",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b" GET / HTTP/1.1\r\nHost: a.test\r\n\r\n",
    ];
    let cases = garbage.iter().map(|it| Case {
        sent: [served.as_bytes(), b"\r\n", it].concat(),
        forwarded: vec![forwarded.clone()],
        answers: vec![204, 400],
        afterwards: Afterwards::Closed,
    });
    check_all(cases).await;
}

/// Cut at some places only: there are too many.
#[tokio::test]
async fn heads_past_the_limits() {
    let mut stage = Stage::start().await;
    let many = "X: y\r\n".repeat(100);
    let large = format!("X: {}\r\n", "y".repeat(40_000));
    let options = format!("Connection: {}\r\n", "x,".repeat(101));
    for fields in [many, large, options] {
        let sent = format!("GET / HTTP/1.1\r\nHost: a.test\r\n{fields}\r\n");
        let case = Case::refused(&sent, 431);
        let cuts: Vec<usize> = (0..sent.len()).step_by(sent.len() / 60).collect();
        stage.check_at(&case, sent.as_bytes(), &cuts).await;
    }
    let endless = format!("GET /{}", "y".repeat(40_000));
    let case = Case::refused(&endless, 431);
    let around: Vec<usize> = (32_700..32_820).collect();
    stage.check_at(&case, endless.as_bytes(), &around).await;
}

/// The counter tells why.
#[tokio::test]
async fn each_refusal_is_counted_by_its_reason() {
    let mut stage = Stage::start().await;
    for (sent, status, reason) in [
        ("GET / HTTP/1.1\r\n\r\n", 400, "malformed"),
        ("GET / HTTP/1.2\r\nHost: a.test\r\n\r\n", 505, "version"),
        ("TRACE / HTTP/1.1\r\nHost: a.test\r\n\r\n", 405, "method"),
        (
            "GET / HTTP/1.1\r\nHost: a.test\r\nExpect: x\r\n\r\n",
            417,
            "expectation",
        ),
    ] {
        let case = Case::refused(sent, status);
        let start = format!("minato_http_refused_total{{reason=\"{reason}\"");
        let before = stage.running.metric(&start);
        stage.check(&case).await;
        let times = (sent.len() + "GET /next HTTP/1.1\r\nHost: a.test\r\n\r\n".len()) as f64;
        let holds = |it: &crate::setup::Running| it.metric(&start) == before + times;
        stage.running.settles("the count", holds).await;
    }
}
