//! Which instances go elsewhere because an operator asked for it and another node suits them clearly better.
//!
//! One slot of a service at a time, at most [`AT_ONCE`] services at once: the slot is marked as leaving its node, and all
//! else is what a drain does (`decide`): one more on the better node, and the old one goes when all that stay are ready.
//! A slot that was written since the request has its place from it, so each moves at most once in a round. A round in which
//! something moved is followed by another, at most [`ROUNDS`]: so it ends, and what it leaves behind has nothing better.
//!
//! *Clearly better* is by the terms of `place`, with a margin (`is_clearly_better`): what was moved is not moved back, by this
//! request or the next. Not here: where the one more goes (`place`).

use super::Losses;
use super::condition::Condition;
use super::place::{Demand, Places, Weight, is_drained};
use super::seen::{Instances, Seen, SlotSeen};
use crate::World;
use minato_config::{NodeId, ServiceName, SlotIndex, Timestamp};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::time::Duration;

/// A request is in force for no longer.
pub const REBALANCE_LIMIT: Duration = Duration::from_secs(3_600);
/// Services that move at once.
const AT_ONCE: usize = 2;
/// Rounds of one request. Sites of five machines and six services came to rest within three (`tests/balance`).
const ROUNDS: u32 = 4;
/// What an instance is taken to use that nobody has told of, thousandths of a processor.
const UNKNOWN_CPU_MILLI: u64 = 100;

/// The document at `rebalance`: written by operators, ended by the leader.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rebalance {
    /// Format version, 1.
    pub v: u32,
    /// Only this one; `None`: all.
    #[serde(default)]
    pub service: Option<ServiceName>,
    /// Who asked.
    #[serde(default)]
    pub who: String,
    /// When. In force for [`REBALANCE_LIMIT`] from then.
    pub since: Timestamp,
    /// Rounds that have ended: the leader writes the document again after each.
    #[serde(default)]
    pub round: u32,
    /// Why it is over; `None` while it is under way.
    #[serde(default)]
    pub ended: Option<String>,
}

/// How a rebalance stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Balancing {
    /// What moves now, a sentence each.
    pub moving: Vec<String>,
    /// What would be better elsewhere and cannot go now, and why; its turn to come is no reason.
    pub waiting: Vec<String>,
    /// Better elsewhere, and their turn comes.
    pub queued: usize,
    /// What the leader is to write down now.
    pub next: BalancingNext,
}

/// Whether a rebalance goes on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum BalancingNext {
    /// It does.
    #[default]
    GoOn,
    /// Nothing is left of this round, and something moved in it.
    Round,
    /// It ends, and why.
    End(String),
}

/// One slot that leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Better {
    pub(super) n: SlotIndex,
    pub(super) why: String,
}

/// Whether an operator asked for it and it has not ended.
pub(super) fn is_rebalancing(world: &World) -> bool {
    let asked = world.rebalance.as_ref();
    asked.is_some_and(|it| it.value.ended.is_none())
}

impl Rebalance {
    fn speaks_of(&self, service: &ServiceName) -> bool {
        self.service.as_ref().is_none_or(|it| it == service)
    }

    /// A clock that lies far ahead does not make it longer.
    fn is_in_time(&self, now: Timestamp) -> bool {
        now.since(self.since) < REBALANCE_LIMIT && self.since.since(now) < REBALANCE_LIMIT
    }
}

