//! HPACK (RFC 7541): fields as few octets, by a table that both sides keep.

mod decoder;
mod encoder;
mod fixed;
mod huffman;
mod integer;
mod table;

pub use decoder::Decoder;
pub use encoder::Encoder;

use crate::Code;

/// Octets of a table at most, as RFC 7541 counts them; what every peer may use from the start.
pub(crate) const TABLE: usize = 4096;

/// A block that cannot be decoded; nor can any after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadBlock;

impl From<BadBlock> for Code {
    fn from(_: BadBlock) -> Self {
        Self::COMPRESSION_ERROR
    }
}

#[cfg(test)]
mod tests;
