//! Blocks of fields, encoded.
//!
//! A field goes into the table when it is sent for the second time: what differs from message to message (lengths, tags, ids)
//! would only drive out what does not.

use super::table::Table;
use super::{TABLE, fixed, huffman, integer};

/// Fields that are remembered by their hash; a power of two.
const SEEN: usize = 128;
/// Below this Huffman coding saves too little to be looked at.
const SHORT: usize = 8;

/// A field that was sent.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    hash: u32,
    /// In the table; 0 where it was not put in.
    number: u32,
}

/// One direction's encoder.
#[derive(Debug, Default)]
pub struct Encoder {
    table: Table,
    /// By hash; empty until there is something to remember.
    seen: Vec<Seen>,
    /// The lowest limit since the last block, where it was changed.
    lowered: Option<usize>,
}

impl Encoder {
    /// Octets of the table that the peer allows; never more than 4,096 are used.
    pub fn set_limit(&mut self, limit: u32) {
        let limit = TABLE.min(limit as usize);
        if limit == self.table.limit() {
            return;
        }
        self.table.set_limit(limit);
        self.lowered = Some(self.lowered.map_or(limit, |it| it.min(limit)));
    }

    /// Begins a block: says what changed of the table (RFC 7541 4.2).
    pub fn begin(&mut self, out: &mut Vec<u8>) {
        if let Some(lowest) = self.lowered.take() {
            let limit = self.table.limit();
            if lowest < limit {
                integer::write(0x20, 5, lowest, out);
            }
            integer::write(0x20, 5, limit, out);
        }
    }

    /// Writes `:status`, which has three digits.
    pub fn status(&mut self, status: u16, out: &mut Vec<u8>) {
        let number: u8 = match status {
            200 => 8,
            204 => 9,
            206 => 10,
            304 => 11,
            400 => 12,
            404 => 13,
            500 => 14,
            _ => {
                let [a, b, c] =
                    [status / 100, status / 10, status].map(|it| b'0' + (it % 10) as u8);
                return self.field(b":status", &[a, b, c], out);
            }
        };
        out.push(0x80 | number);
    }

    /// Writes a field; its name is in lower case.
    #[inline]
    pub fn field(&mut self, name: &[u8], value: &[u8], out: &mut Vec<u8>) {
        let of_name = fixed::hash(name, 0);
        let number = fixed::number_of(name, of_name);
        if is_secret(name) {
            return literal(0x10, 4, number, name, value, out);
        }
        // The highest bit, so that none is that of an empty place.
        let hash = fixed::hash(value, of_name) as u32 | 1 << 31;
        match self.look(hash, name, value) {
            Found::There(back) => integer::write(0x80, 7, fixed::COUNT + 1 + back, out),
            Found::Known(place) => {
                literal(0x40, 6, number, name, value, out);
                let inserted = self.table.insert(name, value);
                if let Some(seen) = self.seen.get_mut(place) {
                    seen.number = inserted.unwrap_or(0);
                }
            }
            Found::New => literal(0, 4, number, name, value, out),
        }
    }

    #[inline]
    fn look(&mut self, hash: u32, name: &[u8], value: &[u8]) -> Found {
        if self.seen.is_empty() {
            self.seen = vec![Seen::default(); SEEN];
        }
        let first = hash as usize % SEEN;
        let mut free = first;
        for place in [first, first ^ 1] {
            let seen = self.seen.get(place).copied().unwrap_or_default();
            let back = (seen.number != 0).then(|| self.table.back(seen.number));
            let back = back.flatten();
            if seen.hash != hash {
                if back.is_none() {
                    free = place;
                }
                continue;
            }
            return match back {
                Some(back) if self.table.field(back) == Some((name, value)) => Found::There(back),
                // Another with the same hash.
                Some(_) => Found::New,
                None => Found::Known(place),
            };
        }
        if let Some(place) = self.seen.get_mut(free) {
            *place = Seen { hash, number: 0 };
        }
        Found::New
    }
}

enum Found {
    /// So far back in the table.
    There(usize),
    /// It was sent before, and is remembered here.
    Known(usize),
    New,
}

/// What proves who somebody is stays out of every table (RFC 7541 7.1.3).
fn is_secret(name: &[u8]) -> bool {
    matches!(
        name,
        b"set-cookie" | b"cookie" | b"authorization" | b"proxy-authorization"
    )
}

fn literal(
    pattern: u8,
    prefix: u32,
    number: Option<usize>,
    name: &[u8],
    value: &[u8],
    out: &mut Vec<u8>,
) {
    integer::write(pattern, prefix, number.unwrap_or(0), out);
    if number.is_none() {
        string(name, out);
    }
    string(value, out);
}

fn string(text: &[u8], out: &mut Vec<u8>) {
    if text.len() >= SHORT {
        let length = huffman::encoded_length(text);
        if length < text.len() {
            integer::write(0x80, 7, length, out);
            return huffman::encode(text, out);
        }
    }
    integer::write(0, 7, text.len(), out);
    out.extend_from_slice(text);
}