/// The slots that are to leave their nodes now, and how the request stands.
pub(super) fn moves<'a>(
    world: &'a World,
    instances: &Instances<'a>,
    losses: &Losses,
    now: Timestamp,
) -> (BTreeMap<ServiceName, Better>, Option<Balancing>) {
    let mut marked = BTreeMap::new();
    let asked = world.rebalance.as_ref();
    let Some(asked) = asked.filter(|it| it.value.ended.is_none()) else {
        return (marked, None);
    };
    let mut standing = Balancing::default();
    let in_time = asked.value.is_in_time(now);
    let mut places = Places::of(world);
    let mut rest = Vec::new();
    for service in instances.services(world) {
        if !asked.value.speaks_of(service) {
            continue;
        }
        let seen = Seen::of(world, instances, service);
        match under_way(&seen, &mut places, asked.modified) {
            Some((text, better)) => {
                standing.moving.push(text);
                if let Some(better) = better {
                    marked.insert(service.clone(), better);
                }
            }
            None if in_time => rest.push(seen),
            None => {}
        }
    }
    let held = held_site(world, losses);
    for seen in &rest {
        let Some(found) = Crowd::of(seen, asked.modified).best(&places) else {
            continue;
        };
        let service = seen.service;
        let Move { n, from, to, .. } = found;
        if let Some(why) = held.clone().or_else(|| held_service(seen)) {
            standing.waiting.push(format!("{service}/{n}: {why}"));
        } else if found.by_load
            && (losses.unmeasured.contains(from) || losses.unmeasured.contains(to))
        {
            // Two readings of its load from now it is known.
            standing.queued += 1;
        } else if marked.len() >= AT_ONCE || standing.moving.len() >= AT_ONCE {
            standing.queued += 1;
        } else {
            places.gone(from, seen.goal.demand, found.used);
            places.come(to, seen.goal.demand, found.more);
            standing
                .moving
                .push(format!("{service}/{n} from {from} to {to}"));
            let why = found.why();
            marked.insert(service.clone(), Better { n, why });
        }
    }
    let left = standing.waiting.len() + standing.queued;
    if !standing.moving.is_empty() || (left > 0 && in_time) {
        return (marked, Some(standing));
    }
    let has_moved = rest.iter().any(|seen| {
        let mut kept = seen.kept.iter();
        kept.any(|it| it.modified > asked.modified)
    });
    standing.next = match in_time {
        false => BalancingNext::End(format!(
            "its {} min are over",
            REBALANCE_LIMIT.as_secs() / 60
        )),
        true if has_moved && asked.value.round < ROUNDS => BalancingNext::Round,
        true => BalancingNext::End("no other node suits anything clearly better".to_owned()),
    };
    (marked, Some(standing))
}

/// Whether one of the service's slots is on its way; which one leaves then, unless it has left already.
fn under_way<'a>(
    seen: &Seen<'a>,
    places: &mut Places<'a>,
    asked: u64,
) -> Option<(String, Option<Better>)> {
    let service = seen.service;
    let newest = seen.kept.iter().find(|it| it.modified > asked)?;
    let is_plain = seen.orphans.is_empty()
        && seen
            .kept
            .iter()
            .all(|it| it.outdated.is_none() && it.leaving.is_none());
    if !is_plain {
        return None;
    }
    let ending = seen.removed.iter().find(|it| it.node_lives);
    if seen.kept.len() == seen.goal.slots {
        let ending = ending?;
        return Some((
            format!("{service}/{} ends on {}", ending.n, ending.slot.node),
            None,
        ));
    }
    if seen.kept.len() != seen.goal.slots + 1 {
        return None;
    }
    let (weight, leaving) = leaving(seen, newest, places, asked)?;
    let (from, to) = (&leaving.slot.node, &newest.slot.node);
    let used = used(seen.world, service, leaving).unwrap_or_default();
    places.gone(from, seen.goal.demand, used);
    let text = match newest.detail.as_str() {
        "" => String::new(),
        detail => format!(": {service}/{} on {to} is {detail}", newest.n),
    };
    let why = format!("asked to be balanced; {from}: {weight}");
    let better = Better { n: leaving.n, why };
    Some((
        format!("{service}/{} from {from} to {to}{text}", leaving.n),
        Some(better),
    ))
}

/// The slot that `newest` stands in for: the one that would be chosen without it, or else that of the worst node.
fn leaving<'s, 'a>(
    seen: &'s Seen<'a>,
    newest: &SlotSeen<'a>,
    places: &Places<'a>,
    asked: u64,
) -> Option<(Weight, &'s SlotSeen<'a>)> {
    let mut crowd = Crowd::of(seen, asked);
    let worst = crowd.worst(places);
    let to = &newest.slot.node;
    let used = used(seen.world, seen.service, newest).unwrap_or_default();
    let mut before = places.clone();
    before.gone(to, seen.goal.demand, used);
    if let Some(count) = crowd.here.get_mut(to) {
        *count = count.saturating_sub(1);
    }
    let chosen = crowd.toward(to, &before).and_then(|found| {
        let it = crowd.old.iter().find(|it| it.n == found.n)?;
        Some((found.before, *it))
    });
    chosen.or(worst)
}

