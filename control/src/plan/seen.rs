//! What one service should have and has, gathered from the world.

use super::balance::Better;
use super::condition::{Condition, condition};
use super::place::{Demand, Need, granted, is_drained};
use super::{Object, Relied};
use crate::rollout::{Mark, Passed, course};
use crate::{InstanceKey, Stored, World};
use minato_config::{
    Backend, DependencyName, Generation, Intent, ServiceName, ServiceRecord, Slot, SlotIndex,
    UpdatePolicy,
};
use minato_health::{Instance, Phase};
use std::collections::{BTreeMap, BTreeSet};

/// All instances of a world by their place.
pub(super) struct Instances<'a> {
    by_slot: BTreeMap<(&'a ServiceName, SlotIndex), Vec<(&'a InstanceKey, &'a Instance)>>,
    highest_era: u32,
}

impl<'a> Instances<'a> {
    pub(super) fn of(world: &'a World) -> Self {
        let mut by_slot: BTreeMap<_, Vec<_>> = BTreeMap::new();
        let mut highest_era = world.meta.as_ref().map_or(0, |it| it.value.era);
        for (key, instance) in &world.instances {
            let place = by_slot.entry((&key.service, key.slot)).or_default();
            place.push((key, &instance.value));
            highest_era = highest_era.max(key.generation.era);
        }
        for slot in world.slots.values() {
            highest_era = highest_era.max(slot.value.generation.era);
        }
        Self {
            by_slot,
            highest_era,
        }
    }

    /// Every service that anything speaks of, sorted.
    pub(super) fn services(&self, world: &'a World) -> BTreeSet<&'a ServiceName> {
        let records = world.services.keys();
        let slots = world.slots.keys().map(|(service, _)| service);
        let instances = self.by_slot.keys().map(|(service, _)| *service);
        let vanished = world.vanished.iter().filter_map(|it| match it {
            Object::Service(service) => Some(service),
            Object::Intent(_) | Object::Slot(..) | Object::Rollout(_) => None,
        });
        records
            .chain(slots)
            .chain(instances)
            .chain(vanished)
            .collect()
    }

    fn at(&self, service: &'a ServiceName, n: SlotIndex) -> &[(&'a InstanceKey, &'a Instance)] {
        self.by_slot.get(&(service, n)).map_or(&[], Vec::as_slice)
    }
}

/// What the slots of a service should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Goal {
    /// How many slots.
    pub(super) slots: usize,
    /// Of which command, its digest empty where no command should run, and which restart they satisfy.
    pub(super) mark: Mark,
    /// What a slot gets that is not part of a rollout: what is known to work, until the new version has proved itself.
    pub(super) safe: Mark,
    /// How they go from one to the other.
    pub(super) update: UpdatePolicy,
    /// The port that the file fixes: one instance on a node at most.
    pub(super) port: Option<u16>,
    /// What each instance is promised.
    pub(super) demand: Demand,
    /// Labels of a node that may run it.
    pub(super) labels: BTreeMap<String, String>,
    /// What it cannot do without.
    pub(super) depends_on: BTreeSet<DependencyName>,
}

impl Goal {
    /// What one slot asks of its node.
    pub(super) fn need(&self) -> Need<'_> {
        Need {
            demand: self.demand,
            labels: &self.labels,
            port: self.port,
            depends_on: &self.depends_on,
        }
    }
}

/// A slot and how it does.
#[derive(Debug, Clone)]
pub(super) struct SlotSeen<'a> {
    pub(super) n: SlotIndex,
    pub(super) slot: &'a Slot,
    /// Of the slot's current generation.
    pub(super) instance: Option<&'a Instance>,
    pub(super) condition: Condition,
    /// `down: connect refused`; empty for a ready one.
    pub(super) detail: String,
    /// Whether it may take an old one's place.
    pub(super) passed: bool,
    /// Why it should be replaced.
    pub(super) outdated: Option<&'static str>,
    /// Why it is to leave its node.
    pub(super) leaving: Option<Leaving>,
    /// The commit that wrote its document last.
    pub(super) modified: u64,
    /// Whether its node's agent lives.
    pub(super) node_lives: bool,
    /// Instance documents of any generation.
    pub(super) instances: usize,
}

