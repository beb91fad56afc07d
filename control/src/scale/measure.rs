//! What is measured of one service, and what is missing of it.

use super::usage::Used;
use crate::World;
use minato_config::{GatewayId, Scale, ServiceName};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A gateway writes what it measures at least each minute; what is older than this is not known.
pub const STALE: Duration = Duration::from_secs(150);

/// What is known of one service's load.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Measures {
    /// Requests being served or waiting, over all gateways that tell. `None`: nobody tells.
    pub in_flight: Option<u64>,
    /// The highest of the gateways' 95th percentiles. `None`: nobody saw requests.
    pub p95: Option<Duration>,
    /// Hundredths of the processors that one instance is promised, over all instances whose agents tell. `None`: nobody tells.
    pub cpu_percent: Option<u64>,
    /// Instances that are called for by visitors whom other sites do not serve, as the gateway says that calls for most.
    pub called: u32,
    /// What is missing: then the number never falls.
    pub gap: Option<String>,
}

/// What gateways call for of a service, however long ago they said so.
pub(super) fn called(world: &World, service: &ServiceName) -> u32 {
    let gateways = world.gateways.keys();
    let loads = gateways.filter_map(|it| world.loads.get(&(service.clone(), it.clone())));
    loads.map(|it| it.value.called).max().unwrap_or(0)
}

/// When each gateway was last heard of one service. Wall clocks of other machines say nothing here.
#[derive(Debug, Clone, Default)]
pub(super) struct Heard(BTreeMap<GatewayId, (u64, Instant)>);

impl Heard {
    /// Adds up what the live gateways say, and what agents say of the instances. What no target asks for is no gap.
    pub(super) fn measures(
        &mut self,
        world: &World,
        service: &ServiceName,
        (scale, used): (&Scale, &Used),
        now: Instant,
    ) -> Measures {
        let mut measures = Measures {
            cpu_percent: used.cpu_percent,
            ..Measures::default()
        };
        let silent = self.hear(world, service, &mut measures, now);
        let by_gateways = scale.in_flight.is_some() || scale.p95.is_some();
        let silent = silent.as_slice();
        measures.gap = match silent {
            _ if !by_gateways => None,
            _ if world.gateways.is_empty() => Some("no gateway is alive".to_owned()),
            [] => None,
            [one] => Some(format!("gateway {one} does not tell its load")),
            [one, rest @ ..] => Some(format!(
                "gateway {one} and {} more do not tell their load",
                rest.len()
            )),
        };
        if scale.cpu_percent.is_some() {
            measures.gap = measures.gap.or_else(|| used.gap.clone());
        }
        measures
    }

    /// Those that do not tell.
    fn hear<'w>(
        &mut self,
        world: &'w World,
        service: &ServiceName,
        measures: &mut Measures,
        now: Instant,
    ) -> Vec<&'w GatewayId> {
        self.0.retain(|it, _| world.gateways.contains_key(it));
        let mut silent = Vec::new();
        for gateway in world.gateways.keys() {
            let key = (service.clone(), gateway.clone());
            let Some(load) = world.loads.get(&key) else {
                silent.push(gateway);
                continue;
            };
            let heard = self
                .0
                .entry(gateway.clone())
                .or_insert((load.modified, now));
            if heard.0 != load.modified {
                *heard = (load.modified, now);
            }
            if now.saturating_duration_since(heard.1) >= STALE {
                silent.push(gateway);
                continue;
            }
            let load = &load.value;
            let sum = measures.in_flight.unwrap_or(0);
            measures.in_flight = Some(sum.saturating_add(load.in_flight.into()));
            measures.p95 = measures.p95.max(load.p95);
            measures.called = measures.called.max(load.called);
        }
        silent
    }
}
