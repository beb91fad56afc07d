//! Blocks of fields, decoded.

use super::table::Table;
use super::{BadBlock, TABLE, fixed, huffman, integer};
use crate::{Code, MOST_LIST};

/// Octets of memory that are kept for the next string.
const KEPT: usize = 4 * 1024;

/// Octets that a block is decoded to at most, each field counted with 32 more. A field of the table takes an octet to name and
/// thousands to copy, so that the length of a block bounds no work.
const MOST_DECODED: usize = 4 * MOST_LIST;
/// What is counted for each field beside its octets.
const OF_FIELD: usize = 32;

/// One direction's decoder.
#[derive(Debug, Default)]
pub struct Decoder {
    table: Table,
    /// A name and a value that do not stand in the block as they are.
    name: Vec<u8>,
    value: Vec<u8>,
}

impl Decoder {
    /// Decodes a whole block; each field goes to `each` in order.
    ///
    /// # Errors
    ///
    /// Why the connection has to end: nothing more can be decoded.
    pub fn decode(
        &mut self,
        block: &[u8],
        each: &mut impl FnMut(&[u8], &[u8]),
    ) -> Result<(), Code> {
        let mut rest = block;
        let mut is_first = true;
        let mut left = MOST_DECODED;
        while let [first, ..] = *rest {
            let size = if first & 0x80 != 0 {
                let index = integer::read(7, &mut rest)?;
                let (name, value) = self.field(index)?;
                each(name, value);
                name.len() + value.len()
            } else if first & 0x40 != 0 {
                self.literal(6, Keep::Indexed, &mut rest, each)?
            } else if first & 0x20 != 0 {
                // Only before the first field (RFC 7541 4.2).
                let limit = integer::read(5, &mut rest)?;
                if !is_first || limit > TABLE {
                    return Err(BadBlock.into());
                }
                self.table.set_limit(limit);
                continue;
            } else {
                self.literal(4, Keep::Not, &mut rest, each)?
            };
            is_first = false;
            let after = left.checked_sub(size + OF_FIELD);
            left = after.ok_or(Code::ENHANCE_YOUR_CALM)?;
        }
        for one in [&mut self.name, &mut self.value] {
            if one.capacity() > KEPT {
                *one = Vec::new();
            }
        }
        Ok(())
    }

    /// Gives back all memory but the table's.
    pub(crate) fn release(&mut self) {
        (self.name, self.value) = (Vec::new(), Vec::new());
    }

    #[inline]
    fn field(&self, index: usize) -> Result<(&[u8], &[u8]), BadBlock> {
        match index {
            0 => Err(BadBlock),
            1..=fixed::COUNT => Ok(fixed::FIELDS[index - 1]),
            _ => self.table.field(index - fixed::COUNT - 1).ok_or(BadBlock),
        }
    }

    /// The octets of its name and value.
    fn literal(
        &mut self,
        prefix: u32,
        keep: Keep,
        rest: &mut &[u8],
        each: &mut impl FnMut(&[u8], &[u8]),
    ) -> Result<usize, BadBlock> {
        let index = integer::read(prefix, rest)?;
        let (mut own_name, mut own_value) = (
            std::mem::take(&mut self.name),
            std::mem::take(&mut self.value),
        );
        let name: &[u8] = match index {
            0 => string(rest, &mut own_name)?,
            1..=fixed::COUNT => fixed::FIELDS[index - 1].0,
            _ => {
                // To put the new one in may forget the one that it is named after.
                own_name.clear();
                own_name.extend_from_slice(self.field(index)?.0);
                &own_name
            }
        };
        let value = string(rest, &mut own_value)?;
        each(name, value);
        let size = name.len() + value.len();
        if keep == Keep::Indexed {
            self.table.insert(name, value);
        }
        (self.name, self.value) = (own_name, own_value);
        Ok(size)
    }
}

/// Whether a field goes into the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keep {
    Indexed,
    Not,
}

/// The string that `rest` begins with, which it takes away; decoded into `own` where it has to be.
#[inline]
fn string<'b, 'x: 'b>(rest: &mut &'x [u8], own: &'b mut Vec<u8>) -> Result<&'b [u8], BadBlock> {
    let is_coded = rest.first().is_some_and(|it| it & 0x80 != 0);
    let length = integer::read(7, rest)?;
    let (text, behind) = rest.split_at_checked(length).ok_or(BadBlock)?;
    *rest = behind;
    if !is_coded {
        return Ok(text);
    }
    own.clear();
    huffman::decode(text, own)?;
    Ok(own)
}
