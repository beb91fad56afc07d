//! `GET /v1/sites` and `POST /v1/sites/{site}/release`: other sites, as all gateways of this one see them, and the end of a hold.

use super::answer::Refusal;
use super::change::{Answer, Body, caller, read};
use super::state::Shared;
use crate::api::{ChangeAnswer, ObserverStatus, ReleaseRequest, SitesStatus};
use crate::clock;
use crate::journal::emit;
use axum::Json;
use axum::extract::{Path, State};
use minato_config::{ServiceName, SiteId};
use minato_control::{Event, EventKind, ReleaseRecord, World};
use minato_control_store::Commit;
use minato_control_store::keys::Key;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Services in one word; a commit takes no more.
const MOST: usize = 100;

pub(super) async fn show(State(shared): State<Shared>) -> Json<SitesStatus> {
    let admin = &shared.admin;
    let seen = shared.look().await.ok();
    Json(SitesStatus {
        site: admin.about.site.to_string(),
        node: admin.about.node.to_string(),
        now_ms: clock::wall().0,
        links: admin.view.links(),
        observers: seen.map_or_else(Vec::new, |it| observers(&it.observed.world)),
        courses: admin.view.courses(),
        shares: admin.view.shares(),
    })
}

/// Sorted by site, then gateway. A report is under its gateway's lease: who is gone says nothing.
pub(super) fn observers(world: &World) -> Vec<ObserverStatus> {
    let all = world.links.iter();
    all.map(|((site, gateway), stored)| {
        let it = &stored.value;
        ObserverStatus {
            gateway: gateway.to_string(),
            site: site.to_string(),
            up: it.up,
            since_ms: it.since.0,
            reason: it.reason.clone(),
            delay_us: it.delay_us,
            loss_permille: it.loss_permille,
            bandwidth: it.bandwidth,
            version: it.version.clone(),
            clock_off_ms: it.clock_off_ms,
        }
    })
    .collect()
}

/// One sentence for each site of which gateways do not see the same: what is broken is on this side.
pub(super) fn disputes(world: &World) -> Vec<String> {
    let mut by_site: BTreeMap<&SiteId, (Vec<String>, Vec<String>)> = BTreeMap::new();
    for ((site, gateway), stored) in &world.links {
        let (up, down) = by_site.entry(site).or_default();
        if stored.value.up {
            up.push(gateway.to_string());
        } else {
            down.push(format!("{gateway} ({})", stored.value.reason));
        }
    }
    let disputed = by_site.into_iter();
    let disputed = disputed.filter(|(_, (up, down))| !up.is_empty() && !down.is_empty());
    disputed
        .map(|(site, (up, down))| {
            format!(
                "site {site} answers {} and not {}: look at the line of the latter",
                up.join(", "),
                down.join(", ")
            )
        })
        .collect()
}

/// Prometheus text: of each site, by how many gateways of this one it is looked at and answered.
pub(super) fn metrics(world: &World) -> String {
    let mut sites: BTreeMap<&SiteId, (usize, usize)> = BTreeMap::new();
    for ((site, _), stored) in &world.links {
        let (all, up) = sites.entry(site).or_default();
        *all += 1;
        *up += usize::from(stored.value.up);
    }
    if sites.is_empty() {
        return String::new();
    }
    let mut text = String::new();
    let mut gauge = |name: &str, help: &str, value: fn(&(usize, usize)) -> usize| {
        let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n");
        for (site, counts) in &sites {
            let _ = writeln!(text, "{name}{{site=\"{site}\"}} {}", value(counts));
        }
    };
    gauge(
        "minato_site_observers",
        "Gateways of this site that look at the other one.",
        |it| it.0,
    );
    gauge("minato_site_observers_up", "Those that it answers.", |it| {
        it.1
    });
    text
}

