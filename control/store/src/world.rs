//! From entries to a [`World`]: one revision, decoded leniently.
//!
//! Leniently: fields that we do not know are ignored. A document with a version other than 1, or one that does not
//! decode, changes nothing: its last good object stays, and the key is noted with the reason.
//! Not here: when to list and when to watch (`follow`).

use crate::keys::{Key, Keys};
use crate::{Entry, Event, Listing, Revision, Store, StoreError};
use minato_config::{GatewayId, NodeId, ServiceName};
use minato_control::{InstanceKey, Object, Stored, World};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};

/// The version of all documents that this minato reads.
const VERSION: u32 = 1;

/// A [`World`] kept current by watch events: list once, then apply.
#[derive(Debug, Clone)]
pub struct Observed {
    keys: Keys,
    /// Every key that exists, decoded or not, and the commit that wrote it last: what a fresh list is compared with.
    present: BTreeMap<String, Revision>,
    /// The last revision that is known to be in `world`.
    pub revision: Revision,
    /// What is known.
    pub world: World,
    /// Keys whose documents do not decode or have another `v`, and why; their last good object is kept in `world`.
    pub undecodable: BTreeMap<String, String>,
    /// Keys under the site's root that this minato does not know; the first [`FOREIGN`] of them.
    pub foreign: BTreeSet<String>,
}

/// Unknown keys that are remembered.
const FOREIGN: usize = 100;

/// What changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Touched {
    /// A fresh list: anything may differ.
    Everything,
    /// Only what is named here.
    These(TouchedSet),
}

/// Whose documents changed: written, deleted, or no longer decodable.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TouchedSet {
    /// Record, intent, slots, instances or verdicts of these.
    pub services: BTreeSet<ServiceName>,
    /// `alive`, `info`, `load`, `reach` or drain of these.
    pub nodes: BTreeSet<NodeId>,
    /// `alive` of these.
    pub gateways: BTreeSet<GatewayId>,
}

impl TouchedSet {
    fn add(&mut self, key: &Key) {
        match key {
            Key::Service(service)
            | Key::Intent(service)
            | Key::Slot(service, _)
            | Key::Rollout(service)
            | Key::Image(_, service)
            | Key::Instance(_, service, _, _)
            | Key::Verdict(_, service, _) => drop(self.services.insert(service.clone())),
            Key::NodeAlive(node)
            | Key::NodeInfo(node)
            | Key::NodeLoad(node)
            | Key::NodeReach(node)
            | Key::Drain(node) => {
                self.nodes.insert(node.clone());
            }
            Key::GatewayAlive(gateway) => drop(self.gateways.insert(gateway.clone())),
            // Load and what follows from it change often, and only slots follow from that.
            // What becomes of these here is written where services stand.
            Key::Mirror(..) => {}
            Key::Order(service) => drop(self.services.insert(service.clone())),
            Key::Meta
            | Key::Leader
            | Key::Load(..)
            | Key::NodeUsage(_)
            | Key::Scale(_)
            | Key::Rebalance
            | Key::Absences
            | Key::Operation(_) => {}
        }
    }
}

impl Observed {
    /// Nothing known yet.
    pub fn new(keys: Keys) -> Self {
        Self {
            keys,
            present: BTreeMap::new(),
            revision: Revision(0),
            world: World::default(),
            undecodable: BTreeMap::new(),
            foreign: BTreeSet::new(),
        }
    }

    /// What a person should know of keys that nobody here understands: object, reason, remedy.
    pub fn oddities(&self) -> impl Iterator<Item = String> {
        let undecodable = self.undecodable.iter().map(|(key, why)| {
            format!("{key} is not understood and its last good state is kept: {why}; upgrade this minato or the one that writes it, or have that key written again")
        });
        let foreign = self.foreign.iter().map(|key| {
            format!("{key} is no key that this minato knows, and is left alone: a newer minato wrote it, or somebody else; delete it if nobody needs it")
        });
        undecodable.chain(foreign)
    }

    /// Takes one put or delete in. Events must come in the order of their commits.
    pub fn apply(&mut self, event: &Event) {
        let mut touched = TouchedSet::default();
        self.take(event, &mut touched);
    }

    /// Takes the events of one commit in and tells whose documents they were.
    pub fn apply_batch(&mut self, events: &[Event]) -> TouchedSet {
        let mut touched = TouchedSet::default();
        for event in events {
            self.take(event, &mut touched);
        }
        touched
    }

