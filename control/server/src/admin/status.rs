//! From the world and the gateway's view to what status shows. Pure.

mod instance;

use super::settle;
use crate::api::{
    ByHand, InstanceStatus, ReleaseStatus, RolloutStatus, Scaled, ServiceState, ServiceStatus,
};
use crate::view::{EndpointView, ServiceTraffic};
use minato_config::{Backend, Command, Released, ServiceName, ServiceRecord, Timestamp};
use minato_control::{RolloutStanding, Stored, World, release, rollout_standing, wanted};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// An instance that has not failed yet counts as on its way up for this long.
const STARTING: Duration = Duration::from_secs(15);

/// Everything that status is made from.
pub(super) struct Sources<'a> {
    pub(super) world: &'a World,
    pub(super) traffic: BTreeMap<&'a ServiceName, &'a ServiceTraffic>,
    pub(super) endpoints: &'a [EndpointView],
    pub(super) now: Timestamp,
}

impl<'a> Sources<'a> {
    pub(super) fn new(
        world: &'a World,
        traffic: &'a [ServiceTraffic],
        endpoints: &'a [EndpointView],
        now: Timestamp,
    ) -> Self {
        Self {
            world,
            traffic: traffic.iter().map(|it| (&it.service, it)).collect(),
            endpoints,
            now,
        }
    }

    /// Every service with a record or slots, or that the gateway serves; sorted by name.
    pub(super) fn services(&self) -> Vec<ServiceStatus> {
        let world = self.world;
        let slots = world.slots.keys().map(|(service, _)| service);
        let mut names: BTreeSet<&ServiceName> = world.services.keys().chain(slots).collect();
        names.extend(self.endpoints.iter().map(|it| &it.service));
        names.into_iter().map(|it| self.service(it)).collect()
    }

    /// One service.
    pub(super) fn service(&self, name: &ServiceName) -> ServiceStatus {
        let record = self.world.services.get(name).map(|it| &it.value);
        let intent = self.world.intents.get(name).map(|it| &it.value);
        let traffic = self.traffic.get(name).copied();
        let instances = self.instances(name, record);
        let draining = intent.is_some_and(|it| it.drain);
        let wanted = wanted(self.world, name);
        let up = count(&instances, is_up);
        let settled = settle::settled(self.world, name, traffic, settle::Awaited::Service);
        let state = self.state(record, draining, wanted, &instances, settled.done);
        ServiceStatus {
            name: name.to_string(),
            state,
            detail: if draining {
                settled.detail
            } else if record.is_none() && instances.iter().all(|it| it.phase == "fixed") {
                let count = instances.len();
                format!(
                    "the record of {name} vanished; the gateway goes on with {count} fixed endpoints"
                )
            } else {
                detail(record, &instances, wanted, up, settled.detail)
            },
            source: record.map_or_else(
                || "none: its record vanished".to_owned(),
                |it| it.source.to_string(),
            ),
            wanted,
            up,
            by_hand: by_hand(self.world.intents.get(name), record),
            release: release_of(self.world, name, record),
            runs: runs(self.world, name),
            rollout: rollout_of(self.world, name),
            scaled: scaled(self.world, record),
            raised: raised(self.world, record),
            draining,
            routes: routes(record),
            in_flight: traffic.map_or(0, |it| it.in_flight),
            queued: traffic.map_or(0, |it| it.queued),
            requests: traffic.map_or(0, |it| it.requests),
            gateway_errors: traffic.map_or(0, |it| it.gateway_errors),
            p50_ms: traffic.and_then(|it| it.p50_ms),
            p95_ms: traffic.and_then(|it| it.p95_ms),
            p99_ms: traffic.and_then(|it| it.p99_ms),
            instances,
        }
    }

    fn state(
        &self,
        record: Option<&ServiceRecord>,
        draining: bool,
        wanted: u16,
        instances: &[InstanceStatus],
        settled: bool,
    ) -> ServiceState {
        let up = count(instances, is_up);
        let failing = instances.iter().any(|it| self.is_failing(it));
        let suspect = instances
            .iter()
            .any(|it| is_up(it) && (it.verdict == "suspect" || !it.reason.is_empty()));
        match record {
            _ if draining => ServiceState::Draining,
            Some(record) if record.removed => ServiceState::Draining,
            None if up == 0 => ServiceState::Down,
            None => ServiceState::Degraded,
            Some(_) if up >= wanted && !failing && !suspect && settled => ServiceState::Ok,
            Some(_) if up == 0 && failing => ServiceState::Down,
            Some(_) if failing || suspect => ServiceState::Degraded,
            Some(_) => ServiceState::Settling,
        }
    }

    /// Not up, and not merely on its way there.
    fn is_failing(&self, it: &InstanceStatus) -> bool {
        match it.phase.as_str() {
            _ if it.removed || is_up(it) => false,
            "exited" | "failed" => true,
            "running" => it.restarts > 0 || self.now.since(Timestamp(it.since_ms)) >= STARTING,
            "fixed" => self.now.since(Timestamp(it.since_ms)) >= STARTING || it.requests > 0,
            _ => false,
        }
    }
}

fn is_up(it: &InstanceStatus) -> bool {
    matches!(it.phase.as_str(), "running" | "fixed")
        && matches!(it.verdict.as_str(), "up" | "suspect")
        && !it.removed
}

