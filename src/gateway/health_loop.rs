//! The one task that decides what this gateway routes to.
//!
//! It follows the store, hears monitors and real traffic, settles standings, swaps the table, and tells the store and
//! the operator. Everything it decides takes effect on requests first and is reported after.
//!
//! Here: what it works on, and what wakes it. What it does then stands by concern in the folder; all of it runs on this one task, so that
//! no two changes are ever decided at once.

mod counting;
mod holds;
mod learning;
mod of_sites;
mod routing;
mod saving;
mod verdicts;

use super::courses::Courses;
use super::fleet::Fleet;
use super::holding::Holding;
use super::last_good::LastGood;
use super::leading::Leading;
use super::linked::Told;
use super::load::Loads;
use super::member::WatchKey;
use super::news;
use super::orders::Orders;
use super::recoveries::Recoveries;
use super::reports::Reports;
use super::source::{Following, Source};
use super::telling::Telling;
use super::view::Seen;
use super::visits::Visits;
use super::wants::Wants;
use crate::clock;
use crate::link::{Gatherer, LinkNews, LinkView};
use arc_swap::ArcSwap;
use minato_config::{NodeId, ServiceName, ServiceRecord, SiteId};
use minato_control::Event;
use minato_health_probe::Report;
use minato_proxy::Table;
use minato_proxy_server::{Evidence, Metrics};
use of_sites::Watched;
use saving::Saving;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::{Interval, MissedTickBehavior};

/// How often draining instances are looked at.
const TICK: Duration = Duration::from_millis(50);
/// How often those that are down are asked why.
const LOOK: Duration = Duration::from_secs(1);
/// How often it is looked how visitors fare where several sites serve them.
const GLANCE: Duration = Duration::from_millis(250);
/// Probes in flight at once over all targets.
const PROBES: usize = 256;
/// Changed verdicts that may wait.
const QUEUE: usize = 1024;

/// What the loop works on.
pub(crate) struct HealthLoopOptions {
    pub(crate) table: Arc<ArcSwap<Table>>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) seen: Seen,
    pub(crate) reports: Reports,
    pub(crate) data: PathBuf,
    pub(crate) last_good: LastGood,
    /// This site.
    pub(crate) site: SiteId,
    /// This gateway's name in the store.
    pub(crate) node: NodeId,
    /// What is heard of other sites; nothing where there are none.
    pub(crate) links: mpsc::Receiver<LinkNews>,
    pub(crate) link_view: LinkView,
    /// What peers are told of as well.
    pub(crate) orders: Orders,
    pub(crate) visits: Visits,
    pub(crate) wants: Wants,
    pub(crate) courses: Courses,
    pub(crate) leading: Leading,
    /// Who fetches access logs of other sites; `None` without links.
    pub(crate) gatherer: Option<Gatherer>,
}

/// See the module.
pub(crate) struct HealthLoop {
    options: HealthLoopOptions,
    fleet: Fleet,
    following: Following,
    telling: Telling,
    /// The last good ones.
    records: BTreeMap<ServiceName, ServiceRecord>,
    changes: mpsc::Receiver<Report<WatchKey>>,
    loads: Loads,
    holding: Holding,
    links_told: Told,
    recoveries: Recoveries,
    /// The commit of each release by a person that was carried out.
    released: BTreeMap<(ServiceName, SiteId), u64>,
    saving: Saving,
}

impl HealthLoop {
    /// Serves the last good table from disk at once, and until it has a [`Source`].
    pub(crate) fn new(options: HealthLoopOptions) -> Self {
        let (sender, changes) = mpsc::channel(QUEUE);
        let mut this = Self {
            fleet: Fleet::new(options.site.clone(), PROBES, sender),
            saving: Saving::new(options.data.clone()),
            options,
            following: Following::Nothing,
            telling: Telling::default(),
            records: BTreeMap::new(),
            changes,
            loads: Loads::default(),
            holding: Holding::default(),
            links_told: Told::default(),
            recoveries: Recoveries::default(),
            released: BTreeMap::new(),
        };
        let good = std::mem::take(&mut this.options.last_good);
        this.take_saved(good);
        this
    }

    /// Runs until `stop` says true. Without a store it goes on with what it knows.
    pub(crate) async fn run(
        mut self,
        mut sources: mpsc::Receiver<Source>,
        mut evidence: mpsc::Receiver<Evidence>,
        mut stop: watch::Receiver<bool>,
    ) {
        let (mut tick, mut glance, mut look) = (every(TICK), every(GLANCE), every(LOOK));
        loop {
            tokio::select! {
                _ = stop.wait_for(|it| *it) => break,
                Some(report) = self.changes.recv() => self.heard(&report),
                Some(evidence) = evidence.recv() => self.witnessed(&evidence),
                Some(news) = self.options.links.recv() => self.told(news),
                Some(source) = sources.recv() => self.turn_to(source),
                news = self.following.next() => self.learned(news),
                _ = tick.tick() => self.ticked(),
                _ = glance.tick() => self.watch_recoveries(Watched::Close),
                _ = look.tick() => self.looked(),
            }
        }
        self.saving.ended().await;
        self.save_at_once();
    }

    fn ticked(&mut self) {
        self.release_drained();
        self.look_at_holds();
        self.save_when_due();
    }

    /// What no changed verdict tells: why something is still down.
    fn looked(&mut self) {
        for id in self.fleet.explained() {
            self.report(&id);
        }
        for id in self.fleet.overdue() {
            let member = self.fleet.member(&id);
            let failure = member.and_then(|it| it.failure.as_ref());
            self.tell(news::overdue(&id, failure, clock::wall()));
        }
        for name in self.fleet.of_several_sites() {
            self.share_out(&name);
            self.count_visits(&name);
        }
        self.lead_names();
        self.options.courses.set(self.fleet.courses(clock::now()));
        self.tell_links();
        self.watch_recoveries(Watched::All);
        self.measure();
    }

    fn tell(&mut self, event: Event) {
        self.telling.tell(event);
    }
}

fn every(period: Duration) -> Interval {
    let mut interval = tokio::time::interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}
