//! What the instances of each service use, as far as their agents tell, and of which nothing is known.

use super::STALE;
use crate::World;
use minato_config::{Generation, NodeId, ServiceName, SlotIndex};
use minato_health::{InstanceUsage, Phase};
use std::collections::BTreeMap;
use std::time::Instant;

/// When each node was last heard. Wall clocks of other machines say nothing here.
#[derive(Debug, Clone, Default)]
pub(super) struct Nodes(BTreeMap<NodeId, (u64, Instant)>);

impl Nodes {
    /// To be called for each world, so that a document is known to be as old as it is.
    pub(super) fn hear(&mut self, world: &World, now: Instant) {
        self.0.retain(|it, _| world.usages.contains_key(it));
        for (node, usage) in &world.usages {
            let heard = self.0.entry(node.clone()).or_insert((usage.modified, now));
            if heard.0 != usage.modified {
                *heard = (usage.modified, now);
            }
        }
    }

    fn is_fresh(&self, node: &NodeId, now: Instant) -> bool {
        let heard = self.0.get(node);
        heard.is_some_and(|(_, at)| now.saturating_duration_since(*at) < STALE)
    }
}

/// What one service uses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Used {
    /// Hundredths of what one instance is promised, over all that tell; `None`: nobody tells.
    pub(super) cpu_percent: Option<u64>,
    /// The most that one of them uses: thousandths of a processor, and bytes.
    pub(super) most: Option<(u32, u64)>,
    /// Of which instance nothing is known.
    pub(super) gap: Option<String>,
}

/// One world's usages by place.
pub(super) struct Usages<'a> {
    world: &'a World,
    by_place: BTreeMap<(&'a ServiceName, SlotIndex, Generation), &'a InstanceUsage>,
    fresh: Vec<&'a NodeId>,
}

impl<'a> Usages<'a> {
    pub(super) fn of(world: &'a World, nodes: &Nodes, now: Instant) -> Self {
        let live = world.usages.iter();
        let live =
            live.filter(|(node, _)| world.nodes.contains_key(*node) && nodes.is_fresh(node, now));
        let (mut fresh, mut by_place) = (Vec::new(), BTreeMap::new());
        for (node, told) in live {
            fresh.push(node);
            for it in &told.value.instances {
                by_place.insert((&it.service, it.slot, it.generation), it);
            }
        }
        Self {
            world,
            by_place,
            fresh,
        }
    }

    /// What the instances of a service use that should be there. `promised`: to each, thousandths of a processor.
    pub(super) fn used(&self, service: &'a ServiceName, promised: u32) -> Used {
        let mut used = Used::default();
        let (from, to) = (SlotIndex(0), SlotIndex(u16::MAX));
        let slots = self
            .world
            .slots
            .range((service.clone(), from)..=(service.clone(), to))
            .filter(|(_, slot)| !slot.value.removed);
        for ((_, n), slot) in slots {
            let slot = &slot.value;
            match self.by_place.get(&(service, *n, slot.generation)) {
                Some(it) => {
                    let percent = u64::from(it.cpu_milli) * 100 / u64::from(promised.max(1));
                    let sum = used.cpu_percent.unwrap_or(0);
                    used.cpu_percent = Some(sum.saturating_add(percent));
                    let (cpu, memory) = used.most.unwrap_or_default();
                    used.most = Some((cpu.max(it.cpu_milli), memory.max(it.memory_bytes)));
                }
                None if self.is_known_to_rest(service, *n, &slot.node, slot.generation) => {}
                None => {
                    let gap =
                        || format!("node {} does not tell what {service}/{n} uses", slot.node);
                    used.gap.get_or_insert_with(gap);
                }
            }
        }
        used
    }

