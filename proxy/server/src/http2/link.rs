//! What a client's connection shares with its streams: the codec, and who is to be woken.
//!
//! All of it is of one thread. Streams put what they send into the codec's one output; the driver (`connection`) writes that
//! once all that are ready have had their turn, so that what is ready together leaves together.

use super::queue::Queue;
use crate::core::Core;
use http::HeaderMap;
use minato_http2::{Code, Key};
use std::cell::{Cell, RefCell, RefMut};
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Context, Waker};

/// Octets of output from which on no more of bodies is taken: four records of TLS.
pub(super) const MOST_OUTPUT: usize = 64 * 1024;
/// Octets that one that waited is expected to put in.
const TURN: usize = minato_http2::MOST_PAYLOAD;

/// The codec with what each stream keeps in it.
pub(super) type Codec = minato_http2::Connection<Entry>;

/// What is kept of a stream.
#[derive(Debug, Default)]
pub(super) struct Entry {
    /// What came and was not taken.
    pub(super) body: Queue,
    /// The client has sent its end.
    pub(super) has_ended: bool,
    pub(super) trailers: Option<Box<HeaderMap>>,
    /// It was reset, by either side.
    pub(super) is_reset: bool,
    /// Stands in line for room.
    is_in_line: bool,
    waker: Option<Waker>,
}

impl Entry {
    pub(super) fn remember(&mut self, context: &Context<'_>) {
        match &self.waker {
            Some(waker) if waker.will_wake(context.waker()) => {}
            _ => self.waker = Some(context.waker().clone()),
        }
    }

    pub(super) fn wake(&self) {
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }
}

/// One connection, for its driver and its streams.
#[derive(Debug)]
pub(crate) struct Link {
    pub(super) core: Rc<Core>,
    codec: RefCell<Codec>,
    driver: RefCell<Option<Waker>>,
    /// The driver is to run again, and knows.
    is_woken: Cell<bool>,
    /// Streams that wait for room that all share, first come, first served.
    line: RefCell<VecDeque<Key>>,
}

impl Link {
    pub(super) fn new(core: &Rc<Core>) -> Rc<Self> {
        Rc::new(Self {
            core: Rc::clone(core),
            codec: RefCell::new(Codec::new(core.now())),
            driver: RefCell::default(),
            is_woken: Cell::new(true),
            line: RefCell::default(),
        })
    }

    /// Never held beyond one step.
    pub(super) fn codec(&self) -> RefMut<'_, Codec> {
        self.codec.borrow_mut()
    }

    /// The driver runs: it is to be woken for whatever comes from now on.
    pub(super) fn driver_runs(&self, context: &Context<'_>) {
        self.is_woken.set(false);
        let mut driver = self.driver.borrow_mut();
        match &*driver {
            Some(waker) if waker.will_wake(context.waker()) => {}
            _ => *driver = Some(context.waker().clone()),
        }
    }

    /// Something is to be sent, or has ended.
    pub(super) fn wake_driver(&self) {
        if !self.is_woken.replace(true)
            && let Some(waker) = &*self.driver.borrow()
        {
            waker.wake_by_ref();
        }
    }

    /// A stream waits for room that all share.
    pub(super) fn stand_in_line(&self, codec: &mut Codec, key: Key) {
        if let Some(entry) = codec.owned_mut(key)
            && !std::mem::replace(&mut entry.is_in_line, true)
        {
            self.line.borrow_mut().push_back(key);
        }
    }

    /// Lets those go on that waited longest, as many as there may be room for.
    pub(super) fn let_go_on(&self, codec: &mut Codec) {
        let mut line = self.line.borrow_mut();
        if line.is_empty() || codec.room_for_all() == 0 {
            return;
        }
        let room = MOST_OUTPUT.saturating_sub(codec.output().len());
        let mut turns = room.div_ceil(TURN);
        while turns > 0
            && let Some(key) = line.pop_front()
        {
            // One that is gone needs no turn.
            if let Some(entry) = codec.owned_mut(key) {
                entry.is_in_line = false;
                entry.wake();
                turns -= 1;
            }
        }
    }

    /// A stream that had a turn did not use it: another may.
    pub(super) fn pass_on(&self) {
        if !self.line.borrow().is_empty() {
            self.wake_driver();
        }
    }

    /// The connection is over: so is each of its streams.
    pub(super) fn cut(&self) {
        let mut codec = self.codec();
        codec.fail(Code::CANCEL);
        let keys: Vec<Key> = codec.keys().collect();
        for key in keys {
            if let Some(entry) = codec.owned_mut(key) {
                entry.is_reset = true;
                entry.wake();
            }
        }
    }
}
