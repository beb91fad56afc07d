//! What the store wants of one place.

use super::{PlaceKey, place::Place};
use crate::World;
use crate::rollout::command_of;
use minato_config::{Backend, Command, Generation, Grant, NodeId};

/// What should become of a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wish {
    /// Run this assignment. Without a command nothing new can be started: the record has moved on, or is gone.
    Run {
        generation: Generation,
        digest: String,
        command: Option<Box<Command>>,
    },
    /// End what runs, for this reason.
    Leave(String),
    /// Change nothing: the store says something it should not; the sentence is for an alarm, once.
    Keep(String),
    /// Not ours.
    Nothing,
}

pub(super) fn wish(node: &NodeId, key: &PlaceKey, place: &Place, world: &World) -> Wish {
    let (service, slot) = key;
    let Some(assigned) = world.slots.get(key).map(|it| &it.value) else {
        return if place.is_vacant() {
            Wish::Nothing
        } else {
            Wish::Keep(format!(
                "the slot document of {service}/{slot} has vanished without being marked as removed; its instance is kept"
            ))
        };
    };
    if assigned.generation < place.generation {
        return Wish::Keep(format!(
            "slot {service}/{slot} says generation {}, but {} was seen here; the lower one is refused",
            assigned.generation, place.generation
        ));
    }
    if assigned.node != *node {
        return if place.is_vacant() {
            Wish::Nothing
        } else if assigned.generation > place.generation {
            Wish::Leave(format!("moved to node {}", assigned.node))
        } else {
            Wish::Keep(format!(
                "slot {service}/{slot} names node {} without a new generation; its instance is kept here",
                assigned.node
            ))
        };
    }
    if assigned.removed {
        return Wish::Leave("removed".to_owned());
    }
    if assigned.generation > place.generation && !place.is_vacant() {
        return Wish::Leave(format!("replaced by generation {}", assigned.generation));
    }
    Wish::Run {
        generation: assigned.generation,
        digest: assigned.digest.clone(),
        command: command(key, place, world, &assigned.digest),
    }
}

/// The command that has the assignment's digest: as control knows it, else the one that this place ran before.
fn command(key: &PlaceKey, place: &Place, world: &World, digest: &str) -> Option<Box<Command>> {
    if let Some(mut command) = command_of(world, &key.0, digest) {
        if let Some(image) = &mut command.image {
            // Of a version that control remembers, as of the file's.
            image.ceiling = ceiling(key, world).unwrap_or(image.ceiling);
            image.resources = image.granted(grant(key, place, world));
        }
        return Some(Box::new(command));
    }
    place.command.clone().filter(|_| place.digest == digest)
}

/// How far the file lets control raise what its image may use.
fn ceiling(key: &PlaceKey, world: &World) -> Option<Grant> {
    match &world.services.get(&key.0)?.value.service.backend {
        Backend::Command(command) => Some(command.image.as_ref()?.ceiling),
        Backend::Endpoints(_) => None,
    }
}

/// What control gives each instance above its file. Where that is not said, or the document vanished, it keeps what it has:
/// less memory than it uses would end it.
fn grant(key: &PlaceKey, place: &Place, world: &World) -> Grant {
    let said = world.scales.get(&key.0).and_then(|it| it.value.grant);
    said.unwrap_or_else(|| {
        let has = place.command.as_ref().map(|it| it.resources());
        let has = has.unwrap_or_default();
        Grant {
            cpu_milli: has.cpu_milli,
            memory_bytes: has.memory_bytes,
        }
    })
}
