//! Octets of a body that came and wait to be taken: at most a stream's window. Holds no memory while it is empty.

/// Memory that is kept from piece to piece while a body comes.
const KEPT: usize = 64 * 1024;

#[derive(Debug, Default)]
pub(super) struct Queue {
    bytes: Vec<u8>,
    start: usize,
}

impl Queue {
    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        // What was taken is dropped before more memory is asked for.
        if self.start > 0 && self.bytes.len() + bytes.len() > self.bytes.capacity() {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// The first octets, up to `most`, which [`Queue::drop_first`] takes away.
    pub(super) fn first(&self, most: usize) -> &[u8] {
        let end = self.bytes.len().min(self.start.saturating_add(most));
        self.bytes.get(self.start..end).unwrap_or_default()
    }

    pub(super) fn drop_first(&mut self, count: usize) {
        self.start = (self.start + count).min(self.bytes.len());
        if self.start == self.bytes.len() {
            self.start = 0;
            self.bytes.clear();
            if self.bytes.capacity() > KEPT {
                self.bytes = Vec::new();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out_in_order() {
        let mut queue = Queue::default();
        let (mut sent, mut taken) = (0_u32, 0_u32);
        for round in 0..2000_u32 {
            for _ in 0..round % 97 {
                queue.push(&sent.to_be_bytes());
                sent += 1;
            }
            for _ in 0..(round * 7) % 101 {
                let Ok(next) = <[u8; 4]>::try_from(queue.first(4)) else {
                    break;
                };
                assert_eq!(u32::from_be_bytes(next), taken);
                taken += 1;
                queue.drop_first(4);
            }
            assert_eq!(queue.len(), 4 * (sent - taken) as usize);
        }
        assert!(taken > 10_000, "{taken}");
        queue.drop_first(usize::MAX >> 1);
        assert!(queue.len() == 0 && queue.first(9).is_empty());
        queue.push(&vec![0; KEPT + 1]);
        queue.drop_first(KEPT + 1);
        assert_eq!(queue.bytes.capacity(), 0);
    }
}
