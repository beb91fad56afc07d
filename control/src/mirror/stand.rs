//! What a mirrored service is at this site.

use super::record::MirrorRecord;
use crate::World;
use minato_config::{
    Backend, Consent, MirrorMode, RoutePattern, Service, ServiceName, ServiceRecord, SiteId, Sites,
    Source, Standby,
};
use std::collections::BTreeMap;
use std::time::Duration;

/// A peer that was not heard for so long is unreachable to this site's leader.
pub const UNREACHABLE: Duration = Duration::from_secs(3);
/// How long one of the sites that come before must be reachable again before what was started for its absence ends. Longer than gateways take to
/// go back (60 s and its steps), so that nobody is sent to what is being stopped.
pub const COOL_DOWN: Duration = Duration::from_secs(300);

/// How a peer is heard by this site's leader, in this term.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// It answers, for so long.
    Up(Duration),
    /// It does not, for so long.
    Down(Duration),
}

impl Reach {
    fn is_gone(self) -> bool {
        matches!(self, Self::Down(it) if it >= UNREACHABLE)
    }

    fn is_back(self) -> bool {
        matches!(self, Self::Up(it) if it >= COOL_DOWN)
    }
}

/// One record to write at `services/<service>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandStep {
    /// The whole record.
    pub record: ServiceRecord,
    /// The commit that wrote what this replaces; `None`: nothing may be there.
    pub modified: Option<u64>,
    /// To tell once it is written.
    pub news: String,
}

/// What mirrored services should be here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stand {
    /// One commit each.
    pub steps: Vec<StandStep>,
    /// What a person should know, as long as it is so.
    pub alarms: Vec<(ServiceName, String)>,
}

/// Decides for every mirrored service. `reach`: every peer that is asked; one that is not there is no peer any more.
pub fn stand(world: &World, site: &SiteId, reach: &BTreeMap<SiteId, Reach>) -> Stand {
    let mut all = Stand::default();
    if world.mirrors.is_empty() {
        return all;
    }
    let mut held = Held::of(world);
    for ((home, name), mirrored) in &world.mirrors {
        let old = world.services.get(name);
        if let Some(text) = conflict(world, home, name) {
            all.alarms.push((name.clone(), text));
            continue;
        }
        let old_mode = match old.map(|it| &it.value.source) {
            Some(Source::Mirror { mode, .. }) => Some(*mode),
            _ => None,
        };
        let Some(mode) = mode(world, site, &mirrored.value, reach, old_mode) else {
            continue;
        };
        let record = ServiceRecord {
            v: 1,
            source: Source::Mirror {
                home: home.clone(),
                mode,
            },
            service: shaped(&mirrored.value.record.service, site, mode),
            removed: mirrored.value.record.removed,
        };
        if record.removed && old.is_none_or(|it| it.value.removed) {
            continue;
        }
        if let Some(text) = held.clash(home, &record) {
            all.alarms.push((name.clone(), text));
            continue;
        }
        if old.is_some_and(|it| it.value == record) {
            continue;
        }
        held.add(&record);
        let news = news(name, home, old_mode, mode, record.removed);
        all.steps.push(StandStep {
            record,
            modified: old.map(|it| it.modified),
            news,
        });
    }
    all
}

/// Who has which route here, and by which file or site.
#[derive(Default)]
struct Held(BTreeMap<RoutePattern, (ServiceName, Source)>);

impl Held {
    /// Of files before mirrors: what this site owns is its own.
    fn of(world: &World) -> Self {
        let mut held = Self::default();
        let is_own = |it: &ServiceRecord| matches!(it.source, Source::File { .. });
        let all = || world.services.values().map(|it| &it.value);
        all().filter(|it| is_own(it)).for_each(|it| held.add(it));
        all().filter(|it| !is_own(it)).for_each(|it| held.add(it));
        held
    }

    fn add(&mut self, record: &ServiceRecord) {
        let routes = record.service.routes.iter().filter(|_| !record.removed);
        for route in routes {
            let holder = || (record.service.name.clone(), record.source.clone());
            self.0.entry(route.pattern.clone()).or_insert_with(holder);
        }
    }

    /// A peer takes no visitors from a service that is here: not by a mistake, and not on purpose.
    fn clash(&self, home: &SiteId, record: &ServiceRecord) -> Option<String> {
        let name = &record.service.name;
        let mut routes = record.service.routes.iter().filter(|_| !record.removed);
        let (pattern, (holder, source)) = routes.find_map(|it| {
            let held = self.0.get(&it.pattern)?;
            (held.0 != *name).then_some((&it.pattern, held))
        })?;
        Some(format!(
            "{name} of {home} wants the route {pattern}, which is that of {holder} here ({source}): {holder} keeps it, and {name} stays as it is here; take the route out of one of the two"
        ))
    }
}

