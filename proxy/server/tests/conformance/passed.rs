//! What passes, and as which bytes exactly.

use crate::stage::{Afterwards, Case, Stage, onward};

const LENGTH_5: &str = "Content-Length: 5\r\n";
const CHUNKED: &str = "Transfer-Encoding: chunked\r\n";

/// A request to `a.test` that an instance receives with these first lines.
fn passed(sent: &str, first: &str, framing: &str, body: &str) -> Case {
    Case {
        sent: sent.as_bytes().to_vec(),
        forwarded: vec![onward(first, "a.test", framing, body)],
        answers: vec![204],
        afterwards: Afterwards::Open,
    }
}

/// The same of a request without a body whose first lines pass as they are.
fn as_it_is(first: &str) -> Case {
    passed(&format!("{first}\r\n"), first, "", "")
}

/// As it is but for fields that stay behind.
fn without(fields: &str) -> Case {
    let first = "GET / HTTP/1.1\r\nHost: a.test\r\n";
    passed(&format!("{first}{fields}\r\n"), first, "", "")
}

/// A body of length 5 behind these fields, which pass as `kept`.
fn of_length(fields: &str, kept: &str) -> Case {
    let first = "POST / HTTP/1.1\r\nHost: a.test\r\n";
    passed(
        &format!("{first}{fields}\r\nhello"),
        &format!("{first}{kept}"),
        LENGTH_5,
        "hello",
    )
}

/// A chunked body, which passes as `body`.
fn chunked(fields: &str, sent: &str, body: &str) -> Case {
    let first = "POST / HTTP/1.1\r\nHost: a.test\r\n";
    passed(&format!("{first}{fields}\r\n{sent}"), first, CHUNKED, body)
}

async fn check_all(cases: impl IntoIterator<Item = Case>) {
    let mut stage = Stage::start().await;
    for case in cases {
        stage.check(&case).await;
    }
}

#[tokio::test]
async fn plain_requests() {
    let line = |line: &str| as_it_is(&format!("{line} HTTP/1.1\r\nHost: a.test\r\n"));
    check_all([
        line("GET /"),
        line("GET /a/b;c=d?e=f&g=/../h"),
        line("GET /%41%2f%2E%25"),
        line("GET //a.test//"),
        line("GET /\u{e9}?\u{e9}"),
        line("GET /?a?b"),
        line("GET /*"),
        line("OPTIONS /"),
        line("DELETE /x"),
        line("PROPFIND /x"),
        line("get /"),
        line("connect /"),
        line("!#$%&'*+-.^`|~ /"),
        as_it_is("GET / HTTP/1.1\r\nHost: a.test\r\nX: y\r\nX: z\r\nx: \r\n"),
        as_it_is("GET / HTTP/1.1\r\nHost: a.test\r\nX: a \t b\r\nY: \u{e9}\r\n"),
        as_it_is("GET / HTTP/1.1\r\nHost: a.test\r\n!#$%&'*+-.^`|~: y\r\n"),
    ])
    .await;
}

#[tokio::test]
async fn what_is_made_one_of_two_forms() {
    let first = "GET / HTTP/1.1\r\nHost: a.test\r\n";
    let to = |sent: &str, line: &str| {
        let host = "Host: a.test\r\n";
        passed(
            &format!("{sent}\r\n{host}\r\n"),
            &format!("{line} HTTP/1.1\r\n{host}"),
            "",
            "",
        )
    };
    let at = |sent: &str, host: &str| Case {
        sent: sent.as_bytes().to_vec(),
        forwarded: vec![onward(
            &format!("GET / HTTP/1.1\r\nHost: {host}\r\n"),
            host,
            "",
            "",
        )],
        answers: vec![204],
        afterwards: Afterwards::Open,
    };
    check_all([
        passed(&format!("\r\n{first}\r\n"), first, "", ""),
        to("GET http://a.test HTTP/1.1", "GET /"),
        to("GET http://a.test/ HTTP/1.1", "GET /"),
        to("GET HTTP://a.test/x HTTP/1.1", "GET /x"),
        to("GET https://a.test/x HTTP/1.1", "GET /x"),
        to("GET http://a.test?x HTTP/1.1", "GET /?x"),
        to("OPTIONS * HTTP/1.1", "OPTIONS *"),
        to("OPTIONS http://a.test HTTP/1.1", "OPTIONS *"),
        to("GET /a/../b/./c HTTP/1.1", "GET /b/c"),
        to("GET /a/%2e%2E/b/%2e/c HTTP/1.1", "GET /b/c"),
        to("GET /../../x HTTP/1.1", "GET /x"),
        to("GET /a/.. HTTP/1.1", "GET /"),
        to("GET /.%2e/x?/../y HTTP/1.1", "GET /x?/../y"),
        at("GET / HTTP/1.1\r\nHost:A.test\r\n\r\n", "A.test"),
        at(
            "GET / HTTP/1.1\r\nhOST: \t a.test:8080 \t\r\n\r\n",
            "a.test:8080",
        ),
        at(
            "GET http://A.test:80/ HTTP/1.1\r\nHost: a.TEST:80\r\n\r\n",
            "A.test:80",
        ),
        at("GET / HTTP/1.1\r\nHost: a.test.\r\n\r\n", "a.test."),
    ])
    .await;
}

