//! Which node a slot goes to: one that fits, and that reaches what the service depends on where any does; of these the one with the fewest of the service, then the least busy, then
//! the one with the fewest slots, then the first by name.
//!
//! What fits and how busy a node is, is `room`'s. Not here: whether a slot must go anywhere (`decide`).

mod room;
#[cfg(test)]
mod tests;

pub(super) use room::{Demand, Lack};

use crate::World;
use minato_config::{DependencyName, Grant, NodeId, ServiceName};
use room::Room;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Nodes that one sentence names.
const NAMED: usize = 5;

/// Live nodes and what is left of each, kept current while a plan grows.
#[derive(Clone)]
pub(super) struct Places<'a> {
    nodes: BTreeMap<&'a NodeId, Spot<'a>>,
}

/// One live node.
#[derive(Clone)]
struct Spot<'a> {
    slots: usize,
    room: Room,
    labels: Option<&'a BTreeMap<String, String>>,
    drained: bool,
    /// What cannot be used from there, and why.
    lacks: Option<&'a BTreeMap<DependencyName, String>>,
}

/// What a slot asks of its node.
#[derive(Debug, Clone, Copy)]
pub(super) struct Need<'n> {
    pub(super) demand: Demand,
    pub(super) labels: &'n BTreeMap<String, String>,
    /// A fixed port: a node takes one at most.
    pub(super) port: Option<u16>,
    /// What it cannot do without.
    pub(super) depends_on: &'n BTreeSet<DependencyName>,
}

/// The node that was found, and what spoke for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Choice<'a> {
    pub(super) node: &'a NodeId,
    /// Instances of the service there before this one.
    here: usize,
    /// How busy it is, tenths.
    tenths: u64,
    nodes: usize,
}

/// How a node stands for one service: the less the better, the first first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Weight {
    /// Slots of the service there.
    pub(super) here: usize,
    /// How busy it is, tenths.
    pub(super) tenths: u64,
    /// Slots of all services there.
    pub(super) slots: usize,
}

/// Why no node takes a slot: each live node and what it lacks; empty without a live node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Nowhere(pub(super) BTreeMap<NodeId, Lack>);

impl<'a> Places<'a> {
    pub(super) fn of(world: &'a World) -> Self {
        let mut nodes: BTreeMap<&NodeId, Spot<'a>> = BTreeMap::new();
        for node in world.nodes.keys() {
            let info = world.node_infos.get(node).map(|it| &it.value);
            let load = world.node_loads.get(node).map(|it| &it.value);
            let spot = Spot {
                slots: 0,
                room: Room::of(info, load),
                labels: info.map(|it| &it.labels),
                drained: is_drained(world, node),
                lacks: world.reaches.get(node).map(|it| &it.value.lacks),
            };
            nodes.insert(node, spot);
        }
        let mut demands: BTreeMap<&ServiceName, Demand> = BTreeMap::new();
        for ((service, _), slot) in &world.slots {
            let Some(spot) = nodes.get_mut(&slot.value.node) else {
                continue;
            };
            let demand = *demands.entry(service).or_insert_with(|| {
                let record = world.services.get(service);
                record
                    .map(|it| Demand::of(&it.value.service, granted(world, service)))
                    .unwrap_or_default()
            });
            // One that is told to go has what it has until it is gone.
            spot.room.promise(demand);
            let measured = world.node_loads.get(&slot.value.node);
            if measured.is_some_and(|it| it.modified < slot.modified) {
                spot.room.expect_load();
            }
            if !slot.value.removed {
                spot.slots += 1;
            }
        }
        Self { nodes }
    }

    /// What the service depends on and does not reach from a live node.
    pub(super) fn unreached(&self, node: &NodeId, need: Need<'_>) -> Option<Lack> {
        self.nodes.get(node)?.unreached(need)
    }

    /// Slots on a live node.
    pub(super) fn on(&self, node: &NodeId) -> usize {
        self.nodes.get(node).map_or(0, |it| it.slots)
    }

