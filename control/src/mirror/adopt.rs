//! Which site comes first, as other sites know it: what of it is newer than what is known here.

use super::record::SharedServices;
use crate::World;
use minato_config::{OrderRecord, ServiceName, SiteId};

/// One document to write at `orders/<service>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdoptStep {
    /// Of which service.
    pub service: ServiceName,
    /// What it is from now on.
    pub order: OrderRecord,
    /// The commit that wrote what this replaces; `None`: nothing may be there.
    pub modified: Option<u64>,
    /// To tell once it is written.
    pub news: String,
}

/// What the answer of `peer` changes for `site`: decisions about services that are here and list both, where they are newer.
pub fn adopt(
    peer: &SiteId,
    site: &SiteId,
    answer: &SharedServices,
    world: &World,
) -> Vec<AdoptStep> {
    let orders = answer.orders.iter();
    let steps = orders.filter_map(|(service, order)| {
        let sites = world.services.get(service)?.value.service.sites.as_ref()?;
        let is_shared = [peer, site, &order.first]
            .iter()
            .all(|it| sites.place(it).is_some());
        let known = world.orders.get(service);
        let is_newer = known.is_none_or(|it| order.is_newer_than(&it.value));
        (is_shared && is_newer).then(|| AdoptStep {
            service: service.clone(),
            order: order.clone(),
            modified: known.map(|it| it.modified),
            news: format!(
                "{service}: {} comes first since epoch {}, by {}; {peer} said so",
                order.first, order.epoch, order.who
            ),
        })
    });
    steps.collect()
}
