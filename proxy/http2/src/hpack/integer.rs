//! Integers of HPACK (RFC 7541 5.1).

use super::BadBlock;

/// Octets behind the first at most: 28 bits, far above anything that is allowed.
const MOST: u32 = 4;

/// The number whose lowest `prefix` bits stand in the first octet of `bytes`, which it takes away.
#[inline]
pub(super) fn read(prefix: u32, bytes: &mut &[u8]) -> Result<usize, BadBlock> {
    let (first, rest) = bytes.split_first().ok_or(BadBlock)?;
    *bytes = rest;
    let mask = (1_usize << prefix) - 1;
    let start = usize::from(*first) & mask;
    if start < mask {
        return Ok(start);
    }
    let mut number = start;
    for place in 0..MOST {
        let (octet, rest) = bytes.split_first().ok_or(BadBlock)?;
        *bytes = rest;
        number += usize::from(octet & 0x7f) << (7 * place);
        if octet & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(BadBlock)
}

/// Writes a number behind the bits of `pattern`.
#[inline]
pub(super) fn write(pattern: u8, prefix: u32, number: usize, out: &mut Vec<u8>) {
    let mask = (1_usize << prefix) - 1;
    if number < mask {
        out.push(pattern | number as u8);
        return;
    }
    out.push(pattern | mask as u8);
    let mut rest = number - mask;
    while rest >= 0x80 {
        out.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}
