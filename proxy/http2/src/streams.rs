//! The streams that are there: by number for the peer's frames, by place for their owner.

use crate::{MOST_STREAMS, STREAM_WINDOW};
use slab::Slab;

/// Places at most: streams that are open, and such that are over but still held by their owner.
const MOST_PLACES: usize = 2 * MOST_STREAMS;

/// A stream, as its owner names it. Of a stream that is over and was removed it names nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    place: u32,
    /// Its number.
    pub id: u32,
}

/// Whether a direction of a stream goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Open,
    Closed,
}

/// Whether somebody still holds a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    Holds,
    /// Its answer went out whole, and more of its request may come, which nobody wants.
    Gone,
    /// The same, since a while.
    LongGone,
}

#[derive(Debug)]
pub(crate) struct Stream<T> {
    pub(crate) id: u32,
    /// What comes from the peer.
    pub(crate) incoming: Side,
    /// What goes to it.
    pub(crate) outgoing: Side,
    /// Octets that the peer may still send.
    pub(crate) window_in: i32,
    /// Octets that were taken, and of which the peer was not told yet.
    pub(crate) freed: u32,
    /// Octets that we may still send; may be negative.
    pub(crate) window_out: i32,
    /// Octets of its body that are still to come, where its head has said how many.
    pub(crate) left: Option<u64>,
    pub(crate) owner: Owner,
    pub(crate) owned: T,
}

impl<T> Stream<T> {
    pub(crate) fn is_over(&self) -> bool {
        self.incoming == Side::Closed && self.outgoing == Side::Closed
    }
}

#[derive(Debug)]
pub(crate) struct Streams<T> {
    all: Slab<Stream<T>>,
    /// Numbers and places of those that are not over, lowest first.
    open: Vec<(u32, u32)>,
}

impl<T> Default for Streams<T> {
    fn default() -> Self {
        Self {
            all: Slab::new(),
            open: Vec::new(),
        }
    }
}

impl<T: Default> Streams<T> {
    /// Whether one more may be.
    pub(crate) fn has_room(&self) -> bool {
        self.open.len() < MOST_STREAMS && self.all.len() < MOST_PLACES
    }

    /// How many are not over.
    pub(crate) fn open(&self) -> usize {
        self.open.len()
    }

    /// How many are not over, or are over and still held.
    pub(crate) fn held(&self) -> usize {
        self.all.len()
    }

    /// A new one, with a number above all others.
    pub(crate) fn insert(&mut self, id: u32, incoming: Side, window_out: i32) -> Key {
        let place = self.all.insert(Stream {
            id,
            incoming,
            outgoing: Side::Open,
            window_in: STREAM_WINDOW as i32,
            freed: 0,
            window_out,
            left: None,
            owner: Owner::Holds,
            owned: T::default(),
        });
        let key = Key {
            place: place as u32,
            id,
        };
        self.open.push((id, key.place));
        key
    }

    /// One that is not over.
    pub(crate) fn find(&self, id: u32) -> Option<Key> {
        // Nearly always among the last.
        let place = match self.open.last() {
            Some(last) if last.0 == id => last.1,
            _ => {
                let at = self.open.binary_search_by_key(&id, |it| it.0).ok()?;
                self.open.get(at)?.1
            }
        };
        Some(Key { place, id })
    }

    pub(crate) fn get(&self, key: Key) -> Option<&Stream<T>> {
        let stream = self.all.get(key.place as usize)?;
        (stream.id == key.id).then_some(stream)
    }

    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut Stream<T>> {
        let stream = self.all.get_mut(key.place as usize)?;
        (stream.id == key.id).then_some(stream)
    }

    /// Both directions end; false where they had.
    pub(crate) fn close(&mut self, key: Key) -> bool {
        let Some(stream) = self.get_mut(key) else {
            return false;
        };
        let was_over = stream.is_over();
        (stream.incoming, stream.outgoing) = (Side::Closed, Side::Closed);
        self.settle(key);
        !was_over
    }

    /// Forgets the number of a stream that is over, and all of it where nobody holds it.
    pub(crate) fn settle(&mut self, key: Key) {
        let Some(stream) = self.get(key).filter(|it| it.is_over()) else {
            return;
        };
        let is_held = stream.owner == Owner::Holds;
        if let Ok(at) = self.open.binary_search_by_key(&key.id, |it| it.0) {
            self.open.remove(at);
        }
        if !is_held {
            self.all.try_remove(key.place as usize);
        }
    }

    /// Those that are not over.
    pub(crate) fn keys(&self) -> impl Iterator<Item = Key> {
        let open = self.open.iter();
        open.map(|(id, place)| Key {
            place: *place,
            id: *id,
        })
    }

    /// The same, to change them.
    pub(crate) fn open_mut(&mut self) -> impl Iterator<Item = &mut Stream<T>> {
        let all = self.all.iter_mut();
        all.map(|it| it.1).filter(|it| !it.is_over())
    }

    /// Gives back memory that nothing is in.
    pub(crate) fn release(&mut self) {
        if self.all.is_empty() {
            (self.all, self.open) = (Slab::new(), Vec::new());
        }
    }
}
