//! The leader loop: elected, it follows the world, asks `control::plan` on every change and each second, and commits
//! one service per transaction under the fence of its own election.
//!
//! A conflict means that the world moved: plan again. An error of the store is told once, then tried again with
//! backoff. Deciding is `control`'s; this file only carries.

mod election;
mod hook;
mod mirroring;
mod notes;
mod operations;
mod rollouts;
mod saved;
mod scaling;
mod transaction;

pub use hook::Hook;
pub use mirroring::{PeerServices, Peers, Pulled, Pulling};

use crate::clock;
use crate::follow::Follower;
use crate::journal::emit;
use crate::stop::stopped;
use crate::trouble::Trouble;
use election::{Candidate, Term};
use hook::Runner;
use minato_config::{NodeId, ServiceName, SiteId, Timestamp};
use minato_control::{
    AbsenceRecord, Absences, Clocks, Event, EventKind, Losses, PERIOD, Patience, Plan, RolloutStep,
    Rollouts, SCALE_WINDOW, ScaleStep, Scaling, Versions, World, lacking_room, plan_with,
};
use minato_control_store::keys::Keys;
use minato_control_store::{Observed, Revision, SharedStore, StoreError};
use mirroring::Mirroring;
use saved::Saved;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval};

/// Who leads, and how patiently.
#[derive(Debug, Clone)]
pub struct LeadOptions {
    /// Of which site.
    pub keys: Keys,
    /// This process's node.
    pub node: NodeId,
    /// Life of the leader key without keep-alive. Default 15 s.
    pub lease: Duration,
    /// How often the lease is kept alive. Default 5 s.
    pub keep_alive: Duration,
    /// How often the plan is made anew without a change. Default 1 s.
    pub tick: Duration,
    /// How long after an election nothing that is missing is an alarm. Default 3 s.
    pub settle: Duration,
    /// How often it is decided how many instances a load asks for. Default 15 s.
    pub scale_period: Duration,
    /// For how long fewer must be asked for. Default 300 s.
    pub scale_window: Duration,
    /// When nodes that are gone are given up.
    pub patience: Patience,
    /// What adds nodes where there is no room. Default: nothing.
    pub hook: Option<Hook>,
    /// Which site, as the hook is told and decisions are saved.
    pub site: SiteId,
    /// Folder for what plans that take something away were made from. Default: they are not saved.
    pub decisions: Option<PathBuf>,
    /// Other sites, whose services are mirrored. Default: none.
    pub peers: Option<Peers>,
}

impl LeadOptions {
    /// Default times.
    pub fn new(keys: Keys, node: NodeId) -> Self {
        Self {
            keys,
            node,
            lease: Duration::from_secs(15),
            keep_alive: Duration::from_secs(5),
            tick: Duration::from_secs(1),
            settle: Duration::from_secs(3),
            scale_period: PERIOD,
            scale_window: SCALE_WINDOW,
            patience: Patience::default(),
            hook: None,
            site: SiteId::local(),
            decisions: None,
            peers: None,
        }
    }
}

/// The document at `leader`, under the leader's lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaderRecord {
    /// Format version, 1.
    pub v: u32,
    /// Who leads.
    pub node: NodeId,
    /// Process id.
    pub pid: u32,
    /// Since when.
    pub since: Timestamp,
}

/// Runs for election, then commits plans, until `stop` is true; then gives the lead up.
pub async fn lead(
    options: LeadOptions,
    store: SharedStore,
    events: mpsc::Sender<Event>,
    mut stop: watch::Receiver<bool>,
) {
    let mut trouble = Trouble::new("control", events.clone());
    let mut candidate = Candidate::new(options.clone(), store.clone());
    loop {
        let elected = tokio::select! {
            elected = candidate.campaign() => elected,
            () = stopped(&mut stop) => break,
        };
        let term = match elected {
            Ok(term) => term,
            Err(error) => {
                let pause = trouble.failed(&error);
                tokio::select! {
                    () = tokio::time::sleep(pause) => continue,
                    () = stopped(&mut stop) => break,
                }
            }
        };
        trouble.recovered();
        let node = &options.node;
        say(&events, format!("{node} leads"));
        let mut leader = Leader {
            options: &options,
            store: &store,
            events: &events,
            trouble: &mut trouble,
            term: &term,
            said: BTreeSet::new(),
            quiet_until: Instant::now() + options.settle,
            elected: Instant::now(),
            absences: Absences::default(),
            clocks: Clocks::default(),
            versions: Versions::default(),
            lost: BTreeSet::new(),
            committed: Revision(0),
            seen: Revision(0),
            kept: Instant::now(),
            scaling: Scaling::new(options.scale_period, options.scale_window),
            hook: Runner::new(options.hook.clone(), options.site.clone()),
            rollouts: Rollouts::default(),
            saved: Saved::new(options.decisions.clone(), options.site.clone()),
            mirroring: Mirroring::begin(options.peers.as_ref()),
        };
        tokio::select! {
            why = leader.run() => {
                say(&events, format!("{node} no longer leads: {why}"));
                candidate.resign_quietly(&term).await;
            }
            () = stopped(&mut stop) => {
                candidate.resign(&term).await;
                break;
            }
        }
    }
}

