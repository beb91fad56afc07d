use super::*;

/// Follows `input` in pieces that end at `cuts`; the data, and how many octets were the body's.
fn follow(
    framing: Framing,
    input: &[u8],
    cuts: &[usize],
) -> Result<(Vec<u8>, usize, BodyReader), BadBody> {
    let mut reader = BodyReader::new(framing);
    let (mut data, mut at) = (Vec::new(), 0);
    for end in cuts.iter().copied().chain([input.len()]) {
        loop {
            match reader.next(&input[at..end])? {
                Piece::Skip(count) => {
                    assert!(count > 0);
                    at += count;
                }
                Piece::Data(count) => {
                    assert!(count > 0);
                    data.extend_from_slice(&input[at..at + count]);
                    at += count;
                }
                Piece::More => break assert_eq!(at, end, "input left unread"),
                Piece::End => {
                    assert!(reader.is_done());
                    assert_eq!(reader.end(), Ok(()));
                    return Ok((data, at, reader));
                }
            }
        }
    }
    Ok((data, at, reader))
}

/// Whole, at every split point, and octet by octet: the same.
fn in_all_pieces(framing: Framing, input: &[u8]) -> Result<(Vec<u8>, usize, bool), BadBody> {
    let sum = |it: Result<(Vec<u8>, usize, BodyReader), BadBody>| {
        it.map(|it| (it.0, it.1, it.2.is_done()))
    };
    let whole = sum(follow(framing, input, &[]));
    let name = String::from_utf8_lossy(input);
    for cut in 0..=input.len() {
        assert_eq!(
            sum(follow(framing, input, &[cut])),
            whole,
            "{name:?} cut at {cut}"
        );
    }
    let each: Vec<usize> = (0..=input.len()).collect();
    assert_eq!(
        sum(follow(framing, input, &each)),
        whole,
        "{name:?} octet by octet"
    );
    whole
}

#[track_caller]
fn chunked(body: &str, data: &str, rest: &str) {
    let input = format!("{body}{rest}");
    let expected = (data.as_bytes().to_vec(), body.len(), true);
    assert_eq!(
        in_all_pieces(Framing::Chunked, input.as_bytes()),
        Ok(expected),
        "{body:?}"
    );
}

#[test]
fn sound_chunks_pass_in_any_pieces() {
    for rest in ["", "GET / HTTP/1.1\nanything\0"] {
        chunked("0\r\n\r\n", "", rest);
        chunked("5\r\nhello\r\n0\r\n\r\n", "hello", rest);
        chunked(
            "a;name=\"v\"\r\n0123456789\r\nF\r\n0123456789abcde\r\n000\r\n\r\n",
            "01234567890123456789abcde",
            rest,
        );
        chunked("1\r\n\n\r\n0\r\nX-Sum: 1\r\nY:\r\n\r\n", "\n", rest);
        chunked(
            "000000000000002\r\nhi\r\n0\t;\r\n\r\n"
                .replace("\t", "")
                .as_str(),
            "hi",
            rest,
        );
    }
}

#[test]
fn chunks_with_two_meanings_do_not() {
    for body in [
        "\r\n",
        ";x\r\n",
        " 5\r\nhello\r\n",
        "5 \r\nhello\r\n",
        "5\t\r\nhello\r\n",
        "5 ;x\r\nhello\r\n",
        "0x5\r\nhello\r\n",
        "+5\r\nhello\r\n",
        "-5\r\nhello\r\n",
        "g\r\n",
        "5_0\r\n",
        "5\nhello\r\n",
        "5\rhello\r\n",
        "5\r\rhello\r\n",
        "5;a\x01b\r\nhello\r\n",
        "5;a\x7fb\r\nhello\r\n",
        "5;a\nb\r\nhello\r\n",
        "5;a\rb\r\nhello\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello\r0\r\n\r\n",
        "5\r\nhello\r\n\r\n",
        "1111111111111111\r\n",
        "0\r\nContent-Length: 3\r\n\r\n",
        "0\r\ntransfer-Encoding: chunked\r\n\r\n",
        "0\r\nX : y\r\n\r\n",
        "0\r\n: y\r\n\r\n",
        "0\r\n x: y\r\n\r\n",
        "0\r\nx: y\r\n z\r\n\r\n",
        "0\r\nX: y\n\r\n",
        "0\r\nX: y\r\r\n\r\n",
        "0\r\nX: \0\r\n\r\n",
        "0\r\nnocolon\r\n\r\n",
        "0\r\n\n",
        "0\r\n\rx",
    ] {
        let got = in_all_pieces(Framing::Chunked, body.as_bytes());
        assert!(got.is_err(), "{body:?}: {got:?}");
    }
}

