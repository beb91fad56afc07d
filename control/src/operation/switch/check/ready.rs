//! The target once everything that moves runs there: what is asked for first, and what finds no place.

use super::{Accepted, Bearing};
use crate::operation::switch::record::Need;
use crate::plan::{Losses, plan_with};
use crate::scale::ScaleRecord;
use crate::{Stored, World, wanted};
use minato_config::{MirrorMode, ServiceName, SiteId, Source, Timestamp};
use minato_health::LinkState;
use std::collections::BTreeMap;

/// An instance carries as much more as it was there for; as gateways reckon.
pub(super) const TRUST_PERCENT: u64 = 140;

/// The target once everything that is to be moved runs there, all of it together.
#[derive(Debug, Clone, PartialEq)]
pub struct Ready {
    pub(super) world: World,
    /// Instances that are asked for first.
    needs: BTreeMap<ServiceName, Need>,
    /// Why something of it cannot run.
    pub(super) notes: BTreeMap<ServiceName, String>,
}

impl Ready {
    /// What is cold at `to` is taken for started, what follows its load for grown; then it is planned. Beside each service how many
    /// instances are wanted where it is served now.
    pub fn of<'a>(
        world: &World,
        to: &SiteId,
        services: impl IntoIterator<Item = (&'a ServiceName, Option<u32>)>,
        now: Timestamp,
    ) -> Self {
        let mut ready = world.clone();
        let mut needs = BTreeMap::new();
        for (service, there) in services {
            let Some(stored) = ready.services.get_mut(service) else {
                continue;
            };
            if let Source::Mirror {
                home,
                mode: MirrorMode::Cold,
            } = &stored.value.source
                && let Some(mirrored) = world.mirrors.get(&(home.clone(), service.clone()))
            {
                stored.value.service = mirrored.value.record.service.clone().at(to);
            }
            let there = there.and_then(|it| u16::try_from(it).ok());
            let Some(need) = there.and_then(|it| need(&ready, service, it)) else {
                continue;
            };
            let scale = ready.scales.get(service).map(|it| &it.value);
            let record = ScaleRecord {
                v: 1,
                replicas: need.wanted.max(wanted(&ready, service)),
                reason: String::new(),
                since: now,
                grant: scale.and_then(|it| it.grant),
            };
            let record = Stored {
                value: record,
                modified: 0,
            };
            ready.scales.insert(service.clone(), record);
            needs.insert(service.clone(), need);
        }
        let plan = plan_with(&ready, &Losses::default(), now);
        Self {
            world: ready,
            needs,
            notes: plan.notes.into_iter().collect(),
        }
    }

    /// What is asked for before `service` moves.
    pub fn need(&self, service: &ServiceName, accepted: Accepted) -> Need {
        let need = self.needs.get(service).copied().unwrap_or_default();
        match accepted.overload {
            Bearing::Refused => need,
            Bearing::Accepted => Need { enough: 0, ..need },
        }
    }
}

/// As many as the site has that serves it, within what the file allows. `None` where their number is the file's, or a person's.
fn need(world: &World, service: &ServiceName, there: u16) -> Option<Need> {
    let by_hand = world.intents.get(service);
    let by_hand = by_hand.and_then(|it| it.value.replicas);
    let scale = world.services.get(service)?.value.service.scale.as_ref()?;
    let enough = (u64::from(there) * 100).div_ceil(TRUST_PERCENT);
    by_hand.is_none().then(|| Need {
        wanted: there.min(scale.max),
        enough: u16::try_from(enough).unwrap_or(u16::MAX).min(scale.max),
    })
}

/// Instances of `service` that are wanted where these gateways are.
pub fn wanted_there(states: &[LinkState], service: &ServiceName) -> Option<u32> {
    let told = states.iter().filter_map(|it| it.services.get(service));
    told.map(|it| it.wanted).max()
}
