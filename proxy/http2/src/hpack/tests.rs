//! The examples of RFC 7541 appendix C, and what must be refused.

use super::huffman;
use super::{BadBlock, Decoder, Encoder, fixed, integer};
use crate::{Code, MOST_LIST};
use loona_hpack as other;

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |it: &[u8]| u8::from_str_radix(std::str::from_utf8(it).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

/// `name: value` for each field.
fn decoded(decoder: &mut Decoder, block: &[u8]) -> Result<Vec<String>, Code> {
    let mut fields = Vec::new();
    decoder.decode(block, &mut |name, value| {
        let text = |it: &[u8]| String::from_utf8_lossy(it).into_owned();
        fields.push(format!("{}: {}", text(name), text(value)));
    })?;
    Ok(fields)
}

#[track_caller]
fn reads(decoder: &mut Decoder, hex: &str, expected: &[&str]) {
    assert_eq!(decoded(decoder, &bytes(hex)).unwrap(), expected);
}

#[test]
fn integers_of_c_1() {
    for (hex, prefix, number) in [("0a", 5, 10), ("1f9a0a", 5, 1337), ("2a", 8, 42)] {
        let block = bytes(hex);
        let mut rest = &block[..];
        assert_eq!(integer::read(prefix, &mut rest), Ok(number));
        assert!(rest.is_empty());
        let mut out = Vec::new();
        integer::write(0, prefix, number, &mut out);
        assert_eq!(out, block);
    }
    for prefix in 4..=7 {
        for number in (0..300).chain([4095, 4096, 16_383, 16_384, 1 << 20, 1 << 27]) {
            let mut out = Vec::new();
            integer::write(0, prefix, number, &mut out);
            let mut rest = &out[..];
            assert_eq!(integer::read(prefix, &mut rest), Ok(number));
            for end in 0..out.len() {
                assert_eq!(integer::read(prefix, &mut &out[..end]), Err(BadBlock));
            }
        }
    }
    assert_eq!(integer::read(7, &mut &[0xff; 40][..]), Err(BadBlock));
}

#[test]
fn single_fields_of_c_2() {
    let new = Decoder::default;
    let custom = "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572";
    let mut kept = new();
    reads(&mut kept, custom, &["custom-key: custom-header"]);
    reads(&mut kept, "be", &["custom-key: custom-header"]);
    let mut passed = new();
    reads(
        &mut passed,
        "040c 2f73 616d 706c 652f 7061 7468",
        &[":path: /sample/path"],
    );
    assert_eq!(decoded(&mut passed, &[0xbe]), Err(Code::COMPRESSION_ERROR));
    reads(
        &mut new(),
        "1008 7061 7373 776f 7264 0673 6563 7265 74",
        &["password: secret"],
    );
    reads(&mut new(), "82", &[":method: GET"]);
}

/// Of requests on one connection, without Huffman coding and with it.
#[test]
fn requests_of_c_3_and_c_4() {
    let pseudo = [
        ":method: GET",
        ":scheme: http",
        ":path: /",
        ":authority: www.example.com",
    ];
    let second = [&pseudo[..], &["cache-control: no-cache"]].concat();
    let third = [
        ":method: GET",
        ":scheme: https",
        ":path: /index.html",
        ":authority: www.example.com",
        "custom-key: custom-value",
    ];
    for [one, two, three] in [
        [
            "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
            "8286 84be 5808 6e6f 2d63 6163 6865",
            "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
        ],
        [
            "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
            "8286 84be 5886 a8eb 1064 9cbf",
            "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
        ],
    ] {
        let mut decoder = Decoder::default();
        reads(&mut decoder, one, &pseudo);
        reads(&mut decoder, two, &second);
        reads(&mut decoder, three, &third);
    }
}

/// Of answers, with a table of 256 octets that forgets.
#[test]
fn answers_of_c_5_and_c_6() {
    let first = [
        ":status: 302",
        "cache-control: private",
        "date: Mon, 21 Oct 2013 20:13:21 GMT",
        "location: https://www.example.com",
    ];
    let mut second = first;
    second[0] = ":status: 307";
    let third = [
        ":status: 200",
        "cache-control: private",
        "date: Mon, 21 Oct 2013 20:13:22 GMT",
        "location: https://www.example.com",
        "content-encoding: gzip",
        "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
    ];
    for [one, two, three] in [
        [
            "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d \
             546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
            "4803 3330 37c1 c0bf",
            "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 666f \
             6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b \
             2076 6572 7369 6f6e 3d31",
        ],
        [
            "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 \
             8f0b 97c8 e9ae 82ae 43d3",
            "4883 640e ffc1 c0bf",
            "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 \
             dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
        ],
    ] {
        let mut decoder = Decoder::default();
        // A table of 256 octets, as the examples have it.
        decoder.decode(&bytes("3fe1 01"), &mut |_, _| {}).unwrap();
        reads(&mut decoder, one, &first);
        reads(&mut decoder, two, &second);
        reads(&mut decoder, three, &third);
        // What was forgotten is not there any more.
        assert_eq!(
            decoded(&mut decoder, &[0x80 | 65]),
            Err(Code::COMPRESSION_ERROR)
        );
        reads(&mut decoder, "c0", &["date: Mon, 21 Oct 2013 20:13:22 GMT"]);
    }
}

#[test]
fn strings_that_are_none_are_refused() {
    let huffman = |value: &str| bytes(&format!("00 85f2b24a84ff {value}"));
    for (what, block) in [
        ("padding of eight bits", huffman("84 4950 9fff")),
        ("padding of zeros", huffman("83 4950 90")),
        (
            "the end of the string within it",
            huffman("87 4951 ffff fffa 7f"),
        ),
        (
            "longer than the block",
            bytes("0006 782d 7465 7374 7f20 7368"),
        ),
        ("an index of nothing", bytes("80")),
        ("an index past the tables", bytes("be")),
        ("a name past the tables", bytes("7e01 61")),
        ("an integer without end", vec![0xff; 12]),
        ("a size above what is allowed", bytes("3fe2 1f")),
        ("a size behind a field", bytes("8220")),
        ("a field that is cut off", bytes("40")),
    ] {
        assert_eq!(
            decoded(&mut Decoder::default(), &block),
            Err(Code::COMPRESSION_ERROR),
            "{what}"
        );
    }
    assert_eq!(
        decoded(&mut Decoder::default(), &huffman("83 4950 9f")).unwrap(),
        ["x-test: test"]
    );
}

/// Every octet alone, in pairs, and at random; each prefix of what is encoded is refused or shorter.
#[test]
fn huffman_coding_goes_both_ways() {
    let check = |text: &[u8]| {
        let mut coded = Vec::new();
        huffman::encode(text, &mut coded);
        assert_eq!(coded.len(), huffman::encoded_length(text), "{text:?}");
        let mut back = Vec::new();
        assert_eq!(huffman::decode(&coded, &mut back), Ok(()), "{text:?}");
        assert_eq!(back, text);
        for end in 0..coded.len() {
            let mut part = Vec::new();
            if huffman::decode(&coded[..end], &mut part).is_ok() {
                assert!(text.starts_with(&part) && part.len() < text.len());
            }
        }
    };
    for one in 0..=255 {
        check(&[one]);
        for two in 0..=255 {
            check(&[one, two]);
        }
    }
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..2000 {
        let text: Vec<u8> = (0..random.usize(..40)).map(|_| random.u8(..)).collect();
        check(&text);
    }
}

/// Any octets: what another decoder makes of them we make of them too, or refuse them.
#[test]
fn any_octets_are_decoded_as_another_does_or_refused() {
    let mut random = fastrand::Rng::with_seed(11);
    let mut both = 0;
    for _ in 0..200_000 {
        let block: Vec<u8> = (0..random.usize(1..12)).map(|_| random.u8(..)).collect();
        let mut fields = Vec::new();
        let ours = Decoder::default().decode(&block, &mut |name, value| {
            fields.push((name.to_vec(), value.to_vec()));
        });
        if let (Ok(()), Ok(theirs)) = (ours, other::Decoder::new().decode(&block)) {
            both += 1;
            assert_eq!(fields, theirs, "{block:?}");
        }
    }
    assert!(both > 5_000, "{both}");
}

#[test]
fn names_are_found_in_the_table_that_never_changes() {
    for (place, (name, _)) in fixed::FIELDS.iter().enumerate() {
        let number = fixed::number_of(name, fixed::hash(name, 0)).unwrap();
        assert!(number <= place + 1);
        assert_eq!(fixed::FIELDS[number - 1].0, *name);
    }
    for name in [&b""[..], b"x", b"dates", b"Date", b"content-lengti"] {
        assert_eq!(fixed::number_of(name, fixed::hash(name, 0)), None);
    }
}

/// Heads after heads through our encoder, another decoder and ours: nothing is lost, whatever the sizes of tables.
#[test]
fn what_is_encoded_is_decoded_the_same() {
    let mut random = fastrand::Rng::with_seed(3);
    for round in 0..60 {
        let mut encoder = Encoder::default();
        let (mut ours, mut theirs) = (Decoder::default(), other::Decoder::new());
        let names = [
            "date",
            "server",
            "x-a",
            "x-long-name-of-a-field",
            "set-cookie",
            "etag",
            ":status",
        ];
        for head in 0..200 {
            if round % 3 == 1 && random.u8(..20) == 0 {
                encoder.set_limit(random.u32(..6000));
                if random.bool() {
                    encoder.set_limit(random.u32(..6000));
                }
            }
            let fields: Vec<(Vec<u8>, Vec<u8>)> = (0..random.usize(1..12))
                .map(|_| {
                    let name = names[random.usize(..names.len())].as_bytes().to_vec();
                    let kinds = if round % 2 == 0 { 3 } else { 400 };
                    let value = format!("value {}", random.u32(..kinds)).repeat(random.usize(..9));
                    (name, value.into_bytes())
                })
                .collect();
            let mut block = Vec::new();
            encoder.begin(&mut block);
            for (name, value) in &fields {
                encoder.field(name, value, &mut block);
            }
            let mut seen = Vec::new();
            ours.decode(&block, &mut |name, value| {
                seen.push((name.to_vec(), value.to_vec()));
            })
            .unwrap();
            assert_eq!(seen, fields, "round {round}, head {head}");
            assert_eq!(
                theirs.decode(&block).unwrap(),
                fields,
                "round {round}, head {head}"
            );
        }
    }
}

/// Sent for the third time a field is an octet; what proves who somebody is never is, nor what always differs.
#[test]
fn what_comes_again_is_short() {
    let mut encoder = Encoder::default();
    let mut length = |name: &[u8], value: &[u8]| {
        let mut out = Vec::new();
        encoder.field(name, value, &mut out);
        out.len()
    };
    for round in 0..4 {
        let server = length(b"server", b"an instance");
        let own = length(b"x-own-name", b"its own value");
        let cookie = length(b"set-cookie", b"session=0123456789");
        let request = length(b"x-request-id", format!("{round:08}").as_bytes());
        assert_eq!(server == 1, round >= 2, "{round}");
        assert_eq!(own == 1, round >= 2, "{round}");
        assert!(cookie > 10 && request > 10);
    }
}

#[test]
fn statuses_are_three_digits() {
    for status in 100..=999 {
        let mut out = Vec::new();
        Encoder::default().status(status, &mut out);
        let fields = decoded(&mut Decoder::default(), &out).unwrap();
        assert_eq!(fields, [format!(":status: {status}")]);
    }
}

/// What is large in the table is named by an octet or two: the work of a block is bounded by what it is decoded to.
#[test]
fn a_block_is_not_decoded_without_end() {
    let mut large = vec![0x40];
    integer::write(0, 7, 4000, &mut large);
    large.extend([b'n'; 4000]);
    large.push(0);
    // The field itself; its name, not kept; its name, kept, so that it stands in the table again.
    for again in [&[0xbe][..], &[0x0f, 0x2f, 0], &[0x7e, 0]] {
        let mut decoder = Decoder::default();
        decoder.decode(&large, &mut |_, _| {}).unwrap();
        let mut octets = 0;
        let outcome = decoder.decode(&again.repeat(20_000), &mut |name, value| {
            octets += name.len() + value.len();
        });
        assert_eq!(outcome, Err(Code::ENHANCE_YOUR_CALM), "{again:?}");
        assert!((MOST_LIST..5 * MOST_LIST).contains(&octets), "{octets}");
    }
}