#[tokio::test]
async fn fields_that_end_here() {
    check_all([
        without("Connection: keep-alive\r\n"),
        without("Connection: X, y\r\nX: 1\r\ny: 2\r\n"),
        without("X: 1\r\nConnection: x\r\n"),
        without("Keep-Alive: timeout=5\r\n"),
        without("Proxy-Connection: close\r\n"),
        without("TE: trailers, chunked\r\n"),
        without("Trailer: X\r\n"),
        without("Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\nConnection: Upgrade, HTTP2-Settings\r\n"),
        without("Upgrade: websocket\r\n"),
        without("Connection: upgrade\r\nUpgrade: foo\r\n"),
        without("Proxy: evil\r\n"),
        without("Proxy-Authorization: x\r\n"),
        without("X_Y: z\r\nContent_Length: 5\r\nTransfer_Encoding: chunked\r\n"),
        without("X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: b.test\r\n"),
        without("Forwarded: for=1.2.3.4\r\nX-Real-IP: 1.2.3.4\r\nX-Forwarded-Port: 1\r\n"),
    ])
    .await;
}

/// What `Connection` may not take away.
#[tokio::test]
async fn fields_that_connection_cannot_name() {
    let kept = "Cookie: a\r\nAuthorization: b\r\n";
    let first = format!("GET / HTTP/1.1\r\nHost: a.test\r\n{kept}");
    check_all([
        passed(
            &format!("{first}Connection: host, cookie, authorization\r\n\r\n"),
            &first,
            "",
            "",
        ),
        of_length("Connection: Content-Length\r\nContent-Length: 5\r\n", ""),
        chunked(
            "Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n",
            "0\r\n\r\n",
            "0\r\n\r\n",
        ),
    ])
    .await;
}

#[tokio::test]
async fn bodies_of_a_length() {
    let hidden = "GET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n";
    let length = format!("Content-Length: {}\r\n", hidden.len());
    let whole = |line: &str, body: &str| {
        let first = format!("{line} HTTP/1.1\r\nHost: a.test\r\n");
        passed(&format!("{first}{length}\r\n{body}"), &first, &length, body)
    };
    check_all([
        of_length("Content-Length: 5\r\n", ""),
        of_length("Content-Length:5\r\n", ""),
        of_length("Content-Length: \t5 \t\r\n", ""),
        of_length("Content-Length: 5\r\ncontent-length: 5\r\n", ""),
        of_length("Content-Length: 5\r\nContent_Length: 6\r\n", ""),
        of_length("Content-Length: 5\r\nTransfer_Encoding: chunked\r\n", ""),
        of_length("Content-Length: 5\r\nTE: chunked\r\n", ""),
        of_length(
            "Content-Length: 5\r\nContent-Encoding: chunked\r\n",
            "Content-Encoding: chunked\r\n",
        ),
        // CL.0, also where a body is unusual: it is a body all the same.
        whole("POST /", hidden),
        whole("GET /", hidden),
        whole("HEAD /", hidden),
        whole("OPTIONS /", hidden),
        whole("DELETE /", hidden),
        passed(
            "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a.test\r\n",
            "Content-Length: 0\r\n",
            "",
        ),
        // Leading zeros are digits; what goes on has one form.
        of_length("Content-Length: 00000000000000000000000005\r\n", ""),
    ])
    .await;
}