#[test]
fn once_broken_it_stays_broken() {
    let mut reader = BodyReader::new(Framing::Chunked);
    let why = reader.next(b"x").unwrap_err();
    assert_eq!(reader.next(b"0\r\n\r\n"), Err(why));
    assert_eq!(reader.next(b""), Err(why));
    assert!(reader.end().is_err() && !reader.is_done());
}

#[test]
fn other_bodies_end_where_they_say() {
    let data = |it: &str| it.as_bytes().to_vec();
    assert_eq!(in_all_pieces(Framing::None, b"x"), Ok((data(""), 0, true)));
    assert_eq!(
        in_all_pieces(Framing::Length(0), b"x"),
        Ok((data(""), 0, true))
    );
    assert_eq!(
        in_all_pieces(Framing::Length(3), b"abcx"),
        Ok((data("abc"), 3, true))
    );
    assert_eq!(
        in_all_pieces(Framing::Length(5), b"abc"),
        Ok((data("abc"), 3, false))
    );
    assert_eq!(
        in_all_pieces(Framing::Length(u64::MAX), b"abc"),
        Ok((data("abc"), 3, false))
    );
    assert_eq!(
        in_all_pieces(Framing::UntilClose, b"abc"),
        Ok((data("abc"), 3, false))
    );
}

#[test]
fn an_early_end_is_told_from_a_due_one() {
    let end = |framing, input: &[u8]| follow(framing, input, &[]).unwrap().2.end();
    assert_eq!(end(Framing::UntilClose, b"abc"), Ok(()));
    assert_eq!(end(Framing::Length(3), b"abc"), Ok(()));
    assert!(end(Framing::Length(4), b"abc").is_err());
    let whole = b"3\r\nabc\r\n0\r\nX: y\r\n\r\n";
    for cut in 0..whole.len() {
        assert!(end(Framing::Chunked, &whole[..cut]).is_err(), "{cut}");
    }
    assert_eq!(end(Framing::Chunked, whole), Ok(()));
    let mut open = BodyReader::new(Framing::UntilClose);
    assert_eq!(
        (open.is_done(), open.end(), open.is_done()),
        (false, Ok(()), true)
    );
    assert_eq!(open.next(b"x"), Ok(Piece::End));
}

#[test]
fn what_is_sure_to_come_is_known() {
    let mut reader = BodyReader::new(Framing::Length(5));
    assert_eq!(reader.sure(), 5);
    assert_eq!((reader.next(b"ab"), reader.sure()), (Ok(Piece::Data(2)), 3));
    let mut reader = BodyReader::new(Framing::Chunked);
    assert_eq!(reader.sure(), 0);
    assert_eq!(
        (reader.next(b"1F\r\n"), reader.sure()),
        (Ok(Piece::Skip(4)), 31)
    );
    assert_eq!((reader.next(b"a"), reader.sure()), (Ok(Piece::Data(1)), 30));
    // The rest of the chunk goes by elsewhere.
    reader.pass(29);
    assert_eq!(reader.sure(), 1);
    reader.pass(1);
    assert_eq!(
        (reader.sure(), reader.next(b"\r\n0\r\n\r\n")),
        (0, Ok(Piece::Skip(7)))
    );
    assert_eq!((reader.next(b""), reader.is_done()), (Ok(Piece::End), true));
    assert_eq!(BodyReader::new(Framing::UntilClose).sure(), u64::MAX);
}

