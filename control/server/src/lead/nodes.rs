//! What a leader knows of nodes in its term: who is there, who is given up, whose clock is wrong, whose version is another. Pure.
//!
//! Not here: when a node is given up (`control::plan`), what follows from that (the plan).

use minato_config::{NodeId, Timestamp};
use minato_control::{Absences, Clocks, Event, EventKind, Losses, Patience, Versions, World};
use std::collections::BTreeSet;
use std::time::Duration;

/// See the module.
#[derive(Default)]
pub(super) struct Nodes {
    absences: Absences,
    clocks: Clocks,
    versions: Versions,
    /// Given up, and not back.
    lost: BTreeSet<NodeId>,
}

impl Nodes {
    /// Takes in who is there. `office`: how long this leader has led. Each event is returned once, when it happens.
    pub(super) fn look(
        &mut self,
        world: &World,
        office: Duration,
        patience: Patience,
        now: Timestamp,
    ) -> (Losses, Vec<Event>) {
        self.absences.observe(world, office);
        let losses = self.absences.judge(world, office, patience);
        let mut events = self.moved(world, &losses, now);
        let wrong = self.clocks.observe(world, now).into_iter();
        events.extend(wrong.map(|(node, text)| {
            let hint = format!("on {node}: timedatectl");
            Event::warn(now, EventKind::Alarm, text).hint(hint)
        }));
        let others = self.versions.observe(world, env!("CARGO_PKG_VERSION"));
        let others = others.into_iter();
        events.extend(others.map(|it| Event::warn(now, EventKind::Node, it.text).hint(it.hint)));
        (losses, events)
    }

    /// Who was given up since the last look, and who is back.
    fn moved(&mut self, world: &World, losses: &Losses, now: Timestamp) -> Vec<Event> {
        let mut events = Vec::new();
        for node in losses.lost.difference(&self.lost) {
            let text = format!("node {node} is lost: what it had goes to other nodes");
            let event = Event::warn(now, EventKind::Node, text);
            events.push(event.hint("minato node list"));
        }
        self.lost.extend(losses.lost.iter().cloned());
        self.lost.retain(|node| {
            let is_back = world.nodes.contains_key(node);
            if is_back {
                let text = format!(
                    "node {node} is back: it takes new instances, and nothing that runs elsewhere moves to it by itself"
                );
                let event = Event::info(now, EventKind::Node, text);
                events.push(event.hint("minato rebalance"));
            }
            !is_back
        });
        events
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use minato_control::Stored;
    use minato_health::NodeAlive;

    #[test]
    fn a_node_that_is_given_up_is_told_of_once_and_so_is_its_return() {
        let now = Timestamp(5);
        let node = NodeId::parse("one").expect("a name");
        let lost = Losses {
            lost: BTreeSet::from([node.clone()]),
            ..Losses::default()
        };
        let mut there = World::default();
        let value = NodeAlive { v: 1, since: now };
        there.nodes.insert(node, Stored { value, modified: 1 });
        let (gone, none) = (World::default(), Losses::default());
        let mut nodes = Nodes::default();
        let mut told = |world, losses| {
            let events = nodes.moved(world, losses, now);
            let words = events.iter().map(|it| it.message.split([':', ';']).next());
            words.flatten().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(told(&gone, &lost), ["node one is lost"]);
        assert!(told(&gone, &lost).is_empty());
        assert_eq!(told(&there, &none), ["node one is back"]);
        assert!(told(&there, &none).is_empty());
        assert_eq!(told(&gone, &lost), ["node one is lost"]);
    }
}
