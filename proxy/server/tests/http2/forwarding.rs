//! What an HTTP/1.1 instance receives of a request of HTTP/2, byte for byte, and what the client receives of its answer.

use crate::client::Client;
use crate::frame::*;
use crate::subject::Subject;

/// What every request brings with it, after its own fields.
const AFTER: &str = "X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: a.test\r\nVia: 2.0 minato\r\n";

/// Sends these frames on stream 1; what reached the instance once the stream has ended.
async fn received(what: &str, frames: &[Vec<u8>]) -> (String, Vec<u8>) {
    let subject = Subject::start().await;
    let mut client = Client::connect(subject.address).await;
    client.send(frames.concat()).await;
    let answer = client.ended(1).await;
    assert_eq!(answer.status, Some(200), "{what}: {}", client.account());
    let mut captured = subject.captured();
    assert_eq!(captured.len(), 1);
    let one = captured.remove(0);
    (one.head, one.body)
}

fn with(method: &str, path: &str, fields: &[(&str, &str)]) -> Vec<u8> {
    [request(method, path), block(fields)].concat()
}

#[tokio::test]
async fn heads_become_heads() {
    let cases: [(&str, Vec<u8>, String); 8] = [
        (
            "an ordinary one",
            with("GET", "/a?b=c", &[("accept", "*/*"), ("user-agent", "x")]),
            format!(
                "GET /a?b=c HTTP/1.1\r\nHost: a.test\r\naccept: */*\r\nuser-agent: x\r\n{AFTER}\r\n"
            ),
        ),
        (
            "crumbs of a cookie become one field (8.2.3)",
            with(
                "GET",
                "/",
                &[
                    ("cookie", "a=1"),
                    ("accept", "*/*"),
                    ("cookie", "b=2"),
                    ("cookie", "c=3; d=4"),
                ],
            ),
            format!(
                "GET / HTTP/1.1\r\nHost: a.test\r\naccept: */*\r\ncookie: a=1; b=2; c=3; d=4\r\n{AFTER}\r\n"
            ),
        ),
        (
            "host that agrees with :authority is said once",
            with("GET", "/", &[("host", "A.test")]),
            format!("GET / HTTP/1.1\r\nHost: a.test\r\n{AFTER}\r\n"),
        ),
        (
            "host without :authority",
            block(&[
                (":method", "GET"),
                (":scheme", "http"),
                (":path", "/"),
                ("host", "a.test"),
            ]),
            format!("GET / HTTP/1.1\r\nHost: a.test\r\n{AFTER}\r\n"),
        ),
        (
            "te: trailers ends here",
            with("GET", "/", &[("te", "trailers")]),
            format!("GET / HTTP/1.1\r\nHost: a.test\r\n{AFTER}\r\n"),
        ),
        (
            "dot segments are resolved",
            with("GET", "/a/../b/%2e%2e/c?x=/../y", &[]),
            format!("GET /c?x=/../y HTTP/1.1\r\nHost: a.test\r\n{AFTER}\r\n"),
        ),
        (
            "names that CGI would confuse, and what a client says of its own way",
            with(
                "GET",
                "/",
                &[
                    ("content_length", "9"),
                    ("proxy", "evil"),
                    ("x-forwarded-for", "9.9.9.9"),
                    ("x-forwarded-proto", "https"),
                    ("x-ok", "1"),
                ],
            ),
            format!("GET / HTTP/1.1\r\nHost: a.test\r\nx-ok: 1\r\n{AFTER}\r\n"),
        ),
        (
            "octets above ASCII pass",
            [request("GET", "/"), field(b"x-text", b"\xc3\xa9")].concat(),
            format!("GET / HTTP/1.1\r\nHost: a.test\r\nx-text: é\r\n{AFTER}\r\n"),
        ),
    ];
    for (what, block, expected) in cases {
        let (head, body) = received(what, &[headers(WHOLE, 1, &block)]).await;
        assert_eq!(head, expected, "{what}");
        assert_eq!(body, b"", "{what}");
    }
}