    /// Takes a fresh list in, as the differences that lead to it, deletes included.
    pub fn relist(&mut self, listing: &Listing) {
        let listed: BTreeSet<&str> = listing.entries.iter().map(|it| it.key.as_str()).collect();
        self.foreign.retain(|it| listed.contains(it.as_str()));
        let gone: Vec<String> = (self.present.keys())
            .filter(|key| !listed.contains(key.as_str()))
            .cloned()
            .collect();
        for key in gone {
            // Whether a record said `removed` before it went nobody saw, so it counts as having ended.
            if let Some(Key::Service(service)) = self.keys.parse(&key) {
                self.world.services.remove(&service);
            }
            self.apply(&Event::Delete {
                key,
                revision: listing.revision,
            });
        }
        for entry in &listing.entries {
            // The same revision in another store may be another document, so all of them are decoded again.
            self.apply(&Event::Put(entry.clone()));
        }
        self.revision = listing.revision;
        self.world.revision = self.revision.0;
    }

    fn take(&mut self, event: &Event, touched: &mut TouchedSet) {
        let (text, revision) = match event {
            Event::Put(entry) => (&entry.key, entry.modified),
            Event::Delete { key, revision } => (key, *revision),
        };
        self.revision = self.revision.max(revision);
        self.world.revision = self.revision.0;
        let Some(key) = self.keys.parse(text) else {
            self.take_foreign(event);
            return;
        };
        touched.add(&key);
        match event {
            Event::Put(entry) => {
                self.present.insert(entry.key.clone(), entry.modified);
                match put(&mut self.world, key, entry) {
                    Ok(()) => drop(self.undecodable.remove(&entry.key)),
                    Err(reason) => drop(self.undecodable.insert(entry.key.clone(), reason)),
                }
            }
            Event::Delete { key: text, .. } => {
                self.present.remove(text);
                self.undecodable.remove(text);
                delete(&mut self.world, &key);
            }
        }
    }
}

impl Observed {
    fn take_foreign(&mut self, event: &Event) {
        let key = event.key();
        let is_ours = !key.starts_with(self.keys.root()) || key.starts_with(&self.keys.voids());
        match event {
            Event::Delete { .. } => {
                self.foreign.remove(key);
            }
            Event::Put(_) if is_ours || self.foreign.len() >= FOREIGN => {}
            Event::Put(_) => {
                self.foreign.insert(key.to_owned());
            }
        }
    }
}

/// Takes one document in. The error is why it cannot be read.
pub(crate) fn put(world: &mut World, key: Key, entry: &Entry) -> Result<(), String> {
    match key {
        Key::Service(service) => {
            world.services.insert(service.clone(), decode(entry)?);
            world.vanished.remove(&Object::Service(service));
        }
        Key::Intent(service) => {
            world.intents.insert(service.clone(), decode(entry)?);
            world.vanished.remove(&Object::Intent(service));
        }
        Key::Slot(service, n) => drop(world.slots.insert((service, n), decode(entry)?)),
        Key::NodeAlive(node) => drop(world.nodes.insert(node, decode(entry)?)),
        Key::NodeInfo(node) => drop(world.node_infos.insert(node, decode(entry)?)),
        Key::NodeLoad(node) => drop(world.node_loads.insert(node, decode(entry)?)),
        Key::NodeUsage(node) => drop(world.usages.insert(node, decode(entry)?)),
        Key::NodeReach(node) => drop(world.reaches.insert(node, decode(entry)?)),
        Key::Drain(node) => drop(world.drains.insert(node, decode(entry)?)),
        Key::GatewayAlive(gateway) => drop(world.gateways.insert(gateway, decode(entry)?)),
        Key::Instance(node, service, slot, generation) => {
            let key = InstanceKey {
                node,
                service,
                slot,
                generation,
            };
            world.instances.insert(key, decode(entry)?);
        }
        Key::Verdict(gateway, service, n) => {
            world.verdicts.insert((service, n, gateway), decode(entry)?);
        }
        Key::Load(gateway, service) => {
            world.loads.insert((service, gateway), decode(entry)?);
        }
        Key::Scale(service) => drop(world.scales.insert(service, decode(entry)?)),
        Key::Rollout(service) => {
            world.rollouts.insert(service.clone(), decode(entry)?);
            world.vanished.remove(&Object::Rollout(service));
        }
        Key::Image(node, service) => {
            world.images.insert((node, service), decode(entry)?);
        }
        Key::Order(service) => drop(world.orders.insert(service, decode(entry)?)),
        Key::Mirror(home, service) => {
            world.mirrors.insert((home, service), decode(entry)?);
        }
        Key::Operation(id) => drop(world.operations.insert(id, decode(entry)?)),
        Key::Rebalance => world.rebalance = Some(decode(entry)?),
        Key::Absences => world.absences = Some(decode(entry)?),
        Key::Meta => world.meta = Some(decode(entry)?),
        Key::Leader => {}
    }
    Ok(())
}

