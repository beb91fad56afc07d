//! How a name stands for who looks, and what is told of it as events: each thing once.

use super::goal::{Aim, Came, Goal};
use super::means::Means;
use super::{Name, NameState};
use crate::clock;
use minato_control::entrance::Wish;
use minato_control::{Event, EventKind};
use std::time::Duration;
use tokio::sync::mpsc;

impl Name {
    pub(super) fn show(&self, goal: &Goal, came: &Came) {
        let (state, detail) = match came {
            Came::Done { .. } => (NameState::Done, ""),
            Came::Refused(why) => (NameState::Refused, why.as_str()),
            Came::Trouble(why) => (NameState::Trying, why.as_str()),
            Came::Elsewhere(why) => (NameState::Elsewhere, why.as_str()),
            Came::Asks(why) => (NameState::Asks, why.as_str()),
        };
        self.view.send_if_modified(|it| {
            // A newer word came meanwhile, and is what is shown; what follows the gateway shows after a word is done.
            if it.number > goal.number && goal.number != 0 {
                return false;
            }
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
}

impl Teller {
    pub(super) fn tell(
        &mut self,
        name: &Name,
        goal: &Goal,
        came: &Came,
        delay: Duration,
        events: &mpsc::Sender<Event>,
    ) {
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
}
