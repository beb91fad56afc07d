//! Where a request came from: who is believed about it, and what the instance is told.

use crate::octets::elements;
use crate::scratch::Scratch;
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
    received: impl Iterator<Item = &'a [u8]> + Clone,
) -> String {
    let value = chain(trust, peer, received);
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

/// As [`forwarded_for`]; allocates only what is longer than usual.
pub(crate) fn chain<'a>(
    trust: Trust,
    peer: IpAddr,
    received: impl Iterator<Item = &'a [u8]> + Clone,
) -> Scratch {
    let mut value = Scratch::new();
    if trust == Trust::Trusted {
        let count = hops(received.clone()).count();
        for hop in hops(received).skip(count.saturating_sub(HOPS)) {
            value.push(hop.as_bytes());
            value.push(b", ");
        }
    }
    value.push_address(peer);
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
    received: impl Iterator<Item = &'a [u8]>,
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
fn hops<'a>(values: impl Iterator<Item = &'a [u8]>) -> impl Iterator<Item = &'a str> {
    values
        .flat_map(elements)
        .filter(|it| it.iter().all(u8::is_ascii_graphic))
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
mod tests;
