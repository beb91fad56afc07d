//! Asks peers for the services that they share with this site, and carries what follows from the answers into commits.
//!
//! One task for each peer, for as long as the term lasts; what it hears last waits in one place, so nothing piles up.
//! Not here: what an answer means (`control::mirror`), how a peer is reached (the root package).

use super::peers::{PeerServices, Peers, Pulled};
use super::transaction::Transaction;
use minato_config::{ServiceName, SiteId, Timestamp};
use minato_control::mirror::{
    AdoptStep, MirrorStep, Reach, SharedServices, Stand, StandStep, adopt, refuse, stand, take,
};
use minato_control::{Event, EventKind, World};
use minato_control_store::keys::{Key, Keys};
use minato_control_store::{Commit, Compare, Revision, StoreError};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

/// From one question to the next.
const EVERY: Duration = Duration::from_secs(1);
/// A whole answer. Longer than the time after which a peer counts as unreachable is of no use.
const ANSWER: Duration = Duration::from_secs(2);
/// A peer of which this term has heard nothing yet gets so much longer than one that fell silent: its first gateways may be down,
/// and a change of the leader is no reason to start what is cold.
const FIRST: Duration = Duration::from_secs(10);
/// Commits of one turn; the rest follows in the next.
const MOST: usize = 100;
/// Of these, those for what peers say: the others are for what their services should be here.
const MOST_TAKEN: usize = 75;
/// Turns in a row that write something before the rest of the leader's work has its turn: a peer that says something else each
/// time must not keep this site from its own instances.
const ROW: u32 = 3;
/// Services of one peer that are asked about at once because its answer does not name them: a question is one line.
const MOST_MISSING: usize = 500;
/// How often a peer that does not answer is told of.
const SAID: Duration = Duration::from_secs(600);

/// What was heard of one peer in this term.
#[derive(Debug, Clone)]
struct Heard {
    services: Option<Arc<SharedServices>>,
    /// Rises with each answer that says something new.
    round: u64,
    is_up: bool,
    since: Instant,
    why: String,
}

impl Heard {
    fn reach(&self, now: Instant) -> Reach {
        let lasts = now.saturating_duration_since(self.since);
        if self.is_up {
            Reach::Up(lasts)
        } else {
            Reach::Down(lasts)
        }
    }
}

type Known = BTreeMap<SiteId, Heard>;

/// By site, what is kept of it here and does not stand in its last answer.
type Missing = BTreeMap<SiteId, Arc<[ServiceName]>>;

/// One commit to make.
#[derive(Debug)]
pub(super) enum Work {
    Mirror(Box<MirrorStep>),
    Adopt(Box<AdoptStep>),
    Stand(Box<StandStep>),
}

/// What is heard of all peers in one term.
pub(super) struct Mirroring {
    heard: watch::Receiver<Known>,
    missing: watch::Sender<Missing>,
    unmirrored: BTreeSet<SiteId>,
    /// Ends with the term.
    _tasks: JoinSet<()>,
    notes: Vec<(ServiceName, String)>,
    alarms: Vec<String>,
    /// Turns that wrote something, since one did not.
    row: u32,
}

impl Mirroring {
    /// Begins to ask.
    pub(super) fn begin(peers: Option<&Peers>) -> Self {
        let mut known = Known::new();
        let mut tasks = JoinSet::new();
        let sites: Vec<SiteId> = peers
            .map(|it| it.sites.iter().cloned().collect())
            .unwrap_or_default();
        for site in &sites {
            known.insert(
                site.clone(),
                Heard {
                    services: None,
                    round: 0,
                    is_up: false,
                    since: Instant::now() + FIRST,
                    why: "it was not heard yet".to_owned(),
                },
            );
        }
        let (told, heard) = watch::channel(known);
        let told = Arc::new(told);
        let missing = watch::Sender::new(Missing::new());
        for site in sites {
            let Some(peers) = peers else { break };
            let (way, told) = (Arc::clone(&peers.way), Arc::clone(&told));
            tasks.spawn(ask(way, site, missing.subscribe(), told));
        }
        Self {
            heard,
            missing,
            unmirrored: peers.map(|it| it.unmirrored.clone()).unwrap_or_default(),
            _tasks: tasks,
            notes: Vec::new(),
            alarms: Vec::new(),
            row: 0,
        }
    }

