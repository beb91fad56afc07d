//! Which site comes first for which service, as this gateway follows it: the newest of what the store says, of what other sites
//! say, and of what was saved.
//!
//! Kept apart from the table so that peers are told of it too, and so that what was heard holds while the store is away.
//! Not here: who decides (`control::operation`).

use minato_config::{OrderRecord, Service, ServiceName};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Shared by the health loop, which writes, and by what answers peers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Orders(Arc<Mutex<BTreeMap<ServiceName, OrderRecord>>>);

impl Orders {
    pub(crate) fn of(&self, service: &ServiceName) -> Option<OrderRecord> {
        self.all().get(service).cloned()
    }

    /// Takes a decision in; whether it is newer than what was known.
    pub(super) fn take(&self, service: &ServiceName, order: &OrderRecord) -> bool {
        let mut all = self.all();
        if all.get(service).is_some_and(|it| !order.is_newer_than(it)) {
            return false;
        }
        all.insert(service.clone(), order.clone());
        true
    }

    pub(super) fn forget(&self, service: &ServiceName) {
        self.all().remove(service);
    }

    /// The service with its sites in the order that counts now.
    pub(super) fn applied(&self, service: &Service) -> Service {
        let mut service = service.clone();
        if let Some(order) = self.of(&service.name)
            && let Some(sites) = &mut service.sites
            && let Some(led) = sites.led_by(&order.first)
        {
            **sites = led;
        }
        service
    }

    pub(super) fn saved(&self) -> BTreeMap<ServiceName, OrderRecord> {
        self.all().clone()
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<ServiceName, OrderRecord>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use minato_config::{SiteId, Timestamp};

    #[test]
    fn the_newest_decision_holds_whoever_brings_it() {
        let orders = Orders::default();
        let name = ServiceName::parse("library").expect("a name");
        let order = |first: &str, epoch| OrderRecord {
            v: 1,
            first: SiteId::parse(first).expect("a site"),
            epoch,
            who: String::new(),
            why: String::new(),
            since: Timestamp(0),
            moved: None,
        };
        assert!(orders.take(&name, &order("osaka", 5)));
        assert!(!orders.take(&name, &order("tokyo", 4)));
        assert!(!orders.take(&name, &order("osaka", 5)));
        assert_eq!(orders.of(&name), Some(order("osaka", 5)));
        assert!(orders.take(&name, &order("tokyo", 6)));
        orders.forget(&name);
        assert_eq!(orders.of(&name), None);
    }
}
