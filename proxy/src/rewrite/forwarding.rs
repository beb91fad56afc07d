//! Where a request came from: who is believed about it, and what the instance is told.

use std::fmt::Write as _;
use std::net::IpAddr;

/// Whether a peer is believed about earlier hops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// It is one of the operator's own proxies.
    Trusted,
    /// Anyone: what it says of earlier hops is dropped.
    Unknown,
}

/// Earlier hops that are handed on at most; of more, the last ones.
const HOPS: usize = 32;

/// Whether `peer` is in one of the blocks (address and length of the prefix in bits).
///
/// IPv4 and the IPv6 addresses that map it are the same. A prefix longer than the address takes nothing.
pub fn trusted(proxies: &[(IpAddr, u8)], peer: IpAddr) -> Trust {
    let peer = peer.to_canonical();
    if proxies
        .iter()
        .any(|(block, length)| holds(*block, *length, peer))
    {
        Trust::Trusted
    } else {
        Trust::Unknown
    }
}

/// The value of `X-Forwarded-For`: what a trusted peer received it with, then the peer.
pub fn forwarded_for<'a>(
    trust: Trust,
    peer: IpAddr,
    received: impl IntoIterator<Item = &'a [u8]>,
) -> String {
    let earlier: Vec<&str> = match trust {
        Trust::Trusted => hops(received).collect(),
        Trust::Unknown => Vec::new(),
    };
    let mut value = String::new();
    for hop in earlier.iter().skip(earlier.len().saturating_sub(HOPS)) {
        value.push_str(hop);
        value.push_str(", ");
    }
    // Writing to a String does not fail.
    let _ = write!(value, "{}", peer.to_canonical());
    value
}

/// The value of `X-Forwarded-Proto`: `http` or `https`, as a trusted peer says, else as `scheme` says, which is how we were reached.
pub fn forwarded_proto<'a>(trust: Trust, scheme: &'a str, received: Option<&[u8]>) -> &'a str {
    let known = ["http", "https"];
    let said = |value: &[u8]| {
        let value = value.trim_ascii();
        known
            .into_iter()
            .find(|it| it.as_bytes().eq_ignore_ascii_case(value))
    };
    match trust {
        Trust::Trusted => received.and_then(said).unwrap_or(scheme),
        Trust::Unknown => scheme,
    }
}

/// The value of `X-Forwarded-Host`: as a trusted peer says, where that is an authority, else the one of the request.
pub fn forwarded_host<'a>(trust: Trust, authority: &'a str, received: Option<&'a [u8]>) -> &'a str {
    let said = |value: &'a [u8]| {
        let value = std::str::from_utf8(value).ok()?.trim_ascii();
        crate::normalize_host(value).ok().map(|_| value)
    };
    match trust {
        Trust::Trusted => received.and_then(said).unwrap_or(authority),
        Trust::Unknown => authority,
    }
}

/// The client's address: the last one in `X-Forwarded-For` that is no trusted proxy, read from the end for as long as
/// each hop was trusted to name the one before it.
pub fn client_address<'a>(
    proxies: &[(IpAddr, u8)],
    peer: IpAddr,
    received: impl IntoIterator<Item = &'a [u8]>,
) -> IpAddr {
    let mut client = peer.to_canonical();
    if trusted(proxies, client) == Trust::Unknown {
        return client;
    }
    let earlier: Vec<&str> = hops(received).collect();
    for hop in earlier.iter().rev().take(HOPS) {
        let Ok(address) = hop.parse::<IpAddr>() else {
            break;
        };
        client = address.to_canonical();
        if trusted(proxies, client) == Trust::Unknown {
            break;
        }
    }
    client
}

/// Elements of the list, of visible ASCII only.
fn hops<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> impl Iterator<Item = &'a str> {
    values
        .into_iter()
        .flat_map(|value| value.split(|it| *it == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|it| !it.is_empty() && it.iter().all(u8::is_ascii_graphic))
        .filter_map(|it| std::str::from_utf8(it).ok())
}

fn holds(block: IpAddr, length: u8, peer: IpAddr) -> bool {
    let (block, length) = match (block, block.to_canonical()) {
        (IpAddr::V6(_), mapped @ IpAddr::V4(_)) if length >= 96 => (mapped, length - 96),
        (block, _) => (block, length),
    };
    match (block, peer) {
        (IpAddr::V4(block), IpAddr::V4(peer)) => {
            same_prefix(block.to_bits().into(), peer.to_bits().into(), 32, length)
        }
        (IpAddr::V6(block), IpAddr::V6(peer)) => {
            same_prefix(block.to_bits(), peer.to_bits(), 128, length)
        }
        _ => false,
    }
}

/// Whether the upper `length` of `bits` bits are equal.
fn same_prefix(one: u128, other: u128, bits: u32, length: u8) -> bool {
    let Some(rest) = bits.checked_sub(u32::from(length)) else {
        return false;
    };
    (one ^ other).checked_shr(rest).unwrap_or(0) == 0
}

#[cfg(test)]
mod tests {
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
        let value = |trust| forwarded_for(trust, peer, received);
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
        let value = forwarded_for(Trust::Trusted, ip("10.0.0.1"), [list.as_bytes()]);
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
            let client = client_address(&proxies, ip(peer), [received]);
            assert_eq!(client, ip(expected), "{peer} {received:?}");
        }
    }
}
