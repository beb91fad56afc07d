//! What to change for one service.

use super::condition::Condition;
use super::lost::Losses;
use super::place::{Nowhere, Places};
use super::seen::{Leaving, Seen, SlotSeen};
use super::{Action, FAILED_PAUSE, Object, Plan, Relied, STEPS_PER_SERVICE, Step};
use crate::rollout::Mark;
use minato_config::{Generation, NodeId, Slot, SlotIndex, Timestamp};
use std::collections::BTreeMap;

/// Adds the steps and notes of one service.
pub(super) fn decide<'a>(
    seen: &Seen<'a>,
    losses: &Losses,
    places: &mut Places<'a>,
    now: Timestamp,
    plan: &mut Plan,
) {
    let mut decision = Decision {
        seen,
        losses,
        places,
        now,
        held: false,
        steps: Vec::new(),
        notes: Vec::new(),
    };
    decision.run();
    let (steps, notes) = (decision.steps, decision.notes);
    plan.steps.extend(steps.into_iter().take(STEPS_PER_SERVICE));
    let named = notes.into_iter().map(|it| (seen.service.clone(), it));
    plan.notes.extend(named);
}

pub(super) struct Decision<'s, 'a, 'p> {
    pub(super) seen: &'s Seen<'a>,
    losses: &'s Losses,
    pub(super) places: &'p mut Places<'a>,
    pub(super) now: Timestamp,
    /// Nothing takes what should leave its node.
    pub(super) held: bool,
    pub(super) steps: Vec<Step>,
    pub(super) notes: Vec<String>,
}

impl<'a> Decision<'_, 'a, '_> {
    fn run(&mut self) {
        let Some(record) = self.seen.record else {
            return self.note_vanished_record();
        };
        self.note_vanished_intent();
        self.note_lost_nodes();
        self.restore();
        if !self.steps.is_empty() {
            // What runs is not known well enough for anything else.
            return;
        }
        self.forget();
        self.remove_surplus();
        self.move_lost();
        self.place_missing();
        self.retry_failed();
        self.replace_outdated();
        let nothing_left = self.seen.kept.is_empty()
            && self.seen.removed.len() == self.steps.len()
            && self.seen.orphans.is_empty();
        if record.value.removed && nothing_left {
            let reason = "removed, and no slot is left".to_owned();
            self.step(Action::ForgetService, reason, self.seen.relied());
        }
    }

    pub(super) fn step(&mut self, action: Action, reason: String, relies_on: Vec<Relied>) {
        self.steps.push(Step {
            service: self.seen.service.clone(),
            action,
            reason,
            relies_on,
        });
    }

    fn note_vanished_record(&mut self) {
        let slots = self.seen.kept.len() + self.seen.removed.len();
        let orphans = self.seen.orphans.len();
        if slots + orphans == 0 && self.seen.record_vanished() {
            self.notes.push(
                "its record vanished without having been removed; gateways go on with what they know until it is written again"
                    .to_owned(),
            );
        } else if slots + orphans > 0 {
            self.notes.push(format!(
                "its record vanished without having been removed; {slots} slots and {orphans} instances without one stay \
                 as they are until it is written again"
            ));
        }
    }

    fn note_vanished_intent(&mut self) {
        let Some(intent) = self.seen.vanished_intent() else {
            return;
        };
        let name = self.seen.service;
        let mut held = Vec::new();
        if let Some(n) = intent.replicas {
            held.push(format!("minato scale {name} {n}"));
        }
        if intent.drain {
            held.push(format!("minato drain {name}"));
        }
        if !held.is_empty() {
            self.notes.push(format!(
                "what was set by hand vanished without having been reset and holds on; write it again: {}",
                held.join("; ")
            ));
        }
    }

