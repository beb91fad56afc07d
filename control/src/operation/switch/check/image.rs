//! Images, by what the machines here have found out ahead. Only a no that is certain hinders: an engine that restarts, or a registry that
//! is away, must not keep a service from moving.

use super::{Check, Facts, met, unmet};
use crate::operation::switch::seen::up_and_wanted;
use crate::rollout::{self, ImageState};
use minato_config::ServiceName;

/// Whether what its containers are made of can be had, by what the machines have found out ahead.
pub(super) fn image(facts: &Facts<'_>, service: &ServiceName) -> Option<Check> {
    let record = facts.ready.world.services.get(service)?;
    let image = rollout::image(&record.value.service.backend)?;
    let (number, reference) = (rollout::number(image), &image.reference);
    let world = facts.world;
    let (mut here, mut away, mut without) = (0, 0, 0);
    let (mut failed, mut unknown) = (None, None);
    for node in world.nodes.keys() {
        let report = world.images.get(&(node.clone(), service.clone()));
        let report = report.map(|it| &it.value).filter(|it| it.fetch == number);
        if let Some(why) = report.map(|it| &it.unknown).filter(|it| !it.is_empty()) {
            unknown = Some(format!("{node}: {why}"));
            continue;
        }
        if report.is_some_and(|it| it.registry.is_some()) {
            away += 1;
            continue;
        }
        match report.map(|it| &it.state) {
            Some(ImageState::Here { .. }) => here += 1,
            Some(ImageState::NoEngine) => without += 1,
            Some(ImageState::Failed(why)) => failed = Some(format!("{node}: {why}")),
            Some(ImageState::Fetching) | None => {}
        }
    }
    let all = world.nodes.len();
    let found = format!(
        "{reference}: {here} of {all} machines have it, {away} can have it from its registry"
    );
    let may_be_had = unknown.is_some();
    let why = failed.into_iter().chain(unknown).collect::<Vec<_>>();
    let why = why.join("; ");
    Some(match (here + away > 0, up_and_wanted(world, service).0) {
        (true, _) if why.is_empty() => met("image", found),
        (true, _) => met("image", format!("{found}; {why}")),
        // What runs serves, whatever has become of what it was made of.
        (false, up @ 1..) if why.is_empty() => {
            met("image", format!("{up} instances of it run here"))
        }
        (false, up @ 1..) => met("image", format!("{up} instances of it run here; {why}")),
        (false, 0) if may_be_had => met("image", format!("unknown: {reference}: {why}")),
        (false, 0) if !why.is_empty() => unmet(
            "image",
            format!(
                "{reference} cannot be had at {}: {why}; machines look again every 10 to 20 s",
                facts.to
            ),
        ),
        (false, 0) if all > 0 && without == all => unmet(
            "image",
            format!(
                "{reference}: no machine of {} runs containers: runtime = \"docker\" in [agent] of its minato.toml",
                facts.to
            ),
        ),
        // Older machines never say it, and others begin only then.
        (false, 0) => met(
            "image",
            format!(
                "unknown: no machine of {} has said whether it can have {reference}",
                facts.to
            ),
        ),
    })
}