fn say(events: &mpsc::Sender<Event>, message: String) {
    emit(
        events,
        Event::info(clock::wall(), EventKind::Leader, message),
    );
}

/// One term of office.
struct Leader<'a> {
    options: &'a LeadOptions,
    store: &'a SharedStore,
    events: &'a mpsc::Sender<Event>,
    trouble: &'a mut Trouble,
    term: &'a Term,
    /// Alarms as last told, so that each text is told once.
    said: BTreeSet<(Option<ServiceName>, String)>,
    /// A site that has just begun is not complete yet: agents are still on their way.
    quiet_until: Instant,
    elected: Instant,
    absences: Absences,
    clocks: Clocks,
    versions: Versions,
    /// Nodes that were given up and are not back.
    lost: BTreeSet<NodeId>,
    /// Our newest commit: planning waits until the watch has brought it.
    committed: Revision,
    /// Of the last look.
    seen: Revision,
    /// When the lease was kept alive last.
    kept: Instant,
    /// What was asked for in this term.
    scaling: Scaling,
    hook: Runner,
    /// Since when new versions do well in this term.
    rollouts: Rollouts,
    saved: Saved,
    /// What peers say in this term.
    mirroring: Mirroring,
}

impl Leader<'_> {
    /// Until the term ends; says why it did.
    async fn run(&mut self) -> String {
        let mut follower = Follower::new(self.store.clone(), self.options.keys.clone());
        let mut keep_alive = interval(self.options.keep_alive);
        let mut tick = interval(self.options.tick);
        keep_alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let seen = tokio::select! {
                _ = keep_alive.tick() => self.keep().await,
                seen = follower.next() => seen,
                () = self.mirroring.heard() => Ok(()),
                _ = tick.tick() => Ok(()),
            };
            let acted = match seen {
                Ok(()) => self.act(follower.observed()).await,
                Err(error) => Err(error),
            };
            match acted {
                Ok(()) => {}
                Err(StoreError::LeaseGone { .. }) => return "its lease ended".to_owned(),
                Err(error @ StoreError::Unfit { .. }) => return error.to_string(),
                Err(StoreError::Conflict { key }) if key == self.term.key => {
                    return "another was elected".to_owned();
                }
                // The world moved under the plan: the next change or tick plans again.
                Err(StoreError::Conflict { .. }) => {}
                Err(error) => tokio::time::sleep(self.trouble.failed(&error)).await,
            }
        }
    }

    async fn keep(&mut self) -> Result<(), StoreError> {
        self.kept = Instant::now();
        self.store.keep_alive(self.term.lease).await
    }

    async fn act(&mut self, observed: Option<&Observed>) -> Result<(), StoreError> {
        if let Some(observed) = observed {
            if observed.revision < self.seen {
                // It was restored: our commit never comes.
                self.committed = Revision(0);
            }
            self.seen = observed.revision;
        }
        let Some(observed) = observed.filter(|it| it.revision >= self.committed) else {
            return Ok(());
        };
        if let Some(meta) = &observed.world.meta {
            minato_control_store::is_fit(&self.options.keys, &meta.value)?;
        }
        let now = clock::wall();
        let losses = self.look_at_nodes(&observed.world, now);
        if self.mirror(observed, now).await? == Written::Changed {
            return Ok(());
        }
        if self.operate(&observed.world, now).await? == Written::Changed {
            return Ok(());
        }
        let rolled = self.roll(observed, &losses, now).await?;
        let scaled = self.scale(observed, &losses, now).await?;
        if rolled == Written::Changed || scaled == Written::Changed {
            // The watch brings it, and the plan follows from it.
            return Ok(());
        }
        let mut plan = plan_with(&observed.world, &losses, now);
        self.ask_for_nodes(&observed.world, &losses, &plan, now);
        plan.notes.extend(self.scaling.notes());
        plan.notes.extend(self.mirroring.notes());
        self.alarm(observed, &plan.notes, losses.alarm.as_deref());
        self.tell(&observed.world, &losses, now).await?;
        self.step_rebalance(&observed.world, &plan, now).await?;
        let work = transaction::transactions(&plan, &observed.world, &self.options.keys, now);
        if work.is_empty() && self.trouble.is_open() {
            // Nothing to do would never show whether the store writes again.
            self.committed = self.store.commit(self.term.renew()).await?;
        }
        self.saved
            .keep((&observed.world, &losses), now, &plan, self.events)
            .await;
        let mut last = Ok(());
        for it in work {
            match self.commit(it).await {
                Ok(()) => {}
                Err(error) if self.is_about_one_service(&error) => last = Err(error),
                Err(error) => return Err(error),
            }
        }
        if !matches!(last, Err(StoreError::Invalid { .. })) {
            self.trouble.recovered();
        }
        last
    }

    /// Takes in what peers say of their services, and what that means here.
    async fn mirror(&mut self, observed: &Observed, now: Timestamp) -> Result<Written, StoreError> {
        let options = self.options;
        let work = self.mirroring.turn(&observed.world, &options.site, now);
        let mut written = Written::Same;
        for it in work {
            match self
                .commit(mirroring::transaction(&it, &options.keys, now))
                .await
            {
                Ok(()) => written = Written::Changed,
                Err(error) if self.is_about_one_service(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(written)
    }

    /// Takes every operation one step on, together with what its steps order.
    async fn operate(&mut self, world: &World, now: Timestamp) -> Result<Written, StoreError> {
        let mut written = Written::Same;
        for it in operations::work(world, &self.options.keys, now) {
            match self.commit(it).await {
                Ok(()) => written = Written::Changed,
                Err(error) if self.is_about_one_service(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(written)
    }

    /// Writes down which nodes are gone and given up, for people who ask another process.
    async fn tell(
        &mut self,
        world: &World,
        losses: &Losses,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let Some(record) = AbsenceRecord::due(world, losses, now) else {
            return Ok(());
        };
        let work = notes::absences(world, &record, &self.options.keys);
        self.commit_note(work).await
    }

    /// Begins the next round of a rebalance, or ends it.
    async fn step_rebalance(
        &mut self,
        world: &World,
        plan: &Plan,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (Some(asked), Some(standing)) = (&world.rebalance, &plan.balancing) else {
            return Ok(());
        };
        let work = notes::rebalance(asked, standing, &self.options.keys, now);
        match work {
            Some(work) => self.commit_note(work).await,
            None => Ok(()),
        }
    }

    /// What nothing waits for: somebody else's word that came between is looked at with the next plan.
    async fn commit_note(
        &mut self,
        work: Result<transaction::Transaction, StoreError>,
    ) -> Result<(), StoreError> {
        match self.commit(work).await {
            Err(error) if self.is_about_one_service(&error) => Ok(()),
            done => done,
        }
    }

    /// Takes every rollout one step on, and writes it down.
    async fn roll(
        &mut self,
        observed: &Observed,
        losses: &Losses,
        now: Timestamp,
    ) -> Result<Written, StoreError> {
        let steps = self
            .rollouts
            .turn(&observed.world, losses, clock::monotonic(), now);
        let mut written = Written::Same;
        for step in steps {
            match self.commit_rollout(&step, now).await {
                // The first version is what its slots are of in any case.
                Ok(()) if step.record.stable.is_none() => {}
                Ok(()) => written = Written::Changed,
                Err(error) if self.is_about_one_service(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(written)
    }

    async fn commit_rollout(
        &mut self,
        step: &RolloutStep,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.commit(rollouts::transaction(step, &self.options.keys, now))
            .await
    }

    /// Decides how many instances there should be of what follows its load, and writes it down.
    async fn scale(
        &mut self,
        observed: &Observed,
        losses: &Losses,
        now: Timestamp,
    ) -> Result<Written, StoreError> {
        if Instant::now() < self.quiet_until {
            // Gateways and agents may be on their way still.
            return Ok(Written::Same);
        }
        let steps = self
            .scaling
            .turn(&observed.world, losses, clock::monotonic(), now);
        let mut scaled = Written::Same;
        for step in steps {
            match self.commit_scale(&step, now).await {
                Ok(()) => scaled = Written::Changed,
                Err(error) => {
                    self.scaling.again(&step.service, clock::monotonic());
                    if !self.is_about_one_service(&error) {
                        return Err(error);
                    }
                }
            }
        }
        Ok(scaled)
    }

    /// Has the operator's command add nodes where what there is has no room.
    fn ask_for_nodes(&mut self, world: &World, losses: &Losses, plan: &Plan, now: Timestamp) {
        if self.options.hook.is_none() || Instant::now() < self.quiet_until {
            return;
        }
        // Only what the plan remarks on can lack room.
        let noted: BTreeSet<ServiceName> = plan.notes.iter().map(|it| it.0.clone()).collect();
        let mut lacking = lacking_room(world, losses, &noted, now);
        lacking.extend(self.scaling.lacking());
        self.hook.see(&lacking, self.events, Instant::now());
    }

    async fn commit_scale(&mut self, step: &ScaleStep, now: Timestamp) -> Result<(), StoreError> {
        self.commit(scaling::transaction(step, &self.options.keys, now))
            .await
    }

    /// Who is there, who is given up, and whose clock is wrong.
    fn look_at_nodes(&mut self, world: &World, now: Timestamp) -> Losses {
        let office = self.elected.elapsed();
        self.absences.observe(world, office);
        let losses = self.absences.judge(world, office, self.options.patience);
        for node in losses.lost.difference(&self.lost) {
            let text = format!("node {node} is lost: what it had goes to other nodes");
            let event = Event::warn(now, EventKind::Node, text).hint("minato node list");
            emit(self.events, event);
        }
        self.lost.extend(losses.lost.iter().cloned());
        let back: Vec<NodeId> = self.lost.iter().cloned().collect();
        for node in back.into_iter().filter(|it| world.nodes.contains_key(it)) {
            self.lost.remove(&node);
            let text = format!(
                "node {node} is back: it takes new instances, and nothing that runs elsewhere moves to it by itself"
            );
            let event = Event::info(now, EventKind::Node, text).hint("minato rebalance");
            emit(self.events, event);
        }
        for (node, text) in self.clocks.observe(world, now) {
            let hint = format!("on {node}: timedatectl");
            emit(
                self.events,
                Event::warn(now, EventKind::Alarm, text).hint(hint),
            );
        }
        for it in self.versions.observe(world, env!("CARGO_PKG_VERSION")) {
            let event = Event::warn(now, EventKind::Node, it.text).hint(it.hint);
            emit(self.events, event);
        }
        losses
    }

    async fn commit(
        &mut self,
        work: Result<transaction::Transaction, StoreError>,
    ) -> Result<(), StoreError> {
        let transaction::Transaction { commit, events } = work?;
        if self.kept.elapsed() >= self.options.keep_alive {
            // A plan for thousands of services takes longer than a lease to write.
            self.keep().await?;
        }
        self.committed = self.store.commit(self.term.fence(commit)).await?;
        for event in events {
            emit(self.events, event);
        }
        Ok(())
    }

    /// Whether the next service can be tried all the same.
    fn is_about_one_service(&self, error: &StoreError) -> bool {
        match error {
            StoreError::Conflict { key } => *key != self.term.key,
            StoreError::Invalid { .. } => true,
            _ => false,
        }
    }

    /// Tells each alarm once, and again only after it had ended.
    fn alarm(&mut self, observed: &Observed, notes: &[(ServiceName, String)], site: Option<&str>) {
        let notes = notes
            .iter()
            .map(|(service, text)| (Some(service.clone()), text.clone()));
        let odd = observed.oddities().map(|it| (None, it));
        if Instant::now() < self.quiet_until {
            return;
        }
        let now: BTreeSet<_> = notes
            .chain(odd)
            .chain(site.map(|it| (None, it.to_owned())))
            .chain(self.mirroring.alarms().map(|it| (None, it)))
            .collect();
        for (service, text) in now.difference(&self.said) {
            let event = Event::warn(clock::wall(), EventKind::Alarm, text.clone());
            let event = match service {
                Some(service) => event.of(service),
                None => event,
            };
            emit(self.events, event);
        }
        self.said = now;
    }
}

/// Whether something was written from which the plan follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Written {
    Changed,
    Same,
}