#[tokio::test]
async fn bodies_are_framed_anew() {
    let sized = with("POST", "/", &[("content-length", "4")]);
    let twice = with(
        "POST",
        "/",
        &[("content-length", "4"), ("content-length", "4")],
    );
    let bare = request("POST", "/");
    let trailers = |fields: &[(&str, &str)]| headers(WHOLE, 1, &block(fields));
    let chunked = "Transfer-Encoding: chunked\r\n";
    let whole = data(END_STREAM, 1, b"test");
    /// What it is, its frames, the framing, and the body with it.
    type Case = (&'static str, Vec<Vec<u8>>, &'static str, &'static [u8]);
    let cases: [Case; 8] = [
        (
            "a length",
            vec![headers(END_HEADERS, 1, &sized), whole.clone()],
            "Content-Length: 4\r\n",
            b"test",
        ),
        (
            "a length said twice is said once",
            vec![headers(END_HEADERS, 1, &twice), whole.clone()],
            "Content-Length: 4\r\n",
            b"test",
        ),
        (
            "no length",
            vec![post(1, "/"), whole.clone()],
            chunked,
            b"4\r\ntest\r\n0\r\n\r\n",
        ),
        (
            "nothing",
            vec![headers(WHOLE, 1, &bare)],
            "Content-Length: 0\r\n",
            b"",
        ),
        (
            "an end that comes later",
            vec![post(1, "/"), data(END_STREAM, 1, b"")],
            chunked,
            b"0\r\n\r\n",
        ),
        (
            "trailers",
            vec![
                post(1, "/"),
                data(0, 1, b"test"),
                trailers(&[("x-sum", "7"), ("x-two", "8")]),
            ],
            chunked,
            b"4\r\ntest\r\n0\r\nx-sum: 7\r\nx-two: 8\r\n\r\n",
        ),
        (
            "trailers that may not be trailers stay behind",
            vec![
                post(1, "/"),
                data(0, 1, b"test"),
                trailers(&[
                    ("content-length", "9"),
                    ("host", "b.test"),
                    ("authorization", "x"),
                    ("x-sum", "7"),
                ]),
            ],
            chunked,
            b"4\r\ntest\r\n0\r\nx-sum: 7\r\n\r\n",
        ),
        (
            "padding is no body",
            vec![
                post(1, "/"),
                frame(DATA, END_STREAM | PADDED, 1, b"\x03test\0\0\0"),
            ],
            chunked,
            b"4\r\ntest\r\n0\r\n\r\n",
        ),
    ];
    for (what, frames, framing, expected) in cases {
        let (head, body) = received(what, &frames).await;
        let wanted = format!("POST / HTTP/1.1\r\nHost: a.test\r\n{AFTER}{framing}\r\n");
        assert_eq!(head, wanted, "{what}");
        assert_eq!(
            String::from_utf8_lossy(&body),
            String::from_utf8_lossy(expected),
            "{what}"
        );
    }
}

#[tokio::test]
async fn answers_become_answers() {
    let subject = Subject::start().await;
    let mut client = Client::connect(subject.address).await;
    let text = |fields: &[(String, String)]| -> Vec<String> {
        fields
            .iter()
            .map(|it| format!("{}: {}", it.0, it.1))
            .collect()
    };

    let answer = client.get(1, "/connection").await;
    assert_eq!(
        text(&answer.fields),
        [":status: 200", "via: 1.1 minato", "content-length: 2"]
    );
    assert_eq!(
        (answer.body.as_slice(), answer.pieces.len()),
        (&b"ok"[..], 1)
    );

    let answer = client.get(3, "/trailers").await;
    assert_eq!(answer.field("transfer-encoding"), None);
    assert_eq!(answer.body, b"ok");
    assert_eq!(text(&answer.trailers), ["x-sum: 7"]);

    let answer = client.get(5, "/empty").await;
    assert_eq!(
        (answer.field("content-length"), answer.pieces.len()),
        (Some("0"), 0)
    );

    let answer = client.get(7, "/hints").await;
    assert_eq!((answer.interim, answer.status), (vec![103], Some(200)));

    client
        .send(headers(WHOLE, 9, &request("HEAD", "/ten")))
        .await;
    let answer = client.ended(9).await;
    assert_eq!(
        (answer.field("content-length"), answer.body.len()),
        (Some("10"), 0)
    );

    let answer = client.get(11, "/large").await;
    assert_eq!(answer.body, [b'x'; 400_000]);
    assert!(client.is_alive().await);
}

/// RFC 9113 8.1.1: what breaks off must not look whole.
#[tokio::test]
async fn an_answer_that_breaks_off_is_reset() {
    let subject = Subject::start().await;
    let mut client = Client::connect(subject.address).await;
    let answer = client.get(1, "/broken").await;
    assert_eq!(
        (answer.status, answer.body.as_slice()),
        (Some(200), &b"ok"[..])
    );
    assert!(!answer.is_ended);
    assert_eq!(answer.reset, Some(INTERNAL), "{answer:?}");
    assert!(client.is_alive().await);
}

/// RFC 9113 8.1: an answer that comes before the request has ended is whole, and the rest of the request is not wanted.
#[tokio::test]
async fn an_early_answer_is_whole() {
    let subject = Subject::start().await;
    let mut client = Client::connect(subject.address).await;
    client
        .send([post(1, "/early"), data(0, 1, b"te")].concat())
        .await;
    client
        .until("the answer", |it| it.answer(1).reset.is_some())
        .await;
    let answer = client.answer(1);
    assert_eq!(
        (answer.status, answer.is_ended, answer.reset),
        (Some(200), true, Some(NO_ERROR))
    );
    assert!(client.is_alive().await);
}

#[tokio::test]
async fn our_own_answers() {
    let subject = Subject::start().await;
    let mut client = Client::connect(subject.address).await;
    let to = |method, host| {
        block(&[
            (":method", method),
            (":scheme", "http"),
            (":path", "/bad"),
            (":authority", host),
        ])
    };
    for (stream, method, host, status) in [
        (1, "GET", "b.test", 404),
        (3, "HEAD", "b.test", 404),
        (5, "TRACE", "a.test", 405),
        (7, "GET", "a.test b.test", 400),
    ] {
        client.send(headers(WHOLE, stream, &to(method, host))).await;
        let answer = client.ended(stream).await;
        if answer.reset.is_some() && status == 400 {
            continue;
        }
        assert_eq!(answer.status, Some(status), "{answer:?}");
        let length: usize = answer.field("content-length").unwrap().parse().unwrap();
        assert!(length > 0 && answer.is_ended);
        assert_eq!(answer.body.len(), if method == "HEAD" { 0 } else { length });
    }
    assert!(client.is_alive().await);
    assert_eq!(subject.paths(), ["/probe"]);
    if let Some(running) = &subject.running {
        running.is_at_rest().await;
    }
}

/// Half of the streams take their time; none waits for another.
#[tokio::test]
async fn streams_do_not_wait_for_each_other() {
    let subject = Subject::start().await;
    let mut client = Client::connect(subject.address).await;
    let odd = |it: u32| 2 * it + 1;
    let all: Vec<u8> = (0..100)
        .flat_map(|it| get(odd(it), if it % 2 == 0 { "/wait" } else { "/large" }))
        .collect();
    client.send(all).await;
    for it in (1..100).step_by(2) {
        assert_eq!(client.ended(odd(it)).await.body.len(), 400_000);
    }
    let resets: Vec<u8> = (0..100)
        .step_by(2)
        .flat_map(|it| reset(odd(it), CANCEL))
        .collect();
    client.send(resets).await;
    if let Some(running) = &subject.running {
        running.is_at_rest().await;
    }
    assert!(client.is_alive().await);
}

/// The instance stops being read when the client stops: what is in between is bounded by the windows and buffers.
#[tokio::test]
async fn a_stalled_upload_stalls_the_client_only() {
    let subject = Subject::start().await;
    let mut client = Client::connect(subject.address).await;
    // Within the window, and more than one frame.
    let piece = vec![b'x'; 1 << 14];
    let mut frames = post(1, "/taken");
    for _ in 0..8 {
        frames.extend(data(0, 1, &piece));
    }
    client.send([frames, get(3, "/")].concat()).await;
    assert_eq!(client.ended(3).await.status, Some(200));
    client.send(data(END_STREAM, 1, &piece)).await;
    let answer = client.ended(1).await;
    let taken: usize = String::from_utf8(answer.body).unwrap().parse().unwrap();
    assert!(taken > 9 << 14, "{taken}");
}
