//! What the peer says it wants (RFC 9113 6.5.2), as far as it matters to us.

use crate::frame::HIGHEST;
use crate::{Code, MOST_PAYLOAD};

pub(crate) const HEADER_TABLE_SIZE: u16 = 1;
pub(crate) const ENABLE_PUSH: u16 = 2;
pub(crate) const MAX_CONCURRENT_STREAMS: u16 = 3;
pub(crate) const INITIAL_WINDOW_SIZE: u16 = 4;
pub(crate) const MAX_FRAME_SIZE: u16 = 5;
pub(crate) const MAX_HEADER_LIST_SIZE: u16 = 6;

/// One setting that changes something here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Setting {
    /// Octets of the table that our encoder may use.
    Table(u32),
    /// The window that each stream begins with.
    Window(i32),
}

/// All that a payload of whole settings says, in order; an error where a value cannot be.
pub(crate) fn read(payload: &[u8]) -> impl Iterator<Item = Result<Setting, Code>> {
    payload.chunks_exact(6).filter_map(|one| {
        let [a, b, rest @ ..] = *one.first_chunk::<6>()?;
        let value = u32::from_be_bytes(rest);
        match u16::from_be_bytes([a, b]) {
            HEADER_TABLE_SIZE => Some(Ok(Setting::Table(value))),
            ENABLE_PUSH if value > 1 => Some(Err(Code::PROTOCOL_ERROR)),
            INITIAL_WINDOW_SIZE => Some(match i32::try_from(value) {
                Ok(window) => Ok(Setting::Window(window)),
                Err(_) => Err(Code::FLOW_CONTROL_ERROR),
            }),
            // Never more than what everybody takes is sent in one frame.
            MAX_FRAME_SIZE if !(MOST_PAYLOAD as u32..1 << 24).contains(&value) => {
                Some(Err(Code::PROTOCOL_ERROR))
            }
            _ => None,
        }
    })
}

/// A window made larger, or smaller; none where it is no window any more.
pub(crate) fn widened(window: i32, more: i64) -> Option<i32> {
    let sum = i64::from(window) + more;
    (sum <= i64::from(HIGHEST))
        .then(|| i32::try_from(sum).ok())
        .flatten()
}
