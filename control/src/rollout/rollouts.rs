//! The rollouts of all services of a world.

use super::asked::{asked, outrun};
use super::record::{FailureKind, RolloutRecord};
use super::turn::{News, Turn, Watched};
use crate::World;
use crate::plan::{Losses, Object, Relied, Sights};
use crate::scale::relied;
use minato_config::{ServiceName, Timestamp};
use std::collections::BTreeMap;
use std::time::Instant;

/// One leader's memory: since when instances are ready. A new leader begins anew: it waits longer, never shorter.
#[derive(Debug, Default)]
pub struct Rollouts {
    services: BTreeMap<ServiceName, Watched>,
}

/// What to write of one service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolloutStep {
    /// Whose.
    pub service: ServiceName,
    /// The new document.
    pub record: RolloutRecord,
    /// What to tell once it is written.
    pub news: Vec<News>,
    /// What must still be so when it is committed.
    pub relies_on: Vec<Relied>,
    /// The commit that wrote the document last; `None`: it must not exist.
    pub modified: Option<u64>,
}

impl Rollouts {
    /// What to write now, sorted by service. `now` and `wall` are the same moment.
    pub fn turn(
        &mut self,
        world: &World,
        losses: &Losses,
        now: Instant,
        wall: Timestamp,
    ) -> Vec<RolloutStep> {
        self.services
            .retain(|it, _| world.services.contains_key(it));
        let mut sights = None;
        let mut steps = Vec::new();
        for name in world.services.keys() {
            let Some(asked) = asked(world, name) else {
                continue;
            };
            let vanished = world.vanished.contains(&Object::Rollout(name.clone()));
            let stored = world.rollouts.get(name);
            let outrun = outrun(world, name);
            let is_known = |record: &RolloutRecord| {
                let ended = |it| record.ended.contains(it);
                let rests = record.stable.as_ref().is_some_and(|it| it.is(&asked))
                    && record.going.is_none()
                    && record.passed.is_empty();
                let settled = record.failed.as_ref();
                let settled = settled.is_none_or(|it| it.how != FailureKind::Reverting);
                rests && settled && outrun.iter().all(ended)
            };
            if !vanished && stored.is_some_and(|it| is_known(&it.value)) {
                self.services.remove(name);
                continue;
            }
            let sights = sights.get_or_insert_with(|| Sights::of(world, losses));
            let Some(sight) = sights.rolling(name) else {
                continue;
            };
            let watched = self.services.entry(name.clone());
            let watched = watched.or_insert_with(|| Watched::new(now));
            let mut turn = Turn::new(world, name, &asked, &sight, now, wall);
            let record = turn.next(stored.map(|it| &it.value), &outrun, watched);
            if vanished || stored.is_none_or(|it| it.value != record) {
                steps.push(RolloutStep {
                    service: name.clone(),
                    record,
                    news: turn.news,
                    relies_on: relied(world, name),
                    modified: stored.filter(|_| !vanished).map(|it| it.modified),
                });
            }
        }
        steps
    }
}
