//! What a leader does at each look beside the plan, one function for each kind of work: decided by `control`, made a transaction by the
//! module of that kind, committed here.
//!
//! Not here: in which order they come, and what goes on after each (`leader`).

use super::leader::{Leader, Written};
use super::switching::Turned;
use super::transaction::Transaction;
use super::{mirroring, notes, operations, reports, rollouts, scaling};
use crate::clock;
use minato_config::{ServiceName, Timestamp};
use minato_control::{AbsenceRecord, Losses, Plan, World, lacking_room};
use minato_control_store::{Observed, StoreError};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::Instant;

impl Leader<'_> {
    /// Takes in what peers say of their services, and what that means here.
    pub(super) async fn mirror(
        &mut self,
        observed: &Observed,
        now: Timestamp,
    ) -> Result<Written, StoreError> {
        let options = self.options;
        let work = self.mirroring.turn(&observed.world, &options.site, now);
        let work = work.iter();
        let work = work.map(|it| mirroring::transaction(it, &options.keys, now));
        self.commit_each(work.collect()).await
    }

    /// Takes every operation one step on, together with what its steps order.
    pub(super) async fn operate(
        &mut self,
        world: &World,
        now: Timestamp,
    ) -> Result<Written, StoreError> {
        let waves = operations::work(world, &self.options.keys, now);
        let mut written = self.commit_each(waves).await?;
        for it in self.switching.turn(world, &self.options.keys, now) {
            let Turned { transaction, then } = it;
            let is_done = match transaction {
                Some(it) => {
                    written = Written::Changed;
                    self.try_commit(it).await? == Written::Changed
                }
                None => true,
            };
            if is_done {
                self.switching.carry_out(world, then);
            }
        }
        Ok(written)
    }

    async fn commit_each(
        &mut self,
        work: Vec<Result<Transaction, StoreError>>,
    ) -> Result<Written, StoreError> {
        let mut written = Written::Same;
        for it in work {
            if self.try_commit(it).await? == Written::Changed {
                written = Written::Changed;
            }
        }
        Ok(written)
    }

    /// Takes every rollout one step on, and writes it down.
    pub(super) async fn roll(
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
            let work = rollouts::transaction(&step, &self.options.keys, now);
            // The first version is what its slots are of in any case.
            let is_first = step.record.stable.is_none();
            if self.try_commit(work).await? == Written::Changed && !is_first {
                written = Written::Changed;
            }
        }
        Ok(written)
    }

    /// Decides how many instances there should be of what follows its load, and writes it down.
    pub(super) async fn scale(
        &mut self,
        observed: &Observed,
        losses: &Losses,
        now: Timestamp,
    ) -> Result<Written, StoreError> {
        if self.is_settling() {
            return Ok(Written::Same);
        }
        let steps = self
            .scaling
            .turn(&observed.world, losses, clock::monotonic(), now);
        let mut scaled = Written::Same;
        for step in steps {
            let work = scaling::transaction(&step, &self.options.keys, now);
            match self.commit(work).await {
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
    pub(super) fn ask_for_nodes(
        &mut self,
        world: &World,
        losses: &Losses,
        plan: &Plan,
        now: Timestamp,
    ) {
        if self.options.hook.is_none() || self.is_settling() {
            return;
        }
        // Only what the plan remarks on can lack room.
        let noted: BTreeSet<ServiceName> = plan.notes.iter().map(|it| it.0.clone()).collect();
        let mut lacking = lacking_room(world, losses, &noted, now);
        lacking.extend(self.scaling.lacking());
        self.hook.see(&lacking, self.events, Instant::now());
    }

    /// Writes down which nodes are gone and given up, for people who ask another process.
    pub(super) async fn tell(
        &mut self,
        world: &World,
        losses: &Losses,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let Some(record) = AbsenceRecord::due(world, losses, now) else {
            return Ok(());
        };
        let work = notes::absences(world, &record, &self.options.keys);
        self.try_commit(work).await.map(drop)
    }

    /// Deletes what nodes said that have been gone for long.
    pub(super) async fn tidy(&mut self, world: &World, office: Duration) -> Result<(), StoreError> {
        for (node, services) in self.reports.turn(world, office) {
            let work = reports::transaction(&node, &services, &self.options.keys);
            self.try_commit(work).await?;
        }
        Ok(())
    }

    /// Begins the next round of a rebalance, or ends it.
    pub(super) async fn step_rebalance(
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
            Some(work) => self.try_commit(work).await.map(drop),
            None => Ok(()),
        }
    }
}
