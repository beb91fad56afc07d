//! The key layout under `/minato/v1/<site>/`. One writer for each key.

use minato_config::{GatewayId, Generation, NodeId, ServiceName, SiteId, SlotIndex};
use minato_control::{Object, OperationId};

/// Builds and takes apart the keys of one site.
#[derive(Debug, Clone)]
pub struct Keys {
    root: String,
}

/// What a key under the site's root speaks of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    /// `meta`
    Meta,
    /// `services/<service>`
    Service(ServiceName),
    /// `intents/<service>`
    Intent(ServiceName),
    /// `slots/<service>/<n>`
    Slot(ServiceName, SlotIndex),
    /// `nodes/<node>/alive`
    NodeAlive(NodeId),
    /// `nodes/<node>/info`
    NodeInfo(NodeId),
    /// `nodes/<node>/load`
    NodeLoad(NodeId),
    /// `nodes/<node>/usage`
    NodeUsage(NodeId),
    /// `nodes/<node>/reach`
    NodeReach(NodeId),
    /// `drains/<node>`
    Drain(NodeId),
    /// `instances/<node>/<service>/<n>/<generation>`
    Instance(NodeId, ServiceName, SlotIndex, Generation),
    /// `gateways/<gateway>/alive`
    GatewayAlive(GatewayId),
    /// `verdicts/<gateway>/<service>/<n>`
    Verdict(GatewayId, ServiceName, SlotIndex),
    /// `loads/<gateway>/<service>`
    Load(GatewayId, ServiceName),
    /// `scale/<service>`
    Scale(ServiceName),
    /// `rollouts/<service>`
    Rollout(ServiceName),
    /// `images/<node>/<service>`
    Image(NodeId, ServiceName),
    /// `orders/<service>`
    Order(ServiceName),
    /// `mirror/<home>/services/<service>`
    Mirror(SiteId, ServiceName),
    /// `operations/<id>`
    Operation(OperationId),
    /// `rebalance`
    Rebalance,
    /// `absences`
    Absences,
    /// `leader`
    Leader,
}

impl From<&Object> for Key {
    fn from(object: &Object) -> Self {
        match object.clone() {
            Object::Service(service) => Self::Service(service),
            Object::Intent(service) => Self::Intent(service),
            Object::Slot(service, n) => Self::Slot(service, n),
            Object::Rollout(service) => Self::Rollout(service),
        }
    }
}

impl Keys {
    /// Keys of `site`.
    pub fn new(site: &SiteId) -> Self {
        Self {
            root: format!("/minato/v1/{site}/"),
        }
    }

    /// `/minato/v1/<site>/`: list or watch all of it.
    pub fn root(&self) -> &str {
        &self.root
    }

    /// `/minato/v1/<site>/voids/`: what makes commits void that were not answered. The store's own, no object.
    pub fn voids(&self) -> String {
        format!("{}voids/", self.root)
    }

    /// The whole key.
    pub fn text(&self, key: &Key) -> String {
        let root = &self.root;
        match key {
            Key::Meta => format!("{root}meta"),
            Key::Rebalance => format!("{root}rebalance"),
            Key::Absences => format!("{root}absences"),
            Key::Service(service) => format!("{root}services/{service}"),
            Key::Intent(service) => format!("{root}intents/{service}"),
            Key::Slot(service, n) => format!("{root}slots/{service}/{n}"),
            Key::NodeAlive(node) => format!("{root}nodes/{node}/alive"),
            Key::NodeInfo(node) => format!("{root}nodes/{node}/info"),
            Key::NodeLoad(node) => format!("{root}nodes/{node}/load"),
            Key::NodeUsage(node) => format!("{root}nodes/{node}/usage"),
            Key::NodeReach(node) => format!("{root}nodes/{node}/reach"),
            Key::Drain(node) => format!("{root}drains/{node}"),
            Key::Instance(node, service, n, generation) => {
                format!("{root}instances/{node}/{service}/{n}/{generation}")
            }
            Key::GatewayAlive(gateway) => format!("{root}gateways/{gateway}/alive"),
            Key::Verdict(gateway, service, n) => format!("{root}verdicts/{gateway}/{service}/{n}"),
            Key::Load(gateway, service) => format!("{root}loads/{gateway}/{service}"),
            Key::Scale(service) => format!("{root}scale/{service}"),
            Key::Rollout(service) => format!("{root}rollouts/{service}"),
            Key::Image(node, service) => format!("{root}images/{node}/{service}"),
            Key::Order(service) => format!("{root}orders/{service}"),
            Key::Mirror(home, service) => format!("{root}mirror/{home}/services/{service}"),
            Key::Operation(id) => format!("{root}operations/{id}"),
            Key::Leader => format!("{root}leader"),
        }
    }

    /// Takes a whole key apart; `None` for a key of another site, of a kind we do not know, or that [`Keys::text`]
    /// would spell otherwise (`slots/library/007`): an object has one key.
    pub fn parse(&self, text: &str) -> Option<Key> {
        self.take_apart(text).filter(|key| self.text(key) == text)
    }

    fn take_apart(&self, text: &str) -> Option<Key> {
        let parts: Vec<&str> = text.strip_prefix(&self.root)?.split('/').collect();
        let service = |it: &str| ServiceName::parse(it).ok();
        let slot = |it: &str| it.parse().ok().map(SlotIndex);
        Some(match parts.as_slice() {
            ["meta"] => Key::Meta,
            ["leader"] => Key::Leader,
            ["rebalance"] => Key::Rebalance,
            ["absences"] => Key::Absences,
            ["services", name] => Key::Service(service(name)?),
            ["intents", name] => Key::Intent(service(name)?),
            ["slots", name, n] => Key::Slot(service(name)?, slot(n)?),
            ["nodes", node, "alive"] => Key::NodeAlive(NodeId::parse(node).ok()?),
            ["nodes", node, "info"] => Key::NodeInfo(NodeId::parse(node).ok()?),
            ["nodes", node, "load"] => Key::NodeLoad(NodeId::parse(node).ok()?),
            ["nodes", node, "usage"] => Key::NodeUsage(NodeId::parse(node).ok()?),
            ["nodes", node, "reach"] => Key::NodeReach(NodeId::parse(node).ok()?),
            ["drains", node] => Key::Drain(NodeId::parse(node).ok()?),
            ["instances", node, name, n, generation] => {
                let (era, counter) = generation.split_once('.')?;
                let generation = Generation {
                    era: era.parse().ok()?,
                    counter: counter.parse().ok()?,
                };
                Key::Instance(
                    NodeId::parse(node).ok()?,
                    service(name)?,
                    slot(n)?,
                    generation,
                )
            }
            ["gateways", gateway, "alive"] => Key::GatewayAlive(GatewayId::parse(gateway).ok()?),
            ["verdicts", gateway, name, n] => {
                Key::Verdict(GatewayId::parse(gateway).ok()?, service(name)?, slot(n)?)
            }
            ["loads", gateway, name] => Key::Load(GatewayId::parse(gateway).ok()?, service(name)?),
            ["scale", name] => Key::Scale(service(name)?),
            ["rollouts", name] => Key::Rollout(service(name)?),
            ["images", node, name] => Key::Image(NodeId::parse(node).ok()?, service(name)?),
            ["orders", name] => Key::Order(service(name)?),
            ["mirror", home, "services", name] => {
                Key::Mirror(SiteId::parse(home).ok()?, service(name)?)
            }
            ["operations", id] => Key::Operation(OperationId(id.parse().ok()?)),
            _ => return None,
        })
    }
}
