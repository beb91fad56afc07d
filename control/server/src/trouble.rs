//! Tells a failing store once when it begins and once when it ends, and says how long to wait between tries.

use crate::clock;
use crate::journal::emit;
use minato_control::{Event, EventKind};
use minato_control_store::StoreError;
use std::time::Duration;
use tokio::sync::mpsc;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(2);

/// One task's view of whether the store works.
#[derive(Debug)]
pub(crate) struct Trouble {
    whose: &'static str,
    events: mpsc::Sender<Event>,
    pause: Option<Duration>,
}

impl Trouble {
    /// `whose` goes into the sentence: `control`.
    pub(crate) fn new(whose: &'static str, events: mpsc::Sender<Event>) -> Self {
        Self {
            whose,
            events,
            pause: None,
        }
    }

    /// A call failed; returns the pause before the next try, 100 ms doubling to 2 s.
    pub(crate) fn failed(&mut self, error: &StoreError) -> Duration {
        let pause = match self.pause {
            Some(pause) => (pause * 2).min(LONGEST),
            None => {
                self.tell(error);
                FIRST
            }
        };
        self.pause = Some(pause);
        pause
    }

    /// A call worked.
    pub(crate) fn recovered(&mut self) {
        if self.pause.take().is_some() {
            let text = format!("the store works again for {}", self.whose);
            emit(
                &self.events,
                Event::info(clock::wall(), EventKind::Store, text),
            );
        }
    }

    /// The last call failed.
    pub(crate) fn is_open(&self) -> bool {
        self.pause.is_some()
    }

    fn tell(&self, error: &StoreError) {
        let text = format!("{}: {error}", self.whose);
        let event = Event::error(clock::wall(), EventKind::Store, text);
        emit(
            &self.events,
            match error {
                StoreError::Disk { .. } => event.hint(
                    "make room or repair that disk; requests are served meanwhile, and writing is tried again by itself",
                ),
                StoreError::Unfit { .. } | StoreError::Corrupt { .. } => event.hint("requests are served meanwhile"),
                _ => event.hint("requests are served meanwhile; it is tried again by itself"),
            },
        );
    }
}