    fn note_lost_nodes(&mut self) {
        let mut waiting: BTreeMap<&NodeId, Vec<String>> = BTreeMap::new();
        for it in self.seen.kept.iter().chain(&self.seen.removed) {
            if !it.node_lives && (it.slot.removed || !self.losses.lost.contains(&it.slot.node)) {
                let slots = waiting.entry(&it.slot.node).or_default();
                slots.push(self.name(it.n));
            }
        }
        for (node, slots) in waiting {
            let (slots, verb) = listed(&slots);
            let why = match self.losses.waiting.get(node).map(String::as_str) {
                None | Some("") => String::new(),
                Some(why) => format!(", since {why}"),
            };
            self.notes
                .push(format!("node {node} is gone: {slots} {verb} for it{why}"));
        }
    }

    /// A slot document that vanished, or went back, while an instance runs is written again as it was.
    fn restore(&mut self) {
        for orphan in &self.seen.orphans {
            let key = orphan.key;
            // A ready one shall go on, so it passes for the version that serves. Another is better replaced, when its turn comes.
            let safe = self.seen.goal.safe.clone();
            let mark = match orphan.condition {
                Condition::Ready => safe,
                _ => Mark {
                    digest: String::new(),
                    ..safe
                },
            };
            let slot = slot(&key.node, key.generation, &mark);
            let reason = format!(
                "its document is lost while an instance runs; if the command was being changed: minato restart {}",
                self.seen.service
            );
            let relied = self.relied_with(key.slot);
            self.step(Action::Assign(key.slot, slot), reason, relied);
        }
    }

    fn forget(&mut self) {
        for it in self.seen.removed.iter().filter(|it| it.instances == 0) {
            let relied = self.relied_slot(it.n);
            let reason = "removed, and its instances are gone".to_owned();
            self.step(Action::Forget(it.n), reason, relied);
        }
    }

    fn remove_surplus(&mut self) {
        let (wanted, have) = (self.seen.goal.slots, self.seen.kept.len());
        for it in self.seen.surplus() {
            let why = match self.seen.record {
                Some(record) if record.value.removed => "the service is removed".to_owned(),
                _ if self.seen.goal.mark.digest.is_empty() => {
                    "fixed endpoints need no slots".to_owned()
                }
                _ if it.outdated.is_some() && it.leaving.is_none() && self.has_successor() => {
                    "another version has taken its place".to_owned()
                }
                _ => match &it.leaving {
                    Some(Leaving::Better(why)) => why.clone(),
                    _ => format!("{wanted} wanted, {have} assigned"),
                },
            };
            let reason = match it.detail.as_str() {
                "" => why,
                detail => format!("{why}; {detail}"),
            };
            let relied = self.seen.relied();
            self.places.give_back(&it.slot.node);
            self.step(Action::Remove(it.n), reason, relied);
        }
    }

    /// What a lost node had, and what does not serve on one that is drained, goes elsewhere at once.
    fn move_lost(&mut self) {
        for it in self.seen.wanted() {
            let node = &it.slot.node;
            let lost = self.losses.lost.contains(node);
            let why = match it.leaving {
                Some(Leaving::Drained) if lost || it.condition.is_broken(self.now) => "is drained",
                Some(Leaving::Drained) => continue,
                _ if lost => "is lost: its lease ended, and nothing there answers",
                _ => continue,
            };
            let here = self.slots_by_node();
            match self.places.best(&here, self.seen.goal.need()) {
                Ok(choice) => {
                    let also = joined(&it.detail);
                    let also = also + &joined(&choice.to_string());
                    let target = choice.node.clone();
                    self.replace(it, &target, format!("node {node} {why}{also}"));
                }
                Err(nowhere) => {
                    self.held = true;
                    let name = self.name(it.n);
                    let note = format!("{name} stays, although node {node} {why}: {nowhere}");
                    self.notes.push(note);
                }
            }
        }
    }

