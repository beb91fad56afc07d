//! Asks peers for the services that they share with this site, and carries what follows from the answers into commits.
//!
//! One task for each peer, for as long as the term lasts; what it hears last waits in one place, so nothing piles up.
//! Not here: what an answer means (`control::mirror`), how a peer is reached (the root package).

use super::peers::{PeerServices, Peers, Pulled};
use super::transaction::Transaction;
use minato_config::{ServiceName, SiteId, Timestamp};
use minato_control::mirror::{
    AdoptStep, MirrorStep, Reach, SharedServices, Stand, StandStep, Taken, adopt, stand, take,
};
use minato_control::{Event, EventKind, World};
use minato_control_store::keys::{Key, Keys};
use minato_control_store::{Commit, Compare, Revision, StoreError};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

/// From one question to the next.
const EVERY: Duration = Duration::from_secs(1);
/// A whole answer. Longer than the time after which a peer counts as unreachable is of no use.
const ANSWER: Duration = Duration::from_secs(2);
/// Commits of one turn; the rest follows in the next.
const MOST: usize = 100;
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

type Known = BTreeMap<SiteId, Heard>;

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
    /// Ends with the term.
    _tasks: JoinSet<()>,
    notes: Vec<(ServiceName, String)>,
    alarms: Vec<String>,
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
                    since: Instant::now(),
                    why: "it was not heard yet".to_owned(),
                },
            );
        }
        let (told, heard) = watch::channel(known);
        let told = Arc::new(told);
        for site in sites {
            let Some(peers) = peers else { break };
            tasks.spawn(ask(Arc::clone(&peers.way), site, Arc::clone(&told)));
        }
        Self {
            heard,
            _tasks: tasks,
            notes: Vec::new(),
            alarms: Vec::new(),
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
        let heard = self.heard.borrow_and_update().clone();
        (self.notes, self.alarms) = (Vec::new(), Vec::new());
        let mut work = Vec::new();
        let mut reach = BTreeMap::new();
        for (home, it) in &heard {
            let lasts = it.since.elapsed();
            reach.insert(
                home.clone(),
                if it.is_up {
                    Reach::Up(lasts)
                } else {
                    Reach::Down(lasts)
                },
            );
            // Old answers of a peer that is away change nothing that they have not changed before.
            if let Some(services) = it.services.as_ref().filter(|_| it.is_up) {
                let Taken { steps, alarms } = take(home, site, services, world, now);
                work.extend(steps.into_iter().map(|it| Work::Mirror(Box::new(it))));
                self.alarms.extend(alarms);
                let adopted = adopt(home, site, services, world);
                work.extend(adopted.into_iter().map(|it| Work::Adopt(Box::new(it))));
            }
        }
        let Stand { steps, alarms } = stand(world, site, &reach);
        work.extend(steps.into_iter().map(|it| Work::Stand(Box::new(it))));
        self.notes = alarms;
        work.truncate(MOST);
        work
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
async fn ask(way: Arc<dyn PeerServices>, site: SiteId, told: Arc<watch::Sender<Known>>) {
    let mut every = interval(EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut revision: Option<String> = None;
    let mut said: Option<Instant> = None;
    loop {
        every.tick().await;
        let pulled = timeout(ANSWER, way.pull(&site, revision.as_deref())).await;
        let pulled = pulled.unwrap_or_else(|_| Err(format!("no answer in {ANSWER:?}")));
        if let Err(why) = &pulled
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
                Ok(Pulled::Same) => turned,
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
