//! How a name stands for who looks, and what is told of it as events: each thing once.

use super::goal::{Aim, Came, Goal};
use super::means::Means;
use super::{Name, NameState};
use crate::clock;
use minato_control::entrance::Wish;
use minato_control::{Event, EventKind};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// A question to a person is told once it has stood for so long: what a planned switch is about to answer is no alarm, and a site that was
/// only just not heard may be. The status shows it at once, and the name is looked at every ten seconds.
const STANDS: Duration = Duration::from_secs(8);

impl Name {
    pub(super) fn show(&self, goal: &Goal, came: &Came) {
        let (state, detail) = match came {
            Came::Done { .. } => (NameState::Done, ""),
            Came::Refused(why) => (NameState::Refused, why.as_str()),
            Came::Trouble(why) => (NameState::Trying, why.as_str()),
            Came::Elsewhere(why) => (NameState::Elsewhere, why.as_str()),
            Came::Asks(why) => (NameState::Asks, why.as_str()),
        };
        let open = self
            .word
            .borrow()
            .as_ref()
            .map(|it| (it.number, it.settled));
        // A word came meanwhile, and is what is shown: nobody may take what is followed for what came of it.
        if open.is_some_and(|(number, settled)| !settled && number != goal.number) {
            return;
        }
        self.view.send_if_modified(|it| {
            let action = match came {
                Came::Elsewhere(_) | Came::Asks(_) => "",
                _ => goal.verb(),
            };
            if (it.state, it.action) != (state, action) || it.detail != detail {
                it.since = clock::wall();
            }
            (it.state, it.action, it.detail) = (state, action, detail.to_owned());
            true
        });
    }
}

/// Tells each thing once.
#[derive(Debug, Default)]
pub(super) struct Teller {
    /// The goal that was last told of, and the trouble.
    told: Option<(Goal, String)>,
    /// Since when a person is asked without a break, by this text.
    asks: Option<(String, Instant)>,
}

impl Teller {
    pub(super) fn tell(
        &mut self,
        name: &Name,
        goal: &Goal,
        came: &Came,
        delay: Duration,
        (events, at): (&mpsc::Sender<Event>, Instant),
    ) {
        if !self.stands(came, at) {
            return;
        }
        let said = match came {
            Came::Done { .. } | Came::Elsewhere(_) => String::new(),
            Came::Refused(why) | Came::Trouble(why) | Came::Asks(why) => why.clone(),
        };
        let now = (goal.clone(), said);
        let is_new = self.told.as_ref() != Some(&now);
        let was_trouble = self.told.as_ref().is_some_and(|it| !it.1.is_empty());
        self.told = Some(now);
        let (verb, what, who) = (goal.verb(), &name.means, &goal.who);
        let event = match came {
            Came::Done { changed: false } if !was_trouble && goal.number == 0 => return,
            Came::Done { changed } if *changed || is_new => {
                let wish = match goal.aim {
                    Aim::Wish(wish) => wish,
                    Aim::Lead => Wish::Take { epoch: None },
                };
                let done = match (wish, *changed) {
                    (Wish::Take { .. }, true) => "leads to this site from now on",
                    (Wish::Join, true) => "leads to this gateway from now on",
                    (Wish::Leave { .. }, true) => "leads to this site no longer",
                    (Wish::Part, true) => "leads to this gateway no longer",
                    (Wish::Take { .. } | Wish::Join, false) => "leads here already",
                    (Wish::Leave { .. } | Wish::Part, false) => "does not lead here",
                };
                let text = match name.means {
                    Means::Dns(_) => format!("{what} {done} ({verb}, by {who})"),
                    Means::Hook(_) => format!("{what} was told to {verb} {} (by {who})", name.name),
                };
                Event::info(clock::wall(), EventKind::Entrance, text)
            }
            Came::Asks(why) if is_new => {
                let text =
                    format!("{what} does not lead to this site, and a person decides: {why}");
                Event::error(clock::wall(), EventKind::Entrance, text)
                    .hint("minato entrance status")
            }
            Came::Done { .. } | Came::Elsewhere(_) => return,
            Came::Refused(why) if is_new => {
                let text = format!("{what}: {verb} by {who} is refused: {why}");
                Event::warn(clock::wall(), EventKind::Entrance, text).hint("minato entrance status")
            }
            Came::Trouble(why) if is_new => {
                let text = format!(
                    "{what}: {verb} by {who} does not succeed yet, and is tried again in {delay:?}: {why}"
                );
                Event::warn(clock::wall(), EventKind::Entrance, text).hint("minato entrance status")
            }
            Came::Refused(_) | Came::Trouble(_) | Came::Asks(_) => return,
        };
        if let Err(error) = events.try_send(event) {
            tracing::warn!(%error, "an event of the entrance was lost");
        }
    }

