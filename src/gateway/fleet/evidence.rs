//! The half of the fleet that hears how endpoints do: from their monitors, and from real traffic.
//!
//! Not here: what makes a verdict (`health`), what becomes of the table (`health_loop`).

use super::super::member::{Member, WatchKey};
use super::Fleet;
use crate::clock;
use minato_health::{Allowance, Ejection, Failure, Layer, Verdict};
use minato_health_probe::Report;
use minato_proxy::{EndpointId, Standing};
use std::time::Duration;

/// An instance that has not passed its checks so long after its start is told of.
const OVERDUE: Duration = Duration::from_secs(5);

impl Fleet {
    /// Takes a changed verdict in; false where nobody is interested any more.
    pub(in crate::gateway) fn judge(&mut self, report: &Report<WatchKey>) -> bool {
        let Some(member) = self.member_mut(&report.key.id) else {
            return false;
        };
        if member.endpoint.is_draining() || !member.is_watched_by(&report.key) {
            return false;
        }
        member.verdict = report.change.to;
        member.failure.clone_from(&report.change.cause);
        member.since = clock::wall();
        if report.change.to == Verdict::Up {
            member.ejection.passed(clock::now());
            if let Some(mut known) = self.services.remove(&report.key.id.service) {
                self.make_room(&mut known);
                self.services.insert(known.service.name.clone(), known);
            }
        }
        true
    }

    /// A connect of real traffic failed.
    pub(in crate::gateway) fn doubt(&mut self, id: &EndpointId, failure: &Failure) {
        let monitor = self.member_mut(id).and_then(|it| it.monitor.as_ref());
        if let Some(monitor) = monitor {
            monitor.nudge(minato_health::Evidence::ConnectFailed(failure.clone()));
        }
    }

    /// Real traffic failed many times in a row: ejected, unless too many are, or it is the last.
    pub(in crate::gateway) fn eject(&mut self, id: &EndpointId, failure: &Failure) {
        let now = clock::now();
        let Some(known) = self.services.get_mut(&id.service) else {
            return;
        };
        let members = || known.members.values();
        let ejected = members().filter(|it| it.ejection.is_ejected(now)).count();
        let serves = |it: &&Member| it.endpoint.standing() <= Standing::Suspect;
        let serving = members().filter(serves).count();
        let allowance = Ejection::allowed(members().count(), ejected, serving);
        let Some(member) = known.members.get_mut(id) else {
            return;
        };
        if let Some(monitor) = &member.monitor
            && member.verdict != Verdict::Down
            && allowance == Allowance::Granted
        {
            let length = member.ejection.begin(now, fastrand::f64());
            let evidence = minato_health::Evidence::Eject(failure.clone(), now + length);
            monitor.nudge(evidence);
        }
    }

    /// Asks the monitors of members that are not up for their latest failures, and returns those that fail in another way
    /// than was known: a verdict that did not change brought no word of it.
    pub(in crate::gateway) fn explained(&mut self) -> Vec<EndpointId> {
        let members = self.services.values_mut().flat_map(|it| &mut it.members);
        let mut found = Vec::new();
        for (id, member) in members.filter(|(_, it)| it.verdict != Verdict::Up) {
            let latest = member.monitor.as_ref().and_then(|it| it.last_failure());
            let is_news = match (&latest, &member.failure) {
                (None, _) => false,
                (Some(_), None) => true,
                // Of a handshake the detail says what to do; elsewhere it may be another each time.
                (Some(now), Some(then)) if now.layer == Layer::Tls => now != then,
                (Some(now), Some(then)) => now.layer != then.layer,
            };
            if is_news {
                member.failure = latest;
                found.push(id.clone());
            }
        }
        found
    }

    /// Members that have not been up since they are watched, and should be by now; each is returned once.
    pub(in crate::gateway) fn overdue(&mut self) -> Vec<EndpointId> {
        let late = clock::wall();
        let members = self.services.values_mut().flat_map(|it| &mut it.members);
        let overdue = members.filter(|(_, it)| {
            let waits = it.verdict == Verdict::Down && it.monitor.is_some();
            waits
                && !it.told_overdue
                && !it.endpoint.has_been_up()
                && late.since(it.since) >= OVERDUE
        });
        overdue
            .map(|(id, member)| {
                member.told_overdue = true;
                id.clone()
            })
            .collect()
    }
}
