//! What happened, for people and for measuring.

use crate::clock_text;
use minato_config::{Generation, Run, ServiceName, SlotIndex, Timestamp};
use serde::{Deserialize, Serialize};
use std::fmt;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When, by the wall clock of who saw it.
    pub at: Timestamp,
    /// How bad.
    pub level: Level,
    /// What.
    pub kind: EventKind,
    /// Whose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceName>,
    /// Which instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<EventInstance>,
    /// One sentence: what happened and why.
    pub message: String,
    /// What to type, where a person can help.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Event {
    /// An operator's action or a repair took effect.
    pub fn info(at: Timestamp, kind: EventKind, message: impl Into<String>) -> Self {
        Self::new(at, Level::Info, kind, message.into())
    }

    /// Something went wrong and was handled.
    pub fn warn(at: Timestamp, kind: EventKind, message: impl Into<String>) -> Self {
        Self::new(at, Level::Warn, kind, message.into())
    }

    /// A person is needed: say by [`Event::hint`] what to type.
    pub fn error(at: Timestamp, kind: EventKind, message: impl Into<String>) -> Self {
        Self::new(at, Level::Error, kind, message.into())
    }

    fn new(at: Timestamp, level: Level, kind: EventKind, message: String) -> Self {
        Self {
            at,
            level,
            kind,
            service: None,
            instance: None,
            message,
            hint: None,
        }
    }

    /// Says whose it is.
    #[must_use]
    pub fn of(mut self, service: &ServiceName) -> Self {
        self.service = Some(service.clone());
        self
    }

    /// Says which run of which slot it speaks of.
    #[must_use]
    pub fn instance(mut self, slot: SlotIndex, generation: Generation, run: Run) -> Self {
        self.instance = Some(EventInstance {
            slot,
            generation,
            run,
        });
        self
    }

    /// Says what to type.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// One log line, the instance named once: `2026-11-22T14:35:01.123Z warn  library/1 run 3  suspect: no answer in 1s`, then the hint in
/// parentheses. Control characters are escaped, so it stays one line whatever a process printed.
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {:5} {}",
            clock_text(self.at),
            self.level,
            self.line()
        )
    }
}

/// An event without its time and level, for logs that have their own. One line, too.
pub struct Line<'a>(&'a Event);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(event) = self;
        match (&event.service, &event.instance) {
            (Some(service), Some(it)) => write!(f, "{service}/{} run {}  ", it.slot, it.run)?,
            (Some(service), None) => write!(f, "{service}  ")?,
            (None, _) => {}
        }
        one_line(f, event.news())?;
        if let Some(hint) = &event.hint {
            f.write_str(" (")?;
            one_line(f, hint)?;
            f.write_str(")")?;
        }
        Ok(())
    }
}

impl Event {
    /// The event without its time and level.
    pub fn line(&self) -> Line<'_> {
        Line(self)
    }

    /// The message without the name that stands in front of it on the line already.
    fn news(&self) -> &str {
        let Some(service) = &self.service else {
            return &self.message;
        };
        let slot = self.instance.map(|it| format!("{service}/{} ", it.slot));
        let named = slot.and_then(|it| self.message.strip_prefix(it.as_str()));
        let named = named.or_else(|| {
            self.message
                .strip_prefix(service.as_str())?
                .strip_prefix(": ")
        });
        named.unwrap_or(&self.message)
    }
}

fn one_line(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    use fmt::Write as _;
    for letter in text.chars() {
        if letter.is_control() {
            write!(f, "{}", letter.escape_default())?;
        } else {
            f.write_char(letter)?;
        }
    }
    Ok(())
}

/// Names the run that an event speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventInstance {
    /// Which place.
    pub slot: SlotIndex,
    /// Which assignment.
    pub generation: Generation,
    /// Which start.
    pub run: Run,
}

