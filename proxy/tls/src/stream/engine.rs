//! One TLS connection without its socket: bytes of records in and out, plaintext in and out.
//!
//! Over the unbuffered interface of rustls, so that memory is ours: borrowed while bytes are in flight, none while idle.

use super::buffer::Queue;
use super::side::Side;
use rustls::Error;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus, WriteTraffic,
};
use std::io::IoSlice;
use tokio::io::ReadBuf;

/// Plaintext of one record.
const RECORD_BYTES: usize = 16 * 1024;
/// Plaintext encrypted at once, before it is written: four records.
const BATCH_BYTES: usize = 4 * RECORD_BYTES;
/// What a record adds at most: header, nonce, type, padding and tag.
const OVERHEAD_BYTES: usize = 64;
/// Slices this short are copied together into one record, since each record costs more than the copy.
const SHORT_BYTES: usize = 4 * 1024;

/// Records that a session still says after an error.
const MOST_LAST: usize = 16;

/// What the caller wants done next.
pub(super) enum Job<'a, 'b> {
    /// Whatever the protocol itself needs.
    Settle,
    /// Plaintext, as much as fits.
    Read(&'a mut ReadBuf<'b>),
    /// Encrypt the front of these; the number says how much of them was taken.
    Write(&'a [IoSlice<'a>], &'a mut usize),
    /// Say that nothing more will be written.
    Close,
}

/// Where a job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// Nothing more can be done without bytes from the peer.
    NeedsInput,
    /// The handshake is over, and what the caller wanted is done.
    Done,
    /// The reader is full; records may be left.
    Full,
}

/// A session and its bytes.
pub(super) struct Engine<S> {
    session: S,
    /// From the peer, not yet decrypted.
    pub(super) incoming: Queue,
    /// Decrypted, not yet read: what did not fit the reader's buffer.
    pub(super) plain: Queue,
    /// For the peer, not yet written.
    pub(super) outgoing: Queue,
    /// Whether `incoming` may hold whole records.
    pub(super) is_fresh: bool,
    /// The peer said that it writes no more.
    pub(super) peer_closed: bool,
    /// We said so.
    pub(super) closed: bool,
    /// A batch of the caller's waits in `outgoing`: it leaves before another is taken.
    pub(super) is_writing: bool,
    /// What ended the session.
    failure: Option<Error>,
}

impl<S: Side> Engine<S> {
    pub(super) fn new(session: S) -> Self {
        Self {
            session,
            incoming: Queue::default(),
            plain: Queue::default(),
            outgoing: Queue::default(),
            is_fresh: false,
            peer_closed: false,
            closed: false,
            is_writing: false,
            failure: None,
        }
    }

    pub(super) fn session(&self) -> &S {
        &self.session
    }

    pub(super) fn is_handshaking(&self) -> bool {
        self.session.common().is_handshaking()
    }

    /// Does `job`, and all that the protocol needs on the way. After an error `outgoing` may hold an alert for the peer.
    pub(super) fn run(&mut self, mut job: Job<'_, '_>) -> Result<Turn, Error> {
        if let Some(error) = &self.failure {
            return Err(error.clone());
        }
        let turn = self.work(&mut job);
        match &turn {
            Ok(Turn::Full) => {}
            Ok(Turn::NeedsInput | Turn::Done) => self.is_fresh = false,
            Err(error) => {
                self.failure = Some(error.clone());
                // The next reader hears of it too.
                self.is_fresh = true;
                self.take_alert();
            }
        }
        turn
    }

    /// Takes what the session says last: its alert, and what stands before it.
    ///
    /// Not one turn more: bytes that broke the protocol would be read again, and a second alert is one too many.
    fn take_alert(&mut self) {
        for _ in 0..MOST_LAST {
            let before = self.outgoing.len();
            let UnbufferedStatus { state, .. } = self.session.process(self.incoming.filled());
            let Ok(ConnectionState::EncodeTlsData(mut data)) = state else {
                return;
            };
            let encoded = encode(&mut data, &mut self.outgoing);
            let record = self.outgoing.filled().get(before..).unwrap_or_default();
            if encoded.is_err() || is_alert(record) {
                return;
            }
        }
    }