/// Why a slot is to leave its node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Leaving {
    /// An operator wants the node to be empty.
    Drained,
    /// Another node suits it better, and an operator asked for that; in what way.
    Better(String),
}

/// An instance without a slot.
#[derive(Debug, Clone, Copy)]
pub(super) struct Orphan<'a> {
    pub(super) key: &'a InstanceKey,
    pub(super) condition: Condition,
}

/// One service.
pub(super) struct Seen<'a> {
    pub(super) world: &'a World,
    pub(super) service: &'a ServiceName,
    pub(super) record: Option<&'a Stored<ServiceRecord>>,
    intent: Option<&'a Stored<Intent>>,
    pub(super) goal: Goal,
    /// Slots that nobody told to go, by index.
    pub(super) kept: Vec<SlotSeen<'a>>,
    /// Slots that were told to go.
    pub(super) removed: Vec<SlotSeen<'a>>,
    /// Instances that run for a slot without a document, or with one of a lower generation: the newest of each.
    pub(super) orphans: Vec<Orphan<'a>>,
    /// Of the store, or of the highest generation in the world.
    era: u32,
    /// For each index the highest counter of an instance there.
    used: BTreeMap<SlotIndex, u64>,
}

impl<'a> Seen<'a> {
    pub(super) fn of(
        world: &'a World,
        instances: &Instances<'a>,
        service: &'a ServiceName,
    ) -> Self {
        let record = world.services.get(service);
        let intent = world.intents.get(service);
        let (goal, passed) = goal(world, service);
        let all = slots_of(world, service).map(|(n, stored)| {
            let slot = &stored.value;
            let there = instances.at(service, n);
            let current = there
                .iter()
                .find(|(key, _)| key.node == slot.node && key.generation == slot.generation);
            let instance = current.map(|(_, instance)| *instance);
            let (condition, detail) = condition(world, service, n, slot.generation, instance);
            SlotSeen {
                n,
                slot,
                instance,
                condition,
                detail,
                passed: condition == Condition::Ready
                    && passed.is_none_or(|it| {
                        let (slot, generation) = (n, slot.generation);
                        it.contains(&Passed { slot, generation })
                    }),
                outdated: outdated(slot, &goal.mark),
                leaving: is_drained(world, &slot.node).then_some(Leaving::Drained),
                modified: stored.modified,
                node_lives: world.nodes.contains_key(&slot.node),
                instances: there.len(),
            }
        });
        let (removed, kept) = all.partition(|it| it.slot.removed);
        let mut seen = Self {
            world,
            service,
            record,
            intent,
            goal,
            kept,
            removed,
            orphans: Vec::new(),
            era: instances.highest_era,
            used: BTreeMap::new(),
        };
        let span = (service, SlotIndex(0))..=(service, SlotIndex(u16::MAX));
        for ((_, n), there) in instances.by_slot.range(span) {
            let counters = there.iter().map(|(key, _)| key.generation.counter);
            seen.used.insert(*n, counters.max().unwrap_or(0));
            let slot = world.slots.get(&(service.clone(), *n));
            let alive = there.iter().filter(|(_, it)| it.phase != Phase::Stopping);
            let lost =
                alive.filter(|(key, _)| slot.is_none_or(|it| it.value.generation < key.generation));
            if let Some((key, instance)) = lost.max_by_key(|(key, _)| key.generation) {
                let (condition, _) = condition(world, service, *n, key.generation, Some(instance));
                seen.orphans.push(Orphan { key, condition });
            }
        }
        seen
    }

    /// Marks one as leaving for a better node.
    pub(super) fn leave(&mut self, better: &Better) {
        if let Some(it) = self.kept.iter_mut().find(|it| it.n == better.n) {
            it.leaving = Some(Leaving::Better(better.why.clone()));
        }
    }

    /// Lowest indices that no slot document has, told-to-go ones included.
    pub(super) fn free(&self) -> impl Iterator<Item = SlotIndex> {
        let taken: BTreeSet<SlotIndex> =
            slots_of(self.world, self.service).map(|(n, _)| n).collect();
        (0..=u16::MAX)
            .map(SlotIndex)
            .filter(move |it| !taken.contains(it))
    }

