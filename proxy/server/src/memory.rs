//! Connections without a kernel: one end is the engine's, the other a script's, which says, hears, stalls and resets when it
//! likes. All that ever went either way is kept, with the moment of each write. One thread.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use tokio::io::ReadBuf;

/// Looks and writes of one run before it is called a spin: no script comes near it.
const CALLS: u64 = 2_000_000;

/// What orders all writes of one run, and bounds its steps.
#[derive(Debug, Clone, Default)]
pub(crate) struct Moment(Rc<Cell<u64>>);

impl Moment {
    fn next(&self) -> u64 {
        let next = self.0.get() + 1;
        self.0.set(next);
        assert!(next < CALLS, "it spins");
        next
    }
}

/// One direction.
#[derive(Debug, Default)]
pub(crate) struct Wire {
    waiting: VecDeque<u8>,
    /// Bytes that may wait.
    room: usize,
    /// The writer has ended.
    pub(crate) is_ended: bool,
    /// Either side has reset the connection.
    pub(crate) is_reset: bool,
    /// Nobody reads any more.
    is_deaf: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
    /// All that was ever written.
    pub(crate) history: Vec<u8>,
    /// When: how long the history was after each write.
    marks: Vec<(usize, u64)>,
}

impl Wire {
    fn write(&mut self, bytes: &[u8], at: u64) {
        self.waiting.extend(bytes);
        self.history.extend_from_slice(bytes);
        self.marks.push((self.history.len(), at));
        wake(&mut self.reader);
    }

    /// When the octet at this place was written.
    pub(crate) fn moment(&self, place: usize) -> u64 {
        let index = self.marks.partition_point(|it| it.0 <= place);
        self.marks.get(index).map_or(u64::MAX, |it| it.1)
    }

    /// How much had been written by then.
    pub(crate) fn length_at(&self, moment: u64) -> usize {
        let index = self.marks.partition_point(|it| it.1 <= moment);
        index.checked_sub(1).map_or(0, |it| self.marks[it].0)
    }