fn delete(world: &mut World, key: &Key) {
    match key.clone() {
        Key::Service(service) => {
            let gone = world.services.remove(&service);
            if gone.is_some_and(|it| !it.value.removed) {
                world.vanished.insert(Object::Service(service));
            } else {
                if world.vanished.remove(&Object::Intent(service.clone())) {
                    world.intents.remove(&service);
                }
                if world.vanished.remove(&Object::Rollout(service.clone())) {
                    world.rollouts.remove(&service);
                }
            }
        }
        // Drain and scale end by a document that says so, or with their service.
        Key::Intent(service) => {
            let object = Object::Service(service.clone());
            let lives = world.services.contains_key(&service) || world.vanished.contains(&object);
            if lives && world.intents.contains_key(&service) {
                world.vanished.insert(Object::Intent(service));
            } else {
                world.intents.remove(&service);
            }
        }
        Key::Slot(service, n) => drop(world.slots.remove(&(service, n))),
        Key::NodeAlive(node) => drop(world.nodes.remove(&node)),
        Key::NodeInfo(node) => drop(world.node_infos.remove(&node)),
        Key::NodeLoad(node) => drop(world.node_loads.remove(&node)),
        Key::NodeUsage(node) => drop(world.usages.remove(&node)),
        Key::NodeReach(node) => drop(world.reaches.remove(&node)),
        Key::Drain(node) => drop(world.drains.remove(&node)),
        Key::GatewayAlive(gateway) => drop(world.gateways.remove(&gateway)),
        Key::Instance(node, service, slot, generation) => {
            drop(world.instances.remove(&InstanceKey {
                node,
                service,
                slot,
                generation,
            }));
        }
        Key::Verdict(gateway, service, n) => {
            drop(world.verdicts.remove(&(service, n, gateway)));
        }
        Key::Load(gateway, service) => {
            world.loads.remove(&(service, gateway));
        }
        // Without it there stays what there is.
        Key::Scale(service) => drop(world.scales.remove(&service)),
        // Ends with its service; without it nobody would know what to go back to.
        Key::Rollout(service) => {
            let object = Object::Service(service.clone());
            let lives = world.services.contains_key(&service) || world.vanished.contains(&object);
            if lives && world.rollouts.contains_key(&service) {
                world.vanished.insert(Object::Rollout(service));
            } else {
                world.rollouts.remove(&service);
            }
        }
        Key::Image(node, service) => drop(world.images.remove(&(node, service))),
        // Who came first last stays so: sites must not swing because a key is gone.
        Key::Order(_) => {}
        // What runs stands at its own key, and the next answer of its home writes this one again.
        Key::Mirror(home, service) => drop(world.mirrors.remove(&(home, service))),
        // Nothing more follows from it, and whatever it began goes its way.
        Key::Operation(id) => drop(world.operations.remove(&id)),
        // Ends it; the leader writes what it knows of nodes again.
        Key::Rebalance => world.rebalance = None,
        Key::Absences => world.absences = None,
        // The era of a store whose `meta` vanished is still its era.
        Key::Meta | Key::Leader => {}
    }
}

#[derive(Deserialize)]
struct Version {
    v: u32,
}

pub(crate) fn decode<T: DeserializeOwned>(entry: &Entry) -> Result<Stored<T>, String> {
    // The version first: a document of another one need not look like ours.
    let Version { v } = serde_json::from_slice(&entry.value)
        .map_err(|cause| format!("no document with a version: {cause}"))?;
    if v != VERSION {
        let writer = if v > VERSION { "a newer" } else { "an older" };
        return Err(format!(
            "version {v}, and this minato reads {VERSION}: {writer} minato wrote it"
        ));
    }
    let value = serde_json::from_slice(&entry.value).map_err(|cause| cause.to_string())?;
    Ok(Stored {
        value,
        modified: entry.modified.0,
    })
}

/// Lists the whole site at one revision.
pub async fn read_world(store: &dyn Store, keys: &Keys) -> Result<Observed, StoreError> {
    let mut observed = Observed::new(keys.clone());
    observed.relist(&store.list(keys.root()).await?);
    Ok(observed)
}
