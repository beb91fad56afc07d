//! What a plan was made from, saved before it is carried out, so that it can be made again elsewhere: as documents under
//! their keys, which are read back as the store's own are.
//!
//! Not here: when one is saved and for how long (`control/server`).

use crate::keys::{Key, Keys};
use crate::world::put;
use crate::{Entry, Revision};
use minato_config::{ServiceName, SiteId, Timestamp};
use minato_control::{Losses, Object, Plan, Stored, World, plan_with};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::BTreeSet;

/// The version of the document.
const VERSION: u32 = 1;

/// One plan with all that it followed from.
#[derive(Debug, Serialize, Deserialize)]
pub struct Decision {
    v: u32,
    /// Which minato decided.
    pub minato: String,
    /// Of which site.
    pub site: SiteId,
    /// The time that the plan was made for.
    pub at: Timestamp,
    /// The revision of the store that it was made from.
    pub revision: u64,
    /// Which nodes were given up.
    pub losses: Losses,
    /// Keys whose documents had gone without a word.
    vanished: BTreeSet<String>,
    documents: Vec<Document>,
    /// The steps as they were told, in order.
    pub steps: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Document {
    key: String,
    modified: u64,
    value: Box<RawValue>,
}

/// Why a decision cannot be made again.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// It is no saved decision.
    #[error("it is no decision that minato saved: {0}")]
    NoDecision(#[from] serde_json::Error),
    /// It is of another version.
    #[error("it is of version {0}, and this minato reads {VERSION}: use the minato that wrote it")]
    Version(u32),
    /// One of its documents.
    #[error("`{key}` in it cannot be read: {reason}")]
    Document {
        /// Which.
        key: String,
        /// Why.
        reason: String,
    },
}

impl Decision {
    /// `plan` and what it followed from. `minato`: which version decides.
    pub fn new(
        (site, minato): (&SiteId, &str),
        world: &World,
        losses: &Losses,
        at: Timestamp,
        plan: &Plan,
    ) -> Result<Self, serde_json::Error> {
        let keys = Keys::new(site);
        let vanished = world.vanished.iter().map(|it| keys.text(&Key::from(it)));
        Ok(Self {
            v: VERSION,
            minato: minato.to_owned(),
            site: site.clone(),
            at,
            revision: world.revision,
            losses: losses.clone(),
            vanished: vanished.collect(),
            documents: Documents::of(world, &keys)?,
            steps: plan.steps.iter().map(ToString::to_string).collect(),
        })
    }

    /// Reads one.
    pub fn parse(text: &[u8]) -> Result<Self, ReplayError> {
        #[derive(Deserialize)]
        struct Version {
            v: u32,
        }
        let Version { v } = serde_json::from_slice(text)?;
        if v != VERSION {
            return Err(ReplayError::Version(v));
        }
        Ok(serde_json::from_slice(text)?)
    }

    /// Plans again from the same.
    pub fn replay(&self) -> Result<Plan, ReplayError> {
        let keys = Keys::new(&self.site);
        let mut world = World::default();
        for document in &self.documents {
            let unread = |reason| ReplayError::Document {
                key: document.key.clone(),
                reason,
            };
            let key = keys.parse(&document.key);
            let key = key.ok_or_else(|| unread("nothing has such a key".to_owned()))?;
            let entry = Entry {
                key: document.key.clone(),
                value: document.value.get().as_bytes().to_owned(),
                created: Revision(document.modified),
                modified: Revision(document.modified),
                lease: None,
            };
            put(&mut world, key, &entry).map_err(unread)?;
        }
        world.revision = self.revision;
        world.vanished = self
            .vanished
            .iter()
            .filter_map(|it| object_of(&keys.parse(it)?))
            .collect();
        Ok(plan_with(&world, &self.losses, self.at))
    }
}

/// Turns a world into documents.
struct Documents<'a> {
    keys: &'a Keys,
    all: Vec<Document>,
}

