//! A peer's answer against what is known of its services.

use super::record::{MirrorRecord, SharedServices};
use crate::{Stored, World};
use minato_config::{ServiceName, ServiceRecord, SiteId, Sites, Source, Timestamp};
use std::collections::BTreeMap;

/// Names in one sentence.
const SHOWN: usize = 10;
/// Services of one peer that are mirrored.
const MOST: usize = 10_000;

/// One document to write, or to delete where there is no record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MirrorStep {
    /// Whose.
    pub home: SiteId,
    /// Which.
    pub service: ServiceName,
    /// What it should be; `None`: nobody needs it any more.
    pub record: Option<MirrorRecord>,
    /// The commit that wrote what this replaces; `None`: nothing may be there.
    pub modified: Option<u64>,
    /// To tell once it is written.
    pub news: String,
}

/// What an answer leads to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Taken {
    /// One commit each.
    pub steps: Vec<MirrorStep>,
    /// What a person should know, as long as it is so.
    pub alarms: Vec<String>,
    /// What is kept of that site and does not stand in the answer: it is to be asked about, since a site tells nobody of services that
    /// are none of theirs.
    pub missing: Vec<ServiceName>,
}

/// What the answer of `home` changes for `site`.
///
/// A service ends here only where its home says so: by a record that is `removed`, or by listing it as not shared with this site.
/// One that is missing from the answer stays, and is an alarm: it may have been deleted while the link was down, or the peer may
/// have lost its store.
pub fn take(
    home: &SiteId,
    site: &SiteId,
    answer: &SharedServices,
    world: &World,
    now: Timestamp,
) -> Taken {
    let known = known(home, world);
    let mut taken = Taken::default();
    for (service, record) in answer.services.iter().take(MOST) {
        if !is_shared(home, service, record, site) {
            continue;
        }
        let old = known.get(service);
        if old.is_some_and(|it| it.value.record == *record) {
            continue;
        }
        let news = match old {
            None => format!("{service} of {home} is mirrored here"),
            Some(_) if record.removed => format!("{service} ends, as {home} says"),
            Some(_) => format!("{service} changed at {home}, and so here"),
        };
        if old.is_none() && record.removed {
            continue;
        }
        taken.steps.push(MirrorStep {
            home: home.clone(),
            service: service.clone(),
            record: Some(MirrorRecord {
                v: 1,
                home: home.clone(),
                record: record.clone(),
                since: now,
            }),
            modified: old.map(|it| it.modified),
            news,
        });
    }
    if answer.services.len() > MOST {
        taken.alarms.push(format!(
            "{home} shares {} services with this site, and {MOST} are mirrored at most",
            answer.services.len()
        ));
    }
    let mut vanished = Vec::new();
    for (service, old) in known {
        let is_said = answer.services.contains_key(service)
            || answer.undecodable.contains_key(service)
            || answer.refused.contains_key(service);
        if is_said {
            continue;
        }
        let is_over = old.value.record.removed;
        if !is_over {
            taken.missing.push(service.clone());
        }
        if is_over || answer.elsewhere.contains(service) {
            let why = format!("{service} is no longer shared with this site, as {home} says");
            taken.steps.extend(end(world, service, old, now, why));
        } else if answer.asked.contains(service) {
            vanished.push(service.as_str());
        }
    }
    taken.alarms.extend(vanished_text(home, &vanished));
    for (service, why) in answer.refused.iter().take(SHOWN) {
        taken.alarms.push(format!(
            "{service} of {home} is refused, and its last good state stays here: {why}; correct it at {home}"
        ));
    }
    for (service, why) in answer.undecodable.iter().take(SHOWN) {
        taken.alarms.push(format!(
            "{service} of {home} is not understood, and its last good state stays here: {why}; bring both sites to the same version of minato"
        ));
    }
    taken
}

/// Ends what is kept of `home`, whatever that says: nothing of it is to run here.
pub fn refuse(home: &SiteId, world: &World, now: Timestamp) -> Taken {
    let known = known(home, world).into_iter();
    let steps = known.filter_map(|(service, old)| {
        let why = format!("{service} of {home} ends here: [sites.{home}] says mirror = false");
        end(world, service, old, now, why)
    });
    Taken {
        steps: steps.collect(),
        ..Taken::default()
    }
}

type Kept<'w> = &'w Stored<MirrorRecord>;

fn known<'w>(home: &SiteId, world: &'w World) -> BTreeMap<&'w ServiceName, Kept<'w>> {
    let mirrors = world.mirrors.iter();
    let of_home = mirrors.filter(|((of, _), _)| of == home);
    of_home.map(|((_, service), it)| (service, it)).collect()
}

/// What ends it: first by a record that is `removed`, then, once nothing of it is here, by none. `None` while its instances are on their
/// way out.
fn end(
    world: &World,
    service: &ServiceName,
    old: Kept<'_>,
    now: Timestamp,
    why: String,
) -> Option<MirrorStep> {
    let MirrorRecord { home, record, .. } = &old.value;
    let is_here = world.services.get(service).is_some_and(
        |it| matches!(&it.value.source, Source::Mirror { home: of, .. } if of == home),
    );
    let (record, news) = if !record.removed {
        let record = ServiceRecord {
            removed: true,
            ..record.clone()
        };
        let mirrored = MirrorRecord {
            record,
            since: now,
            ..old.value.clone()
        };
        (Some(mirrored), why)
    } else if is_here {
        return None;
    } else {
        (None, format!("nothing is left here of {service} of {home}"))
    };
    Some(MirrorStep {
        home: home.clone(),
        service: service.clone(),
        record,
        modified: Some(old.modified),
        news,
    })
}

/// The peer says so, but its own record decides: it must be one of its own files, whose order names both sites.
fn is_shared(home: &SiteId, service: &ServiceName, record: &ServiceRecord, site: &SiteId) -> bool {
    let names = |it: &Sites| it.place(home).is_some() && it.place(site).is_some();
    record.service.name == *service
        && matches!(record.source, Source::File { .. })
        && record.service.sites.as_deref().is_some_and(names)
}

fn vanished_text(home: &SiteId, services: &[&str]) -> Option<String> {
    if services.is_empty() {
        return None;
    }
    let named = services
        .iter()
        .take(SHOWN)
        .copied()
        .collect::<Vec<_>>()
        .join(", ");
    let more = if services.len() > SHOWN { ", ..." } else { "" };
    Some(format!(
        "{home} no longer knows {named}{more}, and did not say that it ended: nothing is stopped here; have {home} put its file back, or, to end it here, put it back with sites = [\"{home}\"] and delete it after that"
    ))
}
