//! From events to what happened when, counted from the fault. Pure.

use crate::demo::admin::{Seen, Victim};
use minato_control::EventKind;
use std::time::Duration;

/// One moment of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Since the fault or the change.
    pub(crate) after: Duration,
    pub(crate) what: String,
    /// The event's own sentence, where there is one.
    pub(crate) note: String,
}

impl Mark {
    pub(crate) fn new(after: Duration, what: &str, note: impl Into<String>) -> Self {
        Self {
            after,
            what: what.to_owned(),
            note: note.into(),
        }
    }
}

/// What became of one instance and of the run that replaced it. Each is the first of its kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Timeline {
    /// The first that anyone noticed: gateway or agent.
    pub(crate) detected: Option<Mark>,
    /// Not picked any more while another is up.
    pub(crate) suspect: Option<Mark>,
    /// Not picked at all.
    pub(crate) ejected: Option<Mark>,
    /// The agent ended it; only where it had not ended by itself.
    pub(crate) killed: Option<Mark>,
    pub(crate) restarted: Option<Mark>,
    /// A gateway routes to the new run.
    pub(crate) routed: Option<Mark>,
    /// The new run answered a request of the load.
    pub(crate) answered: Option<Mark>,
}

impl Timeline {
    /// Reads the events that followed a fault on `victim` at `fault`.
    pub(crate) fn of(victim: &Victim, fault: Duration, events: &[Seen]) -> Self {
        let mut line = Self::default();
        for seen in events {
            let Some(instance) = seen.event.instance else {
                continue;
            };
            let of_service = |it: &Seen| {
                let name = it.event.service.as_ref();
                name.is_some_and(|it| it.as_str() == victim.service)
            };
            if !of_service(seen) || instance.slot.0 != victim.slot {
                continue;
            }
            let old = instance.run.0 == victim.run
                && instance.generation.to_string() == victim.generation;
            let first = |place: &mut Option<Mark>, what: &str| {
                if place.is_none() {
                    let after = seen.at.saturating_sub(fault);
                    *place = Some(Mark::new(after, what, seen.event.message.clone()));
                }
            };
            match (seen.event.kind, old) {
                (EventKind::Suspect, true) => first(&mut line.suspect, "suspect"),
                (EventKind::Down | EventKind::Held, true) => {
                    first(&mut line.suspect, "suspect");
                    first(&mut line.ejected, "ejected");
                }
                (EventKind::Killed, true) => first(&mut line.killed, "killed"),
                (EventKind::Started, false) => first(&mut line.restarted, "restarted"),
                (EventKind::Up, false) => first(&mut line.routed, "routed"),
                _ => {}
            }
            if old
                && matches!(
                    seen.event.kind,
                    EventKind::Suspect | EventKind::Down | EventKind::Held | EventKind::Exited
                )
            {
                first(&mut line.detected, "detected");
            }
        }
        line
    }

    /// In the order of time; those of the same time in the order of a life.
    pub(crate) fn marks(&self) -> Vec<Mark> {
        let all = [
            &self.detected,
            &self.suspect,
            &self.ejected,
            &self.killed,
            &self.restarted,
            &self.routed,
            &self.answered,
        ];
        let mut marks: Vec<Mark> = all.into_iter().flatten().cloned().collect();
        marks.sort_by_key(|it| it.after);
        // The sentence of one event stands once.
        for at in 1..marks.len() {
            if marks[at].note == marks[at - 1].note {
                marks[at].note = String::new();
            }
        }
        marks
    }

    /// Whether the new run takes requests, and what is missing until then.
    pub(crate) fn is_repaired(&self) -> Result<(), &'static str> {
        match (&self.ejected, &self.restarted, &self.routed) {
            (None, None, None) => Err("nobody has noticed yet"),
            (_, None, _) => Err("it has not been restarted yet"),
            (_, _, None) => Err("the new run is not routed to yet"),
            (_, Some(_), Some(_)) => Ok(()),
        }
    }
}