    fn work(&mut self, job: &mut Job<'_, '_>) -> Result<Turn, Error> {
        loop {
            if let Job::Read(into) = job
                && into.remaining() == 0
            {
                return Ok(Turn::Full);
            }
            let UnbufferedStatus { discard, state } = self.session.process(self.incoming.filled());
            let mut ended = None;
            match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        let payload = record?.payload;
                        let room = match job {
                            Job::Read(into) if self.plain.is_empty() => into.remaining(),
                            _ => 0,
                        };
                        let (now, later) = payload.split_at(room.min(payload.len()));
                        if let Job::Read(into) = job {
                            into.put_slice(now);
                        }
                        if !later.is_empty() {
                            self.plain.push(later);
                        }
                    }
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    encode(&mut data, &mut self.outgoing)?;
                }
                // What was encoded waits in `outgoing`, in front of all that follows.
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::PeerClosed) => self.peer_closed = true,
                Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                    match job {
                        Job::Write(slices, taken) => {
                            **taken = encrypt(&mut traffic, slices, &mut self.outgoing)?;
                        }
                        Job::Close if !self.closed => {
                            let room = self.outgoing.room_for(OVERHEAD_BYTES);
                            let used = traffic
                                .queue_close_notify(room)
                                .map_err(|it| too_small(&it))?;
                            self.outgoing.add(used);
                            self.closed = true;
                        }
                        Job::Close | Job::Settle | Job::Read(_) => {}
                    }
                    ended = Some(Turn::Done);
                }
                Ok(ConnectionState::Closed) => ended = Some(Turn::Done),
                Ok(ConnectionState::BlockedHandshake) => ended = Some(Turn::NeedsInput),
                // Early data is off; states that a later version adds are none of ours either.
                Ok(_) => return Err(Error::General("an unexpected state of TLS".to_owned())),
                Err(error) => return Err(error),
            }
            self.incoming.discard(discard);
            if let Some(turn) = ended {
                return Ok(turn);
            }
        }
    }
}

/// In the clear or of TLS 1.2 by its type; of TLS 1.3, where types are hidden, by its length.
fn is_alert(record: &[u8]) -> bool {
    const ALERT: u8 = 21;
    const HIDDEN: u8 = 23;
    const HIDDEN_BYTES: usize = 5 + 2 + 1 + 16;
    match record.first() {
        Some(&ALERT) => true,
        Some(&HIDDEN) => record.len() == HIDDEN_BYTES,
        _ => false,
    }
}

fn encode<D>(data: &mut EncodeTlsData<'_, D>, outgoing: &mut Queue) -> Result<(), Error> {
    let mut wanted = RECORD_BYTES;
    loop {
        match data.encode(outgoing.room_for(wanted)) {
            Ok(used) => {
                outgoing.add(used);
                return Ok(());
            }
            Err(EncodeError::InsufficientSize(it)) if it.required_size > wanted => {
                wanted = it.required_size;
            }
            Err(error) => return Err(Error::General(error.to_string())),
        }
    }
}

/// Encrypts up to a batch of `slices`; the number of their bytes that were taken.
fn encrypt<D>(
    traffic: &mut WriteTraffic<'_, D>,
    slices: &[IoSlice<'_>],
    outgoing: &mut Queue,
) -> Result<usize, Error> {
    let mut taken = 0;
    let mut gathered = Queue::default();
    let slices = slices.iter().map(|it| &**it);
    let mut slices = slices.filter(|it| !it.is_empty()).peekable();
    let mut rest: &[u8] = &[];
    loop {
        if rest.is_empty() {
            rest = slices.next().unwrap_or_default();
        }
        let most = RECORD_BYTES.min(BATCH_BYTES - taken) - gathered.len();
        let (now, later) = rest.split_at(rest.len().min(most));
        rest = later;
        let more = later.is_empty() && slices.peek().is_some();
        if !gathered.is_empty() || (more && now.len() < SHORT_BYTES) {
            // A head and the body behind it leave as one record.
            gathered.push(now);
            if more && now.len() < most {
                continue;
            }
            seal(traffic, gathered.filled(), outgoing)?;
            taken += gathered.len();
            gathered.discard(gathered.len());
        } else if now.is_empty() {
            return Ok(taken);
        } else {
            seal(traffic, now, outgoing)?;
            taken += now.len();
        }
    }
}

/// One record; in front of it whatever the protocol wants to say first.
fn seal<D>(
    traffic: &mut WriteTraffic<'_, D>,
    plain: &[u8],
    outgoing: &mut Queue,
) -> Result<(), Error> {
    let mut wanted = plain.len() + OVERHEAD_BYTES;
    loop {
        match traffic.encrypt(plain, outgoing.room_for(wanted)) {
            Ok(used) => {
                outgoing.add(used);
                return Ok(());
            }
            Err(EncryptError::InsufficientSize(it)) if it.required_size > wanted => {
                wanted = it.required_size;
            }
            Err(error) => return Err(too_small(&error)),
        }
    }
}

fn too_small(error: &EncryptError) -> Error {
    match error {
        EncryptError::EncryptExhausted => Error::EncryptError,
        EncryptError::InsufficientSize(_) => Error::General(error.to_string()),
    }
}
