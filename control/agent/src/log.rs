//! Captured output: two files for each slot, `logs/<service>.<n>.log` and `.log.1`, the older one.

use minato_config::{ServiceName, SlotIndex};
use std::io;
use std::path::Path;

/// Where a reader that follows stands. Survives one rotation between two reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogCursor {
    inode: u64,
    offset: u64,
}

/// The last `lines` lines of a slot's output, oldest first, over all its runs that are kept. Bytes that are no UTF-8 are replaced.
///
/// An error of kind `NotFound` when nothing was ever captured.
pub fn logs(
    _data: &Path,
    _service: &ServiceName,
    _slot: SlotIndex,
    _lines: usize,
) -> io::Result<Vec<String>> {
    Ok(Vec::new())
}

/// Whole lines written after `cursor`, and where to go on; at most 256 KiB a call. `None` begins at the end.
pub fn logs_after(
    _data: &Path,
    _service: &ServiceName,
    _slot: SlotIndex,
    cursor: Option<LogCursor>,
) -> io::Result<(Vec<String>, LogCursor)> {
    Ok((Vec::new(), cursor.unwrap_or_default()))
}