    /// A generation above `before` that slot `n` never had: above every commit that is known of, and no generation is
    /// above the commit that wrote it.
    pub(super) fn unused(&self, n: SlotIndex, before: Generation) -> Generation {
        let known = self.used.get(&n).copied().unwrap_or(0);
        let commits = self.relied().into_iter().filter_map(|it| it.modified);
        let highest = commits.fold(self.world.revision, u64::max);
        Generation {
            era: self.era,
            counter: highest.max(known).max(before.counter).saturating_add(1),
        }
    }

    /// The last intent, if its document is gone and nobody ended it.
    pub(super) fn vanished_intent(&self) -> Option<&'a Intent> {
        let object = Object::Intent(self.service.clone());
        let vanished = self.world.vanished.contains(&object);
        self.intent.filter(|_| vanished).map(|it| &it.value)
    }

    /// The operator's number.
    pub(super) fn by_hand(&self) -> Option<u16> {
        self.intent?.value.replicas
    }

    /// Whether its record is gone and nobody removed it.
    pub(super) fn record_vanished(&self) -> bool {
        let object = Object::Service(self.service.clone());
        self.world.vanished.contains(&object)
    }

    /// The record, the intent and every slot of the service, as seen.
    pub(super) fn relied(&self) -> Vec<Relied> {
        let name = || self.service.clone();
        let mut relied = vec![
            Relied {
                object: Object::Service(name()),
                modified: self.record.map(|it| it.modified),
            },
            Relied {
                object: Object::Intent(name()),
                modified: match self.vanished_intent() {
                    Some(_) => None,
                    None => self.intent.map(|it| it.modified),
                },
            },
        ];
        relied.extend(
            slots_of(self.world, self.service).map(|(n, stored)| Relied {
                object: Object::Slot(name(), n),
                modified: Some(stored.modified),
            }),
        );
        relied
    }

    /// Kept slots past the goal, worst first: those that do worst, then the highest index. Those that leave their nodes first, and
    /// one of these that may serve only when all that stay are ready: what takes its place serves before it goes.
    pub(super) fn surplus(&self) -> Vec<&SlotSeen<'a>> {
        let (leaving, staying): (Vec<&SlotSeen<'a>>, Vec<&SlotSeen<'a>>) = self
            .worst_first()
            .into_iter()
            .partition(|it| it.leaving.is_some());
        let past = |have: usize| have.saturating_sub(self.goal.slots);
        let is_replaced = staying.iter().all(|it| it.condition == Condition::Ready);
        let serves = |it: &SlotSeen<'_>| it.condition.rank() >= Condition::Unsure.rank();
        let go = leaving.iter().filter(|it| is_replaced || !serves(it));
        let mut all: Vec<&SlotSeen<'a>> = go.take(past(self.kept.len())).copied().collect();
        all.extend(self.past_goal(&staying));
        all
    }

    /// Of those that stay on their nodes, worst first. While there are two versions an old one goes when a new one has
    /// proved itself, so that as many as wanted serve; new ones that have not are no more than may be on their way.
    fn past_goal<'s>(&self, staying: &[&'s SlotSeen<'a>]) -> Vec<&'s SlotSeen<'a>> {
        let wanted = self.goal.slots;
        let past = staying.len().saturating_sub(wanted);
        let (old, new): (Vec<&'s SlotSeen<'a>>, Vec<&'s SlotSeen<'a>>) =
            staying.iter().partition(|it| it.outdated.is_some());
        if old.is_empty() || wanted == 0 {
            return staying.iter().take(past).copied().collect();
        }
        let passed = new.iter().filter(|it| it.passed).count();
        let old_past = (old.len() + passed).saturating_sub(wanted).min(past);
        let new_past = new.len().saturating_sub(wanted);
        let (old_go, old_stay) = old.split_at(old_past.min(old.len()));
        let (new_go, new_stay) = new.split_at(new_past);
        let on_their_way = usize::from(self.goal.update.parallel);
        let left = old_stay.len() + new_stay.len();
        let more = left.saturating_sub(wanted + on_their_way);
        // After a way back those that serve are the new ones again, and unproved: they stay until they have proved
        // themselves and what is broken goes.
        let on_trial = |it: &&&SlotSeen<'_>| !it.passed && it.condition != Condition::Ready;
        let more = new_stay.iter().filter(on_trial).take(more);
        let go = old_go.iter().chain(new_go);
        go.chain(more).copied().collect()
    }

    fn worst_first(&self) -> Vec<&SlotSeen<'a>> {
        let mut all: Vec<&SlotSeen<'a>> = self.kept.iter().collect();
        all.sort_by_key(|it| (it.condition.rank(), std::cmp::Reverse(it.n)));
        all
    }

    /// Kept slots within the goal, by index.
    pub(super) fn wanted(&self) -> Vec<&SlotSeen<'a>> {
        let surplus: BTreeSet<SlotIndex> = self.surplus().iter().map(|it| it.n).collect();
        let wanted = self.kept.iter().filter(|it| !surplus.contains(&it.n));
        wanted.collect()
    }
}

