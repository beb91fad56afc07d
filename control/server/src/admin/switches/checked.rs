//! What is looked at before a service is moved here: at this site, and at the one that serves it now.

use super::super::answer::Refusal;
use super::super::state::Shared;
use super::there::way;
use crate::api::CheckStatus;
use crate::lead::{PeerCall, Pulled};
use http::Method;
use minato_config::{ServiceName, ServiceRecord, SiteId, Source, Timestamp};
use minato_control::operation::SwitchKind;
use minato_control::operation::switch::{
    AskedSwitch, Cause, Check, Facts, MadeSwitch, Peer, Ready, Start, Timing, checks, start,
    wanted_there,
};
use minato_control::{OperationId, World};
use std::collections::BTreeMap;
use std::time::Duration;

/// Failing checks that a refusal names.
const SHOWN: usize = 5;
/// A site that is thought dead is asked for so long.
const SILENCE: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(300);
/// How long a mirror is compared with its home.
const PULL: Duration = Duration::from_secs(2);

pub(super) fn line(service: &ServiceName, check: &Check) -> CheckStatus {
    CheckStatus {
        service: service.to_string(),
        name: check.name.to_owned(),
        met: check.is_met,
        figure: check.figure.clone(),
    }
}

/// Everything that is looked at, of every service.
pub(super) async fn look(
    shared: &Shared,
    world: &World,
    asked: &AskedSwitch,
    made: &MadeSwitch,
    now: Timestamp,
) -> Vec<(ServiceName, Check)> {
    let cause = match asked.kind {
        SwitchKind::Failover => Cause::Lost,
        SwitchKind::Switch | SwitchKind::Drill => Cause::Planned,
    };
    let services: Vec<&ServiceName> = made.operation.steps.iter().map(|it| &it.service).collect();
    let ends = shared.admin.certificates.as_ref().map(|it| it.ends());
    let ends = ends.unwrap_or_default();
    let mut heard: BTreeMap<SiteId, Old> = BTreeMap::new();
    let mut begins = Vec::new();
    for service in services {
        let Ok(begin) = start(world, &asked.to, service) else {
            continue;
        };
        if !heard.contains_key(&begin.from) {
            let old = Old::hear(shared, &begin.from, cause).await;
            heard.insert(begin.from.clone(), old);
        }
        begins.push((service, begin));
    }
    let there = |it: &(&ServiceName, Start)| {
        let states = heard.get(&it.1.from)?.peer.states.as_ref().ok()?;
        wanted_there(states, it.0).filter(|_| cause == Cause::Planned)
    };
    let with_there: Vec<_> = begins.iter().map(|it| (it.0, there(it))).collect();
    let ready = Ready::of(world, &asked.to, with_there, now);
    let mut all = Vec::new();
    for (service, begin) in begins {
        let Some(old) = heard.get(&begin.from) else {
            continue;
        };
        let peer = old.peer(world, service);
        let copy = copied(shared, world, service, &begin.from, asked.timing).await;
        let facts = Facts {
            world,
            ready: &ready,
            to: &asked.to,
            peer: &peer,
            certificates: &ends,
            copy: copy.as_ref(),
            schedule: &asked.schedule,
            cause,
            accepted: asked.accepted,
            own: OperationId(0),
            now,
        };
        let of_it = checks(&facts, service, &begin);
        all.extend(of_it.into_iter().map(|it| (service.clone(), it)));
        if let Some(text) = old.busy.get(service.as_str()) {
            let check = Check {
                name: "operations",
                is_met: false,
                figure: format!("at {}: {text}", begin.from),
            };
            all.push((service.clone(), check));
        }
    }
    all
}

/// Whether the data of a service can be copied while requests wait; `None` where no command does.
async fn copied(
    shared: &Shared,
    world: &World,
    service: &ServiceName,
    from: &SiteId,
    timing: Timing,
) -> Option<Result<String, String>> {
    let record = &world.services.get(service)?.value;
    let hook = record.service.sites.as_ref()?.sync.as_ref()?;
    let Some(copies) = &shared.admin.copies else {
        return Some(Err(format!("this machine may not run {hook}")));
    };
    let hold = Duration::from_millis(timing.hold_ms);
    Some(copies.foresee(service, hook, from, hold).await)
}

/// The site that serves now, as it answers.
struct Old {
    site: SiteId,
    peer: Peer,
    records: BTreeMap<ServiceName, ServiceRecord>,
    /// What is under way there, by service.
    busy: BTreeMap<String, String>,
}

impl Old {
    async fn hear(shared: &Shared, site: &SiteId, cause: Cause) -> Self {
        let silent = |why: String| Self {
            site: site.clone(),
            peer: Peer {
                states: Err(why),
                delay: Duration::ZERO,
                record: None,
            },
            records: BTreeMap::new(),
            busy: BTreeMap::new(),
        };
        let way = match way(shared, site) {
            Ok(way) => way,
            Err(refusal) => return silent(format!("{} ({})", refusal.error, refusal.hint)),
        };
        // One lost question makes nobody dead.
        let begin = tokio::time::Instant::now();
        let states = loop {
            match way.states(site).await {
                Err(_) if begin.elapsed() < SILENCE => tokio::time::sleep(PAUSE).await,
                states => break states,
            }
        };
        let (states, delay) = match states {
            Ok(it) => it,
            Err(why) => return silent(why),
        };
        let mut old = silent(String::new());
        (old.peer.states, old.peer.delay) = (Ok(states), delay);
        if cause == Cause::Lost {
            return old;
        }
        let pulled = tokio::time::timeout(PULL, way.pull(site, None, &[])).await;
        if let Ok(Ok(Pulled::New { services, .. })) = pulled {
            old.records = services.services;
        }
        let call = PeerCall {
            method: Method::GET,
            path: "busy".to_owned(),
            body: Vec::new(),
        };
        if let Ok(answer) = way.call(site, &call).await
            && let Ok(busy) = serde_json::from_slice(&answer.body)
        {
            old.busy = busy;
        }
        old
    }

    fn peer(&self, world: &World, service: &ServiceName) -> Peer {
        let source = world.services.get(service).map(|it| &it.value.source);
        let is_home = matches!(source, Some(Source::Mirror { home, .. }) if *home == self.site);
        Peer {
            record: self.records.get(service).filter(|_| is_home).cloned(),
            ..self.peer.clone()
        }
    }
}

/// What fails, by how much: nothing is begun.
pub(super) fn refuse(asked: &AskedSwitch, looked: &[(ServiceName, Check)]) -> Result<(), Refusal> {
    let failing: Vec<&(ServiceName, Check)> = looked.iter().filter(|it| !it.1.is_met).collect();
    if failing.is_empty() {
        return Ok(());
    }
    let shown: Vec<String> = (failing.iter().take(SHOWN))
        .map(|(service, it)| format!("{service}: {}: {}", it.name, it.figure))
        .collect();
    let more = match failing.len().saturating_sub(SHOWN) {
        0 => String::new(),
        n => format!("; and {n} more"),
    };
    Err(Refusal::refused(format!(
        "{} of {} checks fail: {}{more}",
        failing.len(),
        looked.len(),
        shown.join("; ")
    ))
    .hint(format!(
        "minato {} --to {} --dry-run shows all of them",
        asked.kind.as_str(),
        asked.to
    )))
}
