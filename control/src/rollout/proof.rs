//! Which instances of a version have been well for long enough, and whether that is all of them.

use super::asked::Mark;
use super::record::{Passed, RolloutRecord, RolloutStage, Version};
use super::turn::{Turn, Watched};
use crate::plan::RollSlot;
use minato_config::{Generation, Run, SlotIndex, Timestamp};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

impl<'a> Turn<'a> {
    /// Since when instances of this version are ready, and which of them may take an old one's place.
    pub(super) fn look(
        &self,
        record: &mut RolloutRecord,
        version: &Version,
        watched: &mut Watched,
        of: (Option<Timestamp>, Option<RolloutStage>),
    ) {
        if (watched.of, watched.stage) != of {
            (watched.of, watched.stage) = of;
            watched.moved = self.now;
            watched.ready.clear();
        }
        if self.sight.ending || self.world.nodes.is_empty() {
            // Old instances end in their own time; and what nobody could start has not failed.
            watched.moved = self.now;
        }
        let ready: BTreeSet<_> = self
            .slots_of(version)
            .filter(|it| it.ready)
            .map(key)
            .collect();
        watched.ready.retain(|it, _| ready.contains(it));
        for it in ready {
            watched.ready.entry(it).or_insert(self.now);
        }
        let there = |it: &Passed| {
            self.slots_of(version)
                .any(|slot| (slot.n, slot.generation) == (it.slot, it.generation))
        };
        record.passed.retain(there);
        if self.slots_of(version).count() == self.sight.slots.len() {
            // Nothing is left whose place could be taken.
            return;
        }
        let long =
            |since: &Instant| self.now.saturating_duration_since(*since) >= self.policy.healthy;
        for ((slot, generation, _), _) in watched.ready.iter().filter(|(_, since)| long(since)) {
            let (slot, generation) = (*slot, *generation);
            if record.passed.insert(Passed { slot, generation }) {
                watched.moved = self.now;
            }
        }
    }

    /// Whether all that there is, is of this version and has been ready for this long, or had passed before.
    pub(super) fn is_whole(
        &self,
        version: &Version,
        record: &RolloutRecord,
        watched: &Watched,
        healthy: Duration,
    ) -> bool {
        let slots = &self.sight.slots;
        let long = |it: &RollSlot| {
            let passed = Passed {
                slot: it.n,
                generation: it.generation,
            };
            let since = watched.ready.get(&key(it));
            since.is_some_and(|since| {
                record.passed.contains(&passed)
                    || self.now.saturating_duration_since(*since) >= healthy
            })
        };
        slots.len() == self.sight.wanted
            && self.slots_of(version).count() == slots.len()
            && slots.iter().all(long)
    }

    pub(super) fn slots_of<'s>(
        &'s self,
        version: &Version,
    ) -> impl Iterator<Item = &'s RollSlot> + use<'s, 'a> {
        let mark = Mark {
            digest: version.digest.clone(),
            restart: version.restart,
        };
        let slots = self.sight.slots.iter();
        slots.filter(move |it| it.digest == mark.digest && it.restart >= mark.restart)
    }

    pub(super) fn ready(&self, version: &Version) -> BTreeSet<Passed> {
        let ready = self.slots_of(version).filter(|it| it.ready);
        ready
            .map(|it| Passed {
                slot: it.n,
                generation: it.generation,
            })
            .collect()
    }
}

fn key(it: &RollSlot) -> (SlotIndex, Generation, Run) {
    (it.n, it.generation, it.run)
}
