//! Error codes (RFC 9113 7).

use std::fmt;

/// Why a stream or a connection ends. Unknown codes mean nothing special.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Code(pub u32);

impl Code {
    /// In order.
    pub const NO_ERROR: Self = Self(0);
    /// The rules were broken, in no way that has a code of its own.
    pub const PROTOCOL_ERROR: Self = Self(1);
    /// Something unexpected on our side.
    pub const INTERNAL_ERROR: Self = Self(2);
    /// More came than there was room for, or the room is too large to be one.
    pub const FLOW_CONTROL_ERROR: Self = Self(3);
    /// A frame on a stream that is over.
    pub const STREAM_CLOSED: Self = Self(5);
    /// A frame of a size that it cannot have.
    pub const FRAME_SIZE_ERROR: Self = Self(6);
    /// Nothing was done with the request.
    pub const REFUSED_STREAM: Self = Self(7);
    /// Not wanted any more.
    pub const CANCEL: Self = Self(8);
    /// A block of fields that cannot be decoded, so that no later one can.
    pub const COMPRESSION_ERROR: Self = Self(9);
    /// The peer makes work instead of asking.
    pub const ENHANCE_YOUR_CALM: Self = Self(11);

    /// Its name, where it has one.
    pub fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::NO_ERROR => "NO_ERROR",
            Self::PROTOCOL_ERROR => "PROTOCOL_ERROR",
            Self::INTERNAL_ERROR => "INTERNAL_ERROR",
            Self::FLOW_CONTROL_ERROR => "FLOW_CONTROL_ERROR",
            Self::STREAM_CLOSED => "STREAM_CLOSED",
            Self::FRAME_SIZE_ERROR => "FRAME_SIZE_ERROR",
            Self::REFUSED_STREAM => "REFUSED_STREAM",
            Self::CANCEL => "CANCEL",
            Self::COMPRESSION_ERROR => "COMPRESSION_ERROR",
            Self::ENHANCE_YOUR_CALM => "ENHANCE_YOUR_CALM",
            _ => return None,
        })
    }
}

impl fmt::Display for Code {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => formatter.write_str(name),
            None => write!(formatter, "code {}", self.0),
        }
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}
