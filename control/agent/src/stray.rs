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
