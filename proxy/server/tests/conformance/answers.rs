//! Answers of instances: what breaks the rules becomes 502 or breaks off, what passes does so as exact bytes; each cut in
//! two at every place, and no connection is used again whose messages did not end cleanly.

use crate::refused_bodies::BODIES;
use crate::refused_heads::{FIELDS, FRAMING};
use crate::reply::{
    Becomes, End, HEAD, Reply, Reuse, Theatre, UPLOAD, check_all, invalid, onward, reply,
};

#[tokio::test]
async fn framing_that_two_parsers_read_differently_is_502() {
    let start: &[u8] = b"HTTP/1.1 200 OK\r\n";
    let end: &[u8] = b"\r\n5\r\nhello\r\n0\r\n\r\n";
    check_all(FRAMING.iter().map(|it| invalid([start, it, end].concat()))).await;
}

#[tokio::test]
async fn fields_that_break_their_form_are_502() {
    let start: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n";
    check_all(
        FIELDS
            .iter()
            .map(|it| invalid([start, it, b"\r\n"].concat())),
    )
    .await;
}

#[tokio::test]
async fn first_lines_that_are_none_are_502() {
    let lines: [&[u8]; 31] = [
        b"HTTP/1.1 20 OK\r\n",
        b"HTTP/1.1 2000 OK\r\n",
        b"HTTP/1.1 099 OK\r\n",
        b"HTTP/1.1 000 OK\r\n",
        b"HTTP/1.1 +20 OK\r\n",
        b"HTTP/1.1 2x0 OK\r\n",
        b"HTTP/1.1 200OK\r\n",
        b"HTTP/1.1  200 OK\r\n",
        b"HTTP/1.1\t200 OK\r\n",
        b"HTTP/1.1 200\tOK\r\n",
        b"HTTP/1.1 OK\r\n",
        b"HTTP/1.1 \r\n",
        b"HTTP/1.1\r\n",
        b"HTTP/1.2 200 OK\r\n",
        b"HTTP/2.0 200 OK\r\n",
        b"HTTP/0.9 200 OK\r\n",
        b"HTTP/11 200 OK\r\n",
        b"http/1.1 200 OK\r\n",
        b"ICY 200 OK\r\n",
        b"200 OK\r\n",
        b"x\r\n",
        b"<html>\r\n",
        b"HTTP/1.1 200 OK\n",
        b"HTTP/1.1 200 O\rK\r\n",
        b"HTTP/1.1 200 O\0K\r\n",
        b"HTTP/1.1 200 O\x01K\r\n",
        b" HTTP/1.1 200 OK\r\n",
        b"\r\nHTTP/1.1 200 OK\r\n",
        b"\nHTTP/1.1 200 OK\r\n",
        b"\0HTTP/1.1 200 OK\r\n",
        b"GET / HTTP/1.1\r\nHost: a.test\r\n",
    ];
    let rest: &[u8] = b"Content-Length: 0\r\n\r\n";
    check_all(lines.iter().map(|it| invalid([it, rest].concat()))).await;
}

#[tokio::test]
async fn what_two_parsers_read_differently_in_other_ways_is_502() {
    let start = "HTTP/1.1 200 OK\r\n";
    let many = "X: y\r\n".repeat(101);
    let chunked = "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    let mut replies = vec![
        invalid(format!("HTTP/1.0 200 OK\r\n{chunked}")),
        invalid(format!(
            "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n{chunked}"
        )),
        // Switches that nobody asked for.
        invalid(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        ),
        invalid("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"),
        invalid("HTTP/1.1 101 Switching Protocols\r\n\r\n"),
        // Framing must be sound even where there is no body.
        invalid("HTTP/1.1 204 No Content\r\nContent-Length: x\r\n\r\n"),
        invalid(
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        ),
        invalid("HTTP/1.1 103 Early Hints\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"),
        // Nothing, or half a head.
        Reply {
            end: End::Closes,
            ..invalid(format!("{start}Content-Length: 0\r\n\r"))
        },
        Reply {
            end: End::Resets,
            ..invalid(format!("{start}Content-Length: 0\r\n\r"))
        },
    ];
    for bad in [
        "HTTP/1.1 200 OK\r\nContent-Length : 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    ] {
        replies.push(Reply {
            asked: HEAD,
            ..invalid(bad)
        });
    }
    check_all(replies).await;
    let mut theatre = Theatre::start().await;
    let large = invalid(format!("{start}{many}\r\n"));
    theatre
        .play(&large, &[0, 1, 17, 300, 500, large.sent.len() - 1])
        .await;
    let endless = invalid(format!("{start}X: {}", "y".repeat(70_000)));
    theatre
        .play(
            &endless,
            &[0, 32_767, 32_768, 32_769, 65_535, 65_536, 65_537],
        )
        .await;
}