    /// Whether what came has stood for long enough to be told; all but a question has.
    fn stands(&mut self, came: &Came, at: Instant) -> bool {
        let Came::Asks(why) = came else {
            self.asks = None;
            return true;
        };
        if self.asks.as_ref().is_none_or(|it| it.0 != *why) {
            self.asks = Some((why.clone(), at));
        }
        let since = self.asks.as_ref().map_or(at, |it| it.1);
        at.saturating_duration_since(since) >= STANDS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::Gate;
    use crate::names::goal::Asked;
    use crate::names::{Names, Published};
    use minato_config::{
        EntranceHook, EntranceName, EntranceSettings, Follow, HookTarget, NodeId, SiteId,
    };
    use std::sync::Arc;

    /// One name that a command is told, of a gateway in tokyo.
    fn names(data: &std::path::Path) -> (EntranceName, Names) {
        let hook = EntranceHook {
            to: HookTarget::Command(vec!["/bin/true".to_owned()]),
            timeout: Duration::from_secs(1),
            addresses: std::collections::BTreeSet::new(),
            follow: Follow::Gateway,
        };
        let web = EntranceName::parse("web").unwrap();
        let settings = EntranceSettings {
            hooks: [(web.clone(), hook)].into(),
            ..EntranceSettings::default()
        };
        let (site, node) = (
            SiteId::parse("tokyo").unwrap(),
            NodeId::parse("gw").unwrap(),
        );
        let gate = Arc::new(Gate::open(data));
        (web, Names::new(&settings, &site, &node, gate))
    }

    /// At each second what came of a look: `?` and a letter asks, `-` leads elsewhere, `!` is trouble. `expected`: when something was told.
    #[track_caller]
    fn check(looks: &[(u64, &str)], expected: &[u64]) {
        let data = tempfile::tempdir().unwrap();
        let (web, names) = names(data.path());
        let (sender, mut events) = mpsc::channel(16);
        let goal = Goal {
            number: 0,
            aim: Aim::Lead,
            who: "the order of sites".to_owned(),
        };
        let (mut teller, begin) = (Teller::default(), clock::now());
        let mut told = Vec::new();
        for (second, look) in looks {
            let came = match look.chars().next() {
                Some('?') => Came::Asks((*look).to_owned()),
                Some('!') => Came::Trouble("away".to_owned()),
                _ => Came::Elsewhere("as it should".to_owned()),
            };
            let at = begin + Duration::from_secs(*second);
            let delay = Duration::from_secs(1);
            teller.tell(&names.all[&web], &goal, &came, delay, (&sender, at));
            told.extend(std::iter::from_fn(|| events.try_recv().ok()).map(|_| *second));
        }
        assert_eq!(told, expected, "{looks:?}");
    }

    #[test]
    fn a_person_is_asked_once_and_only_where_the_question_stands() {
        check(&[(0, "-"), (10, "?a"), (20, "?a"), (30, "?a")], &[20]);
        // A switch has made another site the first, and publishes the name there in a moment.
        check(&[(0, "-"), (3, "?a"), (7, "?a"), (9, "-"), (20, "-")], &[]);
        check(&[(3, "?a"), (9, "-"), (12, "?a"), (19, "?a")], &[]);
        // Another question, and the same one again after an answer.
        check(
            &[
                (0, "?a"),
                (10, "?b"),
                (20, "?b"),
                (30, "-"),
                (40, "?b"),
                (50, "?b"),
            ],
            &[20, 50],
        );
        // Trouble is told at once.
        check(&[(0, "!"), (1, "!"), (2, "?a"), (12, "?a")], &[0, 12]);
    }

    /// A try of what is followed that ends after a word came says nothing of the word.
    #[test]
    fn what_is_followed_is_not_shown_as_what_came_of_a_word() {
        let data = tempfile::tempdir().unwrap();
        let (web, names) = names(data.path());
        let number = names
            .want(&Published {
                name: web.clone(),
                wish: Wish::Take { epoch: None },
                who: "alice".to_owned(),
            })
            .unwrap();
        let name = &names.all[&web];
        let goal = |number| Goal {
            number,
            aim: Aim::Wish(Wish::Join),
            who: "alice".to_owned(),
        };
        let state = || (names.view()[0].number, names.view()[0].state);
        let done = Came::Done { changed: false };
        name.show(&goal(0), &done);
        assert_eq!(state(), (number, NameState::Trying));
        name.show(&goal(number - 1), &done);
        assert_eq!(state(), (number, NameState::Trying));
        name.show(&goal(number), &done);
        assert_eq!(state(), (number, NameState::Done));
        // Once it is settled what is followed shows again.
        name.word.send_modify(|it| {
            let settle = |it: &mut Asked| it.settled = true;
            it.as_mut().map(settle).unwrap();
        });
        name.show(&goal(0), &Came::Trouble("away".to_owned()));
        assert_eq!(state(), (number, NameState::Trying));
    }
}
