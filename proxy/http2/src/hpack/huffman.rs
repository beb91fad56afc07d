//! The code of RFC 7541 appendix B. It is canonical, so that the lengths of its symbols say all.

use super::BadBlock;

/// Bits of each octet's code.
const LENGTHS: [u8; 256] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28,
    28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5,
    5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6,
    6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22,
    23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22,
    21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20,
    22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19,
    21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22,
    22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
];
/// Bits of the longest code.
const LONGEST: usize = 30;

/// Codes of one length.
#[derive(Clone, Copy)]
struct Length {
    /// The first of them.
    first: u32,
    /// Where its symbol stands among all in order.
    place: u16,
    /// Past the last of them, as the highest bits of a word.
    limit: u32,
}

struct Tables {
    codes: [u32; 256],
    /// All octets, in the order of their codes.
    order: [u8; 256],
    lengths: [Length; LONGEST + 1],
    /// By the next eight bits: an octet and the length of its code; 0 where that is longer.
    short: [(u8, u8); 256],
}

static TABLES: Tables = tables();

const fn tables() -> Tables {
    let mut all = Tables {
        codes: [0; 256],
        order: [0; 256],
        lengths: [Length {
            first: 0,
            place: 0,
            limit: 0,
        }; LONGEST + 1],
        short: [(0, 0); 256],
    };
    let (mut code, mut place, mut length) = (0_u32, 0_u16, 1);
    while length <= LONGEST {
        code <<= 1;
        all.lengths[length].first = code;
        all.lengths[length].place = place;
        let mut octet = 0;
        while octet < 256 {
            if LENGTHS[octet] as usize == length {
                all.codes[octet] = code;
                all.order[place as usize] = octet as u8;
                if length <= 8 {
                    let mut at = (code as usize) << (8 - length);
                    let end = (code as usize + 1) << (8 - length);
                    while at < end {
                        all.short[at] = (octet as u8, length as u8);
                        at += 1;
                    }
                }
                code += 1;
                place += 1;
            }
            octet += 1;
        }
        all.lengths[length].limit = code << (32 - length);
        length += 1;
    }
    all
}

/// The octet whose code, of more than eight bits, stands highest in `bits`, and the length of that. None for what is only the
/// end of a string, which may not stand in one.
fn long(bits: u32) -> Option<(u8, u32)> {
    let mut length = 9;
    while length <= LONGEST {
        let one = TABLES.lengths[length];
        if bits < one.limit {
            let offset = (bits >> (32 - length)) - one.first;
            let octet = TABLES.order.get(usize::from(one.place) + offset as usize)?;
            return Some((*octet, length as u32));
        }
        length += 1;
    }
    None
}

/// Decodes all of `input` behind what is in `out`: at most 8 octets for each 5.
pub(super) fn decode(input: &[u8], out: &mut Vec<u8>) -> Result<(), BadBlock> {
    out.reserve(input.len() * 8 / 5 + 1);
    // What comes next stands highest.
    let mut window = 0_u64;
    let mut bits = 0_u32;
    let mut rest = input;
    loop {
        if bits < 32
            && let Some((block, behind)) = rest.split_first_chunk::<4>()
        {
            window |= u64::from(u32::from_be_bytes(*block)) << (32 - bits);
            (bits, rest) = (bits + 32, behind);
        }
        while bits <= 56
            && let Some((octet, behind)) = rest.split_first()
        {
            window |= u64::from(*octet) << (56 - bits);
            (bits, rest) = (bits + 8, behind);
        }
        // While the longest code is surely whole.
        while bits >= 32 {
            let (octet, length) = match TABLES.short[(window >> 56) as usize] {
                (_, 0) => long((window >> 32) as u32).ok_or(BadBlock)?,
                (octet, length) => (octet, u32::from(length)),
            };
            out.push(octet);
            window <<= length;
            bits -= length;
        }
        if rest.is_empty() {
            return decode_last(window, bits, out);
        }
    }
}

/// Decodes the last bits, fewer than 32, and looks at the padding: less than an octet of ones (RFC 7541 5.2).
fn decode_last(mut window: u64, mut bits: u32, out: &mut Vec<u8>) -> Result<(), BadBlock> {
    loop {
        let padded = window | (u64::MAX >> bits);
        if bits < 8 && padded == u64::MAX {
            return Ok(());
        }
        let (octet, length) = match TABLES.short[(padded >> 56) as usize] {
            (_, 0) => long((padded >> 32) as u32).ok_or(BadBlock)?,
            (octet, length) => (octet, u32::from(length)),
        };
        if length > bits {
            return Err(BadBlock);
        }
        out.push(octet);
        window <<= length;
        bits -= length;
    }
}

/// Octets that `text` takes.
pub(super) fn encoded_length(text: &[u8]) -> usize {
    let bits: usize = text
        .iter()
        .map(|it| usize::from(LENGTHS[usize::from(*it)]))
        .sum();
    bits.div_ceil(8)
}

/// Encodes `text` behind what is in `out`.
pub(super) fn encode(text: &[u8], out: &mut Vec<u8>) {
    // Lowest bits are the newest; never more than 7 are left over.
    let mut window = 0_u64;
    let mut bits = 0_u32;
    for octet in text {
        let length = u32::from(LENGTHS[usize::from(*octet)]);
        window = (window << length) | u64::from(TABLES.codes[usize::from(*octet)]);
        bits += length;
        while bits >= 8 {
            bits -= 8;
            out.push((window >> bits) as u8);
        }
    }
    if bits > 0 {
        let padding = 8 - bits;
        out.push(((window << padding) | ((1 << padding) - 1)) as u8);
    }
}
