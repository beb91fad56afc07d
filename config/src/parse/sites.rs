//! `sites`, `standby`, `failover`, `failback`, `rto`, `rpo`, `[at.X]` and `[switch]` of a service file.

use super::document::Report;
use super::field::{Field, Given, Section};
use super::key::{Keys, nearest};
use crate::{
    AtSite, Backend, Consent, HookName, Role, Service, Settings, SiteId, Sites, Standby, Targets,
};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

/// Of `[at.X]`.
pub(super) const AT_KEYS: Keys = Keys::known(&["replicas"]);

/// Of `[switch]`.
pub(super) const SWITCH_KEYS: Keys = Keys::known(&["sync"]);

/// Keys that say nothing without `sites`.
const OF_SITES: [&str; 7] = [
    "standby", "failover", "failback", "rto", "rpo", "at", "switch",
];
/// Of `rto` and `rpo`.
const TARGET: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(30 * 86_400);
const MOST_SITES: usize = 8;
const MOST_REPLICAS: u64 = 1_000;

/// `None` where something is wrong; `Some(None)`: its own site alone.
pub(super) fn read(section: &Section<'_>, report: &mut Report<'_>) -> Option<Option<Sites>> {
    let order = section.read(report, "sites", order);
    let standby = section.read(report, "standby", |it, to| {
        let words = [
            ("active", Standby::Active),
            ("warm", Standby::Warm),
            ("cold", Standby::Cold),
        ];
        word(it, to, &words)
    });
    let consent = |it: &Field<'_>, to: &mut Report<'_>| {
        word(it, to, &[("auto", Consent::Auto), ("ask", Consent::Ask)])
    };
    let failover = section.read(report, "failover", consent);
    let failback = section.read(report, "failback", consent);
    let target = |it: &Field<'_>, to: &mut Report<'_>| it.duration(to, TARGET);
    let rto = section.read(report, "rto", target);
    let rpo = section.read(report, "rpo", target);
    let at = section.read(report, "at", |it, to| at(it, to, &order));
    let sync = section.read(report, "switch", switch);
    if let Given::Right(Some(_)) = &sync {
        let by_itself = |given: &Given<Consent>| *given == Given::Right(Consent::Auto);
        for (key, is_wrong) in [
            ("failover", by_itself(&failover)),
            ("failback", by_itself(&failback)),
        ] {
            if let (true, Some(field)) = (is_wrong, section.get(report, key)) {
                let message = "must be \"ask\" (the default with `switch.sync`): what the command copies is at one site at a time, and no other has what was written last";
                field.problem::<()>(report, message);
            }
        }
        if let (Given::Right(Standby::Active), Some(field)) =
            (&standby, section.get(report, "standby"))
        {
            let message = "must be \"warm\" or \"cold\" with `switch.sync`: only the site that has the data serves";
            field.problem::<()>(report, message);
        }
    }
    if order.is_absent() {
        for key in OF_SITES {
            if let Some(field) = section.get(report, key) {
                let message = "says nothing without `sites`, like sites = [\"tokyo\", \"osaka\"]";
                field.problem::<()>(report, message);
            }
        }
        return Some(None);
    }
    Some(Some(Sites {
        order: order.right()?,
        standby: standby.in_force(Standby::default())?,
        failover: failover.in_force(consent_of(&sync))?,
        failback: failback.in_force(consent_of(&sync))?,
        sync: sync.in_force(None)?,
        at: at.in_force(BTreeMap::new())?,
        targets: Targets {
            rto: rto.in_force(Targets::default().rto)?,
            rpo: rpo.in_force(Targets::default().rpo)?,
        },
        base: None,
    }))
}

/// Where nothing is said: what only one site has moves by a person's word alone.
fn consent_of(sync: &Given<Option<HookName>>) -> Consent {
    match sync {
        Given::Right(Some(_)) => Consent::Ask,
        _ => Consent::default(),
    }
}

fn switch(field: &Field<'_>, report: &mut Report<'_>) -> Option<Option<HookName>> {
    let section = field.section(report, "a table, written [switch]")?;
    SWITCH_KEYS.check(&section, report);
    let sync = section.read(report, "sync", |it, report| {
        let text = it.text(report, "the NAME of a [hooks.run.NAME] of minato.toml")?;
        match HookName::parse(text) {
            Ok(name) => Some(name),
            Err(error) => it.problem(report, error.to_string()),
        }
    });
    match sync {
        Given::Wrong => None,
        it => Some(it.right()),
    }
}