#[tokio::test]
async fn bodies_in_chunks() {
    let coded = |sent: &str, body: &str| chunked(CHUNKED, sent, body);
    let hello = "5\r\nhello\r\n0\r\n\r\n";
    check_all([
        coded("0\r\n\r\n", "0\r\n\r\n"),
        coded(hello, hello),
        coded("2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", hello),
        coded("05\r\nhello\r\n000\r\n\r\n", hello),
        coded("a\r\n0123456789\r\n0\r\n\r\n", "A\r\n0123456789\r\n0\r\n\r\n"),
        coded("5;a=b;c=\"d\";;\r\nhello\r\n0;x\r\n\r\n", hello),
        coded("5;\u{e9}\t \r\nhello\r\n0\r\n\r\n", hello),
        coded("5;0\r\nhello\r\n0\r\n\r\n", hello),
        coded("7\r\n0\r\n\r\nGE\r\n0\r\n\r\n", "7\r\n0\r\n\r\nGE\r\n0\r\n\r\n"),
        coded("0\r\nX-Sum: 1\r\n\r\n", "0\r\nX-Sum: 1\r\n\r\n"),
        coded(
            "5\r\nhello\r\n0\r\nX-Sum: 1\r\nHost: b.test\r\nX-Forwarded-For: 1\r\nAuthorization: x\r\nX_Y: z\r\nY:\r\n\r\n",
            "5\r\nhello\r\n0\r\nX-Sum: 1\r\nY: \r\n\r\n",
        ),
        chunked("transfer-encoding:\t CHUNKED \t\r\n", hello, hello),
        chunked("Transfer-Encoding: chunked\r\nContent_Length: 3\r\n", hello, hello),
    ])
    .await;
}

/// HTTP/1.0 closes, unless it asks to stay.
#[tokio::test]
async fn http_1_0() {
    let via = |first: &str, host: &str, rest: &str| {
        let told = if host.is_empty() {
            String::new()
        } else {
            format!("X-Forwarded-Host: {host}\r\n")
        };
        format!("{first}X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\n{told}Via: 1.0 minato\r\n{rest}").into_bytes()
    };
    let first = "GET / HTTP/1.1\r\nHost: a.test\r\n";
    let once = |sent: &str, forwarded: Vec<u8>| Case {
        sent: sent.as_bytes().to_vec(),
        forwarded: vec![forwarded],
        answers: vec![204],
        afterwards: Afterwards::Closed,
    };
    let stays = |sent: &str, forwarded: Vec<u8>| Case {
        afterwards: Afterwards::Open,
        ..once(sent, forwarded)
    };
    check_all([
        once("GET / HTTP/1.0\r\nHost: a.test\r\n\r\n", via(first, "a.test", "\r\n")),
        once("GET http://a.test/ HTTP/1.0\r\n\r\n", via(first, "a.test", "\r\n")),
        once(
            "GET / HTTP/1.0\r\nHost: a.test\r\nConnection: close, keep-alive\r\n\r\n",
            via(first, "a.test", "\r\n"),
        ),
        stays(
            "GET / HTTP/1.0\r\nHost: a.test\r\nConnection: Keep-Alive\r\n\r\n",
            via(first, "a.test", "\r\n"),
        ),
        stays(
            "POST / HTTP/1.0\r\nHost: a.test\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello",
            via("POST / HTTP/1.1\r\nHost: a.test\r\n", "a.test", "Content-Length: 5\r\n\r\nhello"),
        ),
        // An expectation of HTTP/1.0 is void.
        once(
            "GET / HTTP/1.0\r\nHost: a.test\r\nExpect: 100-continue\r\n\r\n",
            via(first, "a.test", "\r\n"),
        ),
        // The second request of a connection that closes is nobody's.
        Case {
            sent: b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n".to_vec(),
            forwarded: vec![onward(first, "a.test", "", "")],
            answers: vec![204],
            afterwards: Afterwards::Closed,
        },
    ])
    .await;
}

/// Several at once, with bodies between them.
#[tokio::test]
async fn requests_behind_each_other() {
    let get = "GET /a HTTP/1.1\r\nHost: a.test\r\n";
    let post = "POST /b HTTP/1.1\r\nHost: a.test\r\n";
    let sent = format!(
        "{get}\r\n{post}{LENGTH_5}\r\nhello\r\n{get}\r\n{post}{CHUNKED}\r\n5\r\nhello\r\n0\r\n\r\n"
    );
    check_all([Case {
        sent: sent.into_bytes(),
        forwarded: vec![
            onward(get, "a.test", "", ""),
            onward(post, "a.test", LENGTH_5, "hello"),
            onward(get, "a.test", "", ""),
            onward(post, "a.test", CHUNKED, "5\r\nhello\r\n0\r\n\r\n"),
        ],
        answers: vec![204; 4],
        afterwards: Afterwards::Open,
    }])
    .await;
}
