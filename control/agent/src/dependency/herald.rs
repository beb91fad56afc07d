//! Where events of dependencies go. They may happen before there is a journal, and while another process has it.

use minato_control::Event;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc;

/// Kept while nobody takes them; the oldest goes first.
const KEPT: usize = 64;

/// Tells events to whoever listens at the time.
#[derive(Debug, Clone, Default)]
pub struct Herald(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    to: Option<mpsc::Sender<Event>>,
    kept: VecDeque<Event>,
}

impl Herald {
    /// From now on events go there, those that were kept first.
    pub fn attach(&self, to: mpsc::Sender<Event>) {
        let mut state = self.lock();
        for event in state.kept.drain(..) {
            let _ = to.try_send(event);
        }
        state.to = Some(to);
    }

    /// Nobody listens for now.
    pub fn detach(&self) {
        self.lock().to = None;
    }

    /// Never waits.
    pub(crate) fn tell(&self, event: Event) {
        let mut state = self.lock();
        let unsent = match &state.to {
            Some(to) => to.try_send(event).err().map(|it| it.into_inner()),
            None => Some(event),
        };
        if let Some(event) = unsent {
            if state.kept.len() >= KEPT {
                state.kept.pop_front();
            }
            state.kept.push_back(event);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
