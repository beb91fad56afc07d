//! How many instances of each service should run at this site, as the store has it now: for peers, who share visitors out by it.

use minato_config::{Service, ServiceName};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Written by the health loop, read by what answers links.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wants(Arc<Mutex<BTreeMap<ServiceName, u32>>>);

impl Wants {
    pub(super) fn set(&self, service: &ServiceName, wanted: u32) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(service.clone(), wanted);
    }

    pub(super) fn forget(&self, service: &ServiceName) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(service);
    }

    /// The file's number where the store has not said another yet.
    pub(crate) fn of(&self, service: &Service) -> u32 {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = all.get(&service.name).copied();
        known.unwrap_or_else(|| service.replicas.into())
    }
}