impl Documents<'_> {
    fn of(world: &World, keys: &Keys) -> Result<Vec<Document>, serde_json::Error> {
        // Named one by one: what is added to a world must be added here.
        let World {
            revision: _,
            meta,
            services,
            intents,
            slots,
            instances,
            nodes,
            node_infos,
            node_loads,
            usages,
            reaches,
            drains,
            rebalance,
            absences,
            gateways,
            verdicts,
            loads,
            scales,
            rollouts,
            images,
            // What people ask for reaches the plan as intents.
            operations: _,
            mirrors,
            orders,
            vanished: _,
        } = world;
        let mut to = Documents {
            keys,
            all: Vec::new(),
        };
        to.each(meta.iter().map(|it| (Key::Meta, it)))?;
        to.each(rebalance.iter().map(|it| (Key::Rebalance, it)))?;
        to.each(absences.iter().map(|it| (Key::Absences, it)))?;
        to.of_services(services, Key::Service)?;
        to.of_services(intents, Key::Intent)?;
        to.each(
            slots
                .iter()
                .map(|((service, n), it)| (Key::Slot(service.clone(), *n), it)),
        )?;
        to.each(instances.iter().map(|(key, it)| {
            let (node, service) = (key.node.clone(), key.service.clone());
            (Key::Instance(node, service, key.slot, key.generation), it)
        }))?;
        to.each(
            nodes
                .iter()
                .map(|(node, it)| (Key::NodeAlive(node.clone()), it)),
        )?;
        to.each(
            node_infos
                .iter()
                .map(|(node, it)| (Key::NodeInfo(node.clone()), it)),
        )?;
        to.each(
            node_loads
                .iter()
                .map(|(node, it)| (Key::NodeLoad(node.clone()), it)),
        )?;
        to.each(
            usages
                .iter()
                .map(|(node, it)| (Key::NodeUsage(node.clone()), it)),
        )?;
        to.each(
            reaches
                .iter()
                .map(|(node, it)| (Key::NodeReach(node.clone()), it)),
        )?;
        to.each(
            drains
                .iter()
                .map(|(node, it)| (Key::Drain(node.clone()), it)),
        )?;
        to.each(
            gateways
                .iter()
                .map(|(gateway, it)| (Key::GatewayAlive(gateway.clone()), it)),
        )?;
        to.each(verdicts.iter().map(|((service, n, gateway), it)| {
            (Key::Verdict(gateway.clone(), service.clone(), *n), it)
        }))?;
        to.each(
            loads
                .iter()
                .map(|((service, gateway), it)| (Key::Load(gateway.clone(), service.clone()), it)),
        )?;
        to.of_services(scales, Key::Scale)?;
        to.of_services(rollouts, Key::Rollout)?;
        to.each(
            images
                .iter()
                .map(|((node, service), it)| (Key::Image(node.clone(), service.clone()), it)),
        )?;
        to.each(
            mirrors
                .iter()
                .map(|((home, service), it)| (Key::Mirror(home.clone(), service.clone()), it)),
        )?;
        to.of_services(orders, Key::Order)?;
        Ok(to.all)
    }

    fn each<'b, T: Serialize + 'b>(
        &mut self,
        them: impl Iterator<Item = (Key, &'b Stored<T>)>,
    ) -> Result<(), serde_json::Error> {
        for (key, it) in them {
            self.all.push(Document {
                key: self.keys.text(&key),
                modified: it.modified,
                value: serde_json::value::to_raw_value(&it.value)?,
            });
        }
        Ok(())
    }

    fn of_services<T: Serialize>(
        &mut self,
        them: &std::collections::BTreeMap<ServiceName, Stored<T>>,
        key: impl Fn(ServiceName) -> Key,
    ) -> Result<(), serde_json::Error> {
        self.each(them.iter().map(|(name, it)| (key(name.clone()), it)))
    }
}

fn object_of(key: &Key) -> Option<Object> {
    match key.clone() {
        Key::Service(service) => Some(Object::Service(service)),
        Key::Intent(service) => Some(Object::Intent(service)),
        Key::Slot(service, n) => Some(Object::Slot(service, n)),
        Key::Rollout(service) => Some(Object::Rollout(service)),
        _ => None,
    }
}
