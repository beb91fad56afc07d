//! Where the health loop's events go: to the journal, for as long as this process keeps it.

use minato_control::Event;
use tokio::sync::mpsc;

/// Events that may wait for a journal.
const WAITING: usize = 1024;

/// See the module.
#[derive(Debug)]
pub(super) enum Telling {
    /// Nobody keeps the journal yet.
    Later(Vec<Event>),
    Journal(mpsc::Sender<Event>),
    /// Another process keeps it and tells for itself.
    Silent,
}

impl Default for Telling {
    fn default() -> Self {
        Self::Later(Vec::new())
    }
}

impl Telling {
    /// Tells what has waited, and from now on at once.
    pub(super) fn begin_journal(&mut self, events: mpsc::Sender<Event>) {
        let before = std::mem::replace(self, Self::Journal(events));
        if let Self::Later(waiting) = before {
            waiting.into_iter().for_each(|it| self.tell(it));
        }
    }

    /// A full journal loses an event rather than holding verdicts up.
    pub(super) fn tell(&mut self, event: Event) {
        let is_lost = match self {
            Self::Journal(events) => events.try_send(event).is_err(),
            Self::Later(waiting) if waiting.len() < WAITING => {
                waiting.push(event);
                false
            }
            Self::Later(_) => true,
            Self::Silent => false,
        };
        if is_lost {
            tracing::warn!("the journal is full; an event was dropped");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use minato_config::Timestamp;
    use minato_control::EventKind;

    fn event(at: u64) -> Event {
        Event::info(Timestamp(at), EventKind::Up, "up")
    }

    #[test]
    fn what_has_waited_is_told_first_and_nothing_while_another_tells() {
        let mut telling = Telling::default();
        telling.tell(event(1));
        let (events, mut journal) = mpsc::channel(4);
        telling.begin_journal(events.clone());
        telling.tell(event(2));
        telling = Telling::Silent;
        telling.tell(event(3));
        telling.begin_journal(events);
        telling.tell(event(4));
        drop(telling);
        let mut told = Vec::new();
        while let Ok(event) = journal.try_recv() {
            told.push(event.at.0);
        }
        assert_eq!(told, [1, 2, 4]);
    }

    #[test]
    fn as_many_wait_as_fit() {
        let mut telling = Telling::default();
        (0..2_000).for_each(|at| telling.tell(event(at)));
        let Telling::Later(waiting) = telling else {
            panic!("nobody took them");
        };
        assert_eq!(waiting.len(), WAITING);
    }
}
