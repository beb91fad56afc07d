//! Whether each service that several sites serve would be back in time today, if its first site failed: what was measured last, what is to be
//! expected, and what was asked. Pure.
//!
//! Not here: measuring (`health::recovery`), showing (`control/server`).

use crate::World;
use minato_config::{Consent, NEVER_COPIED, ServiceName, SiteId, Sites, Standby, Timestamp};
use minato_health::recovery::{Recovery, RecoveryKind};
use minato_health::site::LEAVE_GONE;
use std::time::Duration;

/// Nobody has seen for so long that it works: that counts as not known to work.
pub const PROOF: Duration = Duration::from_secs(365 * 86_400);
/// Records of several gateways that began within this time are of one event.
const SAME: u64 = 60_000;
/// From the decision to the first answer over links, beside what a start takes.
const TAKE_OVER: Duration = Duration::from_secs(1);

/// One service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoveryReport {
    /// Which.
    pub service: ServiceName,
    /// Target of time.
    pub rto: Duration,
    /// Target of data.
    pub rpo: Duration,
    /// The last time that a site failed, was left by a person's word, or was tried: the worst figures of all gateways.
    pub last: Option<Recovery>,
    /// The last time that visitors came back.
    pub returned: Option<Recovery>,
    /// Events that are remembered, over all gateways.
    pub events: usize,
    /// Until visitors would be served again, if the first site failed now; `None`: nobody knows, or a person has to decide.
    pub predicted: Option<Duration>,
    /// Since when nobody has seen that it works; `None`: nobody has looked yet.
    pub unproven_since: Option<Timestamp>,
    /// Why a target would not be met; empty when all would.
    pub missed: Vec<String>,
}

impl RecoveryReport {
    /// What was measured last: until another site answered, or, where nobody came, until they were sent there.
    pub fn measured(&self) -> Option<Duration> {
        let last = self.last.as_ref()?;
        last.first_ms.or(last.decide_ms).map(Duration::from_millis)
    }

    /// How old the data was then, where something measured it.
    pub fn data_age(&self) -> Option<Duration> {
        self.last.as_ref()?.data_age_ms.map(Duration::from_millis)
    }
}

/// Of every service with more than one site, by name.
pub fn recovery_reports(world: &World, now: Timestamp) -> Vec<RecoveryReport> {
    let services = world.services.iter().filter(|(_, it)| !it.value.removed);
    services
        .filter_map(|(name, stored)| {
            let sites = stored.value.service.sites.as_ref()?;
            (sites.order.len() > 1).then(|| report(world, name, sites, now))
        })
        .collect()
}

fn report(world: &World, name: &ServiceName, sites: &Sites, now: Timestamp) -> RecoveryReport {
    let logs: Vec<_> = world
        .recoveries
        .iter()
        .filter(|((service, _), _)| service == name)
        .map(|(_, it)| &it.value)
        .collect();
    let all: Vec<&Recovery> = logs.iter().flat_map(|it| &it.events).collect();
    let last = worst_of_last(&all, RecoveryKind::is_proof);
    let returned = worst_of_last(&all, |it| it == RecoveryKind::Return);
    let looked = logs.iter().map(|it| it.since).min();
    let mut report = RecoveryReport {
        service: name.clone(),
        rto: sites.targets.rto,
        rpo: sites.targets.rpo,
        unproven_since: last.as_ref().map(|it| it.at).or(looked),
        predicted: predicted(sites, last.as_ref()),
        events: all.len(),
        last,
        returned,
        missed: Vec::new(),
    };
    report.missed = missed(&report, sites, now);
    report
}

/// The last event of a kind; of what several gateways say of it the worst.
fn worst_of_last(all: &[&Recovery], is: impl Fn(RecoveryKind) -> bool) -> Option<Recovery> {
    let of_kind = || all.iter().filter(|it| is(it.kind));
    let newest = of_kind().max_by_key(|it| it.at)?;
    let same =
        of_kind().filter(|it| it.kind == newest.kind && newest.at.0.saturating_sub(it.at.0) < SAME);
    let mut worst = Recovery::clone(newest);
    for it in same {
        worst.at = worst.at.min(it.at);
        worst.detect_ms = worst.detect_ms.max(it.detect_ms);
        worst.decide_ms = worst.decide_ms.max(it.decide_ms);
        worst.start_ms = worst.start_ms.max(it.start_ms);
        worst.first_ms = worst.first_ms.max(it.first_ms);
        worst.data_age_ms = worst.data_age_ms.max(it.data_age_ms);
        if !std::ptr::eq(*it, *newest) {
            worst.errors = worst.errors.saturating_add(it.errors);
        }
    }
    Some(worst)
}

/// By the rules of leaving a site, and for a cold one by what its start took last.
fn predicted(sites: &Sites, last: Option<&Recovery>) -> Option<Duration> {
    if sites.failover == Consent::Ask {
        return None;
    }
    let start = match sites.standby {
        Standby::Active | Standby::Warm => Duration::ZERO,
        Standby::Cold => {
            let last = last?;
            let started = last.start_ms?.saturating_sub(last.detect_ms);
            Duration::from_millis(started)
        }
    };
    Some(LEAVE_GONE + start + TAKE_OVER)
}

fn missed(report: &RecoveryReport, sites: &Sites, now: Timestamp) -> Vec<String> {
    let mut missed = Vec::new();
    let rto = report.rto;
    if let Some(it) = report.measured().filter(|it| *it > rto) {
        missed.push(format!(
            "the last time it took {} until visitors were served, and {} are asked for",
            seconds(it),
            seconds(rto)
        ));
    }
    if let Some(it) = report.predicted.filter(|it| *it > rto) {
        missed.push(format!(
            "it would take {} until visitors are served, and {} are asked for",
            seconds(it),
            seconds(rto)
        ));
    }
    let data = report.last.as_ref().and_then(|it| it.data_age_ms);
    if data == Some(NEVER_COPIED) {
        missed.push("nothing had ever been copied to where it was moved to".to_owned());
    } else if let Some(it) = report.data_age().filter(|it| *it > report.rpo) {
        missed.push(format!(
            "the data was {} old the last time, and at most {} are asked for",
            seconds(it),
            seconds(report.rpo)
        ));
    }
    let first: Option<&SiteId> = sites.order.first();
    if report
        .unproven_since
        .is_some_and(|it| now.since(it) > PROOF)
    {
        missed.push(format!(
            "nobody has seen for a year that it goes on without {}",
            first.map_or("its first site", SiteId::as_str)
        ));
    }
    missed
}

/// `4.2 s`
fn seconds(it: Duration) -> String {
    format!("{:.1} s", it.as_secs_f64())
}

#[cfg(test)]
#[path = "recovery_tests.rs"]
mod tests;
