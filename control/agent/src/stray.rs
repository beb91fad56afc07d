//! What may become of something that an agent began and no agent knows any more. Pure.
//!
//! It ends only where a document says that it must, or where a newer run of its place lives: a document that is missing is an
//! accident, and says nothing.

use crate::runtime::Stray;
use minato_config::NodeId;
use minato_control::{RunName, World};

/// Why it may be removed; `None`: it is left alone. `lives`: the run that lives at its place on this node.
pub(crate) fn verdict(
    stray: &Stray,
    lives: Option<RunName>,
    node: &NodeId,
    world: &World,
) -> Option<String> {
    let run = &stray.run;
    if let Some(newer) = lives.filter(|it| it > run) {
        return Some(format!("the newer run {newer} lives"));
    }
    let place = (run.service.clone(), run.slot);
    if let Some(slot) = world.slots.get(&place).map(|it| &it.value) {
        if slot.generation < run.generation {
            return None;
        }
        if slot.removed {
            return Some("its slot is removed".to_owned());
        }
        if slot.node != *node && slot.generation > run.generation {
            return Some(format!("its slot is on node {}", slot.node));
        }
        if slot.generation > run.generation && !stray.lives {
            return Some(format!("its slot is at generation {}", slot.generation));
        }
        return None;
    }
    let removed = world
        .services
        .get(&run.service)
        .is_some_and(|it| it.value.removed);
    removed.then(|| "its service is removed".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use minato_config::{Generation, Run, ServiceName, Slot, SlotIndex};
    use minato_control::Stored;

    fn run(counter: u64, run: u64) -> RunName {
        RunName {
            service: ServiceName::parse("library").unwrap(),
            slot: SlotIndex(0),
            generation: Generation { era: 0, counter },
            run: Run(run),
        }
    }

    /// The slot's document as `node generation`, with `removed` after it where it is; empty where there is none.
    fn world(slot: &str) -> World {
        let mut world = World::default();
        let mut words = slot.split_whitespace();
        if let (Some(node), Some(counter)) = (words.next(), words.next()) {
            let value = Slot {
                v: 1,
                node: NodeId::parse(node).unwrap(),
                generation: Generation {
                    era: 0,
                    counter: counter.parse().unwrap(),
                },
                digest: String::new(),
                restart: None,
                removed: words.next() == Some("removed"),
            };
            let place = (ServiceName::parse("library").unwrap(), SlotIndex(0));
            world.slots.insert(place, Stored { value, modified: 1 });
        }
        world
    }

    /// A stray of generation 5, run 2.
    #[track_caller]
    fn check(lives: bool, other: Option<RunName>, slot: &str, expected: Option<&str>) {
        let stray = Stray {
            run: run(5, 2),
            lives,
        };
        let node = NodeId::parse("here").unwrap();
        let got = verdict(&stray, other, &node, &world(slot));
        assert_eq!(got.as_deref(), expected, "{slot}");
    }

    #[test]
    fn only_what_a_document_or_a_newer_run_ends() {
        check(true, None, "", None);
        check(false, None, "", None);
        check(true, None, "here 5", None);
        check(true, None, "here 4", None);
        check(true, None, "here 4 removed", None);
        check(true, None, "there 5", None);
        check(true, None, "here 6", None);
        check(false, None, "here 6", Some("its slot is at generation 0.6"));
        check(true, None, "there 6", Some("its slot is on node there"));
        check(true, None, "here 5 removed", Some("its slot is removed"));
        check(
            true,
            Some(run(5, 3)),
            "here 5",
            Some("the newer run library.0.0.5.3 lives"),
        );
        check(
            true,
            Some(run(6, 1)),
            "",
            Some("the newer run library.0.0.6.1 lives"),
        );
        check(true, Some(run(5, 1)), "here 5", None);
    }
}