    fn reset(&mut self) {
        self.is_reset = true;
        wake(&mut self.reader);
        wake(&mut self.writer);
    }
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

type Shared = Rc<RefCell<Wire>>;

/// The engine's end.
#[derive(Debug)]
pub(crate) struct Near {
    moment: Moment,
    incoming: Shared,
    outgoing: Shared,
    resets: bool,
}

/// The script's end.
#[derive(Debug)]
pub(crate) struct Far {
    moment: Moment,
    /// What the script says.
    pub(crate) said: Shared,
    /// What the engine says.
    pub(crate) heard: Shared,
    hears: bool,
}

/// A connection that takes `room` bytes which the script does not hear; what the script says waits without bound.
pub(crate) fn pair(moment: &Moment, room: usize) -> (Near, Far) {
    let wire = |room| Wire {
        room,
        ..Wire::default()
    };
    let said = Rc::new(RefCell::new(wire(usize::MAX)));
    let heard = Rc::new(RefCell::new(wire(room)));
    let near = Near {
        moment: moment.clone(),
        incoming: Rc::clone(&said),
        outgoing: Rc::clone(&heard),
        resets: false,
    };
    let far = Far {
        moment: moment.clone(),
        said,
        heard,
        hears: true,
    };
    (near, far)
}

impl Near {
    pub(crate) fn poll_read(
        &mut self,
        context: &Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.moment.next();
        let mut wire = self.incoming.borrow_mut();
        if wire.is_reset {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let count = wire.waiting.len().min(into.remaining());
        if count == 0 && !wire.is_ended && into.remaining() > 0 {
            wire.reader = Some(context.waker().clone());
            return Poll::Pending;
        }
        let taken: Vec<u8> = wire.waiting.drain(..count).collect();
        into.put_slice(&taken);
        Poll::Ready(Ok(()))
    }

    pub(crate) fn poll_write(
        &mut self,
        context: &Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let at = self.moment.next();
        let mut wire = self.outgoing.borrow_mut();
        if wire.is_reset || wire.is_deaf {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        assert!(!wire.is_ended, "bytes behind the end");
        let bytes: Vec<u8> = slices.iter().flat_map(|it| it.iter().copied()).collect();
        let count = bytes
            .len()
            .min(wire.room.saturating_sub(wire.waiting.len()));
        if count == 0 && !bytes.is_empty() {
            wire.writer = Some(context.waker().clone());
            return Poll::Pending;
        }
        wire.write(bytes.get(..count).unwrap_or_default(), at);
        Poll::Ready(Ok(count))
    }

    pub(crate) fn is_quiet(&self) -> bool {
        let wire = self.incoming.borrow();
        wire.waiting.is_empty() && !wire.is_ended && !wire.is_reset
    }

    pub(crate) fn shutdown_write(&self) {
        let mut wire = self.outgoing.borrow_mut();
        wire.is_ended = true;
        wake(&mut wire.reader);
    }

    pub(crate) fn reset_on_close(&mut self) {
        self.resets = true;
    }
}

impl Drop for Near {
    fn drop(&mut self) {
        self.shutdown_write();
        let mut incoming = self.incoming.borrow_mut();
        incoming.is_deaf = true;
        // As a kernel does it: closing with input unread resets.
        if self.resets || !incoming.waiting.is_empty() {
            incoming.reset();
            self.outgoing.borrow_mut().reset();
        }
    }
}

impl Far {
    /// Says something; nothing where the connection is over.
    pub(crate) fn say(&mut self, bytes: &[u8]) {
        let mut wire = self.said.borrow_mut();
        if !wire.is_ended && !wire.is_reset && !bytes.is_empty() {
            let at = self.moment.next();
            wire.write(bytes, at);
            if wire.is_deaf {
                // It arrives where nobody is: the answer is a reset.
                wire.reset();
                self.heard.borrow_mut().reset();
            }
        }
    }

    pub(crate) fn end(&mut self) {
        let mut wire = self.said.borrow_mut();
        wire.is_ended = true;
        wake(&mut wire.reader);
    }

    /// Closes both ways: what the engine says from now on is lost.
    pub(crate) fn close(&mut self) {
        self.end();
        let mut wire = self.heard.borrow_mut();
        wire.is_deaf = true;
        wake(&mut wire.writer);
    }

    pub(crate) fn reset(&mut self) {
        self.said.borrow_mut().reset();
        self.heard.borrow_mut().reset();
    }

    /// Begins or ceases to hear.
    pub(crate) fn turn(&mut self) {
        self.hears = !self.hears;
        self.hear();
    }

    /// Takes what waits, where it hears at all.
    pub(crate) fn hear(&mut self) {
        if self.hears {
            let mut wire = self.heard.borrow_mut();
            wire.waiting.clear();
            wake(&mut wire.writer);
        }
    }

    /// Hears from now on, and at once whatever is said.
    pub(crate) fn hears_all(&mut self) {
        self.hears = true;
        self.heard.borrow_mut().room = usize::MAX;
        self.hear();
    }

    /// Bytes that the engine has taken of what was said.
    pub(crate) fn taken(&self) -> usize {
        let wire = self.said.borrow();
        wire.history.len() - wire.waiting.len()
    }

    /// Whether the engine has let go of it.
    pub(crate) fn is_left(&self) -> bool {
        self.said.borrow().is_deaf
    }
}

/// What becomes of connects.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    #[default]
    Open,
    Refuses,
    Hangs,
}

/// Where the engine connects to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Doors(Rc<Inside>);

#[derive(Debug, Default)]
struct Inside {
    moment: Moment,
    door: Cell<Door>,
    room: Cell<usize>,
    waiting: RefCell<Vec<Waker>>,
    /// Connections that the script has not seen yet.
    made: RefCell<Vec<(SocketAddr, Far)>>,
}

impl Doors {
    pub(crate) fn new(moment: &Moment, room: usize) -> Self {
        Self(Rc::new(Inside {
            moment: moment.clone(),
            room: Cell::new(room),
            ..Inside::default()
        }))
    }

    pub(crate) fn set(&self, door: Door) {
        self.0.door.set(door);
        for waker in self.0.waiting.take() {
            waker.wake();
        }
    }

    pub(crate) fn made(&self) -> Vec<(SocketAddr, Far)> {
        self.0.made.take()
    }

    pub(crate) async fn connect(&self, address: SocketAddr) -> io::Result<Near> {
        poll_fn(|context| match self.0.door.get() {
            Door::Refuses => Poll::Ready(Err(io::ErrorKind::ConnectionRefused.into())),
            Door::Hangs => {
                self.0.waiting.borrow_mut().push(context.waker().clone());
                Poll::Pending
            }
            Door::Open => {
                let (near, far) = pair(&self.0.moment, self.0.room.get());
                self.0.made.borrow_mut().push((address, far));
                Poll::Ready(Ok(near))
            }
        })
        .await
    }
}
