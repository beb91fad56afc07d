//! What leads here by a name: each name a task that makes it so, tries again, and tells.
//!
//! A name is moved by a word, an operator's or an operation's, and where it follows the gateway also by what that says of
//! itself; where it follows the sites, by which of them are heard. The newest word counts; one that is done, or refused by the claim,
//! is settled. A word is not kept over a restart:
//! who needs it to last (an operation) says it again, which changes nothing where it is so already.
//! Here: which names there are, and the words that are taken in. Their tasks are in `keep`.

mod goal;
mod keep;
mod means;
mod mending;
mod tell;

use crate::clock;
use crate::gate::Gate;
use goal::Asked;
use means::Means;
use minato_config::{EntranceName, EntranceSettings, Follow, NodeId, SiteId, Timestamp};
use minato_control::entrance::{Sight, Wish};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::watch;

/// A word about a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Which.
    pub name: EntranceName,
    /// What is wanted.
    pub wish: Wish,
    /// Who wants it.
    pub who: String,
}

/// A name as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameView {
    /// NAME of `[entrance.dns.NAME]` or `[entrance.hook.NAME]`.
    pub name: EntranceName,
    /// `www.example.org at 192.0.2.53:53`
    pub what: String,
    /// What it follows by itself.
    pub follow: Follow,
    /// Of the word that this is about; 0 where nobody has said anything.
    pub number: u64,
    /// `publish` or `withdraw`; empty where nothing is to be done.
    pub action: &'static str,
    /// How far that is.
    pub state: NameState,
    /// Why, where it is not done.
    pub detail: String,
    /// Since when.
    pub since: Timestamp,
}

/// How far a word is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameState {
    /// Nothing is wanted, or nobody has looked yet.
    Idle,
    /// Under way, and tried again and again.
    Trying,
    /// It is so.
    Done,
    /// It must not be.
    Refused,
    /// It follows the sites, and leads to another one, as it should.
    Elsewhere,
    /// The same, and a person has to say whether it should.
    Asks,
}

/// All names of this gateway.
#[derive(Debug)]
pub struct Names {
    site: SiteId,
    node: NodeId,
    gate: Arc<Gate>,
    all: BTreeMap<EntranceName, Arc<Name>>,
}

#[derive(Debug)]
struct Name {
    name: EntranceName,
    means: Means,
    follow: Follow,
    word: watch::Sender<Option<Asked>>,
    /// Where it follows the sites: what is seen of them.
    sight: watch::Sender<Sight>,
    view: watch::Sender<NameView>,
}

impl Names {
    /// Those of the settings. Nothing is done before [`Names::run`].
    pub fn new(settings: &EntranceSettings, site: &SiteId, node: &NodeId, gate: Arc<Gate>) -> Self {
        let dns = settings.dns.iter().map(|(name, it)| {
            let means = Means::Dns(it.clone());
            (name, means, it.follow)
        });
        let hooks = settings.hooks.iter().map(|(name, it)| {
            let means = Means::Hook(it.clone());
            (name, means, it.follow)
        });
        let all = dns.chain(hooks).map(|(name, means, follow)| {
            let view = NameView {
                name: name.clone(),
                what: means.to_string(),
                follow,
                number: 0,
                action: "",
                state: NameState::Idle,
                detail: String::new(),
                since: Timestamp(0),
            };
            let one = Name {
                name: name.clone(),
                means,
                follow,
                word: watch::Sender::new(None),
                sight: watch::Sender::default(),
                view: watch::Sender::new(view),
            };
            (name.clone(), Arc::new(one))
        });
        Self {
            site: site.clone(),
            node: node.clone(),
            gate,
            all: all.collect(),
        }
    }

    /// Whether there is anything to do.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Takes a word in; the number by which [`Names::view`] tells how far it is. The error says why it is none.
    pub fn want(&self, word: &Published) -> Result<u64, String> {
        let Some(name) = self.all.get(&word.name) else {
            let names: Vec<&str> = self.all.keys().map(EntranceName::as_str).collect();
            return Err(match names.as_slice() {
                [] => "no name is to be published: minato.toml has no [entrance.dns.NAME] and no [entrance.hook.NAME]".to_owned(),
                names => format!("there is no [entrance.dns.{0}] and no [entrance.hook.{0}]; there are: {1}", word.name, names.join(", ")),
            });
        };
        if name.follow == Follow::Gateway && matches!(word.wish, Wish::Leave { .. }) {
            return Err(format!(
                "{} follows the gateway (`follow` in minato.toml), which would publish it again; `minato entrance drain` withdraws it",
                word.name
            ));
        }
        if name.follow == Follow::Site && matches!(word.wish, Wish::Leave { .. }) {
            return Err(format!(
                "{} follows the order of sites (`follow` in minato.toml), which would publish it again; `minato switch` moves its services and the name",
                word.name
            ));
        }
        // Above every number of before a restart, so that an idempotency key is never used twice.
        let now = clock::wall();
        let mut number = now.0;
        name.word.send_modify(|it| {
            number = number.max(it.as_ref().map_or(0, |it| it.number) + 1);
            *it = Some(Asked {
                number,
                wish: word.wish,
                who: word.who.clone(),
                settled: false,
            });
        });
        name.view.send_modify(|it| {
            it.number = number;
            it.action = word.wish.verb();
            it.state = NameState::Trying;
            it.detail = String::new();
            it.since = now;
        });
        Ok(number)
    }

    /// The names that follow the sites, each with its host.
    pub fn led(&self) -> Vec<(EntranceName, String)> {
        let led = self.all.values().filter(|it| it.follow == Follow::Site);
        let host = |it: &Arc<Name>| match &it.means {
            Means::Dns(settings) => Some((it.name.clone(), settings.name.to_ascii_lowercase())),
            Means::Hook(_) => None,
        };
        led.filter_map(host).collect()
    }

    /// Takes in what is seen of the sites that a name may lead to.
    pub fn see(&self, name: &EntranceName, sight: Sight) {
        if let Some(name) = self.all.get(name) {
            name.sight.send_if_modified(|it| {
                let is_new = *it != sight;
                *it = sight;
                is_new
            });
        }
    }

    /// How each stands, by name.
    pub fn view(&self) -> Vec<NameView> {
        self.all
            .values()
            .map(|it| it.view.borrow().clone())
            .collect()
    }
}
