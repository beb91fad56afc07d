//! Keys of session tickets: sealed sessions that clients keep, so that a returning one needs no full handshake.
//!
//! As the ticketer of rustls, except that the keys can be handed to the process that takes over at an upgrade. The cipher
//! (ChaCha20-Poly1305) and the random numbers are the provider's.

use crate::clock;
use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::rand;
use rustls::server::ProducesTickets;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use zeroize::Zeroizing;

/// How long a key makes tickets; it takes them for as long again.
const PERIOD: i64 = 6 * 60 * 60;
const NAME_BYTES: usize = 16;
const KEY_BYTES: usize = 32;
const TAG_BYTES: usize = 16;
/// Of one exported key: name, key, time.
const RECORD_BYTES: usize = NAME_BYTES + KEY_BYTES + 8;
/// First byte of an export.
const VERSION: u8 = 1;

/// The keys of all listeners. They never reach a disk.
pub struct TicketKeys {
    keys: RwLock<Keys>,
}

#[derive(Clone)]
struct Keys {
    current: Arc<Key>,
    /// Takes tickets, makes none.
    previous: Option<Arc<Key>>,
}

struct Key {
    name: [u8; NAME_BYTES],
    secret: Zeroizing<[u8; KEY_BYTES]>,
    cipher: LessSafeKey,
    /// Unix seconds.
    born: i64,
}

/// No ticket keys could be made or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TicketKeysError {
    /// The system gives no random numbers.
    #[error("no random numbers for the keys of session tickets")]
    Random,
    /// What was handed over is not an export of this version.
    #[error("the handed over keys of session tickets do not decode")]
    Corrupt,
}

impl TicketKeys {
    /// Fresh keys.
    pub fn new() -> Result<Arc<Self>, TicketKeysError> {
        let keys = Keys {
            current: Arc::new(Key::random(clock::unix_now())?),
            previous: None,
        };
        Ok(Arc::new(Self {
            keys: RwLock::new(keys),
        }))
    }

    /// The keys as bytes, for [`TicketKeys::import`] in the process that takes over. Secret: over a socket or pipe, never to a
    /// disk.
    pub fn export(&self) -> Zeroizing<Vec<u8>> {
        let keys = self.read();
        let mut bytes = Zeroizing::new(Vec::with_capacity(1 + 2 * RECORD_BYTES));
        bytes.push(VERSION);
        for key in std::iter::once(&keys.current).chain(&keys.previous) {
            bytes.extend(key.name);
            bytes.extend(*key.secret);
            bytes.extend(key.born.to_be_bytes());
        }
        bytes
    }

    /// Goes on with the keys of another process: its tickets are taken, and ours are like its own.
    pub fn import(&self, bytes: &[u8]) -> Result<(), TicketKeysError> {
        let (version, records) = bytes.split_first().ok_or(TicketKeysError::Corrupt)?;
        let (records, rest) = records.as_chunks::<RECORD_BYTES>();
        if *version != VERSION || !rest.is_empty() || records.len() > 2 {
            return Err(TicketKeysError::Corrupt);
        }
        let mut keys = records.iter().map(Key::decode);
        let current = keys.next().ok_or(TicketKeysError::Corrupt)??;
        let previous = keys.next().transpose()?;
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Keys {
            current: Arc::new(current),
            previous: previous.map(Arc::new),
        };
        Ok(())
    }

    fn read(&self) -> Keys {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.clone()
    }

    /// The keys of this moment, new ones where the time has come.
    fn at(&self, now: i64) -> Keys {
        let keys = self.read();
        if now - keys.current.born < PERIOD {
            return keys;
        }
        let Ok(fresh) = Key::random(now) else {
            return keys;
        };
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        if now - keys.current.born >= PERIOD {
            let old = std::mem::replace(&mut keys.current, Arc::new(fresh));
            keys.previous = (now - old.born < 2 * PERIOD).then_some(old);
        }
        keys.clone()
    }

    fn seal(&self, plain: &[u8], policy: &[u8], now: i64) -> Option<Vec<u8>> {
        let key = self.at(now).current;
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).ok()?;
        let mut ticket = Vec::with_capacity(NAME_BYTES + NONCE_LEN + plain.len() + TAG_BYTES);
        ticket.extend(key.name);
        ticket.extend(nonce);
        ticket.extend(plain);
        let sealed = ticket.get_mut(NAME_BYTES + NONCE_LEN..)?;
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = key
            .cipher
            .seal_in_place_separate_tag(nonce, key.bound_to(policy), sealed)
            .ok()?;
        ticket.extend(tag.as_ref());
        Some(ticket)
    }

    fn open(&self, ticket: &[u8], policy: &[u8], now: i64) -> Option<Vec<u8>> {
        let (name, rest) = ticket.split_first_chunk::<NAME_BYTES>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        let keys = self.at(now);
        let mut keys = std::iter::once(keys.current).chain(keys.previous);
        // A name is no secret: it says which key, and is authenticated with the rest.
        let key = keys.find(|it| it.name == *name)?;
        let mut bytes = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let length = key
            .cipher
            .open_in_place(nonce, key.bound_to(policy), &mut bytes)
            .ok()?
            .len();
        bytes.truncate(length);
        Some(bytes)
    }
}

