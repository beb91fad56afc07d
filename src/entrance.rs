//! The entrance of this process: what the gateway says of itself, where it is asked, and what an operator may say of it.
//!
//! Order at a stop: it says that it is leaving for `drain` while everything serves on, then its listeners and the
//! gateway's close. At an upgrade nothing is said: the sockets and the operator's word go to the next process.

use crate::listeners::{Listeners, Role};
use anyhow::Context as _;
use minato_config::{EntranceName, EntranceSettings, Follow, NodeId, Settings, Timestamp};
use minato_control::Event;
use minato_control::clock_text;
use minato_control::entrance::{ByHand, Leaving, Standing, Wish};
use minato_control_entrance::{Answering, Gate, NameState, NameView, Names, Published};
use minato_control_server::api::{
    ChangeAnswer, DrainRequest, EntranceStatus, NameStatus, PublishAction, PublishRequest,
};
use minato_control_server::{Door, Doors};
use minato_proxy_server::Gateway;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

const UNDRAIN: &str = "minato entrance undrain";
const DRAIN: &str = "minato entrance drain";

/// What the admin API and the process share.
#[derive(Debug)]
pub(crate) struct Entrance {
    settings: EntranceSettings,
    gate: Arc<Gate>,
    names: Arc<Names>,
    /// Where it can be asked.
    listens: Vec<SocketAddr>,
    is_gateway: bool,
}

impl Entrance {
    pub(crate) fn open(settings: &Settings, node: &NodeId, listeners: &Listeners) -> Self {
        let gate = Arc::new(Gate::open(&settings.data));
        let names = Names::new(&settings.entrance, &settings.site, node, Arc::clone(&gate));
        Self {
            settings: settings.entrance.clone(),
            gate,
            names: Arc::new(names),
            listens: listeners.addresses(Role::Entrance),
            is_gateway: settings.roles.contains(&minato_config::Role::Gateway),
        }
    }

    /// Begins to answer: the gateway accepts. What an operator told the process before is known from now on.
    pub(crate) fn serve(
        &self,
        listeners: &Listeners,
        gateway: &Arc<Gateway>,
    ) -> anyhow::Result<Option<Answering>> {
        self.gate.reread();
        let sockets = listeners.of(Role::Entrance)?;
        if sockets.is_empty() {
            return Ok(None);
        }
        let gateway = Arc::clone(gateway);
        let beats = move || gateway.beats();
        Answering::start(sockets, Arc::clone(&self.gate), beats)
            .context("the entrance cannot answer")
            .map(Some)
    }

    /// What leads here by a name.
    pub(crate) fn names(&self) -> &Arc<Names> {
        &self.names
    }

    /// Moves names until `stop` is true; `None` where there is none. One process of a node does it at a time.
    pub(crate) fn move_names(
        &self,
        events: mpsc::Sender<Event>,
        stop: watch::Receiver<bool>,
    ) -> Option<impl Future<Output = ()> + Send + use<>> {
        let names = (!self.names.is_empty()).then(|| Arc::clone(&self.names));
        self.gate.reread();
        names.map(|it| it.run(events, stop))
    }

    /// Says that this gateway is about to stop; how long it should serve on until it does.
    pub(crate) fn leave(&self) -> Duration {
        let left = self.gate.stop(self.settings.drain);
        if self.settings.is_used() {
            left
        } else {
            Duration::ZERO
        }
    }

    /// `None` where there is nothing to say.
    pub(crate) fn status(&self) -> EntranceStatus {
        if !self.is_gateway {
            return EntranceStatus::default();
        }
        let door = self.gate.door();
        let standing = door.standing();
        let reason = match standing {
            Standing::Alive => String::new(),
            Standing::Stuck => {
                "a thread that serves has stood still for 5 s; restart minato, and report this as a bug"
                    .to_owned()
            }
            Standing::Draining(Leaving::Stopping) => "minato is about to stop".to_owned(),
            Standing::Draining(Leaving::ByHand) => {
                let by = door.by_hand.as_ref();
                by.map(|it| format!("taken out by {}", said(it)))
                    .unwrap_or_default()
            }
        };
        EntranceStatus {
            standing: standing.word().to_owned(),
            reason,
            undo: door.by_hand.map_or("", |_| UNDRAIN).to_owned(),
            asked_at: self
                .listens
                .iter()
                .map(|it| format!("http://{it}/readyz"))
                .collect(),
            names: self.names.view().into_iter().map(name_status).collect(),
        }
    }