#[tokio::test]
async fn bodies_that_break_the_rules_or_off_cannot_pass_for_whole() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let length = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n";
    let broken = |body: &[u8]| reply([chunked.as_bytes(), body].concat(), Becomes::BrokenOff);
    check_all(BODIES.iter().map(|it| broken(it))).await;
    let mut replies = Vec::new();
    for end in [End::Closes, End::Resets] {
        for sent in [
            format!("{length}hello"),
            format!("{chunked}5\r\nhello\r\n"),
            format!("{chunked}5\r\nhello\r\n0\r\n"),
            format!("{chunked}5\r\nhello\r\n0\r\nX: y\r\n"),
            format!("{chunked}5\r\nhel"),
        ] {
            replies.push(Reply {
                end,
                ..reply(sent, Becomes::BrokenOff)
            });
        }
    }
    // Whoever resets does not end.
    for sent in [
        "HTTP/1.1 200 OK\r\n\r\nhello",
        "HTTP/1.0 200 OK\r\n\r\nhello",
    ] {
        replies.push(Reply {
            end: End::Resets,
            ..reply(sent, Becomes::BrokenOff)
        });
    }
    check_all(replies).await;
}

#[tokio::test]
async fn answers_that_pass() {
    let ok = "HTTP/1.1 200 OK\r\n";
    let (length, chunked) = ("Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n");
    let hello = "5\r\nhello\r\n0\r\n\r\n";
    let kept = |sent: String, answer: Vec<u8>| reply(sent, Becomes::Answer(answer, Reuse::Kept));
    let closed =
        |sent: String, answer: Vec<u8>| reply(sent, Becomes::Answer(answer, Reuse::Closed));
    let ends = |sent: String, answer: Vec<u8>| Reply {
        end: End::Closes,
        ..closed(sent, answer)
    };
    let to_head = |reply: Reply| Reply {
        asked: HEAD,
        ..reply
    };
    check_all([
        kept(format!("{ok}{length}\r\nhello"), onward(ok, length, "hello")),
        kept(format!("{ok}{length}{length}\r\nhello"), onward(ok, length, "hello")),
        kept(format!("{ok}Content-Length: 0005\r\n\r\nhello"), onward(ok, length, "hello")),
        kept(format!("{ok}Content-Length: 0\r\n\r\n"), onward(ok, "Content-Length: 0\r\n", "")),
        kept(format!("{ok}{chunked}\r\n{hello}"), onward(ok, chunked, hello)),
        kept(format!("{ok}{chunked}\r\n2;x\r\nhe\r\n3\r\nllo\r\n00\r\n\r\n"), onward(ok, chunked, hello)),
        kept(
            format!("{ok}Trailer: X-Sum\r\n{chunked}\r\n0\r\nX-Sum: 1\r\nSet-Cookie: x\r\n\r\n"),
            onward(&format!("{ok}Trailer: X-Sum\r\n"), chunked, "0\r\nX-Sum: 1\r\n\r\n"),
        ),
        kept("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n".to_owned(), onward("HTTP/1.1 200 \r\n", "Content-Length: 0\r\n", "")),
        kept("HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n".to_owned(), onward("HTTP/1.1 200 \r\n", "Content-Length: 0\r\n", "")),
        kept("HTTP/1.1 999 \u{e9}\t!\r\nContent-Length: 0\r\n\r\n".to_owned(), onward("HTTP/1.1 999 \u{e9}\t!\r\n", "Content-Length: 0\r\n", "")),
        // Without a body, whatever is declared.
        kept("HTTP/1.1 204 No Content\r\n\r\n".to_owned(), onward("HTTP/1.1 204 No Content\r\n", "", "")),
        kept("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n".to_owned(), onward("HTTP/1.1 204 No Content\r\n", "", "")),
        kept("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n".to_owned(), onward("HTTP/1.1 304 Not Modified\r\n", length, "")),
        kept("HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(), onward("HTTP/1.1 304 Not Modified\r\n", "", "")),
        to_head(kept(format!("{ok}{length}\r\n"), onward(ok, length, ""))),
        to_head(kept(format!("{ok}{chunked}\r\n"), onward(ok, "", ""))),
        to_head(kept(format!("{ok}\r\n"), onward(ok, "", ""))),
        // Hop by hop.
        kept(
            format!("{ok}Connection: keep-alive, X\r\nX: y\r\nKeep-Alive: timeout=60\r\nProxy-Authenticate: x\r\nUpgrade: h2c\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n{length}\r\nhello"),
            onward(&format!("{ok}Set-Cookie: a\r\nSet-Cookie: b\r\n"), length, "hello"),
        ),
        closed(format!("{ok}Connection: close\r\n{length}\r\nhello"), onward(ok, length, "hello")),
        closed(format!("{ok}Keep-Alive: timeout=1\r\n{length}\r\nhello"), onward(ok, length, "hello")),
        closed("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello".to_owned(), old(ok, length, "hello")),
        kept("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello".to_owned(), old(ok, length, "hello")),
        // Until the connection's end.
        ends(format!("{ok}\r\nhello"), onward(ok, chunked, hello)),
        ends("HTTP/1.0 200 OK\r\n\r\nhello".to_owned(), old(ok, chunked, hello)),
        ends(format!("{ok}\r\n"), onward(ok, chunked, "0\r\n\r\n")),
        ends(format!("{ok}Connection: keep-alive\r\n\r\nhello"), onward(ok, chunked, hello)),
    ])
    .await;
}

fn old(first: &str, framing: &str, body: &str) -> Vec<u8> {
    format!("{first}Via: 1.0 minato\r\n{framing}\r\n{body}").into_bytes()
}

#[tokio::test]
async fn interim_answers_go_before_the_final_one() {
    let end = "HTTP/1.1 204 No Content\r\n\r\n";
    let last = onward("HTTP/1.1 204 No Content\r\n", "", "");
    let with = |interim: &str, passed: &str| {
        let answer = [passed.as_bytes(), &last].concat();
        reply(
            format!("{interim}{end}"),
            Becomes::Answer(answer, Reuse::Kept),
        )
    };
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n";
    let to_old = Reply {
        asked: "GET / HTTP/1.0\r\nHost: a.test\r\nConnection: keep-alive\r\n\r\n",
        ..reply(
            format!("{hints}{end}"),
            Becomes::Answer(
                onward(
                    "HTTP/1.1 204 No Content\r\n",
                    "Connection: keep-alive\r\n",
                    "",
                ),
                Reuse::Kept,
            ),
        )
    };
    check_all([
        with(hints, hints),
        with(
            "HTTP/1.1 100 Continue\r\n\r\n",
            "HTTP/1.1 100 Continue\r\n\r\n",
        ),
        with(&hints.repeat(3), &hints.repeat(3)),
        with(
            "HTTP/1.1 102 Processing\r\nContent-Length: 5\r\nConnection: close\r\n\r\n",
            "HTTP/1.1 102 Processing\r\n\r\n",
        ),
        to_old,
    ])
    .await;
}

/// Nothing may pass for the answer to somebody's next request.
#[tokio::test]
async fn bytes_behind_an_answer_close_the_connection() {
    let mut replies = Vec::new();
    for (sent, answer) in [
        (
            "HTTP/1.1 204 No Content\r\n\r\n",
            onward("HTTP/1.1 204 No Content\r\n", "", ""),
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            onward("HTTP/1.1 200 OK\r\n", "Content-Length: 2\r\n", "ok"),
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            onward(
                "HTTP/1.1 200 OK\r\n",
                "Transfer-Encoding: chunked\r\n",
                "2\r\nok\r\n0\r\n\r\n",
            ),
        ),
    ] {
        for behind in [
            "X",
            "\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
        ] {
            let becomes = Becomes::Answer(answer.clone(), Reuse::Closed);
            replies.push(reply(format!("{sent}{behind}"), becomes));
        }
    }
    check_all(replies).await;
}

#[tokio::test]
async fn an_early_answer_is_the_last_of_its_connections() {
    let answer = onward(
        "HTTP/1.1 413 Too Large\r\n",
        "Content-Length: 3\r\nConnection: close\r\n",
        "no!",
    );
    check_all([Reply {
        asked: UPLOAD,
        ..reply(
            "HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nno!",
            Becomes::Answer(answer, Reuse::Closed),
        )
    }])
    .await;
}
