//! Which endpoints a service should have, from one revision of the store. Pure.

use minato_config::{Backend, Generation, Run, ServiceName, SlotIndex};
use minato_control::World;
use minato_health::Phase;
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// How an endpoint should stand in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// Probed, and used as its verdict says.
    Serve,
    /// As `Serve` until one that stays is up; then it finishes what it has.
    Leave,
    /// Finishes what it has.
    Drain,
}

/// One endpoint that should be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) slot: SlotIndex,
    pub(crate) generation: Generation,
    pub(crate) run: Run,
    pub(crate) address: SocketAddr,
    pub(crate) usage: Use,
}

/// The generation of all fixed endpoints; those of instances count from 1.
pub(crate) const FIXED: Generation = Generation { era: 0, counter: 0 };

/// Endpoints of `service` by slot, one that serves at most for each slot.
///
/// The slots of fixed addresses are proposals: the fleet keeps an address in the slot that it has.
/// Of several instances of a slot the highest generation that runs serves; the others finish what they have. Instances
/// that have exited or failed are absent.
pub(crate) fn wanted(world: &World, service: &ServiceName) -> Vec<Wanted> {
    let Some(record) = world.services.get(service) else {
        return Vec::new();
    };
    let mut found = instances(world, service);
    if let Backend::Endpoints(addresses) = &record.value.service.backend {
        // Processes of before make room only when an address answers.
        for it in found.iter_mut().filter(|it| it.usage == Use::Serve) {
            it.usage = Use::Leave;
        }
        found.extend((0_u16..).zip(addresses).map(|(n, address)| Wanted {
            slot: SlotIndex(n),
            generation: FIXED,
            run: Run(0),
            address: *address,
            usage: Use::Serve,
        }));
    }
    found
}

fn instances(world: &World, service: &ServiceName) -> Vec<Wanted> {
    let mut found: Vec<Wanted> = Vec::new();
    let mut serving: BTreeMap<SlotIndex, Generation> = BTreeMap::new();
    let of_service = world
        .instances
        .iter()
        .filter(|(key, _)| key.service == *service);
    for (key, instance) in of_service {
        let usage = match instance.value.phase {
            Phase::Running => Use::Serve,
            Phase::Stopping => Use::Drain,
            Phase::Exited | Phase::Failed => continue,
        };
        if usage == Use::Serve {
            let best = serving.entry(key.slot).or_insert(key.generation);
            *best = (*best).max(key.generation);
        }
        let instance = &instance.value;
        found.push(Wanted {
            slot: key.slot,
            generation: key.generation,
            run: instance.run,
            address: instance.address,
            usage,
        });
    }
    for it in &mut found {
        if it.usage == Use::Serve && serving.get(&it.slot) != Some(&it.generation) {
            it.usage = Use::Drain;
        }
    }
    found.sort_by_key(|it| (it.slot, it.generation));
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use minato_config::{Command, Health, NodeId, Service, ServiceRecord, Source, Timestamp};
    use minato_control::{InstanceKey, Stored};
    use minato_health::Instance;

    fn world(phases: &[(u16, u64, Phase)]) -> (World, ServiceName) {
        let name = ServiceName::parse("library").expect("a name");
        let service = Service {
            name: name.clone(),
            backend: Backend::Command(Command {
                argv: vec!["true".into()],
                env: BTreeMap::new(),
                directory: None,
                port: None,
                stop: Default::default(),
                image: None,
            }),
            replicas: 2,
            scale: None,
            routes: Vec::new(),
            health: Health::Off,
            upstream: Default::default(),
            limits: Default::default(),
            timeouts: Default::default(),
            retries: 1,
            nodes: Default::default(),
            update: Default::default(),
            depends_on: Default::default(),
            sites: None,
        };
        let record = ServiceRecord {
            v: 1,
            source: Source::File {
                path: "library.toml".into(),
            },
            service,
            removed: false,
        };
        let mut world = World::default();
        world.services.insert(
            name.clone(),
            Stored {
                value: record,
                modified: 1,
            },
        );
        for (slot, counter, phase) in phases {
            let key = InstanceKey {
                node: NodeId::parse("n").expect("a node"),
                service: name.clone(),
                slot: SlotIndex(*slot),
                generation: Generation {
                    era: 0,
                    counter: *counter,
                },
            };
            let value = Instance {
                v: 1,
                run: Run(1),
                phase: *phase,
                address: ([127, 0, 0, 1], 20_000 + *slot).into(),
                since: Timestamp(0),
                pid: None,
                restarts: 0,
                local: None,
                reason: String::new(),
                retry_at: None,
            };
            world.instances.insert(key, Stored { value, modified: 1 });
        }
        (world, name)
    }

    #[track_caller]
    fn check(phases: &[(u16, u64, Phase)], expected: &[(u16, u64, Use)]) {
        let (world, name) = world(phases);
        let found: Vec<_> = wanted(&world, &name)
            .iter()
            .map(|it| (it.slot.0, it.generation.counter, it.usage))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn one_generation_of_a_slot_serves() {
        use Phase::{Exited, Failed, Running, Stopping};
        check(
            &[(0, 1, Running), (1, 1, Running)],
            &[(0, 1, Use::Serve), (1, 1, Use::Serve)],
        );
        check(&[(0, 1, Stopping), (1, 1, Exited)], &[(0, 1, Use::Drain)]);
        check(
            &[(0, 1, Running), (0, 2, Running)],
            &[(0, 1, Use::Drain), (0, 2, Use::Serve)],
        );
        check(&[(0, 1, Running), (0, 2, Failed)], &[(0, 1, Use::Serve)]);
        check(
            &[(0, 1, Stopping), (0, 2, Running)],
            &[(0, 1, Use::Drain), (0, 2, Use::Serve)],
        );
    }
}
