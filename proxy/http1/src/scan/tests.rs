use super::*;

/// At one look, and octet by octet, which must agree once the head has been read.
#[track_caller]
fn check(bytes: &[u8], expected: Result<Option<usize>, Refusal>) {
    let kind = |it: Result<Option<usize>, Refusal>| it.map_err(|it| std::mem::discriminant(&it));
    let whole = HeadScan::default().look(bytes);
    assert_eq!(kind(whole), kind(expected), "{:?}", text(bytes));
    let mut scan = HeadScan::default();
    let mut in_pieces = Ok(None);
    for end in 0..=bytes.len() {
        in_pieces = scan.look(&bytes[..end]);
        if in_pieces != Ok(None) {
            break;
        }
    }
    assert_eq!(kind(in_pieces), kind(expected), "{:?}", text(bytes));
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.get(..200).unwrap_or(bytes)).into_owned()
}

const MALFORMED: Result<Option<usize>, Refusal> = Err(Refusal::Malformed(""));

#[test]
fn a_head_ends_in_a_blank_line() {
    let head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    check(head, Ok(Some(head.len())));
    check(b"a\r\n\r\n", Ok(Some(5)));
    check(b"\r\na\r\n\r\n", Ok(Some(7)));
    check(b"a\tb\r\n\r\nc\n\0", Ok(Some(7)));
    for partial in [
        "",
        "\r",
        "\r\n",
        "G",
        "a\r\n",
        "a\r\n\r",
        "\r\na",
        "a\r\nb: c\r\n",
    ] {
        check(partial.as_bytes(), Ok(None));
    }
}

#[test]
fn what_is_no_head_is_refused_at_once() {
    for bytes in [
        "\n",
        "\r\r",
        "\ra",
        "\r\n\r\n",
        "a\n",
        "a\rb",
        "a\0",
        "a\x7f",
        "a\r\nb\n",
        "\x16\x03\x01",
    ] {
        check(bytes.as_bytes(), MALFORMED);
    }
}

#[test]
fn nothing_may_stand_before_a_response() {
    let look = |bytes: &[u8]| HeadScan::default().look_response(bytes);
    assert_eq!(look(b"HTTP/a\r\n\r\n"), Ok(Some(10)));
    for partial in [&b""[..], b"H", b"HTTP/", b"HTTP/1.1 200\r\n"] {
        assert_eq!(look(partial), Ok(None));
    }
    for other in [
        &b"\r"[..],
        b"\r\nHTTP/a\r\n\r\n",
        b"h",
        b"HTTQ",
        b"SSH-2.0",
        b"a\r\n\r\n",
    ] {
        assert!(look(other).is_err(), "{other:?}");
    }
}

#[test]
fn a_head_has_a_limit() {
    let with = |length: usize| [&b"a: "[..], &vec![b'b'; length], b"\r\n\r\n"].concat();
    let largest = with(MOST_HEAD_BYTES - 7);
    assert_eq!(largest.len(), MOST_HEAD_BYTES);
    check(&largest, Ok(Some(MOST_HEAD_BYTES)));
    check(&largest[..MOST_HEAD_BYTES - 1], Ok(None));
    for over in 1..5 {
        check(
            &with(MOST_HEAD_BYTES - 7 + over),
            Err(Refusal::HeadTooLarge),
        );
    }
    // What stands behind the limit decides nothing.
    let mut broken = with(MOST_HEAD_BYTES);
    broken[MOST_HEAD_BYTES] = 0;
    check(&broken, Err(Refusal::HeadTooLarge));
    broken[MOST_HEAD_BYTES - 1] = 0;
    check(&broken, MALFORMED);
}
