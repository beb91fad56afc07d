use super::*;

/// As the connection does it: scan, then check.
fn judge(bytes: &[u8]) -> Result<Option<Framing>, Reason> {
    match HeadScan::default().look(bytes)? {
        Some(end) => check_request(&bytes[..end]).map(|it| Some(it.framing)),
        None => Ok(None),
    }
}

#[track_caller]
fn refused(bytes: &str, reason: Reason) {
    assert_eq!(judge(bytes.as_bytes()), Err(reason), "{bytes:?}");
    let mut scan = HeadScan::default();
    let mut in_pieces = Ok(None);
    for end in 1..=bytes.len() {
        in_pieces = scan.look(&bytes.as_bytes()[..end]);
        if !matches!(in_pieces, Ok(None)) {
            break;
        }
    }
    let in_pieces = in_pieces.and_then(|end| check_request(&bytes.as_bytes()[..end.unwrap()]));
    assert_eq!(
        in_pieces.map(|it| it.framing),
        Err(reason),
        "{bytes:?} byte by byte"
    );
}

#[test]
fn sound_heads_pass() {
    let plain = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(judge(plain.as_bytes()), Ok(Some(Framing::None)));
    assert_eq!(
        judge(format!("\r\n{plain}").as_bytes()),
        Ok(Some(Framing::None))
    );
    assert_eq!(
        judge(format!("{plain}body\n\0").as_bytes()),
        Ok(Some(Framing::None))
    );
    assert_eq!(judge(b"GET / HTTP/1.0\r\n\r\n"), Ok(Some(Framing::None)));
    let chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(judge(chunked.as_bytes()), Ok(Some(Framing::Chunked)));
    let twice = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n";
    assert_eq!(judge(twice.as_bytes()), Ok(Some(Framing::Length(3))));
    for partial in [
        "",
        "\r",
        "\r\n",
        "G",
        "GET / HTTP/1.1\r\nHost: a\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\r",
    ] {
        assert_eq!(judge(partial.as_bytes()), Ok(None), "{partial:?}");
    }
}

/// Every line of "HTTP/1 strictness" that a head can break.
#[test]
fn heads_with_two_meanings_are_refused() {
    for fields in [
        "Host: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n",
        "Host: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n",
        "Host: a\r\nContent-Length: 1, 1\r\n",
        "Host: a\r\nContent-Length: +1\r\n",
        "Host: a\r\nContent-Length:\r\n",
        "Host: a\r\nContent-Length: 18446744073709551616\r\n",
        "Host: a\r\nTransfer-Encoding: gzip\r\n",
        "Host: a\r\nTransfer-Encoding: gzip, chunked\r\n",
        "Host: a\r\nTransfer-Encoding: chunked, identity\r\n",
        "Host: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Host: a\rb\r\n",
        "Host: a\n",
        "Host: a\r\nx: y\n",
        "Host : a\r\n",
        " Host: a\r\n",
        "Host: a\r\n folded\r\n",
        "Host: a\r\n\tfolded\r\n",
        "Host: a\r\nnocolon\r\n",
        "Host: a\r\n: value\r\n",
        "Host: a\r\nx\x01: y\r\n",
        "Host: a\r\nx: \0\r\n",
        "Host: a\r\nx: \x7f\r\n",
        "Host: a\r\nHost: a\r\n",
        "x: y\r\n",
    ] {
        refused(
            &format!("GET / HTTP/1.1\r\n{fields}\r\n"),
            Reason::Malformed,
        );
    }
    for line in [
        "GET / HTTP/1.0\r\nTransfer-Encoding: chunked",
        "GET  / HTTP/1.1\r\nHost: a",
        "GET /  HTTP/1.1\r\nHost: a",
        "GET /a b HTTP/1.1\r\nHost: a",
        "GET /\tx HTTP/1.1\r\nHost: a",
        " GET / HTTP/1.1\r\nHost: a",
        "G(T / HTTP/1.1\r\nHost: a",
        "GET /",
        "GET / HTTP/11",
        "GET / http/1.1\r\nHost: a",
        "\r\n\r\nGET / HTTP/1.1\r\nHost: a",
    ] {
        refused(&format!("{line}\r\n\r\n"), Reason::Malformed);
    }
}

#[test]
fn what_is_not_served_says_so() {
    refused("GET / HTTP/1.2\r\nHost: a\r\n\r\n", Reason::Version);
    refused("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Reason::Version);
    refused("CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", Reason::Method);
    refused("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", Reason::Method);
    refused(
        "GET / HTTP/1.1\r\nHost: a\r\nExpect: cookies\r\n\r\n",
        Reason::Expectation,
    );
}

#[test]
fn a_head_past_the_limits_is_431() {
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(101));
    refused(&many, Reason::HeadTooLarge);
    let unfinished = format!("GET / HTTP/1.1\r\na: {}", "b".repeat(MOST_BYTES));
    assert_eq!(judge(unfinished.as_bytes()), Err(Reason::HeadTooLarge));
    let whole = format!("{unfinished}\r\n\r\n");
    assert_eq!(judge(whole.as_bytes()), Err(Reason::HeadTooLarge));
}

#[test]
fn answers_obey_the_same_rules() {
    let check = |head: &str| check_response(head.as_bytes(), &Method::GET);
    assert_eq!(
        check("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"),
        Ok(Framing::Length(3))
    );
    assert_eq!(check("HTTP/1.0 200\r\n\r\n"), Ok(Framing::UntilClose));
    assert_eq!(
        check("HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n"),
        Ok(Framing::None)
    );
    for head in [
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\nContent-Length: 3\n\n",
        "HTTP/1.1 200 OK\r\nContent-Length : 3\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx: y\r\n z\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
    ] {
        assert!(check(head).is_err(), "{head:?}");
    }
}
