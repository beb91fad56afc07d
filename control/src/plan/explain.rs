//! Why each instance of a service is where it is, what else there is, and what would have to change.
//!
//! It asks the planner's own rules, so that what is said is what would be done.

use super::lost::Losses;
use super::place::Places;
use super::plan_with;
use super::seen::{Instances, Seen, SlotSeen};
use crate::World;
use crate::rollout::{RolloutStanding as Standing, rollout_standing as standing};
use minato_config::{Generation, NodeId, ServiceName, SlotIndex, Timestamp};
use std::collections::BTreeMap;

/// A service and where its instances are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// Slots that should be.
    pub wanted: usize,
    /// Every slot, by index.
    pub slots: Vec<SlotExplained>,
    /// Every live node by name, as it stands for one more instance.
    pub nodes: Vec<NodeExplained>,
    /// What control is about to do with the service, and why.
    pub next: Vec<String>,
    /// What cannot be done now, and what is missing for it.
    pub missing: Vec<String>,
}

/// One slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotExplained {
    /// Which place.
    pub n: SlotIndex,
    /// Where.
    pub node: NodeId,
    /// Under which assignment.
    pub generation: Generation,
    /// `ready`, `down: connect refused`, `to be stopped`, ...
    pub condition: String,
    /// Why it is there, or why it goes; one sentence.
    pub why: String,
    /// What would have to change for it to be elsewhere; empty where nothing could.
    pub otherwise: String,
}

/// One node, for one more instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeExplained {
    /// Which.
    pub node: NodeId,
    /// Instances of the service on it now.
    pub here: usize,
    /// Slots of all services on it.
    pub slots: usize,
    /// Nothing is missing for one more.
    pub fits: bool,
    /// `0 of it there, 10% in use`, or what is missing.
    pub why: String,
}

/// Explains one service; `None` where nothing speaks of it.
pub fn explain(
    world: &World,
    losses: &Losses,
    service: &ServiceName,
    now: Timestamp,
) -> Option<Explanation> {
    let instances = Instances::of(world);
    let service = *instances.services(world).get(service)?;
    let seen = Seen::of(world, &instances, service);
    let here = counts(&seen);
    let all = seen.kept.iter().chain(&seen.removed);
    let mut slots: Vec<SlotExplained> = all.map(|it| slot(world, &seen, it, &here)).collect();
    slots.sort_by_key(|it| it.n);
    let plan = plan_with(world, losses, now);
    let of_service = plan.steps.iter().filter(|it| it.service == *service);
    let notes = plan.notes.iter().filter(|(of, _)| of == service);
    let rollout = world.rollouts.get(service).map(|it| &it.value);
    let failed = rollout.and_then(|it| it.failed.as_ref());
    let (mut under_way, mut went_wrong) = (None, None);
    match standing(world, service, failed.and_then(|it| it.number)) {
        Standing::Going(text) => under_way = Some(format!("{service}: under way {text}")),
        Standing::Failed { text, .. } => went_wrong = Some(text),
        Standing::Whole | Standing::Unchanged(_) | Standing::Asked => {}
    }
    Some(Explanation {
        wanted: seen.goal.slots,
        slots,
        nodes: nodes(world, &seen, &here),
        next: under_way
            .into_iter()
            .chain(of_service.map(ToString::to_string))
            .collect(),
        missing: notes
            .map(|(_, text)| text.clone())
            .chain(went_wrong)
            .collect(),
    })
}

fn counts<'a>(seen: &Seen<'a>) -> BTreeMap<&'a NodeId, usize> {
    let mut here: BTreeMap<&NodeId, usize> = BTreeMap::new();
    for it in &seen.kept {
        *here.entry(&it.slot.node).or_default() += 1;
    }
    here
}

fn nodes(world: &World, seen: &Seen<'_>, here: &BTreeMap<&NodeId, usize>) -> Vec<NodeExplained> {
    let places = Places::of(world);
    let each = places.each(here, seen.goal.need()).into_iter();
    let each = each.map(|(node, fits)| NodeExplained {
        node: node.clone(),
        here: here.get(node).copied().unwrap_or(0),
        slots: places.on(node),
        fits: fits.is_ok(),
        why: match fits {
            Ok(choice) => choice.standing(),
            Err(lack) => lack.to_string(),
        },
    });
    each.collect()
}

fn slot(
    world: &World,
    seen: &Seen<'_>,
    it: &SlotSeen<'_>,
    here: &BTreeMap<&NodeId, usize>,
) -> SlotExplained {
    let node = &it.slot.node;
    let (why, otherwise) = if it.slot.removed {
        let why = match it.node_lives {
            true => "it is to end, and goes when its requests have ended".to_owned(),
            false => format!("it is to end, and waits for node {node}, which is gone"),
        };
        (why, String::new())
    } else {
        reason(world, seen, it, here)
    };
    SlotExplained {
        n: it.n,
        node: node.clone(),
        generation: it.slot.generation,
        condition: match it.detail.as_str() {
            "" => "ready".to_owned(),
            detail => detail.to_owned(),
        },
        why,
        otherwise,
    }
}

/// Why a kept slot is where it is: where it would go if it were placed now.
fn reason(
    world: &World,
    seen: &Seen<'_>,
    it: &SlotSeen<'_>,
    here: &BTreeMap<&NodeId, usize>,
) -> (String, String) {
    let node = &it.slot.node;
    let mut without = here.clone();
    if let Some(count) = without.get_mut(node) {
        *count = count.saturating_sub(1);
    }
    let mut places = Places::of(world);
    places.without(node, seen.goal.demand);
    let best = places.best(&without, seen.goal.need());
    let lack = places.unreached(node, seen.goal.need());
    match best {
        Err(nowhere) if !it.node_lives => (
            format!("node {node} is gone, and no other takes it"),
            format!("to move it: {nowhere}"),
        ),
        Ok(choice) if !it.node_lives => (
            format!("it waits for node {node}, which is gone"),
            format!(
                "it moves to {} once nothing on {node} answers for the grace of 10 s; at once: minato node drain {node}",
                choice.node
            ),
        ),
        Err(nowhere) => (
            "it was placed when there was room".to_owned(),
            format!("to place it anew: {nowhere}"),
        ),
        Ok(choice) if choice.node == node && world.nodes.len() == 1 => (
            "there is no other node".to_owned(),
            "another node that joins takes a part of what is placed from then on".to_owned(),
        ),
        Ok(choice) if choice.node == node && lack.is_some() => (
            format!(
                "no node that would take it reaches more; {node} {}",
                lack.map(|it| it.to_string()).unwrap_or_default()
            ),
            format!("minato dependencies, on {node}"),
        ),
        Ok(choice) if choice.node == node => (
            format!("it would go there again: {choice}"),
            format!("minato node drain {node} moves it"),
        ),
        Ok(choice) if it.leaving.is_none() && lack.is_some() => {
            let lack = lack.map(|it| it.to_string()).unwrap_or_default();
            (
                format!(
                    "node {node} {lack}; it was placed there before, and nothing moves for that; now it would go elsewhere: {choice}"
                ),
                format!(
                    "mend what node {node} does not reach; minato node drain {node} moves all of that node"
                ),
            )
        }
        Ok(choice) if it.leaving.is_some() => (
            format!("node {node} is drained"),
            format!("it moves to {}", choice.node),
        ),
        Ok(choice) => (
            format!(
                "it was placed there, and nothing moves while it serves; now it would go elsewhere: {choice}"
            ),
            format!(
                "minato rebalance {} moves what another node suits clearly better; minato node drain {node} moves all of that node",
                seen.service
            ),
        ),
    }
}
