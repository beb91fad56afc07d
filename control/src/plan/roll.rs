//! One version takes another's place: started first, or each in its place.
//!
//! When an old one goes is `Seen::surplus`; whether the new version is any good is `rollout`'s.

use super::condition::Condition;
use super::decide::{Decision, is_forget, joined, listed, slot};
use super::seen::SlotSeen;
use super::{Action, STEPS_PER_SERVICE};
use minato_config::{Generation, SlotIndex, UpdateOrder};
use std::time::Duration;

/// A slot that is not ready for this long holds an update up in a way that a person should hear of.
const STUCK: Duration = Duration::from_secs(60);

impl Decision<'_, '_, '_> {
    /// At once where nothing is lost by it, and the new version is not on trial; else by the order that the service wants.
    pub(super) fn replace_outdated(&mut self) {
        let wanted = self.seen.wanted();
        let mut outdated: Vec<&SlotSeen<'_>> = Vec::new();
        for &it in &wanted {
            match it.outdated {
                _ if self.is_moved(it.n) => {}
                Some(why)
                    if self.is_proven() && it.node_lives && it.condition.is_broken(self.now) =>
                {
                    let reason = format!("{why}; {}", it.detail);
                    self.replace(it, &it.slot.node.clone(), reason);
                }
                Some(_) => outdated.push(it),
                None => {}
            }
        }
        // What leaves its node is of the new version where it goes.
        outdated.retain(|it| it.leaving.is_none() || self.held);
        if outdated.is_empty() || !self.steps.iter().all(is_forget) {
            // Slots come or go: first things first.
            return;
        }
        match self.seen.goal.update.order {
            UpdateOrder::StartFirst => self.start_first(&wanted, &outdated),
            UpdateOrder::StopFirst => self.stop_first(&wanted, &outdated),
        }
    }

    /// New ones beside the old ones; which of these go then, and when, is `Seen::surplus`.
    fn start_first(&mut self, wanted: &[&SlotSeen<'_>], outdated: &[&SlotSeen<'_>]) {
        let slots = self.seen.goal.slots;
        let new = wanted.iter().filter(|it| it.outdated.is_none()).copied();
        let new: Vec<&SlotSeen<'_>> = new.collect();
        let on_trial = new.iter().filter(|it| !it.passed).count();
        let ending = self.seen.removed.iter().filter(|it| it.node_lives).count();
        let room = (slots + self.surge()).saturating_sub(self.seen.kept.len() + ending);
        let missing = slots.saturating_sub(new.len());
        let more = room.min(missing).min(self.surge().saturating_sub(on_trial));
        if more == 0 {
            return self.note_stuck(None, &new);
        }
        let mut here = self.slots_by_node();
        let free: Vec<SlotIndex> = self.seen.free().take(more).collect();
        for (placed, n) in free.into_iter().take(STEPS_PER_SERVICE).enumerate() {
            let choice = match self.places.best(&here, self.seen.goal.need()) {
                Ok(choice) => choice,
                // One port cannot have two on a node.
                Err(_) if placed == 0 && self.seen.goal.port.is_some() => {
                    return self.stop_first(wanted, outdated);
                }
                Err(nowhere) => {
                    self.notes.push(format!(
                        "the update waits, since one more than wanted is started first: {nowhere}; \
                         with update = {{ order = \"stop-first\" }} each is replaced in its place"
                    ));
                    return;
                }
            };
            *here.entry(choice.node).or_default() += 1;
            self.places.take(choice.node, self.seen.goal.demand);
            let generation = self.seen.unused(n, Generation::default());
            let slot = slot(choice.node, generation, &self.seen.goal.mark);
            let why = outdated
                .first()
                .and_then(|it| it.outdated)
                .unwrap_or_default();
            let left = missing - placed - 1;
            let also = joined(&choice.to_string());
            let reason = format!("{why}; started first, {left} more to come{also}");
            let relied = self.relied_with(n);
            self.step(Action::Assign(n, slot), reason, relied);
        }
    }

    /// One at a time in its place, and only while all others are ready and have proved themselves.
    fn stop_first(&mut self, wanted: &[&SlotSeen<'_>], outdated: &[&SlotSeen<'_>]) {
        let candidates = outdated.iter().filter(|it| it.node_lives);
        let Some(next) = candidates.min_by_key(|it| (it.condition.rank(), it.n)) else {
            return;
        };
        let others = || wanted.iter().filter(|it| it.n != next.n);
        let is_fit = |it: &&&SlotSeen<'_>| {
            it.condition == Condition::Ready && (it.passed || it.outdated.is_some())
        };
        let fit = others().filter(is_fit).count();
        let on_trial = others().any(|it| it.outdated.is_none() && !it.passed);
        // With one that serves nobody nothing is lost.
        let is_free = next.condition.is_broken(self.now) && !on_trial;
        if is_free || (fit == others().count() && fit + 1 >= self.seen.goal.slots) {
            let left = outdated.len() - 1;
            let why = next.outdated.unwrap_or_default();
            let reason = format!("{why}; {left} more to come");
            let mark = self.seen.goal.mark.clone();
            self.replace_with(next, &next.slot.node.clone(), reason, &mark);
            return;
        }
        self.note_stuck(Some(next.n), wanted);
    }

    /// Says what is not ready, and since when that holds the rest up.
    fn note_stuck(&mut self, next: Option<SlotIndex>, others: &[&SlotSeen<'_>]) {
        let stuck: Vec<String> = others
            .iter()
            .filter(|it| Some(it.n) != next && self.is_stuck(it))
            .map(|it| self.name(it.n))
            .collect();
        if stuck.is_empty() {
            return;
        }
        let (names, verb) = listed(&stuck);
        let be = if verb == "waits" { "is" } else { "are" };
        let at = next.map(|it| format!(" at {}", self.name(it)));
        self.notes.push(format!(
            "the update holds{}: {names} {be} not ready",
            at.unwrap_or_default()
        ));
    }

    /// Whether some instance of the new version has proved itself.
    pub(super) fn has_successor(&self) -> bool {
        let mut kept = self.seen.kept.iter();
        kept.any(|it| it.outdated.is_none() && it.passed)
    }

    /// Slots beyond those wanted while a rollout goes on.
    fn surge(&self) -> usize {
        usize::from(self.seen.goal.update.parallel)
    }

    /// Whether the goal is known to work, or nothing else is.
    pub(super) fn is_proven(&self) -> bool {
        self.seen.goal.safe == self.seen.goal.mark
    }

    fn is_stuck(&self, it: &SlotSeen<'_>) -> bool {
        let long = it
            .instance
            .is_some_and(|instance| self.now.since(instance.since) >= STUCK);
        match it.condition {
            Condition::Ready => false,
            Condition::Failed(_) => true,
            _ => long || !it.node_lives,
        }
    }
}