    /// What takes the place of one that leaves its node comes first: one more than wanted for that time.
    fn place_missing(&mut self) {
        let (wanted, have) = (self.seen.goal.slots, self.seen.kept.len());
        let staying = self
            .seen
            .kept
            .iter()
            .filter(|it| it.leaving.is_none() || self.is_moved(it.n));
        let missing = wanted.saturating_sub(have);
        let leaving = wanted.saturating_sub(staying.count()) > missing;
        let more = usize::from(leaving && have <= wanted);
        let mut here = self.slots_by_node();
        let free: Vec<SlotIndex> = self.seen.free().take(missing + more).collect();
        for (placed, n) in free.into_iter().take(STEPS_PER_SERVICE).enumerate() {
            let choice = match self.places.best(&here, self.seen.goal.need()) {
                Ok(choice) => choice,
                Err(nowhere) => {
                    self.note_unplaced(wanted, have + placed, &nowhere);
                    break;
                }
            };
            *here.entry(choice.node).or_default() += 1;
            self.places.take(choice.node, self.seen.goal.demand);
            let generation = self.seen.unused(n, Generation::default());
            let slot = slot(choice.node, generation, &self.seen.goal.safe);
            let also = joined(&choice.to_string());
            let assigned = have + placed;
            let reason = match placed < missing {
                true => format!("{wanted} wanted, {assigned} assigned{also}"),
                false => format!("{}{also}", self.why_more()),
            };
            let relied = self.relied_with(n);
            self.step(Action::Assign(n, slot), reason, relied);
        }
    }

    /// Why there is one more than wanted.
    fn why_more(&self) -> String {
        let leaving = self.seen.kept.iter().filter_map(|it| match &it.leaving {
            Some(Leaving::Better(why)) => Some(format!("in place of {}: {why}", self.name(it.n))),
            _ => None,
        });
        let mut leaving = leaving;
        leaving
            .next()
            .unwrap_or_else(|| "in place of one on a drained node".to_owned())
    }

    /// Whether a step of this plan assigns the slot already.
    pub(super) fn is_moved(&self, n: SlotIndex) -> bool {
        let assigned = |it: &Step| matches!(it.action, Action::Assign(other, _) if other == n);
        self.steps.iter().any(assigned)
    }

    fn note_unplaced(&mut self, wanted: usize, have: usize, nowhere: &Nowhere) {
        if have >= wanted {
            self.held = true;
            let kept = self.seen.kept.iter();
            let leaving = kept.filter(|it| it.leaving == Some(Leaving::Drained));
            let names: Vec<String> = leaving.map(|it| self.name(it.n)).collect();
            if names.is_empty() {
                // What only would be better elsewhere stays, and nobody has to do anything about it.
                return;
            }
            let (names, verb) = listed(&names);
            let stay = if verb == "waits" { "stays" } else { "stay" };
            let note = format!("{names} {stay} on a drained node: {nowhere}");
            self.notes.push(note);
        } else {
            let note = format!("{have} of {wanted} slots have a node: {nowhere}");
            self.notes.push(note);
        }
    }

    /// A slot whose agent has given up gets a new generation, at most one in [`FAILED_PAUSE`].
    fn retry_failed(&mut self) {
        for it in self.seen.wanted() {
            let Condition::Failed(since) = it.condition else {
                continue;
            };
            let replaced = it.outdated.is_some() && self.is_proven();
            if replaced || !it.node_lives || it.leaving.is_some() {
                continue;
            }
            let pause = FAILED_PAUSE.as_secs();
            // A moment that lies ahead by more than the pause is of a clock that was set back since.
            let ahead = since.since(self.now);
            if self.now.since(since) < FAILED_PAUSE && ahead <= FAILED_PAUSE {
                self.notes.push(format!(
                    "{} {}; tried again {pause} s after it failed",
                    self.name(it.n),
                    it.detail
                ));
                continue;
            }
            let node = self.node_for_retry(it);
            let reason = format!("{} for {pause} s", it.detail);
            self.replace(it, &node, reason);
        }
    }

