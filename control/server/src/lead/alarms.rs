//! Alarms as they were told last: each text is told once, and again only after it had ended. Pure.

use minato_config::{ServiceName, Timestamp};
use minato_control::{Event, EventKind};
use std::collections::BTreeSet;

/// Of which service, where it is of one, and what is wrong.
pub(super) type Alarm = (Option<ServiceName>, String);

/// See the module.
#[derive(Default)]
pub(super) struct Alarms(BTreeSet<Alarm>);

impl Alarms {
    /// `found`: all that is wrong now. What of it is to be told.
    pub(super) fn turn(&mut self, found: BTreeSet<Alarm>, now: Timestamp) -> Vec<Event> {
        let fresh = found.difference(&self.0).map(|(service, text)| {
            let event = Event::warn(now, EventKind::Alarm, text.clone());
            match service {
                Some(service) => event.of(service),
                None => event,
            }
        });
        let events = fresh.collect();
        self.0 = found;
        events
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_is_told_when_it_begins_and_again_only_after_it_ended() {
        let app = ServiceName::parse("app").expect("a name");
        let mut alarms = Alarms::default();
        let mut told = |found: &[(bool, &str)]| {
            let found = found.iter().map(|(is_of_app, text)| {
                let service = is_of_app.then(|| app.clone());
                (service, (*text).to_owned())
            });
            let events = alarms.turn(found.collect(), Timestamp(5));
            let told = events
                .into_iter()
                .map(|it| (it.service.is_some(), it.message));
            told.collect::<Vec<_>>()
        };
        let full = |of| (of, "no room".to_owned());
        assert_eq!(told(&[(true, "no room")]), [full(true)]);
        assert_eq!(told(&[(true, "no room")]), []);
        // The same words of the site are another alarm.
        let both = [(true, "no room"), (false, "no room")];
        assert_eq!(told(&both), [full(false)]);
        assert_eq!(told(&[]), []);
        assert_eq!(told(&both), [full(false), full(true)]);
    }
}
