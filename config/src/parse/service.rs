//! A service file as a whole.

use super::document::Report;
use super::field::Section;
use super::key::Keys;
use super::replicas::{self, Replicas};
use super::{backend, dependency, health, image, label, limit, route, sites, update, upstream};
use crate::{Limits, Salvaged, Service, ServiceName, Timeouts, UpdatePolicy};
use std::collections::{BTreeMap, BTreeSet};

/// Of a service file.
pub(super) const KEYS: Keys = Keys {
    known: &[
        "command",
        "image",
        "endpoints",
        "port",
        "replicas",
        "routes",
        "route",
        "health",
        "protocol",
        "tls",
        "limits",
        "timeouts",
        "retries",
        "nodes",
        "update",
        "depends_on",
        "env",
        "directory",
        "stop",
        "network",
        "pull",
        "init",
        "user",
        "secrets",
        "volumes",
        "resources",
        "sites",
        "standby",
        "failover",
        "failback",
        "rto",
        "rpo",
        "at",
        "switch",
    ],
    later: &[],
    below: &[
        ("health", &health::KEYS),
        ("tls", &upstream::TLS_KEYS),
        ("limits", &limit::LIMIT_KEYS),
        ("timeouts", &limit::TIMEOUT_KEYS),
        ("stop", &backend::STOP_KEYS),
        ("resources", &image::RESOURCE_KEYS),
        ("replicas", &replicas::KEYS),
        ("update", &update::KEYS),
        ("switch", &sites::SWITCH_KEYS),
        ("[[route]]", &route::KEYS),
    ],
};

/// The service, where every part of it could be read, and what could be read in any case, without the problems.
pub(super) fn read(
    name: &ServiceName,
    section: &Section<'_>,
    report: &mut Report<'_>,
) -> (Option<Service>, Salvaged) {
    KEYS.check(section, report);
    let backend = backend::read(section, report);
    let mut routes: Vec<_> = route::read(section, report)
        .into_iter()
        .map(|it| it.route)
        .collect();
    routes.sort_by(|one, other| one.pattern.cmp(&other.pattern));
    let health = section.read(report, "health", health::read);
    let upstream = upstream::read(section, report);
    let limits = section.read(report, "limits", limit::limits);
    let timeouts = section.read(report, "timeouts", limit::timeouts);
    let retries = section.read(report, "retries", |it, to| it.number::<u8>(to, 0..=3));
    let nodes = section.read(report, "nodes", label::read);
    let update = section.read(report, "update", update::read);
    let depends_on = section.read(report, "depends_on", dependency::names);
    let sites = sites::read(section, report);
    let salvaged = Salvaged {
        problems: Vec::new(),
        name: name.clone(),
        routes: routes.clone(),
        port: backend.port,
        endpoints: backend.endpoints,
    };
    let whole = || {
        let (backend, Replicas { least, scale }) = backend.whole?;
        Some(Service {
            name: name.clone(),
            backend,
            replicas: least,
            scale,
            routes,
            health: health.in_force(health::default())?,
            upstream: upstream?,
            limits: limits.in_force(Limits::default())?,
            timeouts: timeouts.in_force(Timeouts::default())?,
            retries: retries.in_force(1)?,
            nodes: nodes.in_force(BTreeMap::new())?,
            update: update.in_force(UpdatePolicy::default())?,
            depends_on: depends_on.in_force(BTreeSet::new())?,
            sites: sites?.map(Box::new),
        })
    };
    (whole(), salvaged)
}
