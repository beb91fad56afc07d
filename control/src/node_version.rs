//! Whether the agents of a site are of the leader's own version, as far as they say.
//!
//! An older one goes on with what it knows: its instances run, its words count. It is named, so that nobody waits for what it cannot do.
//! Not here: formats (`meta`, and what does not decode, in `control/store`).

use crate::World;
use minato_config::NodeId;
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// What a leader has told of the versions of nodes.
#[derive(Debug, Clone, Default)]
pub struct Versions {
    /// What was last told of each live node: its version then.
    told: BTreeMap<NodeId, String>,
}

/// Something to tell of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionNews {
    /// Which.
    pub node: NodeId,
    /// One sentence.
    pub text: String,
    /// What to do.
    pub hint: String,
}

impl Versions {
    /// One sentence for each live node whose agent is of another version than `own`, once for each version that it has had.
    pub fn observe(&mut self, world: &World, own: &str) -> Vec<VersionNews> {
        self.told.retain(|node, _| world.nodes.contains_key(node));
        let mut found = Vec::new();
        for node in world.nodes.keys() {
            // One that says nothing yet is about to.
            let Some(info) = world.node_infos.get(node) else {
                continue;
            };
            let its = &info.value.version;
            if self.told.get(node) == Some(its) {
                continue;
            }
            self.told.insert(node.clone(), its.clone());
            let shown = shown(its);
            let (text, hint) = match compare(its, own) {
                Ordering::Equal => continue,
                Ordering::Less => (
                    format!(
                        "the agent of node {node} is of an older version, {shown} where the leading node has {own}: it goes on, and does not do what only newer ones know"
                    ),
                    format!("install {own} on {node}, then there: minato upgrade"),
                ),
                Ordering::Greater => (
                    format!(
                        "the agent of node {node} is of a newer version, {shown} where the leading node has {own}: what only it knows is not decided here"
                    ),
                    format!("install {shown} where minato leads, then there: minato upgrade"),
                ),
            };
            found.push(VersionNews {
                node: node.clone(),
                text,
                hint,
            });
        }
        found
    }
}

/// By its numbers; what cannot be read as such is older than whatever can.
fn compare(one: &str, other: &str) -> Ordering {
    numbers(one).cmp(&numbers(other))
}

/// `0.12.3-rc.1` as 0, 12, 3.
fn numbers(text: &str) -> Option<[u64; 3]> {
    let release = text.split(['-', '+']).next()?;
    let mut parts = release.split('.').map(|it| it.parse().ok());
    let numbers = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(numbers)
}

/// On one line, and not too long: it comes from another machine.
fn shown(version: &str) -> String {
    let plain = version.chars().filter(|it| !it.is_control());
    let text: String = plain.take(32).collect();
    match text.as_str() {
        "" => "without a number".to_owned(),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Stored;
    use minato_config::Timestamp;
    use minato_health::{NodeAlive, NodeInfo};

    fn world(nodes: &[(&str, &str)]) -> World {
        let mut world = World::default();
        for (name, version) in nodes {
            let node = NodeId::parse(name).unwrap();
            let alive = NodeAlive {
                v: 1,
                since: Timestamp(0),
            };
            let info = NodeInfo {
                v: 1,
                version: (*version).to_owned(),
                cpus: 1,
                memory_bytes: 0,
                labels: Default::default(),
                overcommit: Default::default(),
            };
            let (value, modified) = (alive, 1);
            world.nodes.insert(node.clone(), Stored { value, modified });
            let value = info;
            world.node_infos.insert(node, Stored { value, modified });
        }
        world
    }

    #[test]
    fn who_is_of_another_version_is_named_once() {
        let mut versions = Versions::default();
        let first = world(&[("a", "0.10.0"), ("b", "0.9.3"), ("c", "0.10.1")]);
        let told = versions.observe(&first, "0.10.0");
        let said: Vec<&str> = told.iter().map(|it| it.text.as_str()).collect();
        assert_eq!(
            said,
            [
                "the agent of node b is of an older version, 0.9.3 where the leading node has 0.10.0: it goes on, and does not do what only newer ones know",
                "the agent of node c is of a newer version, 0.10.1 where the leading node has 0.10.0: what only it knows is not decided here",
            ]
        );
        assert_eq!(
            told[0].hint,
            "install 0.10.0 on b, then there: minato upgrade"
        );
        assert_eq!(versions.observe(&first, "0.10.0"), []);
        // Upgraded, and taken back.
        assert_eq!(versions.observe(&world(&[("b", "0.10.0")]), "0.10.0"), []);
        assert_eq!(
            versions.observe(&world(&[("b", "0.9.3")]), "0.10.0").len(),
            1
        );
        // One that was away is named again.
        assert_eq!(versions.observe(&world(&[]), "0.10.0"), []);
        assert_eq!(
            versions.observe(&world(&[("b", "0.9.3")]), "0.10.0").len(),
            1
        );
    }

    #[test]
    fn versions_are_compared_by_their_numbers() {
        for (one, other, expected) in [
            ("0.1.0", "0.1.0", Ordering::Equal),
            ("0.9.0", "0.10.0", Ordering::Less),
            ("1.0.0", "0.99.99", Ordering::Greater),
            ("0.1.0-rc.1", "0.1.0", Ordering::Equal),
            ("nonsense", "0.0.1", Ordering::Less),
            ("1.2", "0.0.1", Ordering::Less),
            ("1.2.3.4", "0.0.1", Ordering::Less),
            ("99999999999999999999.0.0", "0.0.1", Ordering::Less),
        ] {
            assert_eq!(compare(one, other), expected, "{one} {other}");
        }
    }

    #[test]
    fn what_another_machine_says_is_shown_on_one_line() {
        assert_eq!(shown("1\n2"), "12");
        assert_eq!(shown(&"9".repeat(100)).len(), 32);
        assert_eq!(shown("\n"), "without a number");
    }
}
