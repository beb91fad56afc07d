//! Images that nodes look for ahead of need: those of services that another site may move here, so that a name that means nothing, or a
//! registry that refuses, is known before. Pure.

use crate::World;
use minato_config::{Backend, Image, ServiceName};
use std::collections::BTreeMap;

/// Beyond every number that a rollout counts by.
const AHEAD: u64 = 1 << 63;

/// By service; each with the number that an answer to it carries.
pub fn images_ahead(world: &World) -> BTreeMap<&ServiceName, (u64, &Image)> {
    let services = world.services.iter().filter(|(_, it)| !it.value.removed);
    services
        .filter_map(|(name, stored)| {
            let service = &stored.value.service;
            let shared = service.sites.as_ref()?.order.len() > 1;
            let image = image(&service.backend)?;
            shared.then(|| (name, (number(image), image)))
        })
        .collect()
}

/// Whether a number is one of them.
pub fn is_ahead(number: u64) -> bool {
    number & AHEAD != 0
}

/// The image of a service of containers.
pub(crate) fn image(backend: &Backend) -> Option<&Image> {
    match backend {
        Backend::Command(command) => command.image.as_deref(),
        Backend::Endpoints(_) => None,
    }
}

/// The same for the same image, and another one for another one. FNV-1a.
pub(crate) fn number(image: &Image) -> u64 {
    let text = format!("{} {:?}", image.reference, image.pull);
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash | AHEAD
}