    /// Nothing of it runs, and its agent is there to say so.
    fn is_known_to_rest(
        &self,
        service: &ServiceName,
        slot: SlotIndex,
        node: &NodeId,
        generation: Generation,
    ) -> bool {
        let key = crate::InstanceKey {
            node: node.clone(),
            service: service.clone(),
            slot,
            generation,
        };
        let instance = self.world.instances.get(&key);
        self.fresh.contains(&node)
            && instance.is_some_and(|it| matches!(it.value.phase, Phase::Exited | Phase::Failed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{InstanceKey, Stored};
    use minato_config::{Run, Slot, Timestamp};
    use minato_health::{Instance, NodeAlive, NodeUsage};
    use std::time::Duration;

    const SECOND: Generation = Generation { era: 1, counter: 2 };

    fn name() -> ServiceName {
        ServiceName::parse("library").unwrap()
    }

    fn node(text: &str) -> NodeId {
        NodeId::parse(text).unwrap()
    }

    fn stored<T>(value: T) -> Stored<T> {
        Stored { value, modified: 1 }
    }

    /// A slot on each of these nodes, and what the node tells of it: thousandths of a processor, by which generation.
    fn world(slots: &[(&str, Option<(u32, Generation)>)]) -> World {
        let mut world = World::default();
        for (n, (on, told)) in (0..).zip(slots) {
            let (on, n) = (node(on), SlotIndex(n));
            let slot = Slot {
                v: 1,
                node: on.clone(),
                generation: SECOND,
                digest: "d".to_owned(),
                removed: false,
                restart: None,
            };
            world.slots.insert((name(), n), stored(slot));
            let alive = NodeAlive {
                v: 1,
                since: Timestamp(0),
            };
            world.nodes.insert(on.clone(), stored(alive));
            let usage = world.usages.entry(on).or_insert_with(|| {
                stored(NodeUsage {
                    v: 1,
                    instances: Vec::new(),
                })
            });
            usage
                .value
                .instances
                .extend(told.map(|(cpu_milli, generation)| InstanceUsage {
                    service: name(),
                    slot: n,
                    generation,
                    run: Run(1),
                    cpu_milli,
                    memory_bytes: 1,
                    disk: None,
                    network: None,
                }));
        }
        world
    }

    fn rests(world: &mut World, on: &str, n: u16, phase: Phase) {
        let key = InstanceKey {
            node: node(on),
            service: name(),
            slot: SlotIndex(n),
            generation: SECOND,
        };
        let instance = Instance {
            v: 1,
            run: Run(1),
            phase,
            address: "127.0.0.1:1".parse().unwrap(),
            since: Timestamp(0),
            pid: None,
            restarts: 0,
            local: None,
            reason: String::new(),
            retry_at: None,
        };
        world.instances.insert(key, stored(instance));
    }

    #[expect(clippy::disallowed_methods, reason = "any moment to begin from")]
    fn used(world: &World, promised: u32, age: Duration) -> (Option<u64>, Option<String>) {
        let (mut nodes, now) = (Nodes::default(), Instant::now());
        nodes.hear(world, now);
        let name = name();
        let used = Usages::of(world, &nodes, now + age).used(&name, promised);
        (used.cpu_percent, used.gap)
    }

    #[test]
    fn all_that_is_told_is_added_up_as_parts_of_what_is_promised() {
        let world = world(&[("a", Some((500, SECOND))), ("b", Some((250, SECOND)))]);
        assert_eq!(used(&world, 1_000, Duration::ZERO), (Some(75), None));
        assert_eq!(used(&world, 500, Duration::ZERO), (Some(150), None));
        // Written a moment before it would be old, it is known; then nothing is.
        let almost = STALE.saturating_sub(Duration::from_secs(1));
        assert_eq!(used(&world, 500, almost), (Some(150), None));
        let (percent, gap) = used(&world, 500, STALE);
        assert_eq!(percent, None);
        assert_eq!(
            gap.as_deref(),
            Some("node a does not tell what library/0 uses")
        );
    }

    #[test]
    fn what_nobody_tells_is_a_gap_and_what_rests_is_none() {
        let first = Generation { era: 1, counter: 1 };
        for untold in [None, Some((900, first))] {
            let mut world = world(&[("a", Some((500, SECOND))), ("b", untold)]);
            let gap = Some("node b does not tell what library/1 uses".to_owned());
            assert_eq!(used(&world, 1_000, Duration::ZERO), (Some(50), gap.clone()));
            rests(&mut world, "b", 1, Phase::Running);
            assert_eq!(used(&world, 1_000, Duration::ZERO), (Some(50), gap.clone()));
            rests(&mut world, "b", 1, Phase::Failed);
            assert_eq!(used(&world, 1_000, Duration::ZERO), (Some(50), None));
            // Whoever could say that it rests is gone.
            world.nodes.remove(&node("b"));
            assert_eq!(used(&world, 1_000, Duration::ZERO), (Some(50), gap));
        }
    }
}