#[test]
fn trailers_go_on_where_they_may() {
    let body = b"0\r\nX-Sum:  1 \r\ngrpc-status: 0\r\nHost: b\r\nConnection: x\r\nAuthorization: y\r\nSet-Cookie: a\r\n\
        X_Y: z\r\nX-Forwarded-For: 1\r\nContent-Type: a\r\nCache-Control: a\r\nTrailer: q\r\nx-sum: 2\r\nEmpty:\r\n\r\n";
    let each: Vec<usize> = (0..body.len()).collect();
    for cuts in [&[][..], &each] {
        let (_, _, reader) = follow(Framing::Chunked, body, cuts).unwrap();
        let trailers: Vec<_> = reader.trailers().collect();
        let expected: [(&[u8], &[u8]); 4] = [
            (b"X-Sum", b"1"),
            (b"grpc-status", b"0"),
            (b"x-sum", b"2"),
            (b"Empty", b""),
        ];
        assert_eq!(trailers, expected);
    }
    let (_, _, unfinished) = follow(Framing::Chunked, &body[..body.len() - 1], &[]).unwrap();
    assert_eq!(unfinished.trailers().count(), 0);
    assert_eq!(BodyReader::new(Framing::Length(0)).trailers().count(), 0);
}

#[test]
fn framing_has_bounds() {
    let follow =
        |input: &str| follow(Framing::Chunked, input.as_bytes(), &[]).map(|it| it.2.is_done());
    let lines = |count| format!("0\r\n{}\r\n", "A: b\r\n".repeat(count));
    assert_eq!(follow(&lines(100)), Ok(true));
    assert!(follow(&lines(101)).is_err());
    assert!(follow(&lines(100).replace("A:", "Host:")).is_ok());
    assert!(follow(&lines(101).replace("A:", "Host:")).is_err());
    assert!(follow(&format!("0\r\nA: {}\r\n\r\n", "b".repeat(32_000))).is_ok());
    assert!(follow(&format!("0\r\nA: {}", "b".repeat(33_000))).is_err());
    let extended = |count| {
        format!(
            "{}0\r\n\r\n",
            format!("1;{}\r\nx\r\n", "e".repeat(100)).repeat(count)
        )
    };
    assert_eq!(follow(&extended(163)), Ok(true));
    assert!(follow(&extended(164)).is_err());
}

#[test]
fn what_is_written_is_read() {
    for length in [
        1,
        9,
        10,
        15,
        16,
        255,
        256,
        4095,
        4096,
        65_535,
        65_536,
        usize::MAX,
    ] {
        let mut out = Vec::new();
        write_chunk_line(length, &mut out);
        assert_eq!(out, format!("{length:X}\r\n").as_bytes());
    }
    let mut out = Vec::new();
    write_chunk_line(0, &mut out);
    assert!(out.is_empty());
    write_chunk_line(3, &mut out);
    out.extend_from_slice(b"abc");
    out.extend_from_slice(CHUNK_END);
    let trailers: [(&[u8], &[u8]); 6] = [
        (b"x", b" y "),
        (b"host", b"b"),
        (b"a b", b"c"),
        (b"", b"c"),
        (b"z", b"a\r\nb: c"),
        (b"grpc-message", b""),
    ];
    write_last_chunk(trailers.into_iter(), &mut out);
    assert_eq!(out, b"3\r\nabc\r\n0\r\nx: y\r\ngrpc-message: \r\n\r\n");
    let mut plain = Vec::new();
    write_last_chunk(std::iter::empty(), &mut plain);
    assert_eq!(plain, LAST_CHUNK);
}
