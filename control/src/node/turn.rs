//! What one step of one place reads, and where it puts its actions.

use super::{Moment, NodeAction, PlaceKey};
use crate::dependency::Wait;
use crate::{InstanceKey, World};
use minato_config::{Backend, Command, Generation, Health, NodeId, Run};
use minato_health::{Phase, VerdictReport};

pub(super) struct Turn<'a> {
    pub(super) node: &'a NodeId,
    pub(super) key: &'a PlaceKey,
    pub(super) world: &'a World,
    pub(super) now: Moment,
    /// Some gateway was alive since this agent began.
    pub(super) met_gateways: bool,
    /// Everything is being stopped.
    pub(super) closing: bool,
    /// What its service has to wait for.
    pub(super) wait: Option<Wait>,
    pub(super) actions: &'a mut Vec<NodeAction>,
}

impl<'a> Turn<'a> {
    /// The service's command as it is now.
    pub(super) fn command(&self) -> Option<&'a Command> {
        match &self.world.services.get(&self.key.0)?.value.service.backend {
            Backend::Command(command) => Some(command),
            Backend::Endpoints(_) => None,
        }
    }

    /// Whether health decides over the life of its instances.
    pub(super) fn is_probed(&self) -> bool {
        self.world
            .services
            .get(&self.key.0)
            .is_some_and(|it| matches!(it.value.service.health, Health::On { .. }))
    }

    /// What the live gateways say of this run.
    pub(super) fn reports(&self, generation: Generation, run: Run) -> Vec<&'a VerdictReport> {
        reports(self.world, self.key, generation, run)
    }

    /// The file that describes the service, or the site that it is of.
    pub(super) fn source(&self) -> Option<String> {
        let record = self.world.services.get(&self.key.0)?;
        Some(record.value.source.to_string())
    }

    /// Whether the store tells gateways that this run is being stopped.
    pub(super) fn is_told(&self, generation: Generation, run: Run) -> bool {
        let (service, slot) = self.key;
        let key = InstanceKey {
            node: self.node.clone(),
            service: service.clone(),
            slot: *slot,
            generation,
        };
        self.world
            .instances
            .get(&key)
            .is_some_and(|it| it.value.phase == Phase::Stopping && it.value.run == run)
    }

    /// Whether every live gateway has said that no request of its own is left on this run. With none alive nobody can
    /// say so, unless there never was one.
    pub(super) fn is_drained(&self, generation: Generation, run: Run) -> bool {
        let drained = self
            .reports(generation, run)
            .iter()
            .filter(|it| it.drained)
            .count();
        match self.world.gateways.len() {
            0 => !self.met_gateways,
            live => drained == live,
        }
    }
}

/// What the live gateways say of a run of this place.
pub(super) fn reports<'a>(
    world: &'a World,
    (service, slot): &PlaceKey,
    generation: Generation,
    run: Run,
) -> Vec<&'a VerdictReport> {
    world
        .gateways
        .keys()
        .filter_map(|gateway| {
            world
                .verdicts
                .get(&(service.clone(), *slot, gateway.clone()))
        })
        .map(|it| &it.value)
        .filter(|it| it.generation == generation && it.run == run)
        .collect()
}
