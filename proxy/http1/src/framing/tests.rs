use super::*;

type Case = (
    &'static [&'static [u8]],
    &'static [&'static [u8]],
    Result<Option<Framing>, &'static str>,
);

const LENGTH: &str = "Content-Length is not a number of octets";
const UNEQUAL: &str = "several Content-Length fields that differ";
const BESIDE: &str = "Content-Length beside Transfer-Encoding";
const CODING: &str = "Transfer-Encoding is not `chunked` alone";
const CODING_IN_1_0: &str = "Transfer-Encoding in HTTP/1.0";

const CASES: [Case; 26] = [
    (&[], &[], Ok(None)),
    (&[b"0"], &[], Ok(Some(Framing::Length(0)))),
    (&[b"5"], &[], Ok(Some(Framing::Length(5)))),
    (&[b" 5\t"], &[], Ok(Some(Framing::Length(5)))),
    (
        &[b"18446744073709551615"],
        &[],
        Ok(Some(Framing::Length(u64::MAX))),
    ),
    (&[b"5", b"5"], &[], Ok(Some(Framing::Length(5)))),
    (&[], &[b"chunked"], Ok(Some(Framing::Chunked))),
    (&[], &[b" Chunked "], Ok(Some(Framing::Chunked))),
    (&[b"18446744073709551616"], &[], Err(LENGTH)),
    (&[b""], &[], Err(LENGTH)),
    (&[b"+5"], &[], Err(LENGTH)),
    (&[b"-5"], &[], Err(LENGTH)),
    (&[b"0x5"], &[], Err(LENGTH)),
    (&[b"5 5"], &[], Err(LENGTH)),
    (&[b"5, 5"], &[], Err(LENGTH)),
    (&[b"5\x0b"], &[], Err(LENGTH)),
    (&[b"5", b"6"], &[], Err(UNEQUAL)),
    (&[b"5", b"05"], &[], Err(UNEQUAL)),
    (&[b"5"], &[b"chunked"], Err(BESIDE)),
    (&[b"0"], &[b"identity"], Err(BESIDE)),
    (&[], &[b""], Err(CODING)),
    (&[], &[b"identity"], Err(CODING)),
    (&[], &[b"gzip, chunked"], Err(CODING)),
    (&[], &[b"chunked, chunked"], Err(CODING)),
    (&[], &[b"chunked", b"chunked"], Err(CODING)),
    (&[], &[b"\x0bchunked"], Err(CODING)),
];

fn says(version: Version, case: &Case) -> Result<Option<Framing>, &'static str> {
    let copied = |values: &'static [&'static [u8]]| values.iter().copied();
    declared(version, copied(case.0), copied(case.1)).map_err(|fault| match fault {
        Fault::Malformed(why) => why,
        Fault::TooLarge => "too large",
    })
}

#[test]
fn a_message_ends_in_one_place_or_is_refused() {
    for case in CASES {
        assert_eq!(says(Version::Http11, &case), case.2, "{case:?}");
    }
}

#[test]
fn http_1_0_has_lengths_and_no_codings() {
    for case in CASES {
        let expected = match case.2 {
            Ok(Some(Framing::Chunked)) | Err(CODING) => Err(CODING_IN_1_0),
            other => other,
        };
        assert_eq!(says(Version::Http10, &case), expected, "{case:?}");
    }
}

#[test]
fn a_response_has_its_length_or_runs_until_close() {
    let chunked = Some(Framing::Chunked);
    assert_eq!(of_response(Method::Get, 200, None), Framing::UntilClose);
    assert_eq!(of_response(Method::Post, 502, chunked), Framing::Chunked);
    assert_eq!(of_response(Method::Head, 200, chunked), Framing::None);
    for status in [100, 101, 103, 199, 204, 304] {
        assert_eq!(of_response(Method::Get, status, chunked), Framing::None);
        assert_eq!(of_response(Method::Get, status, None), Framing::None);
    }
}