/// Names that two sites own, of which one is served here.
pub fn conflicts(world: &World) -> Vec<String> {
    let mirrors = world.mirrors.keys();
    mirrors
        .filter_map(|(home, name)| conflict(world, home, name))
        .collect()
}

fn conflict(world: &World, home: &SiteId, name: &ServiceName) -> Option<String> {
    match &world.services.get(name)?.value.source {
        Source::File { path } => Some(format!(
            "{name} is a service of this site ({path}) and of {home}: the own one is served here; rename one of them, or delete one of the files"
        )),
        Source::Mirror { home: other, .. } if other != home => Some(format!(
            "{name} is a service of {other} and of {home}: that of {other} is served here; rename one of them"
        )),
        Source::Mirror { .. } => None,
    }
}

fn news(
    name: &ServiceName,
    home: &SiteId,
    old: Option<MirrorMode>,
    mode: MirrorMode,
    removed: bool,
) -> String {
    if removed {
        return format!("{name} of {home} ends here");
    }
    match (old, mode) {
        (Some(MirrorMode::Cold), MirrorMode::Started) => {
            format!("{name} of {home} is started here: it is asked for")
        }
        (Some(MirrorMode::Started), MirrorMode::Cold) => {
            format!(
                "{name} of {home} ends here until it is asked for again: {home} has been back for long enough"
            )
        }
        (None, MirrorMode::Cold) => {
            format!("{name} of {home} is kept ready here, without instances until it is asked for")
        }
        (None, _) => format!("{name} of {home} runs here too"),
        (Some(_), _) => format!("{name} of {home} is brought in line with its home"),
    }
}

/// `None` where the home's order does not name this site.
fn mode(
    world: &World,
    site: &SiteId,
    mirrored: &MirrorRecord,
    reach: &BTreeMap<SiteId, Reach>,
    old: Option<MirrorMode>,
) -> Option<MirrorMode> {
    let sites = mirrored.record.service.sites.as_ref()?;
    let place = usize::from(sites.place(site)?);
    Some(match sites.standby {
        Standby::Active => MirrorMode::Active,
        Standby::Warm => MirrorMode::Warm,
        Standby::Cold if is_asked(world, site, mirrored, sites, place, reach) => {
            MirrorMode::Started
        }
        Standby::Cold if old == Some(MirrorMode::Started) && !are_back(sites, place, reach) => {
            MirrorMode::Started
        }
        Standby::Cold => MirrorMode::Cold,
    })
}

/// Whether a cold service should have instances here: it is about to be moved here, somebody made this site the first, or it is, or
/// nobody before it is there.
fn is_asked(
    world: &World,
    site: &SiteId,
    mirrored: &MirrorRecord,
    sites: &Sites,
    place: usize,
    reach: &BTreeMap<SiteId, Reach>,
) -> bool {
    let name = &mirrored.record.service.name;
    if crate::operation::switch::is_warmed(world, name) {
        return true;
    }
    if let Some(order) = world.orders.get(name) {
        return order.value.first == *site
            || (sites.failover == Consent::Auto && is_gone(&order.value.first, reach));
    }
    place == 0
        || (sites.failover == Consent::Auto
            && sites.order.iter().take(place).all(|it| is_gone(it, reach)))
}

/// Whether one of those that come before has been there for long enough; without a way back by itself a person ends it.
fn are_back(sites: &Sites, place: usize, reach: &BTreeMap<SiteId, Reach>) -> bool {
    let is_back = |it: &SiteId| reach.get(it).is_some_and(|it| it.is_back());
    sites.failback == Consent::Auto && sites.order.iter().take(place).any(is_back)
}

fn is_gone(site: &SiteId, reach: &BTreeMap<SiteId, Reach>) -> bool {
    reach.get(site).is_some_and(|it| it.is_gone())
}

/// The service as it is here: with this site's own figures, and without instances where none should run.
fn shaped(service: &Service, site: &SiteId, mode: MirrorMode) -> Service {
    let mut service = service.clone().at(site);
    // Fixed addresses are there in any case.
    if mode == MirrorMode::Cold && matches!(service.backend, Backend::Command(_)) {
        (service.replicas, service.scale) = (0, None);
    }
    service
}