impl fmt::Debug for TicketKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TicketKeys").finish_non_exhaustive()
    }
}

impl Key {
    fn random(now: i64) -> Result<Self, TicketKeysError> {
        let mut name = [0; NAME_BYTES];
        let mut secret = Zeroizing::new([0; KEY_BYTES]);
        rand::fill(&mut name).map_err(|_| TicketKeysError::Random)?;
        rand::fill(&mut *secret).map_err(|_| TicketKeysError::Random)?;
        Self::new(name, secret, now).ok_or(TicketKeysError::Random)
    }

    fn new(name: [u8; NAME_BYTES], secret: Zeroizing<[u8; KEY_BYTES]>, born: i64) -> Option<Self> {
        let cipher = UnboundKey::new(&CHACHA20_POLY1305, &*secret).ok()?;
        Some(Self {
            name,
            secret,
            cipher: LessSafeKey::new(cipher),
            born,
        })
    }

    fn decode(record: &[u8; RECORD_BYTES]) -> Result<Self, TicketKeysError> {
        let read = || {
            let (name, rest) = record.split_first_chunk::<NAME_BYTES>()?;
            let (secret, born) = rest.split_first_chunk::<KEY_BYTES>()?;
            let born = i64::from_be_bytes(born.try_into().ok()?);
            Self::new(*name, Zeroizing::new(*secret), born)
        };
        read().ok_or(TicketKeysError::Corrupt)
    }

    fn bound_to(&self, policy: &[u8]) -> Aad<Vec<u8>> {
        Aad::from([&self.name, policy].concat())
    }
}

/// The keys as one listener uses them: a ticket of one policy of client certificates is worth nothing under another.
#[derive(Debug)]
pub(crate) struct Tickets {
    pub(crate) keys: Arc<TicketKeys>,
    pub(crate) policy: Vec<u8>,
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        u32::try_from(2 * PERIOD).unwrap_or(u32::MAX)
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.keys.seal(plain, &self.policy, clock::unix_now())
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        self.keys.open(cipher, &self.policy, clock::unix_now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(now: i64) -> TicketKeys {
        let keys = Keys {
            current: Arc::new(Key::random(now).unwrap()),
            previous: None,
        };
        TicketKeys {
            keys: RwLock::new(keys),
        }
    }

    #[test]
    fn a_ticket_is_taken_for_one_to_two_periods() {
        for (made, taken, expected) in [
            (0, 0, true),
            (0, 2 * PERIOD - 1, true),
            (PERIOD - 1, 2 * PERIOD - 1, true),
            (PERIOD, 3 * PERIOD - 1, true),
            (0, 3 * PERIOD, false),
            // The clock was set back.
            (PERIOD - 1, -PERIOD, true),
        ] {
            let keys = keys(0);
            let ticket = keys.seal(b"session", b"", made).unwrap();
            // Others come and go in between.
            keys.seal(b"", b"", made.midpoint(taken)).unwrap();
            let opened = keys.open(&ticket, b"", taken);
            assert_eq!(opened.is_some(), expected, "{made} {taken}");
            assert!(opened.is_none_or(|it| it == b"session"));
        }
    }

    #[test]
    fn nothing_else_is_a_ticket() {
        let keys = keys(0);
        let ticket = keys.seal(b"session", b"a", 0).unwrap();
        assert_eq!(keys.open(&ticket, b"b", 0), None);
        assert_eq!(super::tests::keys(0).open(&ticket, b"a", 0), None);
        for at in 0..ticket.len() {
            let mut other = ticket.clone();
            other[at] ^= 1;
            assert_eq!(keys.open(&other, b"a", 0), None, "{at}");
            assert_eq!(keys.open(&ticket[..at], b"a", 0), None, "{at}");
        }
    }

    #[test]
    fn another_process_goes_on_with_the_keys() {
        let (old, new) = (keys(0), keys(0));
        let first = old.seal(b"first", b"", 0).unwrap();
        let second = old.seal(b"second", b"", PERIOD).unwrap();
        new.import(&old.export()).unwrap();
        for (ticket, session) in [(first, b"first".as_slice()), (second, b"second")] {
            assert_eq!(new.open(&ticket, b"", PERIOD).as_deref(), Some(session));
        }
        let third = new.seal(b"third", b"", PERIOD).unwrap();
        assert_eq!(
            old.open(&third, b"", PERIOD).as_deref(),
            Some(b"third".as_slice())
        );
    }

    #[test]
    fn what_is_no_export_changes_nothing() {
        let keys = keys(0);
        let ticket = keys.seal(b"session", b"", 0).unwrap();
        let export = keys.export();
        let long = [&export[..], &[0; 2 * RECORD_BYTES]].concat();
        let other = [&[9], &export[1..]].concat();
        for bytes in [&[][..], &export[..1], &export[..40], &long, &other] {
            assert_eq!(keys.import(bytes), Err(TicketKeysError::Corrupt));
        }
        assert!(keys.open(&ticket, b"", 0).is_some());
    }

    #[test]
    fn keys_are_not_shown() {
        assert_eq!(format!("{:?}", keys(0)), "TicketKeys { .. }");
    }
}
