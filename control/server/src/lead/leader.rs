//! One term of office: what wakes the leader, in which order one look goes, and how something is committed.
//!
//! Not here: the work of one look, by its kind (`turns`), elections (`election`).

use super::LeadOptions;
use super::alarms::Alarms;
use super::election::Term;
use super::hook::Runner;
use super::mirroring::Mirroring;
use super::moving::Moving;
use super::nodes::Nodes;
use super::reports::Reports;
use super::saved::Saved;
use super::switching::Switching;
use super::transaction::{Transaction, transactions};
use crate::clock;
use crate::follow::Follower;
use crate::journal::emit;
use crate::trouble::Trouble;
use minato_config::ServiceName;
use minato_control::{Event, Rollouts, Scaling, plan_with};
use minato_control_store::{Observed, Revision, SharedStore, StoreError};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// One term of office.
pub(super) struct Leader<'a> {
    pub(super) options: &'a LeadOptions,
    store: &'a SharedStore,
    pub(super) events: &'a mpsc::Sender<Event>,
    trouble: &'a mut Trouble,
    term: &'a Term,
    alarms: Alarms,
    /// A site that has just begun is not complete yet: agents are still on their way.
    quiet_until: Instant,
    elected: Instant,
    pub(super) nodes: Nodes,
    pub(super) reports: Reports,
    /// Our newest commit: planning waits until the watch has brought it.
    committed: Revision,
    /// Of the last look.
    seen: Revision,
    /// When the lease was kept alive last.
    kept: Instant,
    /// What was asked for in this term.
    pub(super) scaling: Scaling,
    pub(super) hook: Runner,
    /// Since when new versions do well in this term.
    pub(super) rollouts: Rollouts,
    saved: Saved,
    /// What peers say in this term.
    pub(super) mirroring: Mirroring,
    /// What is seen of services that are moved here.
    pub(super) switching: Switching,
}

/// Whether something was written from which the plan follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    Changed,
    Same,
}

impl<'a> Leader<'a> {
    /// Elected just now.
    pub(super) fn begin(
        options: &'a LeadOptions,
        store: &'a SharedStore,
        events: &'a mpsc::Sender<Event>,
        trouble: &'a mut Trouble,
        term: &'a Term,
    ) -> Self {
        let (site, peers) = (&options.site, options.peers.as_ref());
        let moving = Moving::begin(site, store, &options.keys, peers, options.copies.as_ref());
        let (doors, certificates) = (options.doors.clone(), options.certificates.clone());
        let now = Instant::now();
        Self {
            options,
            store,
            events,
            trouble,
            term,
            alarms: Alarms::default(),
            quiet_until: now + options.settle,
            elected: now,
            nodes: Nodes::default(),
            reports: Reports::default(),
            committed: Revision(0),
            seen: Revision(0),
            kept: now,
            scaling: Scaling::new(options.scale_period, options.scale_window),
            hook: Runner::new(options.hook.clone(), site.clone()),
            rollouts: Rollouts::default(),
            saved: Saved::new(options.decisions.clone(), site.clone()),
            mirroring: Mirroring::begin(peers),
            switching: Switching::begin(site, peers, doors, certificates, moving),
        }
    }

    /// Until the term ends; says why it did.
    pub(super) async fn run(&mut self) -> String {
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
                () = self.switching.heard() => Ok(()),
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
        let (office, patience) = (self.elected.elapsed(), self.options.patience);
        let (losses, events) = self.nodes.look(&observed.world, office, patience, now);
        self.emit_all(events);
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
        self.tidy(&observed.world, office).await?;
        self.step_rebalance(&observed.world, &plan, now).await?;
        let work = transactions(&plan, &observed.world, &self.options.keys, now);
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

    /// Under the fence of this term; its events are told once it is done.
    pub(super) async fn commit(
        &mut self,
        work: Result<Transaction, StoreError>,
    ) -> Result<(), StoreError> {
        let Transaction { commit, events } = work?;
        if self.kept.elapsed() >= self.options.keep_alive {
            // A plan for thousands of services takes longer than a lease to write.
            self.keep().await?;
        }
        self.committed = self.store.commit(self.term.fence(commit)).await?;
        self.emit_all(events);
        Ok(())
    }

    /// The same of what somebody's word may come between, which is looked at the next time then.
    pub(super) async fn try_commit(
        &mut self,
        work: Result<Transaction, StoreError>,
    ) -> Result<Written, StoreError> {
        match self.commit(work).await {
            Ok(()) => Ok(Written::Changed),
            Err(error) if self.is_about_one_service(&error) => Ok(Written::Same),
            Err(error) => Err(error),
        }
    }

    /// Whether the next service can be tried all the same.
    pub(super) fn is_about_one_service(&self, error: &StoreError) -> bool {
        match error {
            StoreError::Conflict { key } => *key != self.term.key,
            StoreError::Invalid { .. } => true,
            _ => false,
        }
    }

    fn alarm(&mut self, observed: &Observed, notes: &[(ServiceName, String)], site: Option<&str>) {
        if self.is_settling() {
            return;
        }
        let of_services = notes.iter().cloned();
        let of_services = of_services.map(|(service, text)| (Some(service), text));
        let of_site = observed.oddities().chain(site.map(str::to_owned));
        let of_site = of_site.chain(self.mirroring.alarms());
        let found = of_services.chain(of_site.map(|it| (None, it))).collect();
        let events = self.alarms.turn(found, clock::wall());
        self.emit_all(events);
    }

    /// Gateways and agents may be on their way still.
    pub(super) fn is_settling(&self) -> bool {
        Instant::now() < self.quiet_until
    }

    fn emit_all(&self, events: Vec<Event>) {
        for event in events {
            emit(self.events, event);
        }
    }
}
