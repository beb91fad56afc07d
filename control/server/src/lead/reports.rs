//! What nodes said of images and nobody takes back, since they are gone: deleted once they have been gone for long. Pure.
//!
//! Not here: what a node that lives says (`agent`), when a node is given up (`nodes`).

use super::transaction::{Transaction, unchanged};
use minato_config::{NodeId, ServiceName};
use minato_control::World;
use minato_control_store::StoreError;
use minato_control_store::keys::{Key, Keys};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Gone for so long, as this leader has seen it. A machine that begins anew says the same again until then.
const PATIENCE: Duration = Duration::from_secs(600);
/// Deleted in one commit; the rest goes with the next look.
const MOST: usize = 100;

/// Nodes that said something and are gone, and since when in office.
#[derive(Debug, Default)]
pub(super) struct Reports {
    gone: BTreeMap<NodeId, Duration>,
}

impl Reports {
    /// What is to be deleted now. `office`: how long this leader has led.
    pub(super) fn turn(
        &mut self,
        world: &World,
        office: Duration,
    ) -> Vec<(NodeId, Vec<ServiceName>)> {
        let nodes: BTreeSet<&NodeId> = world.images.keys().map(|(node, _)| node).collect();
        let gone = |it: &NodeId| nodes.contains(it) && !world.nodes.contains_key(it);
        self.gone.retain(|it, _| gone(it));
        let mut left = Vec::new();
        for node in nodes.iter().filter(|it| gone(it)) {
            let since = *self.gone.entry((*node).clone()).or_insert(office);
            if office.saturating_sub(since) >= PATIENCE {
                let all = world.images.keys().filter(|(it, _)| it == *node);
                let services = all.map(|(_, service)| service.clone()).take(MOST);
                left.push(((*node).clone(), services.collect()));
            }
        }
        left
    }
}

/// As long as the node is not back.
pub(super) fn transaction(
    node: &NodeId,
    services: &[ServiceName],
    keys: &Keys,
) -> Result<Transaction, StoreError> {
    let alive = keys.text(&Key::NodeAlive(node.clone()));
    let mut commit = unchanged(&[], &alive, None, keys);
    for service in services {
        commit = commit.and_delete(keys.text(&Key::Image(node.clone(), service.clone())));
    }
    Ok(Transaction {
        commit,
        events: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use minato_config::{SiteId, Timestamp};
    use minato_control::{ImageReport, ImageState, Stored};
    use minato_health::NodeAlive;

    fn stored<T>(value: T) -> Stored<T> {
        Stored { value, modified: 1 }
    }

    fn node(text: &str) -> NodeId {
        NodeId::parse(text).unwrap()
    }

    fn world(alive: &[&str]) -> World {
        let mut world = World::default();
        for name in ["a", "b"] {
            for n in 0..2 {
                let service = ServiceName::parse(&format!("s{n}")).unwrap();
                let report = ImageReport {
                    v: 1,
                    fetch: 7,
                    state: ImageState::Fetching,
                    freshness: Default::default(),
                    runs: Default::default(),
                    registry: None,
                    unknown: String::new(),
                    since: Timestamp(5),
                };
                world.images.insert((node(name), service), stored(report));
            }
        }
        for name in alive {
            let since = Timestamp(5);
            world
                .nodes
                .insert(node(name), stored(NodeAlive { v: 1, since }));
        }
        world
    }

    #[test]
    fn what_a_node_said_goes_once_it_has_been_gone_for_long() {
        let mut reports = Reports::default();
        for (alive, minute, expected) in [
            (&["a", "b"][..], 0, ""),
            (&["a"], 1, ""),
            (&["a"], 10, ""),
            // It was back meanwhile.
            (&["a", "b"], 10, ""),
            (&["a"], 11, ""),
            (&["a"], 20, ""),
            (&["a"], 21, "b"),
            (&["a"], 22, "b"),
            (&["b"], 23, ""),
            (&[], 33, "a"),
            (&[], 43, "ab"),
        ] {
            let turn = reports.turn(&world(alive), Duration::from_secs(minute * 60));
            let names: String = turn.iter().map(|(node, _)| node.as_str()).collect();
            assert_eq!(names, expected, "minute {minute}");
            assert!(turn.iter().all(|(_, services)| services.len() == 2));
        }
        // What is deleted is not asked for again.
        assert!(reports.turn(&World::default(), PATIENCE * 9).is_empty());
        assert!(reports.gone.is_empty());
    }

    #[test]
    fn it_is_deleted_unless_the_node_is_back() {
        let keys = Keys::new(&SiteId::parse("tokyo").unwrap());
        let services = [ServiceName::parse("s0").unwrap()];
        let it = transaction(&node("a"), &services, &keys).unwrap();
        let (compare, write) = (
            format!("{:?}", it.commit.compare),
            format!("{:?}", it.commit.write),
        );
        assert!(compare.contains("Absent") && compare.contains("nodes/a/alive"));
        assert!(write.contains("Delete") && write.contains("images/a/s0"));
        assert_eq!(it.commit.write.len(), 1);
    }
}
