//! Memory for bytes in flight, lent by the core and given back as soon as it is empty: an idle connection holds none.

use std::cell::RefCell;

/// What a client's request is read into.
pub(crate) const SMALL: usize = 16 * 1024;
/// What bodies move through: the 64 KiB that systems and servers like to send at once, and the head before them.
pub(crate) const LARGE: usize = 68 * 1024;
/// Spare ones that are kept of each size.
const SPARE: usize = 64;

/// Bytes that were read and not yet used. Holds no memory until it is lent some.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Buffer {
    /// What was read.
    pub(crate) fn data(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    pub(crate) fn len(&self) -> usize {
        self.end - self.start
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Where more can be read to; empty where it is full or holds no memory.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.end..).unwrap_or_default()
    }

    /// So many bytes were put into [`Buffer::space`].
    pub(crate) fn filled(&mut self, count: usize) {
        self.end = (self.end + count).min(self.bytes.len());
    }

    /// The first bytes are used.
    pub(crate) fn consume(&mut self, count: usize) {
        self.start = (self.start + count).min(self.end);
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Whether nothing more can be read before some is used.
    pub(crate) fn is_full(&self) -> bool {
        self.len() == self.bytes.len() && !self.bytes.is_empty()
    }
}

/// The spare memory of one core.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    small: RefCell<Vec<Vec<u8>>>,
    large: RefCell<Vec<Vec<u8>>>,
}

impl Buffers {
    /// Makes room for a head: up to [`SMALL`], and [`LARGE`] where that is full.
    pub(crate) fn lend_small(&self, buffer: &mut Buffer) {
        if buffer.bytes.is_empty() {
            buffer.bytes = take(&self.small, SMALL);
        } else if buffer.is_full() && buffer.bytes.len() == SMALL {
            self.grow(buffer);
        } else {
            compact(buffer);
        }
    }

    /// Makes room for a piece of a body.
    pub(crate) fn lend_large(&self, buffer: &mut Buffer) {
        if buffer.bytes.is_empty() {
            buffer.bytes = take(&self.large, LARGE);
        } else if buffer.bytes.len() == SMALL {
            self.grow(buffer);
        } else {
            compact(buffer);
        }
    }

    /// Takes the memory back where nothing is in it.
    pub(crate) fn reclaim(&self, buffer: &mut Buffer) {
        if buffer.is_empty() && !buffer.bytes.is_empty() {
            self.give(std::mem::take(&mut buffer.bytes));
            (buffer.start, buffer.end) = (0, 0);
        }
    }

    /// Takes the memory back, whatever is in it.
    pub(crate) fn discard(&self, buffer: &mut Buffer) {
        (buffer.start, buffer.end) = (0, 0);
        self.reclaim(buffer);
    }

    fn grow(&self, buffer: &mut Buffer) {
        let mut bytes = take(&self.large, LARGE);
        let length = buffer.len();
        if let Some(room) = bytes.get_mut(..length) {
            room.copy_from_slice(buffer.data());
        }
        self.give(std::mem::replace(&mut buffer.bytes, bytes));
        (buffer.start, buffer.end) = (0, length);
    }

    fn give(&self, bytes: Vec<u8>) {
        let spare = if bytes.len() == SMALL {
            &self.small
        } else {
            &self.large
        };
        let mut spare = spare.borrow_mut();
        if spare.len() < SPARE {
            spare.push(bytes);
        }
    }
}

fn take(spare: &RefCell<Vec<Vec<u8>>>, size: usize) -> Vec<u8> {
    spare.borrow_mut().pop().unwrap_or_else(|| vec![0; size])
}

/// Moves what is left to the front where the room behind it has become small.
fn compact(buffer: &mut Buffer) {
    if buffer.start > 0 && buffer.bytes.len() - buffer.end < buffer.bytes.len() / 2 {
        buffer.bytes.copy_within(buffer.start..buffer.end, 0);
        (buffer.start, buffer.end) = (0, buffer.end - buffer.start);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(buffer: &mut Buffer, bytes: &[u8]) {
        buffer.space()[..bytes.len()].copy_from_slice(bytes);
        buffer.filled(bytes.len());
    }

    #[test]
    fn memory_is_held_only_while_something_is_in_it() {
        let buffers = Buffers::default();
        let mut buffer = Buffer::default();
        assert!(buffer.space().is_empty());
        buffers.lend_small(&mut buffer);
        fill(&mut buffer, b"abc");
        buffers.reclaim(&mut buffer);
        assert_eq!(buffer.data(), b"abc");
        buffer.consume(3);
        buffers.reclaim(&mut buffer);
        assert!(buffer.space().is_empty());
        assert_eq!(buffers.small.borrow().len(), 1);
    }

    #[test]
    fn what_is_read_survives_growing_and_moving() {
        let buffers = Buffers::default();
        let mut buffer = Buffer::default();
        buffers.lend_small(&mut buffer);
        let text: Vec<u8> = (0..SMALL).map(|it| (it % 251) as u8).collect();
        fill(&mut buffer, &text);
        assert!(buffer.is_full());
        buffer.consume(100);
        buffers.lend_small(&mut buffer);
        assert_eq!(buffer.data(), &text[100..]);
        buffers.lend_large(&mut buffer);
        assert_eq!(buffer.data(), &text[100..]);
        assert_eq!(buffer.space().len(), LARGE - SMALL + 100);
        buffer.consume(SMALL - 200);
        assert_eq!(buffer.data(), &text[SMALL - 100..]);
    }

    #[test]
    fn spare_memory_is_bounded() {
        let buffers = Buffers::default();
        let mut many: Vec<Buffer> = (0..SPARE + 5).map(|_| Buffer::default()).collect();
        many.iter_mut().for_each(|it| buffers.lend_large(it));
        many.iter_mut().for_each(|it| buffers.reclaim(it));
        assert_eq!(buffers.large.borrow().len(), SPARE);
    }
}
