//! The table that both sides keep (RFC 7541 2.3.2, 4): fields in the order they came, the oldest forgotten first.

use super::TABLE;
use std::collections::VecDeque;

/// What each field counts beside its octets.
const OF_FIELD: usize = 32;

/// Where a field stands, counted from the first octet that was ever put in.
#[derive(Debug, Clone, Copy)]
struct Entry {
    at: usize,
    name: u16,
    value: u16,
}

impl Entry {
    fn size(self) -> usize {
        self.length() + OF_FIELD
    }

    fn length(self) -> usize {
        usize::from(self.name) + usize::from(self.value)
    }
}

/// Holds no memory until something is put in; at most twice [`TABLE`] octets.
#[derive(Debug)]
pub(super) struct Table {
    /// Oldest first.
    entries: VecDeque<Entry>,
    /// Their octets, and before them some of those that were forgotten.
    bytes: Vec<u8>,
    /// What `bytes` begin with, counted as in entries.
    base: usize,
    size: usize,
    limit: usize,
    /// How many were ever put in.
    inserted: u32,
}

impl Default for Table {
    fn default() -> Self {
        Self {
            entries: VecDeque::new(),
            bytes: Vec::new(),
            base: 0,
            size: 0,
            limit: TABLE,
            inserted: 0,
        }
    }
}

impl Table {
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// Octets at most, up to [`TABLE`].
    pub(super) fn set_limit(&mut self, limit: usize) {
        self.limit = limit.min(TABLE);
        self.evict(self.limit);
    }

    /// The field that was put in as the `back`th before the newest.
    #[inline]
    pub(super) fn field(&self, back: usize) -> Option<(&[u8], &[u8])> {
        let place = self.entries.len().checked_sub(back + 1)?;
        let entry = self.entries.get(place)?;
        let start = entry.at - self.base;
        let octets = self.bytes.get(start..start + entry.length())?;
        octets.split_at_checked(usize::from(entry.name))
    }

    /// Puts in a field, and forgets what it takes the place of; the number that it can be found by. None where it is larger
    /// than the table, which is empty then.
    pub(super) fn insert(&mut self, name: &[u8], value: &[u8]) -> Option<u32> {
        let size = name.len() + value.len() + OF_FIELD;
        self.evict(self.limit.saturating_sub(size));
        if size > self.limit {
            return None;
        }
        self.compact();
        let entry = Entry {
            at: self.base + self.bytes.len(),
            // Below the limit, which is 4,096.
            name: name.len() as u16,
            value: value.len() as u16,
        };
        self.bytes.extend_from_slice(name);
        self.bytes.extend_from_slice(value);
        self.entries.push_back(entry);
        self.size += size;
        self.inserted = self.inserted.wrapping_add(1);
        Some(self.inserted)
    }

    /// How far back the field stands that was put in under this number, if it is still there.
    #[inline]
    pub(super) fn back(&self, number: u32) -> Option<usize> {
        let back = self.inserted.wrapping_sub(number) as usize;
        (back < self.entries.len()).then_some(back)
    }

    fn evict(&mut self, at_most: usize) {
        while self.size > at_most
            && let Some(oldest) = self.entries.pop_front()
        {
            self.size -= oldest.size();
        }
    }

    /// Drops octets of what was forgotten, once they are as many as a table holds.
    fn compact(&mut self) {
        let Some(oldest) = self.entries.front() else {
            self.base += self.bytes.len();
            self.bytes.clear();
            return;
        };
        let dead = oldest.at - self.base;
        if dead >= TABLE {
            self.bytes.drain(..dead);
            self.base += dead;
        }
    }
}