fn order(field: &Field<'_>, report: &mut Report<'_>) -> Option<Vec<SiteId>> {
    const FORM: &str = "a list of 1 to 8 sites, best first, like [\"tokyo\", \"osaka\"]";
    let items = field.items(report, FORM, 1..=MOST_SITES)?;
    let mut all = Vec::new();
    for item in &items {
        let Some(text) = item.text(report, "the name of a site") else {
            continue;
        };
        match SiteId::parse(text) {
            Ok(it) if all.contains(&it) => {
                item.problem::<()>(report, "stands here already; leave one of them out");
            }
            Ok(it) => all.push(it),
            Err(error) => {
                item.problem::<()>(report, error.to_string());
            }
        }
    }
    (all.len() == items.len()).then_some(all)
}

fn word<T: Copy>(field: &Field<'_>, report: &mut Report<'_>, words: &[(&str, T)]) -> Option<T> {
    let names: Vec<&str> = words.iter().map(|it| it.0).collect();
    let quoted: Vec<String> = names.iter().map(|it| format!("\"{it}\"")).collect();
    let form = format!("one of {}", quoted.join(", "));
    let text = field.text(report, &form)?;
    if let Some((_, value)) = words.iter().find(|it| it.0 == text) {
        return Some(*value);
    }
    match nearest(text, &names) {
        Some(near) => field.wrong(report, &format!("{form} (did you mean \"{near}\"?)")),
        None => field.wrong(report, &form),
    }
}

fn at(
    field: &Field<'_>,
    report: &mut Report<'_>,
    order: &Given<Vec<SiteId>>,
) -> Option<BTreeMap<SiteId, AtSite>> {
    const FORM: &str = "tables, one for each site where something differs, like [at.osaka]";
    let all = field.table(report, FORM, MOST_SITES, |name, it, report| {
        let section = it.section(report, &format!("a table, written [at.{name}]"))?;
        AT_KEYS.check(&section, report);
        let site = SiteId::parse(name).ok();
        let is_listed = match order {
            Given::Right(order) => site.as_ref().is_some_and(|it| order.contains(it)),
            Given::Absent | Given::Wrong => true,
        };
        if !is_listed {
            let message = "is none of `sites`; add it there, or leave this out";
            it.problem::<()>(report, message);
        }
        let replicas = section.read(report, "replicas", |it, to| {
            it.number(to, 1..=MOST_REPLICAS)
        });
        let replicas = match replicas {
            Given::Wrong => return None,
            it => it.right(),
        };
        Some((site?, AtSite { replicas }))
    })?;
    Some(all.into_values().collect())
}

/// See [`super::check_sites`].
pub(super) fn check(
    service: &Service,
    settings: &Settings,
    root: &Section<'_>,
    report: &mut Report<'_>,
) {
    let (Some(sites), Some(field)) = (&service.sites, root.get(report, "sites")) else {
        return;
    };
    let own = &settings.site;
    if sites.place(own).is_none() {
        let message = format!(
            "must name this site, {own}: a service file applies at the site whose folder it is in; add \"{own}\", or remove the file here"
        );
        field.problem::<()>(report, message);
    }
    let is_gateway = settings.roles.contains(&Role::Gateway);
    for other in sites.order.iter().filter(|it| *it != own && is_gateway) {
        if !settings.sites.contains_key(other) {
            let message = format!(
                "names {other}, which this gateway does not know; add [sites.{other}] with its gateways to minato.toml"
            );
            field.problem::<()>(report, message);
        }
    }
    if let (Some(sync), Some(field)) = (&sites.sync, root.get(report, "switch"))
        && settings.roles.contains(&Role::Control)
        && !settings.hooks.run.contains_key(sync)
    {
        let message = format!(
            "names the command {sync}, which this machine does not allow: the way back needs it here, too; add [hooks.run.{sync}] with its `command` to minato.toml"
        );
        field.problem::<()>(report, message);
    }
    if let (Backend::Endpoints(_), Some(field)) = (&service.backend, root.get(report, "at"))
        && sites.at.values().any(|it| it.replicas.is_some())
    {
        let message =
            "`replicas` says nothing for `endpoints`, of which each site's own file has its own";
        field.problem::<()>(report, message);
    }
}