fn count(instances: &[InstanceStatus], which: impl Fn(&InstanceStatus) -> bool) -> u16 {
    u16::try_from(instances.iter().filter(|it| which(it)).count()).unwrap_or(u16::MAX)
}

/// Control's sentence; for fixed endpoints, of which control knows nothing, our own.
fn detail(
    record: Option<&ServiceRecord>,
    instances: &[InstanceStatus],
    wanted: u16,
    up: u16,
    settled: String,
) -> String {
    let is_fixed = record.is_some_and(|it| matches!(it.service.backend, Backend::Endpoints(_)));
    if !is_fixed {
        return settled;
    }
    let mut detail = format!("{up} of {wanted} fixed endpoints up");
    for it in instances.iter().filter(|it| !is_up(it)).take(5) {
        detail.push_str(&format!("; {} {}", it.address, it.verdict));
        if !it.reason.is_empty() {
            detail.push_str(&format!(": {}", it.reason));
        }
    }
    detail
}

fn by_hand(
    intent: Option<&Stored<minato_config::Intent>>,
    record: Option<&ServiceRecord>,
) -> Option<ByHand> {
    let intent = &intent?.value;
    Some(ByHand {
        replicas: intent.replicas?,
        who: intent.who.clone(),
        since_ms: intent.since.0,
        file_says: record?.service.replicas,
    })
}

fn release_of(
    world: &World,
    name: &ServiceName,
    record: Option<&ServiceRecord>,
) -> Option<ReleaseStatus> {
    let release = release(world, name)?;
    let Backend::Command(command) = &record?.service.backend else {
        return None;
    };
    let of_command = || {
        let program = command.argv.first().map_or("", String::as_str);
        format!("{program} ({:.8})", command.digest())
    };
    let image = command.image.as_ref().map(|it| it.reference.to_string());
    let what = match &release.what {
        Released::Image(reference) => format!("image {reference}"),
        Released::Newest(reference) => format!("newest image {reference}"),
        Released::Version(digest) => {
            let record = world.rollouts.get(name).map(|it| &it.value);
            let version = record.and_then(|it| it.versions().find(|it| it.digest == *digest));
            version.map_or_else(|| format!("version {digest:.8}"), |it| it.name())
        }
    };
    Some(ReleaseStatus {
        what,
        who: release.who.clone(),
        since_ms: release.since.0,
        file_says: image.unwrap_or_else(of_command),
    })
}

fn runs(world: &World, name: &ServiceName) -> Option<String> {
    let stable = world.rollouts.get(name)?.value.stable.as_ref()?;
    let image = stable.command.image.as_ref();
    let image = image.map(|it| it.reference.to_string());
    Some(image.unwrap_or_else(|| stable.name()))
}

fn rollout_of(world: &World, name: &ServiceName) -> Option<RolloutStatus> {
    let record = world.rollouts.get(name).map(|it| &it.value)?;
    let from = record.stable.as_ref().map(|it| it.name());
    let last = record.failed.as_ref();
    // A release by hand that failed is asked for by nobody any more, and still worth a word.
    match rollout_standing(world, name, last.and_then(|it| it.number)) {
        RolloutStanding::Going(text) => Some(RolloutStatus {
            state: "going".to_owned(),
            text,
            from,
            since_ms: record.going.as_ref().map_or(0, |it| it.since.0),
        }),
        RolloutStanding::Failed { failure, text } => Some(RolloutStatus {
            state: "failed".to_owned(),
            text,
            from,
            since_ms: failure.since.0,
        }),
        RolloutStanding::Whole | RolloutStanding::Unchanged(_) | RolloutStanding::Asked => None,
    }
}

fn scaled(world: &World, record: Option<&ServiceRecord>) -> Option<Scaled> {
    let service = &record?.service;
    let max = service.scale.as_ref()?.max;
    let stored = world.scales.get(&service.name).map(|it| &it.value);
    Some(Scaled {
        replicas: stored.map_or(wanted(world, &service.name), |it| it.replicas),
        reason: stored
            .map_or("nothing measured yet", |it| &it.reason)
            .to_owned(),
        since_ms: stored.map_or(0, |it| it.since.0),
        min: service.replicas,
        max,
    })
}

/// What each instance is given, where that is not what the file gives.
fn raised(world: &World, record: Option<&ServiceRecord>) -> Option<String> {
    let service = &record?.service;
    let Backend::Command(Command {
        image: Some(image), ..
    }) = &service.backend
    else {
        return None;
    };
    let grant = world.scales.get(&service.name)?.value.grant?;
    let given = image.granted(grant);
    if given == image.resources {
        return None;
    }
    let cpu = given.cpu_milli.map(|it| f64::from(it) / 1_000.0);
    let cpu = cpu.map(|it| format!("{it} processors"));
    let memory = given.memory_bytes.map(|it| format!("{} MiB", it >> 20));
    let both: Vec<String> = cpu.into_iter().chain(memory).collect();
    Some(both.join(", "))
}

fn routes(record: Option<&ServiceRecord>) -> Vec<String> {
    let routes = record.map(|it| it.service.routes.as_slice());
    let mut texts: Vec<String> = routes
        .unwrap_or_default()
        .iter()
        .map(|it| it.pattern.to_string())
        .collect();
    texts.sort();
    texts
}

#[cfg(test)]
mod tests;
