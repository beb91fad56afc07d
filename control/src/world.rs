//! What the planner sees: one revision of the store.

use crate::mirror::MirrorRecord;
use crate::{
    AbsenceRecord, ImageReport, Meta, Object, Operation, OperationId, OrderRecord, Rebalance,
    RolloutRecord, ScaleRecord,
};
use minato_config::{
    GatewayId, Generation, Intent, NodeId, ServiceName, ServiceRecord, SiteId, Slot, SlotIndex,
};
use minato_health::{
    GatewayAlive, Instance, NodeAlive, NodeDrain, NodeInfo, NodeLoad, NodeReach, NodeUsage,
    ServiceLoad, VerdictReport,
};
use std::collections::{BTreeMap, BTreeSet};

/// A document and the commit that wrote it last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored<T> {
    /// The document.
    pub value: T,
    /// Revision to compare with when a step relies on it.
    pub modified: u64,
}

/// Names one instance.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceKey {
    /// Where it runs.
    pub node: NodeId,
    /// Of what.
    pub service: ServiceName,
    /// Which place.
    pub slot: SlotIndex,
    /// Under which assignment.
    pub generation: Generation,
}

/// Everything known about one site at one revision.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct World {
    /// The commit that this world shows; 0 where nobody says. Generations are counted from it, so that none of a slot is
    /// ever used twice, not even after the slot was forgotten or its document was lost.
    pub revision: u64,
    /// Which store this is; `None` before the first leader. New generations are of its era at least.
    pub meta: Option<Stored<Meta>>,
    /// What should be.
    pub services: BTreeMap<ServiceName, Stored<ServiceRecord>>,
    /// What operators said by hand.
    pub intents: BTreeMap<ServiceName, Stored<Intent>>,
    /// What control assigned.
    pub slots: BTreeMap<(ServiceName, SlotIndex), Stored<Slot>>,
    /// What agents run.
    pub instances: BTreeMap<InstanceKey, Stored<Instance>>,
    /// Live agents.
    pub nodes: BTreeMap<NodeId, Stored<NodeAlive>>,
    /// What agents said of their machines.
    pub node_infos: BTreeMap<NodeId, Stored<NodeInfo>>,
    /// How busy agents say that their machines are.
    pub node_loads: BTreeMap<NodeId, Stored<NodeLoad>>,
    /// What agents say that each of their instances uses.
    pub usages: BTreeMap<NodeId, Stored<NodeUsage>>,
    /// What agents say that services there would lack.
    pub reaches: BTreeMap<NodeId, Stored<NodeReach>>,
    /// What operators said of nodes. A document that is gone counts as if it had never been.
    pub drains: BTreeMap<NodeId, Stored<NodeDrain>>,
    /// What an operator asked to be spread anew. A document that is gone ends it.
    pub rebalance: Option<Stored<Rebalance>>,
    /// What the leader says of nodes that are gone, for people: no plan follows from it.
    pub absences: Option<Stored<AbsenceRecord>>,
    /// Live gateways.
    pub gateways: BTreeMap<GatewayId, Stored<GatewayAlive>>,
    /// What gateways think.
    pub verdicts: BTreeMap<(ServiceName, SlotIndex, GatewayId), Stored<VerdictReport>>,
    /// What gateways measure, of services that follow their load.
    pub loads: BTreeMap<(ServiceName, GatewayId), Stored<ServiceLoad>>,
    /// The numbers that followed from it.
    pub scales: BTreeMap<ServiceName, Stored<ScaleRecord>>,
    /// How services go from version to version.
    pub rollouts: BTreeMap<ServiceName, Stored<RolloutRecord>>,
    /// What nodes say of the images that rollouts want.
    pub images: BTreeMap<(NodeId, ServiceName), Stored<ImageReport>>,
    /// Services of other sites, as their homes have them.
    pub mirrors: BTreeMap<(SiteId, ServiceName), Stored<MirrorRecord>>,
    /// Which sites come first where that is not the order of the file.
    pub orders: BTreeMap<ServiceName, Stored<OrderRecord>>,
    /// What people started that outlives processes. A document that is gone is an operation that ended where it was.
    pub operations: BTreeMap<OperationId, Stored<Operation>>,
    /// Documents that are gone although nobody ended them: records that did not say `removed`, and intents and rollouts of services
    /// that have not ended, whose last value stays. Only what was seen before can be known to be gone, and a record only by who watched.
    pub vanished: BTreeSet<Object>,
}