/// Info: an operator's action or a repair took effect. Warn: something went wrong and was handled. Error: a person is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Took effect.
    Info,
    /// Handled.
    Warn,
    /// A person is needed.
    Error,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        })
    }
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A gateway's first doubt about an instance.
    Suspect,
    /// A gateway ejected an instance.
    Down,
    /// A gateway routes to an instance (again).
    Up,
    /// The last instance of a service is down but kept, for want of another.
    Held,
    /// A process ended by itself, or was killed from outside.
    Exited,
    /// The agent kills an instance that is down for all observers.
    Killed,
    /// The agent started a run.
    Started,
    /// The agent found a run of before and goes on with it.
    Adopted,
    /// The agent changed what a running instance may use.
    Adjusted,
    /// An image was fetched, is being fetched, or was removed.
    Image,
    /// The engine that runs containers went away, came back, or told of something.
    Engine,
    /// The agent drains an instance before it is stopped.
    Stopping,
    /// An instance ended because it should.
    Stopped,
    /// An instance cannot be started, or its restart budget is spent.
    Failed,
    /// Control assigned a slot or a new generation.
    Assigned,
    /// Control changed a service's number of instances by its load.
    Scaled,
    /// A service goes from one version to the next, or back.
    Updated,
    /// An operation of a person's began, went on, was held or ended.
    Operation,
    /// Control removed a slot or a service.
    Removed,
    /// An operator changed an intent.
    Intent,
    /// A file was read and took effect.
    ConfigApplied,
    /// A file was refused; the old state serves on.
    ConfigRejected,
    /// The gateway's table changed: a route or a service.
    Routed,
    /// This process leads, or no longer does.
    Leader,
    /// The store refused or failed.
    Store,
    /// A node was lost, came back, or was told to be empty.
    Node,
    /// minato itself started or stopped.
    Process,
    /// What services depend on failed, came back, or is another member now.
    Dependency,
    /// A link to another site came up or broke, or a service goes to another site or comes back.
    Link,
    /// Where traffic enters: what this gateway says of itself, and what was made of it elsewhere.
    Entrance,
    /// Something needs a person.
    Alarm,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn library() -> ServiceName {
        ServiceName::parse("library").unwrap()
    }

    #[test]
    fn an_event_is_one_log_line() {
        let at = Timestamp(1_795_358_101_123);
        let kind = EventKind::Suspect;
        let generation = Generation { era: 0, counter: 2 };
        let table = [
            (
                Event::warn(at, kind, "suspect: no answer in 1s")
                    .of(&library())
                    .instance(SlotIndex(1), generation, Run(3)),
                "2026-11-22T14:35:01.123Z warn  library/1 run 3  suspect: no answer in 1s",
            ),
            (
                Event::info(at, kind, "scaled to 4").of(&library()),
                "2026-11-22T14:35:01.123Z info  library  scaled to 4",
            ),
            (
                Event::warn(at, kind, "library/1 exited with status 3")
                    .of(&library())
                    .instance(SlotIndex(1), generation, Run(3)),
                "2026-11-22T14:35:01.123Z warn  library/1 run 3  exited with status 3",
            ),
            (
                Event::info(at, kind, "library: 4 by hand").of(&library()),
                "2026-11-22T14:35:01.123Z info  library  4 by hand",
            ),
            (
                Event::info(at, kind, "library is new").of(&library()),
                "2026-11-22T14:35:01.123Z info  library  library is new",
            ),
            (
                Event::error(at, kind, "disk full").hint("df /var/lib/minato"),
                "2026-11-22T14:35:01.123Z error disk full (df /var/lib/minato)",
            ),
            (
                Event::info(at, kind, "last output: \"a\n\u{1b}[31mb\"").of(&library()),
                "2026-11-22T14:35:01.123Z info  library  last output: \"a\\n\\u{1b}[31mb\"",
            ),
        ];
        for (event, line) in table {
            assert_eq!(event.to_string(), line);
        }
    }

    #[test]
    fn an_event_survives_its_journal() {
        let event = Event::error(Timestamp(5), EventKind::ConfigRejected, "no")
            .of(&library())
            .instance(SlotIndex(7), Generation { era: 1, counter: 9 }, Run(2))
            .hint("minato check");
        let text = serde_json::to_string(&event).unwrap();
        assert!(text.contains("\"kind\":\"config_rejected\""), "{text}");
        assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), event);
        let bare = r#"{"at":5,"level":"info","kind":"up","message":"m","later":1}"#;
        assert_eq!(
            serde_json::from_str::<Event>(bare).unwrap(),
            Event::info(Timestamp(5), EventKind::Up, "m")
        );
    }
}
