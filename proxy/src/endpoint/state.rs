//! Everything about an endpoint that is not a count, in one atomic word, so that no reader sees half of a change.

use crate::sync::{AtomicU32, Ordering};

/// How an endpoint may be used now, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// Takes requests.
    Up,
    /// Only while none is up.
    Suspect,
    /// Down by its probes but the last of its service, and not refusing: better than nothing.
    Held,
    /// To be stopped: takes no new requests; those in flight go on.
    Draining,
    /// Takes none: down, stopped, or gone from the table. Requests waiting for their first byte give up on it.
    Out,
}

/// Whether a connection could be made at all, as far as is known. Beside the standing, because a panic asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reach {
    /// Nothing is known against it.
    Open,
    /// The last failure was a refused connection.
    Refusing,
    /// Its agent says that it does not run.
    Stopped,
}

/// Whether the service of an endpoint is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Checks {
    /// By probes and by traffic.
    On,
    /// `health = "off"`: a failed connect does not make it suspect.
    Off,
}

const HEALTH: u32 = 0b11;
const UP: u32 = 0;
const SUSPECT: u32 = 1;
const HELD: u32 = 2;
const OUT: u32 = 3;

const REACH: u32 = 0b11 << 2;
const REFUSING: u32 = 1 << 2;
const STOPPED: u32 = 2 << 2;

const DRAINING: u32 = 1 << 4;
const RETIRED: u32 = 1 << 5;
const BEEN_UP: u32 = 1 << 6;
const UNCHECKED: u32 = 1 << 7;

/// The word.
#[derive(Debug)]
pub(super) struct State(AtomicU32);

/// The word as it was at one moment.
#[derive(Clone, Copy)]
pub(super) struct View(u32);

impl View {
    pub(super) fn standing(self) -> Standing {
        if self.0 & RETIRED != 0 {
            return Standing::Out;
        }
        match (self.0 & HEALTH, self.0 & DRAINING) {
            (OUT, _) => Standing::Out,
            (_, DRAINING) => Standing::Draining,
            (UP, _) => Standing::Up,
            (SUSPECT, _) => Standing::Suspect,
            _ => Standing::Held,
        }
    }

    pub(super) fn reach(self) -> Reach {
        match self.0 & REACH {
            REFUSING => Reach::Refusing,
            STOPPED => Reach::Stopped,
            _ => Reach::Open,
        }
    }

    pub(super) fn has_been_up(self) -> bool {
        self.0 & BEEN_UP != 0
    }

    pub(super) fn is_draining(self) -> bool {
        self.0 & DRAINING != 0
    }

    pub(super) fn is_last_resort(self) -> bool {
        self.0 & (REACH | DRAINING | RETIRED | BEEN_UP) == BEEN_UP
    }
}

impl State {
    pub(super) fn new(standing: Standing) -> Self {
        Self(AtomicU32::new(with_standing(0, standing)))
    }

    pub(super) fn view(&self) -> View {
        View(self.0.load(Ordering::Acquire))
    }

    /// Returns the standing before.
    pub(super) fn set_standing(&self, standing: Standing) -> Standing {
        self.change(|word| with_standing(word, standing)).standing()
    }

    /// True if it was up.
    pub(super) fn suspect(&self) -> bool {
        let suspect = |word: u32| {
            let is_up = View(word).standing() == Standing::Up && word & UNCHECKED == 0;
            is_up.then_some(word & !HEALTH | SUSPECT)
        };
        self.0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, suspect)
            .is_ok()
    }

    pub(super) fn set_reach(&self, reach: Reach) {
        let bits = match reach {
            Reach::Open => 0,
            Reach::Refusing => REFUSING,
            Reach::Stopped => STOPPED,
        };
        self.change(|word| word & !REACH | bits);
    }

    pub(super) fn set_checks(&self, checks: Checks) {
        self.change(|word| match checks {
            Checks::On => word & !UNCHECKED,
            Checks::Off => word | UNCHECKED,
        });
    }

    pub(super) fn retire(&self) {
        self.change(|word| word | RETIRED);
    }

    pub(super) fn remember_up(&self) {
        self.change(|word| word | BEEN_UP);
    }

    /// Compare-and-set until it holds; writes nothing where nothing changes. Returns the word before.
    fn change(&self, to: impl Fn(u32) -> u32) -> View {
        let mut word = self.0.load(Ordering::Acquire);
        loop {
            let next = to(word);
            if next == word {
                return View(word);
            }
            match self
                .0
                .compare_exchange_weak(word, next, Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(before) => return View(before),
                Err(now) => word = now,
            }
        }
    }
}

fn with_standing(word: u32, standing: Standing) -> u32 {
    let health = match standing {
        Standing::Draining => return word | DRAINING,
        Standing::Out => return word & !HEALTH | OUT,
        _ if word & DRAINING != 0 => return word,
        Standing::Up => UP | BEEN_UP,
        Standing::Suspect => SUSPECT | BEEN_UP,
        Standing::Held => HELD,
    };
    word & !HEALTH | health
}