    /// Waits for something new; for ever where there are no peers.
    pub(super) async fn heard(&mut self) {
        if self.heard.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// What is to be written now.
    pub(super) fn turn(&mut self, world: &World, site: &SiteId, now: Timestamp) -> Vec<Work> {
        if self.row >= ROW {
            self.row = 0;
            return Vec::new();
        }
        let heard = self.heard.borrow_and_update().clone();
        let most_of_peer = (MOST_TAKEN / heard.len().max(1)).max(1);
        (self.notes, self.alarms) = (Vec::new(), Vec::new());
        let mut work = Vec::new();
        let mut reach = BTreeMap::new();
        for (home, it) in &heard {
            reach.insert(home.clone(), it.reach(Instant::now()));
            // Old answers of a peer that is away change nothing that they have not changed before.
            let services = it.services.as_ref().filter(|_| it.is_up);
            let taken = match services {
                _ if self.unmirrored.contains(home) => refuse(home, world, now),
                Some(services) => take(home, site, services, world, now),
                None => continue,
            };
            self.ask_about(home, &taken.missing);
            let steps = taken.steps.into_iter().take(most_of_peer);
            work.extend(steps.map(|it| Work::Mirror(Box::new(it))));
            self.alarms.extend(taken.alarms);
            if let Some(services) = services {
                let adopted = adopt(home, site, services, world);
                work.extend(adopted.into_iter().map(|it| Work::Adopt(Box::new(it))));
            }
        }
        let Stand { steps, alarms } = stand(world, site, &reach);
        work.extend(steps.into_iter().map(|it| Work::Stand(Box::new(it))));
        self.notes = alarms;
        work.truncate(MOST);
        self.row = if work.is_empty() { 0 } else { self.row + 1 };
        work
    }

    /// A site says of services that are none of this one's only what it is asked.
    fn ask_about(&self, home: &SiteId, missing: &[ServiceName]) {
        let missing = missing.get(..MOST_MISSING).unwrap_or(missing);
        self.missing.send_if_modified(|all| {
            let is_same = match all.get(home) {
                Some(known) => **known == *missing,
                None => missing.is_empty(),
            };
            if !is_same {
                all.insert(home.clone(), missing.into());
            }
            !is_same
        });
    }

    /// What a person should know of services.
    pub(super) fn notes(&self) -> Vec<(ServiceName, String)> {
        self.notes.clone()
    }

    /// What a person should know of peers.
    pub(super) fn alarms(&self) -> impl Iterator<Item = String> {
        self.alarms.iter().cloned()
    }
}

/// Asks one peer again and again.
async fn ask(
    way: Arc<dyn PeerServices>,
    site: SiteId,
    missing: watch::Receiver<Missing>,
    told: Arc<watch::Sender<Known>>,
) {
    let mut every = interval(EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut revision: Option<String> = None;
    let mut asked: Arc<[ServiceName]> = Arc::default();
    let mut said: Option<Instant> = None;
    loop {
        every.tick().await;
        let wanted = missing.borrow().get(&site).cloned().unwrap_or_default();
        if wanted != asked {
            // Another question: that nothing changed is no answer to it.
            (asked, revision) = (wanted, None);
        }
        let pulled = timeout(ANSWER, way.pull(&site, revision.as_deref(), &asked)).await;
        let pulled = pulled.unwrap_or_else(|_| Err(format!("no answer in {ANSWER:?}")));
        if let Err(why) | Ok(Pulled::Unable(why)) = &pulled
            && said.is_none_or(|it| it.elapsed() >= SAID)
        {
            said = Some(Instant::now());
            tracing::warn!(%site, why, "what the site shares cannot be asked for; what is mirrored stays");
        }
        told.send_if_modified(|known| {
            let Some(heard) = known.get_mut(&site) else {
                return false;
            };
            let is_up = pulled.is_ok();
            let turned = is_up != heard.is_up;
            if turned {
                (heard.is_up, heard.since) = (is_up, Instant::now());
            }
            match pulled {
                Ok(Pulled::Same | Pulled::Unable(_)) => turned,
                Ok(Pulled::New {
                    revision: new,
                    services,
                }) => {
                    said = None;
                    revision = Some(new);
                    heard.services = Some(Arc::new(services));
                    heard.round += 1;
                    true
                }
                Err(why) => {
                    heard.why = why;
                    turned
                }
            }
        });
    }
}

/// One piece of work as a commit.
pub(super) fn transaction(
    work: &Work,
    keys: &Keys,
    now: Timestamp,
) -> Result<Transaction, StoreError> {
    let (key, modified, document, service, news) = match work {
        Work::Mirror(it) => (
            Key::Mirror(it.home.clone(), it.service.clone()),
            it.modified,
            it.record.as_ref().map(crate::document).transpose()?,
            &it.service,
            &it.news,
        ),
        Work::Adopt(it) => (
            Key::Order(it.service.clone()),
            it.modified,
            Some(crate::document(&it.order)?),
            &it.service,
            &it.news,
        ),
        Work::Stand(it) => {
            let service = &it.record.service.name;
            let document = Some(crate::document(&it.record)?);
            (
                Key::Service(service.clone()),
                it.modified,
                document,
                service,
                &it.news,
            )
        }
    };
    let key = keys.text(&key);
    let commit = Commit::default().when(match modified {
        Some(revision) => Compare::Modified {
            key: key.clone(),
            revision: Revision(revision),
        },
        None => Compare::Absent { key: key.clone() },
    });
    let commit = match document {
        Some(text) => commit.and_put(key, text, None),
        None => commit.and_delete(key),
    };
    let event = Event::info(now, EventKind::ConfigApplied, news.clone()).of(service);
    Ok(Transaction {
        commit,
        events: vec![event],
    })
}

#[cfg(test)]
mod tests {
    use super::super::peers::{Answering, PeerAnswer, PeerCall, Pulling, States};
    use super::*;
    use minato_config::{ServiceRecord, Source, parse_service};
    use minato_control::Stored;
    use minato_control::mirror::MirrorRecord;
    use std::path::Path;

    fn site(name: &str) -> SiteId {
        SiteId::parse(name).unwrap()
    }

    /// A service of `home` that osaka stands by for.
    fn record(home: &str, name: &str) -> ServiceRecord {
        let text = format!("command = [\"/bin/app\"]\nsites = [\"{home}\", \"osaka\"]\n");
        let name = ServiceName::parse(name).unwrap();
        ServiceRecord {
            v: 1,
            source: Source::File {
                path: String::new(),
            },
            service: parse_service(Path::new("it.toml"), &name, &text).unwrap(),
            removed: false,
        }
    }

    #[tokio::test]
    async fn a_peer_that_always_says_something_new_leaves_the_leader_its_turn() {
        let mut world = World::default();
        let value = MirrorRecord {
            v: 1,
            home: site("tokyo"),
            record: record("tokyo", "library"),
            since: Timestamp(0),
        };
        let key = (site("tokyo"), value.record.service.name.clone());
        world.mirrors.insert(key, Stored { value, modified: 1 });
        // What is written never shows, as if it were changed anew each time.
        let mut mirroring = Mirroring::begin(None);
        let turn = |it: &mut Mirroring| it.turn(&world, &site("osaka"), Timestamp(1)).len();
        let turns: Vec<usize> = (0..8).map(|_| turn(&mut mirroring)).collect();
        assert_eq!(turns, [1, 1, 1, 0, 1, 1, 1, 0]);
    }

    #[tokio::test]
    async fn a_peer_with_much_to_say_leaves_others_their_part() {
        let mut known = Known::new();
        for (home, count) in [("kyoto", 1_000), ("tokyo", 1)] {
            let records = (0..count).map(|it| record(home, &format!("{home}-{it}")));
            let services = records.map(|it| (it.service.name.clone(), it)).collect();
            let heard = Heard {
                services: Some(Arc::new(SharedServices {
                    services,
                    ..SharedServices::default()
                })),
                round: 1,
                is_up: true,
                since: Instant::now(),
                why: String::new(),
            };
            known.insert(site(home), heard);
        }
        let mut mirroring = Mirroring::begin(None);
        mirroring.heard = watch::channel(known).1;
        let work = mirroring.turn(&World::default(), &site("osaka"), Timestamp(1));
        let of = |home: &str| {
            let its = |it: &&Work| matches!(it, Work::Mirror(it) if it.home == site(home));
            work.iter().filter(its).count()
        };
        assert_eq!((of("kyoto"), of("tokyo")), (37, 1));
    }

    /// A peer that answers this each time; `None`: never.
    #[derive(Debug)]
    struct Fixed(Option<Pulled>);

    impl PeerServices for Fixed {
        fn pull<'a>(
            &'a self,
            _site: &'a SiteId,
            _known: Option<&'a str>,
            _missing: &'a [ServiceName],
        ) -> Pulling<'a> {
            match self.0.clone() {
                Some(pulled) => Box::pin(async { Ok(pulled) }),
                None => Box::pin(std::future::pending()),
            }
        }

        fn states<'a>(&'a self, _site: &'a SiteId) -> Answering<'a, States> {
            Box::pin(async { Err("not asked for".to_owned()) })
        }

        fn tell<'a>(
            &'a self,
            _site: &'a SiteId,
            _path: &'a str,
            _body: Vec<u8>,
        ) -> Answering<'a, Result<(), String>> {
            Box::pin(async { Err("not asked for".to_owned()) })
        }

        fn call<'a>(
            &'a self,
            _site: &'a SiteId,
            _call: &'a PeerCall,
        ) -> Answering<'a, Result<PeerAnswer, String>> {
            Box::pin(async { Err("not asked for".to_owned()) })
        }
    }

    #[tokio::test]
    async fn a_peer_whose_store_is_away_is_not_taken_for_gone() {
        let peers = Peers {
            sites: BTreeSet::from([site("tokyo")]),
            unmirrored: BTreeSet::new(),
            way: Arc::new(Fixed(Some(Pulled::Unable("its store is away".to_owned())))),
        };
        let mut mirroring = Mirroring::begin(Some(&peers));
        let patience = Duration::from_secs(30);
        let heard = timeout(
            patience,
            mirroring.heard.wait_for(|it| it[&site("tokyo")].is_up),
        );
        let heard = heard.await.expect("it counts as gone").unwrap().clone();
        assert!(heard[&site("tokyo")].services.is_none(), "{heard:?}");
    }

    #[tokio::test]
    async fn a_new_leader_gives_a_peer_thirteen_seconds_to_be_heard() {
        let peers = Peers {
            sites: BTreeSet::from([site("tokyo")]),
            unmirrored: BTreeSet::new(),
            way: Arc::new(Fixed(None)),
        };
        let elected = Instant::now();
        let mirroring = Mirroring::begin(Some(&peers));
        let heard = mirroring.heard.borrow()[&site("tokyo")].clone();
        let after = |seconds: u64| heard.reach(elected + Duration::from_secs(seconds));
        let gone = minato_control::mirror::UNREACHABLE;
        let lasts = |reach: Reach| match reach {
            Reach::Down(lasts) => lasts,
            Reach::Up(_) => panic!("nothing was heard"),
        };
        assert!(lasts(after(12)) < gone);
        assert!(lasts(after(14 + elected.elapsed().as_secs())) >= gone);
    }
}
