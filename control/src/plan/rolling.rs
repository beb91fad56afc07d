//! What a rollout is decided from: the slots of one service, and the nodes that its next ones could be on.

use super::condition::Condition;
use super::place::Places;
use super::room::Sights;
use minato_config::{Generation, NodeId, Restart, Run, ServiceName, SlotIndex};
use std::collections::{BTreeMap, BTreeSet};

/// One service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rolling {
    /// Slots that there should be.
    pub(crate) wanted: usize,
    /// Slots that nobody told to go, by index.
    pub(crate) slots: Vec<RollSlot>,
    /// Some that were told to go are still there.
    pub(crate) ending: bool,
    /// Live nodes that have some of it.
    pub(crate) holders: BTreeSet<NodeId>,
    /// These, and those that take one more.
    pub(crate) nodes: BTreeSet<NodeId>,
    /// What is missing for one more.
    pub(crate) lacking: Option<String>,
}

/// One slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RollSlot {
    pub(crate) n: SlotIndex,
    pub(crate) generation: Generation,
    pub(crate) run: Run,
    pub(crate) digest: String,
    pub(crate) restart: Option<Restart>,
    pub(crate) ready: bool,
    /// Its agent has given up.
    pub(crate) failed: bool,
    pub(crate) restarts: u32,
    /// `down: connect refused`
    pub(crate) detail: String,
}

impl Sights<'_> {
    /// How a service's slots are; `None` where it is not known.
    pub(crate) fn rolling(&self, service: &ServiceName) -> Option<Rolling> {
        let seen = self.seen(service)?;
        let slots = seen.kept.iter().map(|it| RollSlot {
            n: it.n,
            generation: it.slot.generation,
            run: it.instance.map(|it| it.run).unwrap_or_default(),
            digest: it.slot.digest.clone(),
            restart: it.slot.restart,
            ready: it.condition == Condition::Ready,
            failed: matches!(it.condition, Condition::Failed(_)),
            restarts: it.instance.map_or(0, |it| it.restarts),
            detail: it.detail.clone(),
        });
        let holders: BTreeSet<NodeId> = (seen.kept.iter())
            .filter(|it| it.node_lives)
            .map(|it| it.slot.node.clone())
            .collect();
        let mut here: BTreeMap<&NodeId, usize> = BTreeMap::new();
        for it in &seen.kept {
            *here.entry(&it.slot.node).or_default() += 1;
        }
        let places = Places::of(self.world());
        let mut nodes = holders.clone();
        for (node, fits) in places.each(&here, seen.goal.need()) {
            if fits.is_ok() {
                nodes.insert(node.clone());
            }
        }
        let best = places.best(&here, seen.goal.need());
        Some(Rolling {
            wanted: seen.goal.slots,
            slots: slots.collect(),
            ending: seen.removed.iter().any(|it| it.node_lives),
            holders,
            nodes,
            lacking: best.err().map(|it| it.to_string()),
        })
    }
}
