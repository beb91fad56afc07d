//! What the number of a service's instances is decided from: how it stands, and how many the nodes take.

use super::condition::Condition;
use super::decide::decide;
use super::place::{Demand, Places, granted};
use super::seen::{Instances, Seen};
use super::{Action, Losses, Plan};
use crate::World;
use minato_config::{Grant, ServiceName, SlotIndex, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// How many instances the nodes take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    /// Those that are there included, and no more than were asked for.
    pub slots: u16,
    /// What is missing for more.
    pub lacking: Option<String>,
}

/// How a service stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Instances that there should be.
    pub(crate) wanted: u16,
    /// The operator's number.
    pub(crate) by_hand: Option<u16>,
    /// Instances that take requests.
    pub(crate) ready: u16,
    /// Some are to be replaced, or run without their document.
    pub(crate) is_updating: bool,
}

/// Answers about many services of one world.
pub(crate) struct Sights<'a> {
    world: &'a World,
    losses: &'a Losses,
    instances: Instances<'a>,
}

impl<'a> Sights<'a> {
    pub(crate) fn of(world: &'a World, losses: &'a Losses) -> Self {
        Self {
            world,
            losses,
            instances: Instances::of(world),
        }
    }

    /// How a service stands; nothing where it is not known.
    pub(crate) fn standing(&self, service: &ServiceName) -> Standing {
        let Some(seen) = self.seen(service) else {
            return Standing::default();
        };
        let ready = seen.kept.iter();
        let ready = ready.filter(|it| it.condition == Condition::Ready).count();
        Standing {
            wanted: count(seen.goal.slots),
            by_hand: seen.by_hand(),
            ready: count(ready),
            is_updating: self
                .world
                .rollouts
                .get(service)
                // A first version has none before it that would have to stay.
                .is_some_and(|it| it.value.going.is_some() && it.value.stable.is_some())
                || seen.kept.iter().any(|it| it.outdated.is_some())
                || !seen.orphans.is_empty(),
        }
    }

    /// Up to `number`: the planner itself is asked what it would do, so that the two never differ.
    pub(crate) fn room(&self, service: &ServiceName, number: u16, now: Timestamp) -> Room {
        let Some(mut seen) = self.seen(service) else {
            return Room {
                slots: 0,
                lacking: None,
            };
        };
        let wanted = usize::from(number);
        seen.goal.slots = wanted;
        let mut plan = Plan::default();
        decide(
            &seen,
            self.losses,
            &mut Places::of(self.world),
            now,
            &mut plan,
        );
        let is_new = |it: &Action| match it {
            Action::Assign(n, _) => !seen.kept.iter().any(|kept| kept.n == *n),
            Action::Remove(_) | Action::Forget(_) | Action::ForgetService => false,
        };
        let new = plan.steps.iter().filter(|it| is_new(&it.action)).count();
        let slots = (seen.kept.len() + new).min(wanted);
        let notes: Vec<String> = plan.notes.into_iter().map(|(_, text)| text).collect();
        Room {
            slots: count(slots),
            lacking: (slots < wanted && !notes.is_empty()).then(|| notes.join("; ")),
        }
    }

    /// Whether every node has room for so much to each of the service's instances that it has, in place of what they have.
    pub(crate) fn takes(&self, service: &ServiceName, grant: Grant) -> bool {
        let Some(record) = self.world.services.get(service).map(|it| &it.value) else {
            return false;
        };
        let now = Demand::of(&record.service, granted(self.world, service));
        let more = Demand::of(&record.service, Some(grant)).above(now);
        let mut places = Places::of(self.world);
        let (from, to) = (SlotIndex(0), SlotIndex(u16::MAX));
        let mut slots = self
            .world
            .slots
            .range((service.clone(), from)..=(service.clone(), to))
            .filter(|(_, slot)| !slot.value.removed);
        slots.all(|(_, slot)| places.raise(&slot.value.node, more).is_some())
    }

    pub(super) fn world(&self) -> &'a World {
        self.world
    }

    pub(super) fn seen(&self, service: &ServiceName) -> Option<Seen<'a>> {
        let (service, _) = self.world.services.get_key_value(service)?;
        Some(Seen::of(self.world, &self.instances, service))
    }
}

/// Of these services, those that want more instances than the nodes take, and what is missing.
pub fn lacking_room(
    world: &World,
    losses: &Losses,
    services: &BTreeSet<ServiceName>,
    now: Timestamp,
) -> BTreeMap<ServiceName, String> {
    let sights = Sights::of(world, losses);
    let lacking = services.iter().filter_map(|name| {
        let room = sights.room(name, sights.standing(name).wanted, now);
        Some((name.clone(), room.lacking?))
    });
    lacking.collect()
}

fn count(it: usize) -> u16 {
    u16::try_from(it).unwrap_or(u16::MAX)
}