    /// The best of the live nodes for one more slot of a service that has `here` slots on them. One that does not reach what the
    /// service depends on is none while another that fits does; where none does, being spread is all there is.
    pub(super) fn best(
        &self,
        here: &BTreeMap<&NodeId, usize>,
        need: Need<'_>,
    ) -> Result<Choice<'a>, Nowhere> {
        let mut lacks = BTreeMap::new();
        let mut best: Option<((bool, usize, u64, usize), Choice<'a>)> = None;
        for (node, spot) in &self.nodes {
            let of_service = here.get(*node).copied().unwrap_or(0);
            if let Some(lack) = spot.lack(of_service, need) {
                lacks.insert((*node).clone(), lack);
                continue;
            }
            let tenths = spot.room.busy_permille(need.demand) / 100;
            let lacks = spot.unreached(need).is_some();
            let rank = (lacks, of_service, tenths, spot.slots);
            if best.as_ref().is_none_or(|(other, _)| rank < *other) {
                let choice = Choice {
                    node,
                    here: of_service,
                    tenths,
                    nodes: self.nodes.len(),
                };
                best = Some((rank, choice));
            }
        }
        best.map(|(_, choice)| choice).ok_or(Nowhere(lacks))
    }

    /// How a live node stands for a service that has `here` slots on it, with so much more promised and used there.
    pub(super) fn weigh(
        &self,
        node: &NodeId,
        here: usize,
        demand: Demand,
        used: Demand,
    ) -> Option<Weight> {
        let spot = self.nodes.get(node)?;
        Some(Weight {
            here,
            tenths: spot.room.busy_with(demand, used) / 100,
            slots: spot.slots,
        })
    }

    /// As if one had gone that uses so much.
    pub(super) fn gone(&mut self, node: &NodeId, demand: Demand, used: Demand) {
        self.without(node, demand);
        if let Some(spot) = self.nodes.get_mut(node) {
            spot.room.relieve(used);
        }
    }

    /// As if one had come that uses so much.
    pub(super) fn come(&mut self, node: &NodeId, demand: Demand, used: Demand) {
        if let Some(spot) = self.nodes.get_mut(node) {
            spot.slots += 1;
            spot.room.promise(demand);
            spot.room.burden(used);
        }
    }

    /// How busy a live node would be without one that is promised and uses so much, tenths.
    pub(super) fn tenths_without(&self, node: &NodeId, demand: Demand, used: Demand) -> u64 {
        let spot = self.nodes.get(node);
        spot.map_or(0, |it| it.room.busy_without(demand, used) / 100)
    }

    /// Every live node by name: what it lacks for one more, or the choice that it would be.
    pub(super) fn each(
        &self,
        here: &BTreeMap<&NodeId, usize>,
        need: Need<'_>,
    ) -> Vec<(&'a NodeId, Result<Choice<'a>, Lack>)> {
        let of_service = |node: &NodeId| here.get(node).copied().unwrap_or(0);
        let reached = self.nodes.iter().any(|(node, spot)| {
            spot.lack(of_service(node), need).is_none() && spot.unreached(need).is_none()
        });
        let nodes = self.nodes.iter().map(|(node, spot)| {
            let of_service = of_service(node);
            let choice = Choice {
                node,
                here: of_service,
                tenths: spot.room.busy_permille(need.demand) / 100,
                nodes: self.nodes.len(),
            };
            let lack = spot.lack(of_service, need);
            let lack = lack.or_else(|| spot.unreached(need).filter(|_| reached));
            (*node, lack.map_or(Ok(choice), Err))
        });
        nodes.collect()
    }

    /// One slot more.
    pub(super) fn take(&mut self, node: &NodeId, demand: Demand) {
        if let Some(spot) = self.nodes.get_mut(node) {
            spot.slots += 1;
            spot.room.promise(demand);
            spot.room.expect_load();
        }
    }