    /// Another live node where it has fewer slots, else the same.
    fn node_for_retry(&self, it: &SlotSeen<'_>) -> NodeId {
        let mut elsewhere = self.slots_by_node();
        if let Some(count) = elsewhere.get_mut(&it.slot.node) {
            *count = usize::MAX;
        }
        match self.places.best(&elsewhere, self.seen.goal.need()) {
            Ok(choice) if self.places.on(choice.node) < self.places.on(&it.slot.node) => {
                choice.node.clone()
            }
            _ => it.slot.node.clone(),
        }
    }

    pub(super) fn replace(&mut self, it: &SlotSeen<'_>, node: &NodeId, reason: String) {
        let mark = match it.outdated {
            Some(_) => self.seen.goal.safe.clone(),
            None => self.seen.goal.mark.clone(),
        };
        self.replace_with(it, node, reason, &mark);
    }

    pub(super) fn replace_with(
        &mut self,
        it: &SlotSeen<'_>,
        node: &NodeId,
        reason: String,
        mark: &Mark,
    ) {
        self.places.give_back(&it.slot.node);
        self.places.take(node, self.seen.goal.demand);
        let generation = self.seen.unused(it.n, it.slot.generation);
        let slot = slot(node, generation, mark);
        let relied = self.seen.relied();
        self.step(Action::Assign(it.n, slot), reason, relied);
    }

    /// Slots of this service by node. Those told to go count where they still hold the fixed port.
    pub(super) fn slots_by_node(&self) -> BTreeMap<&'a NodeId, usize> {
        let going = match self.seen.goal.port {
            Some(_) => self.seen.removed.as_slice(),
            None => &[],
        };
        let mut counts: BTreeMap<&NodeId, usize> = BTreeMap::new();
        for it in self.seen.kept.iter().chain(going) {
            *counts.entry(&it.slot.node).or_default() += 1;
        }
        // What this plan moved counts where it goes.
        for step in &self.steps {
            let Action::Assign(n, slot) = &step.action else {
                continue;
            };
            let node = self.seen.world.nodes.get_key_value(&slot.node);
            let old = self.seen.kept.iter().find(|it| it.n == *n);
            if let (Some((node, _)), Some(old)) = (node, old) {
                *counts.entry(node).or_default() += 1;
                if let Some(count) = counts.get_mut(&old.slot.node) {
                    *count = count.saturating_sub(1);
                }
            }
        }
        counts
    }

    pub(super) fn name(&self, n: SlotIndex) -> String {
        format!("{}/{n}", self.seen.service)
    }

    fn relied_slot(&self, n: SlotIndex) -> Vec<Relied> {
        let object = Object::Slot(self.seen.service.clone(), n);
        let mut relied = self.seen.relied();
        relied.retain(|it| it.object == object);
        relied
    }

    /// With slot `n` too, where it has no document.
    pub(super) fn relied_with(&self, n: SlotIndex) -> Vec<Relied> {
        let object = Object::Slot(self.seen.service.clone(), n);
        let mut relied = self.seen.relied();
        if !relied.iter().any(|it| it.object == object) {
            relied.push(Relied {
                object,
                modified: None,
            });
            relied.sort();
        }
        relied
    }
}

pub(super) fn slot(node: &NodeId, generation: Generation, mark: &Mark) -> Slot {
    Slot {
        v: 1,
        node: node.clone(),
        generation,
        digest: mark.digest.clone(),
        restart: mark.restart,
        removed: false,
    }
}

/// What follows in a sentence.
pub(super) fn joined(text: &str) -> String {
    match text {
        "" => String::new(),
        text => format!("; {text}"),
    }
}

pub(super) fn is_forget(step: &Step) -> bool {
    matches!(step.action, Action::Forget(_))
}

/// The names in one phrase, at most five, and the verb that goes with it.
pub(super) fn listed(names: &[String]) -> (String, &'static str) {
    const SHOWN: usize = 5;
    let verb = if names.len() == 1 { "waits" } else { "wait" };
    let shown = names.len().min(SHOWN);
    let mut text = names.get(..shown).unwrap_or_default().join(", ");
    if names.len() > shown {
        text.push_str(&format!(" and {} more", names.len() - shown));
    }
    (text, verb)
}
