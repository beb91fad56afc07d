use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn blocks(list: &[(&str, u8)]) -> Vec<(IpAddr, u8)> {
    list.iter()
        .map(|(text, length)| (ip(text), *length))
        .collect()
}

#[test]
fn a_peer_is_trusted_by_block() {
    type Blocks<'a> = &'a [(&'a str, u8)];
    let table: [(Blocks<'_>, &str, Trust); 15] = [
        (&[], "127.0.0.1", Trust::Unknown),
        (&[("127.0.0.1", 32)], "127.0.0.1", Trust::Trusted),
        (&[("127.0.0.1", 32)], "127.0.0.2", Trust::Unknown),
        (&[("10.0.0.0", 8)], "10.255.0.1", Trust::Trusted),
        (&[("10.0.0.0", 8)], "11.0.0.0", Trust::Unknown),
        (&[("10.0.0.128", 25)], "10.0.0.127", Trust::Unknown),
        (&[("0.0.0.0", 0)], "203.0.113.9", Trust::Trusted),
        (&[("0.0.0.0", 0)], "2001:db8::1", Trust::Unknown),
        (&[("::", 0)], "2001:db8::1", Trust::Trusted),
        (&[("2001:db8::", 32)], "2001:db8:1::1", Trust::Trusted),
        (&[("2001:db8::", 32)], "2001:db9::1", Trust::Unknown),
        (&[("10.0.0.0", 8)], "::ffff:10.1.1.1", Trust::Trusted),
        (&[("::ffff:10.0.0.0", 104)], "10.1.1.1", Trust::Trusted),
        (&[("10.0.0.1", 33)], "10.0.0.1", Trust::Unknown),
        (&[("::1", 200)], "::1", Trust::Unknown),
    ];
    for (list, peer, expected) in table {
        assert_eq!(
            trusted(&blocks(list), ip(peer)),
            expected,
            "{list:?} {peer}"
        );
    }
}

#[test]
fn only_a_trusted_peer_is_believed_about_earlier_hops() {
    let received: [&[u8]; 2] = [b"198.51.100.1, unknown", b" 10.0.0.3,,\x01bad"];
    let peer = ip("::ffff:10.0.0.9");
    let value = |trust| forwarded_for(trust, peer, received.into_iter());
    assert_eq!(value(Trust::Unknown), "10.0.0.9");
    assert_eq!(
        value(Trust::Trusted),
        "198.51.100.1, unknown, 10.0.0.3, 10.0.0.9"
    );

    assert_eq!(
        forwarded_proto(Trust::Unknown, "http", Some(b"https")),
        "http"
    );
    assert_eq!(
        forwarded_proto(Trust::Trusted, "http", Some(b" HTTPS")),
        "https"
    );
    assert_eq!(
        forwarded_proto(Trust::Trusted, "http", Some(b"https, http")),
        "http"
    );
    assert_eq!(forwarded_proto(Trust::Trusted, "https", None), "https");

    let host = |trust, said: &'static [u8]| forwarded_host(trust, "a.test:8080", Some(said));
    assert_eq!(host(Trust::Unknown, b"b.test"), "a.test:8080");
    assert_eq!(host(Trust::Trusted, b"b.test:81"), "b.test:81");
    assert_eq!(host(Trust::Trusted, b"b.test, c.test"), "a.test:8080");
}

#[test]
fn a_chain_that_grows_without_end_is_cut_at_its_old_side() {
    let list = (0..100)
        .map(|it| format!("192.0.2.{it}"))
        .collect::<Vec<_>>()
        .join(",");
    let value = forwarded_for(
        Trust::Trusted,
        ip("10.0.0.1"),
        [list.as_bytes()].into_iter(),
    );
    let hops: Vec<_> = value.split(", ").collect();
    assert_eq!(hops.len(), HOPS + 1);
    assert_eq!(hops.first(), Some(&"192.0.2.68"));
    assert_eq!(hops.last(), Some(&"10.0.0.1"));
}

#[test]
fn the_client_is_the_last_hop_that_is_not_ours() {
    let proxies = blocks(&[("10.0.0.0", 8)]);
    let table: [(&str, &[u8], &str); 7] = [
        ("203.0.113.5", b"1.1.1.1", "203.0.113.5"),
        ("10.0.0.1", b"", "10.0.0.1"),
        ("10.0.0.1", b"198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", b"1.1.1.1, 198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", b"198.51.100.1, 10.0.0.2", "198.51.100.1"),
        ("10.0.0.1", b"10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", b"1.1.1.1, unknown, 10.0.0.2", "10.0.0.2"),
    ];
    for (peer, received, expected) in table {
        let client = client_address(&proxies, ip(peer), [received].into_iter());
        assert_eq!(client, ip(expected), "{peer} {received:?}");
    }
}