    /// Promises so much more to what is on a node; `None` where it lacks that.
    pub(super) fn raise(&mut self, node: &NodeId, more: Demand) -> Option<()> {
        let spot = self.nodes.get_mut(node)?;
        match spot.room.lack(more) {
            Some(_) => None,
            None => {
                spot.room.promise(more);
                Some(())
            }
        }
    }

    /// One slot fewer; what it uses is free only when it is gone.
    pub(super) fn give_back(&mut self, node: &NodeId) {
        if let Some(spot) = self.nodes.get_mut(node) {
            spot.slots = spot.slots.saturating_sub(1);
        }
    }

    /// As if a slot had never been there.
    pub(super) fn without(&mut self, node: &NodeId, demand: Demand) {
        if let Some(spot) = self.nodes.get_mut(node) {
            spot.slots = spot.slots.saturating_sub(1);
            spot.room.release(demand);
        }
    }
}

/// What control gives each instance of a service above its file.
pub(super) fn granted(world: &World, service: &ServiceName) -> Option<Grant> {
    world.scales.get(service)?.value.grant
}

/// Whether an operator wants the node to be empty.
pub(super) fn is_drained(world: &World, node: &NodeId) -> bool {
    world.drains.get(node).is_some_and(|it| it.value.drain)
}

impl Spot<'_> {
    /// The first thing that the service depends on and that cannot be used from here.
    fn unreached(&self, need: Need<'_>) -> Option<Lack> {
        let lacks = self.lacks?;
        let found = need.depends_on.iter().find_map(|name| {
            let why = lacks.get(name)?;
            Some((name.clone(), why.clone()))
        });
        found.map(|(name, why)| Lack::Unreached { name, why })
    }

    fn lack(&self, of_service: usize, need: Need<'_>) -> Option<Lack> {
        if self.drained {
            return Some(Lack::Drained);
        }
        let missing = need.labels.iter().find(|(name, value)| {
            let has = self.labels.and_then(|it| it.get(*name));
            has != Some(*value)
        });
        if let Some((name, value)) = missing {
            return Some(Lack::Label {
                name: name.clone(),
                value: value.clone(),
            });
        }
        match need.port {
            Some(port) if of_service > 0 => Some(Lack::Port(port)),
            _ => self.room.lack(need.demand),
        }
    }
}

/// `kobe of 3 nodes: 0 of it there, 10% in use`; empty where there was no choice.
impl fmt::Display for Choice<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { node, here, .. } = self;
        let percent = self.tenths * 10;
        match self.nodes {
            0 | 1 => Ok(()),
            nodes => write!(
                f,
                "{node} of {nodes} nodes: {here} of it there, {percent}% in use"
            ),
        }
    }
}

/// What is missing, and on which nodes. It changes only with its cause.
impl fmt::Display for Nowhere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(lacks) = self;
        if lacks.is_empty() {
            return f.write_str("no node is alive");
        }
        let mut groups: BTreeMap<String, Vec<&NodeId>> = BTreeMap::new();
        for (node, lack) in lacks {
            groups.entry(lack.to_string()).or_default().push(node);
        }
        for (n, (lack, nodes)) in groups.iter().enumerate() {
            if n > 0 {
                f.write_str("; ")?;
            }
            f.write_str(lack)?;
            let shown = nodes.iter().take(NAMED).map(|it| it.as_str());
            write!(f, " ({}", shown.collect::<Vec<_>>().join(", "))?;
            if nodes.len() > NAMED {
                write!(f, " and {} more", nodes.len() - NAMED)?;
            }
            f.write_str(")")?;
        }
        Ok(())
    }
}

/// `2 of it there, 40% in use, 7 in all`
impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            here,
            tenths,
            slots,
        } = self;
        write!(
            f,
            "{here} of it there, {}% in use, {slots} in all",
            tenths * 10
        )
    }
}

impl Choice<'_> {
    /// `0 of it there, 10% in use`
    pub(super) fn standing(&self) -> String {
        format!("{} of it there, {}% in use", self.here, self.tenths * 10)
    }
}