/// Why nothing of any service may begin to move.
fn held_site(world: &World, losses: &Losses) -> Option<String> {
    if losses.alarm.is_some() {
        return Some("too many nodes are gone at once".to_owned());
    }
    let kept = world.slots.values().filter(|it| !it.value.removed);
    let mut nodes = kept.map(|it| &it.value.node);
    nodes.find_map(|node| match world.nodes.contains_key(node) {
        false => Some(format!(
            "node {node} is gone, and what it has comes first; give it up: minato node drain {node}"
        )),
        true if is_drained(world, node) => Some(format!("node {node} is being emptied")),
        true => None,
    })
}

/// Why nothing of this one may.
fn held_service(seen: &Seen<'_>) -> Option<String> {
    let rollout = seen.world.rollouts.get(seen.service).map(|it| &it.value);
    let is_rolling = rollout.is_some_and(|it| it.going.is_some() && it.stable.is_some());
    if is_rolling || seen.kept.iter().any(|it| it.outdated.is_some()) {
        return Some("another version is being put in place".to_owned());
    }
    if !seen.orphans.is_empty() {
        return Some("an instance runs without its document".to_owned());
    }
    if seen.removed.iter().any(|it| it.node_lives) {
        return Some("an instance of it is still ending".to_owned());
    }
    if seen.kept.len() != seen.goal.slots {
        let (have, wanted) = (seen.kept.len(), seen.goal.slots);
        return Some(format!("{wanted} wanted, {have} assigned"));
    }
    let ill = seen
        .kept
        .iter()
        .find(|it| it.condition != Condition::Ready)?;
    Some(format!("{}/{} {}", seen.service, ill.n, ill.detail))
}

/// A move that is worth it.
struct Move<'a> {
    n: SlotIndex,
    from: &'a NodeId,
    to: &'a NodeId,
    before: Weight,
    after: Weight,
    /// What is in use decided, not how many there are.
    by_load: bool,
    /// What it uses as far as it is told, and what it is taken to use where it goes.
    used: Demand,
    more: Demand,
}

impl Move<'_> {
    fn why(&self) -> String {
        let Self {
            from,
            to,
            before,
            after,
            ..
        } = self;
        format!("asked to be balanced; {from}: {before}; {to}: {after}")
    }
}

/// The slots of one service that may still move.
struct Crowd<'s, 'a> {
    seen: &'s Seen<'a>,
    old: Vec<&'s SlotSeen<'a>>,
    here: BTreeMap<&'a NodeId, usize>,
}

impl<'s, 'a> Crowd<'s, 'a> {
    fn of(seen: &'s Seen<'a>, asked: u64) -> Self {
        let mut here: BTreeMap<&NodeId, usize> = BTreeMap::new();
        for it in &seen.kept {
            *here.entry(&it.slot.node).or_default() += 1;
        }
        let old = seen.kept.iter().filter(|it| it.modified < asked);
        Self {
            seen,
            old: old.collect(),
            here,
        }
    }

    /// Slots by how their nodes stand, the worst first.
    fn worst_first(&self, places: &Places<'a>) -> Vec<(Weight, &'s SlotSeen<'a>)> {
        let nothing = Demand::default();
        let weighed = self.old.iter().filter_map(|it| {
            let here = self.here.get(&it.slot.node).copied().unwrap_or(0);
            let weight = places.weigh(&it.slot.node, here, nothing, nothing)?;
            Some((weight, *it))
        });
        let mut all: Vec<_> = weighed.collect();
        all.sort_by_key(|(weight, it)| std::cmp::Reverse((*weight, it.n)));
        all
    }

    fn worst(&self, places: &Places<'a>) -> Option<(Weight, &'s SlotSeen<'a>)> {
        self.worst_first(places).into_iter().next()
    }