/// Visitors may go to a site again at once. Each gateway of this site carries it out; it is a word about this entrance only.
pub(super) async fn release(
    State(shared): State<Shared>,
    Path(site): Path<String>,
    body: Body,
) -> Answer {
    let asked: ReleaseRequest = read(body)?;
    let site = SiteId::parse(&site).map_err(|it| Refusal::bad(it.to_string()))?;
    let observed = shared.look_now().await?;
    let services = listed(&observed.world, &site, asked.service.as_deref())?;
    let who = caller(&asked.who);
    let record = ReleaseRecord {
        v: 1,
        who: who.clone(),
        since: clock::wall(),
    };
    let mut commit = Commit::default();
    for service in &services {
        let key = Key::Release(site.clone(), service.clone());
        let key = shared.admin.keys.text(&key);
        // The last word holds, whoever else writes.
        commit = commit.and_put(key, crate::document(&record)?, None);
    }
    shared.admin.store.commit(commit).await?;
    let names: Vec<&str> = services.iter().map(ServiceName::as_str).collect();
    let message = format!("visitors of {} may go to {site} again", names.join(", "));
    let event = Event::info(
        clock::wall(),
        EventKind::Link,
        format!("{message} (by {who})"),
    );
    emit(&shared.admin.events, event);
    Ok(Json(ChangeAnswer {
        message,
        undo: None,
        number: None,
    }))
}

/// Services that `site` is listed for: the one that is named, or all.
fn listed(world: &World, site: &SiteId, named: Option<&str>) -> Result<Vec<ServiceName>, Refusal> {
    let lists = |name: &ServiceName| {
        let record = world.services.get(name).filter(|it| !it.value.removed);
        let sites = record.and_then(|it| it.value.service.sites.as_ref());
        sites.is_some_and(|it| it.place(site).is_some())
    };
    let all = world.services.keys().filter(|it| lists(it));
    let found: Vec<ServiceName> = match named {
        None => all.cloned().collect(),
        Some(named) => all.filter(|it| it.as_str() == named).cloned().collect(),
    };
    if found.is_empty() {
        let what = named.map_or_else(
            || "no service".to_owned(),
            |it| format!("no service `{it:.80}` that"),
        );
        return Err(
            Refusal::refused(format!("there is {what} whose `sites` name {site}"))
                .hint("`minato site list` shows sites, `minato status` services"),
        );
    }
    if found.len() > MOST {
        return Err(Refusal::refused(format!(
            "{} services list {site}, and one word takes at most {MOST}",
            found.len()
        ))
        .hint("name one with --service"));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use minato_config::{GatewayId, Timestamp};
    use minato_control::Stored;
    use minato_health::LinkReport;

    fn world(seen: &[(&str, &str, bool)]) -> World {
        let mut world = World::default();
        for (gateway, site, up) in seen {
            let value = LinkReport {
                v: 1,
                up: *up,
                since: Timestamp(1),
                reason: if *up { "" } else { "no answer" }.to_owned(),
                delay_us: None,
                loss_permille: 0,
                bandwidth: None,
                version: String::new(),
                clock_off_ms: 0,
            };
            let key = (
                SiteId::parse(site).unwrap(),
                GatewayId::parse(gateway).unwrap(),
            );
            world.links.insert(key, Stored { value, modified: 1 });
        }
        world
    }

    #[test]
    fn only_what_gateways_see_differently_is_disputed() {
        let same = world(&[
            ("a", "osaka", false),
            ("b", "osaka", false),
            ("a", "kyoto", true),
        ]);
        assert_eq!(disputes(&same), [""; 0]);
        let split = world(&[
            ("a", "osaka", true),
            ("b", "osaka", false),
            ("a", "kyoto", true),
        ]);
        assert_eq!(
            disputes(&split),
            ["site osaka answers a and not b (no answer): look at the line of the latter"]
        );
        let text = metrics(&split);
        for line in [
            "minato_site_observers{site=\"osaka\"} 2",
            "minato_site_observers_up{site=\"osaka\"} 1",
            "minato_site_observers_up{site=\"kyoto\"} 1",
        ] {
            assert!(text.lines().any(|it| it == line), "{line} in {text}");
        }
        assert_eq!(metrics(&World::default()), "");
    }
}