fn slots_of<'a>(
    world: &'a World,
    service: &ServiceName,
) -> impl Iterator<Item = (SlotIndex, &'a Stored<Slot>)> + use<'a> {
    let from = (service.clone(), SlotIndex(0));
    let to = (service.clone(), SlotIndex(u16::MAX));
    let range = world.slots.range(from..=to);
    range.map(|((_, n), stored)| (*n, stored))
}

/// How many slots a command has: the operator's number, else what follows the load, else the file's.
///
/// Where the document of what follows the load is missing there stays what there is, within the bounds.
pub(super) fn replicas(world: &World, record: &ServiceRecord) -> u16 {
    let service = &record.service;
    let by_hand = || world.intents.get(&service.name)?.value.replicas;
    if let Some(by_hand) = by_hand() {
        return by_hand;
    }
    let Some(scale) = &service.scale else {
        return service.replicas;
    };
    let number = match world.scales.get(&service.name) {
        Some(stored) => stored.value.replicas,
        None => {
            let kept = slots_of(world, &service.name).filter(|(_, it)| !it.value.removed);
            u16::try_from(kept.count()).unwrap_or(u16::MAX)
        }
    };
    number.clamp(service.replicas, scale.max.max(service.replicas))
}

fn goal<'a>(world: &'a World, service: &ServiceName) -> (Goal, Option<&'a BTreeSet<Passed>>) {
    let intent = world.intents.get(service).map(|it| &it.value);
    let nothing = || Mark {
        digest: String::new(),
        restart: intent.and_then(|it| it.restart),
    };
    let none = Goal {
        slots: 0,
        mark: nothing(),
        safe: nothing(),
        update: UpdatePolicy::default(),
        port: None,
        demand: Demand::default(),
        labels: BTreeMap::new(),
        depends_on: BTreeSet::new(),
    };
    let Some(record) = world.services.get(service).map(|it| &it.value) else {
        return (none, None);
    };
    let labels = record.service.nodes.clone();
    let depends_on = record.service.depends_on.clone();
    let demand = Demand::of(&record.service, granted(world, service));
    match &record.service.backend {
        Backend::Endpoints(_) => (none, None),
        Backend::Command(command) if record.removed => {
            let digest = command.digest();
            let mark = Mark {
                digest,
                ..nothing()
            };
            let goal = Goal {
                safe: mark.clone(),
                mark,
                port: command.port,
                demand,
                labels,
                depends_on,
                ..none
            };
            (goal, None)
        }
        Backend::Command(_) => {
            let Some(course) = course(world, service) else {
                return (none, None);
            };
            let goal = Goal {
                slots: usize::from(replicas(world, record)),
                mark: course.goal,
                safe: course.safe,
                update: record.service.update.clone(),
                port: course.port,
                demand,
                labels,
                depends_on,
            };
            (goal, course.passed)
        }
    }
}

fn outdated(slot: &Slot, mark: &Mark) -> Option<&'static str> {
    if slot.digest != mark.digest {
        Some("its command changed")
    } else if slot.restart < mark.restart {
        Some("a restart was asked for")
    } else {
        None
    }
}
