//! Requests and answers that scripts are made of. Each carries a number of its own, so that none passes for another.

/// A request; `number` makes it unlike all others.
pub(super) fn request(word: u8, number: usize) -> Vec<u8> {
    let host = "HTTP/1.1\r\nHost: a.test\r\n";
    let text = match word % 24 {
        0 | 1 => format!("GET /{number} {host}\r\n"),
        2 => format!("POST /{number} {host}Content-Length: 5\r\n\r\n{number:05}"),
        3 => format!(
            "POST /{number} {host}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\nX-Sum: {number}\r\n\r\n"
        ),
        4 => format!("HEAD /{number} {host}\r\n"),
        5 => format!("GET /{number} HTTP/1.0\r\nHost: a.test\r\n\r\n"),
        6 => format!("GET /{number} HTTP/1.0\r\nHost: a.test\r\nConnection: keep-alive\r\n\r\n"),
        7 => format!("GET /{number} {host}Connection: close\r\n\r\n"),
        8 => format!(
            "GET /{number} {host}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\ntunnel {number}"
        ),
        9 => format!(
            "PUT /{number} {host}Expect: 100-continue\r\nContent-Length: 5\r\n\r\n{number:05}"
        ),
        10 => format!("PUT /{number} {host}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        11 => {
            let body = "x".repeat(30_000);
            format!("POST /{number} {host}Content-Length: 30000\r\n\r\n{body}")
        }
        12 => format!("DELETE /{number} {host}\r\n"),
        13 => format!("GET http://a.test/{number} {host}\r\n"),
        14 => format!("GET /{number} {host}X: {}\r\n\r\n", "y".repeat(20_000)),
        15 => format!("POST /{number} {host}\r\n"),
        16 => format!("GET /x/../{number}?a=/../b {host}\r\n"),
        17 => format!("OPTIONS * {host}X: {number}\r\n\r\n"),
        // Refused.
        18 => format!(
            "POST /{number} {host}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        ),
        19 => format!("GET /{number} {host}X: a\nb\r\n\r\n"),
        20 => {
            format!("POST /{number} {host}Transfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n")
        }
        21 => format!("GET /{number} HTTP/1.1\r\nHost: b.test\r\n\r\n"),
        22 => format!(
            "POST /{number} {host}Transfer-Encoding: chunked\r\n\r\n5\r\nhelloX\r\n0\r\n\r\n"
        ),
        _ => format!("TRACE /{number} {host}\r\n"),
    };
    text.into_bytes()
}

/// An answer; `number` makes its body unlike all others.
pub(super) fn answer(word: u8, number: usize) -> Vec<u8> {
    let (ok, length) = ("HTTP/1.1 200 OK\r\n", "Content-Length: 7\r\n");
    let text = match word % 24 {
        0..=2 => format!("{ok}{length}\r\nb{number:06}"),
        3 => format!(
            "{ok}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n7;x\r\nb{number:06}\r\n0\r\nX-Sum: 1\r\n\r\n"
        ),
        4 => "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
        5 => format!("HTTP/1.1 304 Not Modified\r\n{length}\r\n"),
        6 => format!("{ok}\r\nb{number:06}"),
        7 => "HTTP/1.1 100 Continue\r\n\r\n".to_owned(),
        8 => format!("HTTP/1.1 103 Early Hints\r\nX: {number}\r\n\r\n"),
        9 => format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nb{number:06}"
        ),
        10 => format!("{ok}{length}Connection: close\r\n\r\nb{number:06}"),
        11 => format!("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n{length}\r\nb{number:06}"),
        12 => format!("HTTP/1.0 200 OK\r\n\r\nb{number:06}"),
        13 => format!("HTTP/1.1 503 No\r\n{length}\r\nb{number:06}"),
        14 => {
            let body = "x".repeat(39_993);
            format!("{ok}Content-Length: 40000\r\n\r\nb{number:06}{body}")
        }
        15 => format!("{ok}{length}Keep-Alive: timeout=2\r\n\r\nb{number:06}"),
        16 => format!("{ok}Content-Type: text/event-stream\r\n\r\ndata: b{number:06}\n\n"),
        17 => format!("{ok}Content-Length: 0\r\nX: {number}\r\n\r\n"),
        // Against the rules, or more than one answer.
        18 => {
            format!("{ok}{length}Transfer-Encoding: chunked\r\n\r\n7\r\nb{number:06}\r\n0\r\n\r\n")
        }
        19 => format!("{ok}{length}\r\nb{number:06}HTTP/1.1 200 OK\r\n{length}\r\nevil{number:03}"),
        20 => format!("{ok}Transfer-Encoding: chunked\r\n\r\n7\r\nb{number:06}X\r\n0\r\n\r\n"),
        21 => format!("HTTP/1.1 200 OK\n{length}\nb{number:06}"),
        22 => format!("{ok}Content-Length: 9\r\n\r\nb{number:06}"),
        _ => format!("{ok}Transfer-Encoding: chunked\r\n\r\n7\r\nb{number:06}\r\n"),
    };
    text.into_bytes()
}
