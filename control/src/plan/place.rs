//! Which node a slot goes to: spread a service first, then the nodes.

use crate::World;
use minato_config::NodeId;
use std::collections::BTreeMap;

/// Live nodes and how many slots each has, kept current while a plan grows.
pub(super) struct Places<'a> {
    slots: BTreeMap<&'a NodeId, usize>,
}

impl<'a> Places<'a> {
    pub(super) fn of(world: &'a World) -> Self {
        let mut slots: BTreeMap<_, usize> = world.nodes.keys().map(|it| (it, 0)).collect();
        let kept = world.slots.values().filter(|it| !it.value.removed);
        for slot in kept {
            if let Some(count) = slots.get_mut(&slot.value.node) {
                *count += 1;
            }
        }
        Self { slots }
    }

    /// Whether no node lives.
    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Slots on a live node.
    pub(super) fn on(&self, node: &NodeId) -> usize {
        self.slots.get(node).copied().unwrap_or(0)
    }

    /// The live node with the fewest slots of the service (`here`), then the fewest in all, then the first by name.
    /// `PerNode` bounds the service's slots on it.
    pub(super) fn best(
        &self,
        here: &BTreeMap<&NodeId, usize>,
        per_node: PerNode,
    ) -> Option<&'a NodeId> {
        let of_service = |it: &NodeId| here.get(it).copied().unwrap_or(0);
        let nodes = self.slots.iter();
        nodes
            .filter(|(node, _)| per_node == PerNode::Many || of_service(node) == 0)
            .min_by_key(|(node, slots)| (of_service(node), **slots, **node))
            .map(|(node, _)| *node)
    }

    /// One slot more.
    pub(super) fn take(&mut self, node: &NodeId) {
        if let Some(count) = self.slots.get_mut(node) {
            *count += 1;
        }
    }

    /// One slot fewer.
    pub(super) fn give_back(&mut self, node: &NodeId) {
        if let Some(count) = self.slots.get_mut(node) {
            *count = count.saturating_sub(1);
        }
    }
}

/// How many instances of one service a node takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PerNode {
    /// Its port is fixed.
    One,
    /// Each gets a port of its own.
    Many,
}
