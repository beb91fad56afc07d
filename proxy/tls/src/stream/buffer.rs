//! Buffers that connections borrow while bytes are in flight, from a pool of each thread's own.
//!
//! An idle connection holds none. Contents are not cleared in between: what is read back is only what was written.

use std::cell::RefCell;

/// Bytes of a pooled buffer: four whole records with what surrounds them, and the longest handshake message.
pub(super) const POOLED_BYTES: usize = 68 * 1024;
/// Pooled buffers that a thread keeps.
const MOST_POOLED: usize = 32;
/// What is left over while a connection waits keeps its pooled buffer if it is at least this much of it.
const WORTH_KEEPING: usize = POOLED_BYTES / 4;

thread_local! {
    static POOL: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

fn borrow() -> Vec<u8> {
    let pooled = POOL.with(|it| it.borrow_mut().pop());
    pooled.unwrap_or_else(|| vec![0; POOLED_BYTES])
}

fn give_back(buffer: Vec<u8>) {
    if buffer.len() != POOLED_BYTES {
        return;
    }
    // The thread may be ending, and its pool gone.
    let _ = POOL.try_with(|it| {
        let mut pool = it.borrow_mut();
        if pool.len() < MOST_POOLED {
            pool.push(buffer);
        }
    });
}

/// Bytes that came in one order and leave in the same; memory only while there are any.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// Empty, a pooled one, or one that just fits.
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Queue {
    pub(super) fn len(&self) -> usize {
        self.end - self.start
    }

    pub(super) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    pub(super) fn filled(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.start..self.end).unwrap_or_default()
    }

    /// Takes `count` bytes off the front.
    pub(super) fn discard(&mut self, count: usize) {
        self.start = (self.start + count).min(self.end);
        if self.is_empty() {
            self.release();
        }
    }

    /// Room behind what is there: at most `wanted` bytes, none where the buffer is full. [`Queue::add`] says how much was used.
    pub(super) fn room(&mut self, wanted: usize) -> &mut [u8] {
        if self.bytes.len() < POOLED_BYTES {
            let mut pooled = borrow();
            let len = self.len();
            if let Some(to) = pooled.get_mut(..len) {
                to.copy_from_slice(self.filled());
            }
            (self.bytes, self.start, self.end) = (pooled, 0, len);
        }
        if self.start > 0 && self.bytes.len() - self.end < wanted {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.len());
        }
        let last = self.bytes.len().min(self.end + wanted);
        self.bytes.get_mut(self.end..last).unwrap_or_default()
    }

    /// As [`Queue::room`], but all of `wanted`, whatever the pool's size.
    pub(super) fn room_for(&mut self, wanted: usize) -> &mut [u8] {
        if self.room(wanted).len() < wanted {
            let mut larger = vec![0; self.len() + wanted];
            let len = self.len();
            if let Some(to) = larger.get_mut(..len) {
                to.copy_from_slice(self.filled());
            }
            give_back(std::mem::replace(&mut self.bytes, larger));
            (self.start, self.end) = (0, len);
        }
        let end = self.end;
        self.bytes.get_mut(end..end + wanted).unwrap_or_default()
    }

    /// Counts in what was written to the room.
    pub(super) fn add(&mut self, count: usize) {
        self.end = (self.end + count).min(self.bytes.len());
        if self.is_empty() {
            self.release();
        }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.room_for(bytes.len()).copy_from_slice(bytes);
        self.add(bytes.len());
    }

    /// Nothing more comes for now: little that is left moves to memory that just fits, so that a peer holds no more of ours
    /// than it sent.
    pub(super) fn rest(&mut self) {
        let len = self.len();
        if len > 0 && len < WORTH_KEEPING && self.bytes.len() == POOLED_BYTES {
            let rest = self.filled().to_vec();
            give_back(std::mem::replace(&mut self.bytes, rest));
            (self.start, self.end) = (0, len);
        }
    }

    fn release(&mut self) {
        give_back(std::mem::take(&mut self.bytes));
        (self.start, self.end) = (0, 0);
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(queue: &mut Queue) -> Vec<u8> {
        queue.filled().to_vec()
    }

    #[test]
    fn bytes_leave_in_the_order_in_which_they_came() {
        let mut queue = Queue::default();
        let mut model: Vec<u8> = Vec::new();
        let mut random = fastrand::Rng::with_seed(1);
        let mut next = 0u8;
        for _ in 0..20_000 {
            match random.u8(0..5) {
                0 | 1 => {
                    let count = random.usize(0..40_000);
                    let room = queue.room(count);
                    let used = random.usize(0..=room.len());
                    for it in room.iter_mut().take(used) {
                        *it = next;
                        next = next.wrapping_add(1);
                        model.push(*it);
                    }
                    queue.add(used);
                }
                2 => queue.rest(),
                3 => {
                    let count = random.usize(0..=model.len());
                    queue.discard(count);
                    model.drain(..count);
                }
                _ => {
                    let count = random.usize(0..100);
                    let bytes = vec![next; count];
                    queue.push(&bytes);
                    model.extend(bytes);
                }
            }
            assert_eq!(queue.len(), model.len());
            if random.u8(0..20) == 0 {
                assert_eq!(text(&mut queue), model);
            }
        }
    }

    #[test]
    fn an_empty_queue_holds_no_memory_and_a_short_rest_only_its_own() {
        let mut queue = Queue::default();
        queue.push(b"hello");
        assert_eq!(queue.bytes.len(), POOLED_BYTES);
        queue.rest();
        assert_eq!(queue.bytes.capacity(), 5);
        assert_eq!(text(&mut queue), b"hello");
        queue.room(10);
        assert_eq!(text(&mut queue), b"hello");
        queue.discard(5);
        assert_eq!(queue.bytes.capacity(), 0);
    }

    #[test]
    fn a_thread_keeps_a_bounded_number() {
        let queues: Vec<_> = (0..2 * MOST_POOLED)
            .map(|_| {
                let mut queue = Queue::default();
                queue.push(b"x");
                queue
            })
            .collect();
        drop(queues);
        assert_eq!(POOL.with(|it| it.borrow().len()), MOST_POOLED);
    }
}
