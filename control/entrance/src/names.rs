//! What leads here by a name: each name a task that makes it so, tries again, and tells.
//!
//! A name is moved by a word, an operator's or an operation's, and where it follows the gateway also by what that says of
//! itself; where it follows the sites, by which of them are heard. The newest word counts; one that is done, or refused by the claim,
//! is settled. A word is not kept over a restart:
//! who needs it to last (an operation) says it again, which changes nothing where it is so already.

use crate::clock;
use crate::dns;
use crate::gate::Gate;
use crate::hook::{self, Word};
use minato_config::{
    DnsSettings, EntranceHook, EntranceName, EntranceSettings, Follow, HookTarget, NodeId, SiteId,
    Timestamp,
};
use minato_control::entrance::{
    Claim, Lead, Move, Readings, Seen, Sight, Standing, Wish, decide, lead,
};
use minato_control::{Event, EventKind};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

/// What follows the gateway is looked at again so often: somebody may have changed it.
const REFRESH: Duration = Duration::from_secs(60);
/// What follows the sites is looked at so often, and whenever a site falls silent or is heard again.
const LOOK: Duration = Duration::from_secs(10);
/// After the first failure; then twice as long each time, up to [`SLOWEST`].
const FIRST: Duration = Duration::from_secs(1);
const SLOWEST: Duration = Duration::from_secs(60);
const FOLLOWS: &str = "the gateway's own state";
const LEADS: &str = "the order of sites";

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

#[derive(Debug)]
enum Means {
    Dns(DnsSettings),
    Hook(EntranceHook),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Asked {
    number: u64,
    wish: Wish,
    who: String,
    settled: bool,
}

/// What is to be made so.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Goal {
    /// 0: what it follows.
    number: u64,
    aim: Aim,
    who: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Aim {
    Wish(Wish),
    /// What the order of sites wants.
    Lead,
}

/// What is kept from one try of a name to the next.
#[derive(Debug)]
struct Track {
    /// The wish as the first look at the claim made it.
    pinned: Wish,
    /// When this goal came up.
    since: Timestamp,
    readings: Readings,
}

/// What came of one try.
enum Came {
    Done { changed: bool },
    Refused(String),
    Trouble(String),
    Elsewhere(String),
    Asks(String),
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

    /// Makes it so until `stop` is true. May run again after that.
    pub async fn run(
        self: Arc<Self>,
        events: mpsc::Sender<Event>,
        mut stop: watch::Receiver<bool>,
    ) {
        let mut tasks = JoinSet::new();
        for name in self.all.values() {
            let (this, name, events) = (Arc::clone(&self), Arc::clone(name), events.clone());
            tasks.spawn(async move { this.keep(&name, &events).await });
        }
        drop(events);
        let _ = stop.wait_for(|it| *it).await;
        tasks.shutdown().await;
    }

