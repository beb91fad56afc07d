//! A list of fields as HTTP/2 brought it: of a request, or behind its body.

use crate::MOST_LIST;
use std::ops::Range;

/// What HTTP/2 counts for each field beside its octets (RFC 9113 6.5.2).
const OF_FIELD: usize = 32;
/// Octets of memory that are kept for the next.
const KEPT: usize = 4 * 1024;

/// What a list of fields belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Of {
    #[default]
    Request,
    /// Of a stream that is there already.
    Trailers,
}

/// Pseudo fields of requests (RFC 9113 8.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pseudo {
    Method,
    Scheme,
    Authority,
    Path,
}

/// A list of fields. Pseudo fields stand apart from the others, which are kept in order; their names and values are any octets.
///
/// Reused from list to list; once warm it allocates nothing.
#[derive(Debug, Default)]
pub struct Head {
    bytes: Vec<u8>,
    /// Where each name ends and each value.
    ends: Vec<(u32, u32)>,
    pseudo: [Option<Range<u32>>; 4],
    of: Of,
    size: usize,
    fault: Option<&'static str>,
}

impl Head {
    pub(crate) fn begin(&mut self, of: Of) {
        self.bytes.clear();
        self.ends.clear();
        self.pseudo = Default::default();
        (self.of, self.size, self.fault) = (of, 0, None);
    }

    /// Gives back what a large one took.
    pub(crate) fn shrink(&mut self) {
        if self.bytes.capacity() > KEPT {
            self.bytes = Vec::new();
        }
    }

    pub(crate) fn release(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn push(&mut self, name: &[u8], value: &[u8]) {
        self.size += name.len() + value.len() + OF_FIELD;
        if self.size > MOST_LIST {
            // The block is still decoded to its end, for the table's sake.
            return;
        }
        if let [b':', pseudo @ ..] = name {
            let start = self.bytes.len() as u32;
            self.bytes.extend_from_slice(value);
            return self.note(pseudo, start);
        }
        self.bytes.extend_from_slice(name);
        let middle = self.bytes.len() as u32;
        self.bytes.extend_from_slice(value);
        self.ends.push((middle, self.bytes.len() as u32));
    }

    /// Notes a pseudo field whose value stands from `start`.
    fn note(&mut self, name: &[u8], start: u32) {
        let pseudo = match name {
            b"method" => Pseudo::Method,
            b"scheme" => Pseudo::Scheme,
            b"authority" => Pseudo::Authority,
            b"path" => Pseudo::Path,
            _ => return self.refuse("an unknown pseudo field"),
        };
        let end = self.bytes.len() as u32;
        if self.of == Of::Trailers {
            self.refuse("a pseudo field behind a body");
        } else if !self.ends.is_empty() {
            self.refuse("a pseudo field behind others");
        } else if let Some(place) = self.pseudo.get_mut(pseudo as usize) {
            let is_second = place.replace(start..end).is_some();
            if is_second {
                self.refuse("a pseudo field twice");
            }
        }
    }

    #[cold]
    fn refuse(&mut self, why: &'static str) {
        self.fault.get_or_insert(why);
    }

    /// The list is whole: what must be there is.
    pub(crate) fn end(&mut self) {
        if self.of == Of::Trailers || self.is_too_large() {
            return;
        }
        let is_there = |it: Pseudo| self.pseudo.get(it as usize).is_some_and(Option::is_some);
        // CONNECT names a peer and nothing there (RFC 9113 8.5).
        let is_sound = match self.method() {
            b"CONNECT" => {
                is_there(Pseudo::Authority) && !is_there(Pseudo::Path) && !is_there(Pseudo::Scheme)
            }
            _ => is_there(Pseudo::Method) && is_there(Pseudo::Scheme) && is_there(Pseudo::Path),
        };
        if !is_sound {
            self.refuse("a pseudo field is missing, or one too many is there");
        }
    }

    fn pseudo(&self, which: Pseudo) -> Option<&[u8]> {
        let range = self.pseudo.get(which as usize)?.as_ref()?;
        self.bytes.get(range.start as usize..range.end as usize)
    }

    /// What is wrong with its pseudo fields: the message is malformed (RFC 9113 8.1.1).
    pub fn fault(&self) -> Option<&'static str> {
        self.fault
    }

    /// Whether it is longer than [`MOST_LIST`]; what is beyond that was not kept.
    pub fn is_too_large(&self) -> bool {
        self.size > MOST_LIST
    }

    /// Empty where there is none.
    pub fn method(&self) -> &[u8] {
        self.pseudo(Pseudo::Method).unwrap_or_default()
    }

    /// Empty where there is none.
    pub fn scheme(&self) -> &[u8] {
        self.pseudo(Pseudo::Scheme).unwrap_or_default()
    }

    /// None where Host is to say it.
    pub fn authority(&self) -> Option<&[u8]> {
        self.pseudo(Pseudo::Authority)
    }

    /// With the query. Empty where there is none.
    pub fn path(&self) -> &[u8] {
        self.pseudo(Pseudo::Path).unwrap_or_default()
    }

    /// Names and values of the others, in order.
    pub fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        // Pseudo fields stand first, or the head is refused.
        let pseudo = self.pseudo.iter().flatten().map(|it| it.end as usize);
        let mut start = pseudo.max().unwrap_or(0);
        self.ends.iter().map(move |(middle, end)| {
            let (middle, end) = (*middle as usize, *end as usize);
            let name = self.bytes.get(start..middle).unwrap_or_default();
            start = end;
            (name, self.bytes.get(middle..end).unwrap_or_default())
        })
    }
}

#[cfg(test)]
mod tests;