    /// The slot whose node is worst and that has a clearly better one.
    fn best(&self, places: &Places<'a>) -> Option<Move<'a>> {
        if self.old.is_empty() || self.seen.goal.slots == 0 {
            return None;
        }
        let choice = places.best(&self.here, self.seen.goal.need()).ok()?;
        self.toward(choice.node, places)
    }

    /// The same, for a node that is chosen.
    fn toward(&self, to: &'a NodeId, places: &Places<'a>) -> Option<Move<'a>> {
        let (demand, nothing) = (self.seen.goal.demand, Demand::default());
        let here = self.here.get(to).copied().unwrap_or(0);
        let all = self.worst_first(places).into_iter();
        let mut better = all.filter_map(|(before, it)| {
            let used = used(self.seen.world, self.seen.service, it);
            let more = used.unwrap_or(Demand {
                cpu_milli: UNKNOWN_CPU_MILLI,
                memory_bytes: 0,
            });
            let after = places.weigh(to, here, demand, more)?;
            let is_now = places.weigh(to, here, nothing, nothing)?;
            let node = &it.slot.node;
            let left = places.tenths_without(node, demand, used.unwrap_or_default());
            let tenths = Tenths {
                before: (before.tenths, is_now.tenths),
                after: (left, after.tenths),
            };
            let by_load = is_clearly_better(after, before, tenths)?;
            Some(Move {
                n: it.n,
                from: &it.slot.node,
                to,
                before,
                after,
                by_load,
                used: used.unwrap_or_default(),
                more,
            })
        });
        better.next()
    }
}

/// How busy the old and the new node are, and would be.
#[derive(Debug, Clone, Copy)]
struct Tenths {
    before: (u64, u64),
    after: (u64, u64),
}

impl Tenths {
    /// Less: the busier of the two is less busy; or as busy, and the other one less.
    fn change(self) -> Ordering {
        let sorted = |(a, b): (u64, u64)| (a.max(b), a.min(b));
        sorted(self.after).cmp(&sorted(self.before))
    }
}

/// Whether a slot that stands with `before` would do clearly better with `after`, and whether what is in use decided it.
///
/// The instance counts in both: at the old node as it is there, at the new one as it would be. Each move makes one of three
/// smaller and none before it larger, so they do not go round in circles: how crowded a service is (squares of its
/// numbers on nodes), how busy nodes are (the busiest first), how many slots they have (squares).
fn is_clearly_better(after: Weight, before: Weight, tenths: Tenths) -> Option<bool> {
    if after.here >= before.here {
        return None;
    }
    if after.here + 1 < before.here {
        return Some(false);
    }
    let less_busy = after.tenths + 1 < before.tenths && tenths.change() == Ordering::Less;
    let fewer = after.slots + 1 < before.slots && tenths.change() != Ordering::Greater;
    (less_busy || fewer).then_some(less_busy)
}

/// What an instance uses; `None` where its agent has not said.
fn used(world: &World, service: &ServiceName, it: &SlotSeen<'_>) -> Option<Demand> {
    let told = world.usages.get(&it.slot.node)?;
    let own = told.value.instances.iter().find(|of| {
        of.service == *service && of.slot == it.n && of.generation == it.slot.generation
    })?;
    Some(Demand {
        cpu_milli: u64::from(own.cpu_milli),
        memory_bytes: own.memory_bytes,
    })
}

/// Every move that a request made now would lead to, as far as it is known now; at most `most`.
pub fn would_move(world: &World, service: Option<&ServiceName>, most: usize) -> Vec<String> {
    let instances = Instances::of(world);
    let mut places = Places::of(world);
    let mut found = Vec::new();
    for name in instances.services(world) {
        if service.is_some_and(|it| it != name) {
            continue;
        }
        let seen = Seen::of(world, &instances, name);
        let mut crowd = Crowd::of(&seen, u64::MAX);
        while found.len() < most
            && let Some(it) = crowd.best(&places)
        {
            found.push(format!(
                "{name}/{} from {} to {}; {}",
                it.n,
                it.from,
                it.to,
                it.why()
            ));
            places.gone(it.from, seen.goal.demand, it.used);
            places.come(it.to, seen.goal.demand, it.more);
            *crowd.here.entry(it.to).or_default() += 1;
            if let Some(count) = crowd.here.get_mut(it.from) {
                *count = count.saturating_sub(1);
            }
            crowd.old.retain(|old| old.n != it.n);
        }
    }
    found
}