    async fn keep(&self, name: &Name, events: &mpsc::Sender<Event>) {
        let mut word = name.word.subscribe();
        let mut door = self.gate.follow();
        let mut sight = name.sight.subscribe();
        let mut teller = Teller::default();
        let mut last: Option<Goal> = None;
        let mut track = Track {
            pinned: Wish::Part,
            since: clock::wall(),
            readings: Readings::default(),
        };
        let mut delay = FIRST;
        loop {
            let asked = word.borrow_and_update().clone();
            let standing = door.borrow_and_update().standing();
            let seen = sight.borrow_and_update().clone();
            let goal = goal(name.follow, asked.as_ref(), standing == Standing::Alive);
            if goal != last {
                if let Some(Aim::Wish(wish)) = goal.as_ref().map(|it| it.aim) {
                    track.pinned = wish;
                }
                (track.since, delay) = (clock::wall(), FIRST);
            }
            last.clone_from(&goal);
            let Some(goal) = goal else {
                let _ = word.changed().await;
                continue;
            };
            let came = match goal.aim {
                Aim::Wish(wish) => self.attempt(name, &goal, wish, &mut track).await,
                Aim::Lead => self.lead(name, &seen, standing, &mut track.readings).await,
            };
            name.show(&goal, &came);
            teller.tell(name, &goal, &came, delay, events);
            let wait = match (&came, &name.means) {
                (Came::Trouble(_), _) => {
                    let wait = jittered(delay);
                    let slowest = match goal.aim {
                        Aim::Wish(_) => SLOWEST,
                        Aim::Lead => LOOK,
                    };
                    delay = (delay * 2).min(slowest);
                    Some(wait)
                }
                // A hook is told once.
                (_, Means::Hook(_)) => None,
                (_, Means::Dns(_)) => {
                    delay = FIRST;
                    match name.follow {
                        Follow::Nobody => None,
                        Follow::Gateway => Some(REFRESH),
                        Follow::Site => Some(jittered(LOOK)),
                    }
                }
            };
            let settles = matches!(came, Came::Done { .. } | Came::Refused(_));
            if settles && goal.number != 0 {
                name.word.send_if_modified(|it| {
                    let same = it.as_mut().filter(|it| it.number == goal.number);
                    same.is_some_and(|it| !std::mem::replace(&mut it.settled, true))
                });
            }
            let wait = async {
                match wait {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = wait => {}
                _ = word.changed() => {}
                _ = door.changed(), if name.follow != Follow::Nobody => {}
                _ = sight.changed(), if name.follow == Follow::Site => {}
            }
        }
    }

    async fn attempt(&self, name: &Name, goal: &Goal, wish: Wish, track: &mut Track) -> Came {
        match &name.means {
            Means::Dns(settings) => {
                let pinned = &mut track.pinned;
                let tried = dns::attempt(settings, |seen| {
                    let step = decide(self.site.as_str(), &settings.addresses, *pinned, seen);
                    if let Move::Send(_, wish) = &step {
                        *pinned = *wish;
                    }
                    step
                });
                tried.await.into()
            }
            Means::Hook(hook) => {
                let names = (self.site.as_str(), self.node.as_str(), name.name.as_str());
                let asked_at = match goal.number {
                    0 => track.since,
                    number => Timestamp(number),
                };
                let word = Word::new(names, wish, (&goal.who, asked_at), hook);
                match hook::tell(hook, &word).await {
                    Ok(()) => Came::Done { changed: true },
                    Err(why) => Came::Trouble(why),
                }
            }
        }
    }

    /// Reads the name, and takes it where the order of sites says so.
    async fn lead(
        &self,
        name: &Name,
        sight: &Sight,
        standing: Standing,
        readings: &mut Readings,
    ) -> Came {
        let Means::Dns(settings) = &name.means else {
            return Came::Refused("a hook has no claim by which it could follow sites".to_owned());
        };
        let site = &self.site;
        let mut stays = None;
        let tried = dns::attempt(settings, |seen: &Seen| {
            let take = |epoch| {
                let wish = Wish::Take { epoch: Some(epoch) };
                decide(site.as_str(), &settings.addresses, wish, seen)
            };
            stays = None;
            // What is not understood is refused by name.
            let claim = seen.claim.as_deref().map(Claim::parse);
            if claim == Some(None) {
                return take(u64::MAX);
            }
            let claim = claim.flatten();
            let is_ours = claim.as_ref().is_some_and(|it| it.site == site.as_str());
            let now = clock::now();
            readings.read(claim, now);
            let stay = match lead(site, sight, readings, now) {
                Lead::Take(epoch) if is_ours || standing == Standing::Alive => return take(epoch),
                Lead::Take(_) => Came::Elsewhere(format!("this gateway says {standing}")),
                Lead::Stay(why) => Came::Elsewhere(why),
                Lead::Ask(why) => Came::Asks(why.replace("NAME", name.name.as_str())),
            };
            stays = Some(stay);
            Move::Done
        })
        .await;
        stays
            .filter(|_| tried.is_ok())
            .unwrap_or_else(|| tried.into())
    }
}

impl From<dns::Tried> for Came {
    fn from(tried: dns::Tried) -> Self {
        match tried {
            Ok(dns::Outcome::Done { changed }) => Self::Done { changed },
            Ok(dns::Outcome::Refused(why)) => Self::Refused(why),
            Err((server, trouble)) => Self::Trouble(format!("{server}: {trouble}")),
        }
    }
}

/// What is to be made so: the word that is not settled yet, else what follows from the gateway's state.
fn goal(follow: Follow, asked: Option<&Asked>, is_alive: bool) -> Option<Goal> {
    if let Some(asked) = asked.filter(|it| !it.settled) {
        return Some(Goal {
            number: asked.number,
            aim: Aim::Wish(asked.wish),
            who: asked.who.clone(),
        });
    }
    let (aim, who) = match follow {
        Follow::Nobody => return None,
        Follow::Gateway if is_alive => (Aim::Wish(Wish::Join), FOLLOWS),
        Follow::Gateway => (Aim::Wish(Wish::Part), FOLLOWS),
        Follow::Site => (Aim::Lead, LEADS),
    };
    Some(Goal {
        number: 0,
        aim,
        who: who.to_owned(),
    })
}

/// Up to a quarter more, so that gateways that failed together do not come back together.
fn jittered(delay: Duration) -> Duration {
    delay + delay.mul_f64(fastrand::f64() / 4.0)
}

impl Name {
    fn show(&self, goal: &Goal, came: &Came) {
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

impl Goal {
    fn verb(&self) -> &'static str {
        match self.aim {
            Aim::Wish(wish) => wish.verb(),
            Aim::Lead => "publish",
        }
    }
}

impl std::fmt::Display for Means {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Dns(it) => {
                let servers: Vec<String> = it.servers.iter().map(ToString::to_string).collect();
                write!(f, "{} at {}", it.name, servers.join(", "))
            }
            Self::Hook(it) => match &it.to {
                HookTarget::Command(command) => {
                    f.write_str(command.first().map_or("", String::as_str))
                }
                // The query may hold what is not for everybody.
                HookTarget::Webhook { url, .. } => {
                    f.write_str(url.split('?').next().unwrap_or_default())
                }
            },
        }
    }
}

/// Tells each thing once.
#[derive(Debug, Default)]
struct Teller {
    /// The goal that was last told of, and the trouble.
    told: Option<(Goal, String)>,
}

impl Teller {
    fn tell(
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_goes_before_what_follows_until_it_is_settled() {
        let asked = |settled| Asked {
            number: 7,
            wish: Wish::Take { epoch: None },
            who: "alice".to_owned(),
            settled,
        };
        let wish = |follow, asked: Option<&Asked>, is_alive| {
            goal(follow, asked, is_alive).map(|it| (it.number, it.aim))
        };
        let take = Some((7, Aim::Wish(Wish::Take { epoch: None })));
        let (open, settled) = (asked(false), asked(true));
        assert_eq!(wish(Follow::Nobody, None, true), None);
        assert_eq!(wish(Follow::Nobody, Some(&open), true), take);
        assert_eq!(wish(Follow::Nobody, Some(&settled), true), None);
        assert_eq!(wish(Follow::Gateway, Some(&open), false), take);
        assert_eq!(
            wish(Follow::Gateway, Some(&settled), true),
            Some((0, Aim::Wish(Wish::Join)))
        );
        let part = Some((0, Aim::Wish(Wish::Part)));
        assert_eq!(wish(Follow::Gateway, None, false), part);
        assert_eq!(wish(Follow::Site, Some(&open), false), take);
        let lead = Some((0, Aim::Lead));
        assert_eq!(wish(Follow::Site, Some(&settled), false), lead);
        assert_eq!(wish(Follow::Site, None, true), lead);
    }
}
