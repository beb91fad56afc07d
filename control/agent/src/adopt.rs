//! From what the runtime found and the store says to what each place takes over. Pure.

use crate::runtime::{Exit, Found, FoundState, Inventory};
use minato_config::NodeId;
use minato_control::{InstanceKey, Left, LeftState, PlaceKey, RunName, World};
use minato_health::{Instance, Phase};
use std::collections::BTreeMap;

/// One place's inheritance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Adoption {
    /// The newest run.
    pub(crate) left: Left,
    /// What the store says of its generation.
    pub(crate) document: Option<Instance>,
    /// All runs that the runtime remembers for the place.
    pub(crate) known: Vec<RunName>,
    /// Older runs that live beside the newest, which no agent does on purpose.
    pub(crate) surplus: Vec<RunName>,
}

impl Adoption {
    pub(crate) fn lives(&self) -> bool {
        matches!(self.left.state, LeftState::Running { .. })
    }
}

/// One for each place that the runtime or the store knows of.
pub(crate) fn adopt(node: &NodeId, inventory: Inventory, world: &World) -> Vec<Adoption> {
    let mut places: BTreeMap<PlaceKey, Vec<Found>> = BTreeMap::new();
    for found in inventory.found {
        let place = (found.order.name.service.clone(), found.order.name.slot);
        places.entry(place).or_default().push(found);
    }
    let mut adoptions: BTreeMap<PlaceKey, Adoption> = BTreeMap::new();
    for (place, mut runs) in places {
        runs.sort_by(|a, b| a.order.name.cmp(&b.order.name));
        let known: Vec<RunName> = runs.iter().map(|it| it.order.name.clone()).collect();
        let Some(newest) = runs.pop() else { continue };
        let surplus = runs
            .into_iter()
            .filter(|it| matches!(it.state, FoundState::Running { .. }))
            .map(|it| it.order.name)
            .collect();
        let document = world
            .instances
            .get(&key(node, &newest.order.name))
            .map(|it| it.value.clone());
        let adoption = Adoption {
            left: left(newest),
            document,
            known,
            surplus,
        };
        adoptions.insert(place, adoption);
    }
    // The store may remember what the data folder does not.
    for (key, stored) in world.instances.iter().filter(|(key, _)| key.node == *node) {
        let place = (key.service.clone(), key.slot);
        let known_better = adoptions
            .get(&place)
            .is_some_and(|it| it.left.name.generation >= key.generation);
        if !known_better {
            adoptions.insert(place, remembered(key, &stored.value));
        }
    }
    adoptions.into_values().collect()
}

fn key(node: &NodeId, name: &RunName) -> InstanceKey {
    InstanceKey {
        node: node.clone(),
        service: name.service.clone(),
        slot: name.slot,
        generation: name.generation,
    }
}

fn left(found: Found) -> Left {
    let address = match found.state {
        FoundState::Running { address, .. } => address,
        FoundState::Ended(_) => None,
    };
    let state = match found.state {
        FoundState::Running { pid, age, .. } => LeftState::Running { pid, age },
        FoundState::Ended(ended) => match ended.exit {
            Exit::Stopped | Exit::Never => LeftState::Stopped,
            _ => LeftState::Ended(ended.to_string()),
        },
    };
    Left {
        name: found.order.name,
        command: Some(Box::new(found.order.command)),
        digest: found.order.digest,
        port: found.order.port,
        address,
        state,
    }
}

fn remembered(key: &InstanceKey, document: &Instance) -> Adoption {
    let state = match document.phase {
        Phase::Stopping => LeftState::Stopped,
        Phase::Running | Phase::Exited | Phase::Failed => {
            LeftState::Ended("its record is gone".to_owned())
        }
    };
    Adoption {
        left: Left {
            name: RunName {
                service: key.service.clone(),
                slot: key.slot,
                generation: key.generation,
                run: document.run,
            },
            command: None,
            digest: String::new(),
            port: document.address.port(),
            address: None,
            state,
        },
        document: Some(document.clone()),
        known: Vec::new(),
        surplus: Vec::new(),
    }
}
