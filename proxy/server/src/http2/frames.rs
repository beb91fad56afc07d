//! Finds the heads of frames in bytes that go by (RFC 9113 4.1). Works on any split; keeps nine bytes.

/// Bytes before the first frame of a client.
const PREFACE: u32 = 24;
const HEAD: usize = 9;

/// Types of frames that matter here.
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

/// Flags.
pub(crate) const ACK: u8 = 1;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// What a frame says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) length: u32,
}

impl Frame {
    pub(crate) fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// Where in a frame the bytes stand.
#[derive(Debug)]
pub(crate) struct Frames {
    head: [u8; HEAD],
    have: usize,
    /// Bytes of the payload, or of the preface, that are still to come.
    left: u32,
    /// Of the frame whose payload is under way.
    kind: Option<u8>,
}

impl Frames {
    /// What a client sends.
    pub(crate) fn of_client() -> Self {
        Self {
            head: [0; HEAD],
            have: 0,
            left: PREFACE,
            kind: None,
        }
    }

    /// What a server sends.
    pub(crate) fn of_server() -> Self {
        Self {
            left: 0,
            ..Self::of_client()
        }
    }

    /// Whether the bytes so far end within a frame that should come at once: any but DATA.
    pub(crate) fn is_within(&self) -> bool {
        self.have > 0 || (self.left > 0 && self.kind != Some(DATA))
    }

    /// The next head in `bytes`, of which it takes away what it has looked at.
    pub(crate) fn next(&mut self, bytes: &mut &[u8]) -> Option<Frame> {
        let skipped = bytes.len().min(self.left as usize);
        // At most `left`, so it fits.
        self.left -= u32::try_from(skipped).unwrap_or(self.left);
        *bytes = bytes.get(skipped..)?;
        let wanted = HEAD - self.have;
        let here = bytes.len().min(wanted);
        let (taken, rest) = bytes.split_at(here);
        self.head
            .get_mut(self.have..self.have + here)?
            .copy_from_slice(taken);
        *bytes = rest;
        self.have += here;
        if here < wanted {
            return None;
        }
        self.have = 0;
        let [a, b, c, kind, flags, ..] = self.head;
        self.left = u32::from_be_bytes([0, a, b, c]);
        self.kind = Some(kind);
        Some(Frame {
            kind,
            flags,
            length: self.left,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(frames: &mut Frames, mut bytes: &[u8]) -> Vec<(u8, u8, u32)> {
        let mut found = Vec::new();
        while let Some(it) = frames.next(&mut bytes) {
            found.push((it.kind, it.flags, it.length));
        }
        found
    }

    #[test]
    fn heads_are_found_at_any_split() {
        let mut bytes = vec![b'x'; 24];
        bytes.extend([0, 0, 0, SETTINGS, 0, 0, 0, 0, 0]);
        bytes.extend([0, 1, 2, DATA, END_STREAM, 0, 0, 0, 1]);
        bytes.extend([0; 258]);
        bytes.extend([0, 0, 8, PING, ACK, 0, 0, 0, 0]);
        bytes.extend([9; 8]);
        let expected = [(SETTINGS, 0, 0), (DATA, END_STREAM, 258), (PING, ACK, 8)];
        for first in 0..=bytes.len() {
            for second in [first, first + 1, bytes.len()] {
                let mut frames = Frames::of_client();
                let second = second.min(bytes.len());
                let mut found = all(&mut frames, &bytes[..first]);
                found.extend(all(&mut frames, &bytes[first..second]));
                found.extend(all(&mut frames, &bytes[second..]));
                assert_eq!(found, expected, "split at {first} and {second}");
                assert!(!frames.is_within());
            }
        }
    }
}