    /// Takes a word about a name in. The error says why it is none.
    pub(crate) fn publish(
        &self,
        name: &str,
        asked: PublishRequest,
    ) -> Result<ChangeAnswer, String> {
        let epoch = asked.epoch;
        let wish = match asked.action {
            PublishAction::Publish => Wish::Take { epoch },
            PublishAction::Withdraw => Wish::Leave { epoch },
        };
        let who = if asked.who.is_empty() {
            "someone".to_owned()
        } else {
            asked.who
        };
        let word = Published {
            name: EntranceName::parse(name).map_err(|it| it.to_string())?,
            wish,
            who,
        };
        let number = self.names.want(&word)?;
        let follows = self
            .names
            .view()
            .into_iter()
            .find(|it| it.name == word.name);
        let follows = follows.is_some_and(|it| it.follow != Follow::Nobody);
        let undo = match asked.action {
            // What follows something is not withdrawn by a word: the other site publishes it.
            PublishAction::Publish if follows => None,
            PublishAction::Publish => Some("withdraw"),
            PublishAction::Withdraw => Some("publish"),
        };
        Ok(ChangeAnswer {
            message: format!("{} of {name} is under way", wish.verb()),
            undo: undo.map(|it| format!("minato entrance {it} {name}")),
            number: Some(number),
        })
    }

    /// Keeps an operator's word. The error says why not.
    pub(crate) fn drain(
        &self,
        asked: DrainRequest,
        now: Timestamp,
    ) -> Result<ChangeAnswer, String> {
        if !self.is_gateway {
            return Err(
                "this process has no gateway: `roles` in minato.toml leaves it out".to_owned(),
            );
        }
        if asked.drain && !self.settings.is_used() {
            return Err("nobody asks this gateway whether it wants traffic: [entrance] in minato.toml names no `listen`; docs/entrance.md tells how".to_owned());
        }
        let who = if asked.who.is_empty() {
            "someone".to_owned()
        } else {
            asked.who
        };
        let word = asked.drain.then_some(ByHand { who, since: now });
        let held = self.gate.door().by_hand;
        if asked.drain
            && let Some(held) = held
        {
            return Ok(ChangeAnswer {
                message: format!("this gateway is out of traffic already, by {}", said(&held)),
                ..ChangeAnswer::default()
            });
        }
        let who = word.as_ref().map(|it| it.who.clone());
        let before = self.gate.by_hand(word).map_err(|it| it.to_string())?;
        let (message, undo) = match (who, before) {
            (Some(who), _) => (
                format!(
                    "this gateway says that it is draining, by {who}: those who ask it send no new visitors, and it serves those that come"
                ),
                Some(UNDRAIN.to_owned()),
            ),
            (None, Some(before)) => (
                format!(
                    "this gateway says that it is alive again; it was out by {}",
                    said(&before)
                ),
                Some(DRAIN.to_owned()),
            ),
            (None, None) => ("this gateway is not out of traffic".to_owned(), None),
        };
        Ok(ChangeAnswer {
            message,
            undo,
            number: None,
        })
    }
}

impl Doors for Entrance {
    fn doors(&self) -> Vec<Door> {
        let view = self.names.view().into_iter();
        let door = |it: NameView| Door {
            host: (self.settings.dns.get(&it.name)).map(|it| it.name.to_ascii_lowercase()),
            trouble: match it.state {
                NameState::Done => None,
                NameState::Idle => Some("nobody has looked yet".to_owned()),
                NameState::Trying => Some(format!("not so yet {}", it.detail).trim().to_owned()),
                NameState::Refused => Some(format!("refused: {}", it.detail)),
                NameState::Elsewhere | NameState::Asks => Some(it.detail.clone()),
            },
            name: it.name,
            number: it.number,
            since: it.since,
        };
        view.map(door).collect()
    }

    fn publish(&self, name: &EntranceName, who: &str) -> Result<u64, String> {
        self.names.want(&Published {
            name: name.clone(),
            wish: Wish::Take { epoch: None },
            who: who.to_owned(),
        })
    }
}

fn name_status(it: NameView) -> NameStatus {
    NameStatus {
        name: it.name.to_string(),
        what: it.what,
        follows: it.follow == Follow::Gateway,
        led_by: match it.follow {
            Follow::Nobody => "",
            Follow::Gateway => "the gateway",
            Follow::Site => "the order of sites",
        }
        .to_owned(),
        number: it.number,
        action: it.action.to_owned(),
        state: match it.state {
            NameState::Idle => "idle",
            NameState::Trying => "trying",
            NameState::Done => "done",
            NameState::Refused => "refused",
            NameState::Elsewhere => "elsewhere",
            NameState::Asks => "asks",
        }
        .to_owned(),
        detail: it.detail,
        since_ms: it.since.0,
    }
}

/// `alice since 2026-11-22T03:10:00.000Z`
fn said(word: &ByHand) -> String {
    if word.who.is_empty() {
        return "a word that this version cannot read".to_owned();
    }
    format!("{} since {}", word.who, clock_text(word.since))
}
