//! What one step of one place reads, and where it puts its actions.

use super::{Moment, NodeAction, PlaceKey};
use crate::World;
use minato_config::{Backend, Command, Generation, Health, NodeId, Run};
use minato_health::VerdictReport;

pub(super) struct Turn<'a> {
    pub(super) node: &'a NodeId,
    pub(super) key: &'a PlaceKey,
    pub(super) world: &'a World,
    pub(super) now: Moment,
    /// Everything is being stopped.
    pub(super) closing: bool,
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
        let (service, slot) = self.key;
        self.world
            .gateways
            .keys()
            .filter_map(|gateway| {
                self.world
                    .verdicts
                    .get(&(service.clone(), *slot, gateway.clone()))
            })
            .map(|it| &it.value)
            .filter(|it| it.generation == generation && it.run == run)
            .collect()
    }

    /// Whether every live gateway has said that no request of its own is left on this run.
    pub(super) fn is_drained(&self, generation: Generation, run: Run) -> bool {
        let drained = self
            .reports(generation, run)
            .iter()
            .filter(|it| it.drained)
            .count();
        drained == self.world.gateways.len()
    }
}