/// Every event of `kinds` for `service` after `from`, as marks.
pub(crate) fn marks(
    service: &str,
    kinds: &[EventKind],
    from: Duration,
    events: &[Seen],
) -> Vec<Mark> {
    let wanted = |it: &&Seen| {
        let name = it.event.service.as_ref();
        kinds.contains(&it.event.kind) && name.is_none_or(|it| it.as_str() == service)
    };
    events
        .iter()
        .filter(wanted)
        .map(|it| {
            let kind = serde_json::to_value(it.event.kind).unwrap_or_default();
            let kind = kind.as_str().unwrap_or_default().replace('_', " ");
            Mark::new(it.at.saturating_sub(from), &kind, it.event.message.clone())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use minato_config::{Generation, Run, ServiceName, SlotIndex, Timestamp};
    use minato_control::Event;

    fn event(at: u64, kind: EventKind, service: &str, slot: u16, counter: u64, run: u64) -> Seen {
        let generation = Generation { era: 0, counter };
        let event = Event::info(Timestamp(at), kind, format!("{service} {kind:?}"))
            .of(&ServiceName::parse(service).unwrap())
            .instance(SlotIndex(slot), generation, Run(run));
        Seen {
            at: Duration::from_millis(at),
            event,
        }
    }

    fn victim() -> Victim {
        Victim {
            service: "orders".to_owned(),
            slot: 1,
            generation: "0.3".to_owned(),
            run: 2,
            pid: 7,
            address: "127.0.0.1:1".parse().unwrap(),
            restarts: 0,
        }
    }

    fn text(events: &[Seen]) -> String {
        let line = Timeline::of(&victim(), Duration::from_millis(1000), events);
        let marks = line.marks();
        let words = marks
            .iter()
            .map(|it| format!("{} {}", it.after.as_millis(), it.what));
        words.collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn timelines() {
        use EventKind::{Down, Exited, Killed, Started, Suspect, Up};
        let of = |at, kind, run| event(at, kind, "orders", 1, 3, run);
        let table: [(&[Seen], &str); 4] = [
            (
                &[
                    of(1200, Suspect, 2),
                    of(2400, Down, 2),
                    of(2450, Killed, 2),
                    of(2500, Started, 3),
                    of(2700, Up, 3),
                ],
                "200 detected, 200 suspect, 1400 ejected, 1450 killed, 1500 restarted, 1700 routed",
            ),
            (
                &[of(1003, Exited, 2), of(1005, Down, 2), of(1010, Started, 3)],
                "3 detected, 5 suspect, 5 ejected, 10 restarted",
            ),
            (
                &[
                    event(1001, Down, "pages", 1, 3, 2),
                    event(1001, Down, "orders", 0, 3, 2),
                    event(1001, Up, "orders", 1, 3, 2),
                ],
                "",
            ),
            (
                &[of(1100, Down, 2), event(1300, Started, "orders", 1, 4, 1)],
                "100 detected, 100 suspect, 100 ejected, 300 restarted",
            ),
        ];
        for (events, wanted) in table {
            assert_eq!(text(events), wanted);
        }
    }

    #[test]
    fn repaired_only_when_the_new_run_is_routed_to() {
        let mut line = Timeline::default();
        assert_eq!(line.is_repaired(), Err("nobody has noticed yet"));
        line.ejected = Some(Mark::new(Duration::ZERO, "ejected", ""));
        assert_eq!(line.is_repaired(), Err("it has not been restarted yet"));
        line.restarted = Some(Mark::new(Duration::ZERO, "restarted", ""));
        assert_eq!(line.is_repaired(), Err("the new run is not routed to yet"));
        line.routed = Some(Mark::new(Duration::ZERO, "routed", ""));
        assert_eq!(line.is_repaired(), Ok(()));
    }
}
