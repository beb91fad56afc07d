//! The half of the health loop that takes verdicts in and passes them on: to the table first, then to people, to status and to the
//! store.
//!
//! Not here: what makes a verdict (`health`), who may be ejected (`fleet`), the wording (`news`).

use super::super::member::{Member, WatchKey};
use super::super::news;
use super::super::view::Thought;
use super::HealthLoop;
use crate::clock;
use minato_config::ServiceName;
use minato_health::{Change, Verdict, VerdictReport};
use minato_health_probe::Report;
use minato_proxy::{EndpointId, StandingChange};
use minato_proxy_server::Evidence;

impl HealthLoop {
    /// A monitor changed its verdict.
    pub(super) fn heard(&mut self, report: &Report<WatchKey>) {
        let id = &report.key.id;
        if !self.fleet.judge(report) {
            return;
        }
        self.settle(&id.service, Some((id, &report.change)));
        self.share_out(&id.service);
        self.report(id);
        self.dirty();
    }

    /// Real requests failed.
    pub(super) fn witnessed(&mut self, evidence: &Evidence) {
        match evidence {
            // The next answer of that gateway decides, in half a second.
            Evidence::ConnectFailed(endpoint, _) | Evidence::Consecutive(endpoint, ..)
                if endpoint.site().is_some() => {}
            Evidence::ConnectFailed(endpoint, failure) => self.fleet.doubt(endpoint.id(), failure),
            Evidence::Consecutive(endpoint, _, failure) => self.fleet.eject(endpoint.id(), failure),
        }
    }

    /// Makes standings in the table what verdicts make of them. `cause`: the verdict that changed, where it was one.
    pub(super) fn settle(&mut self, name: &ServiceName, cause: Option<(&EndpointId, &Change)>) {
        let entry = self.options.table.load().service(name).cloned();
        if let Some(entry) = entry {
            let changes = entry.settle(&|id| self.fleet.opinion(id));
            self.settled(&changes, cause);
        }
    }

    /// Tells people what changed.
    pub(super) fn settled(
        &mut self,
        changes: &[StandingChange],
        cause: Option<(&EndpointId, &Change)>,
    ) {
        // A verdict may change where the standing does not: real traffic made it suspect before we heard of it.
        if let Some((id, change)) = cause
            && !changes.iter().any(|it| it.endpoint.id() == id)
            && change.to == Verdict::Suspect
        {
            self.tell(news::suspect(id, change.cause.as_ref(), clock::wall()));
        }
        for change in changes {
            if let Some(peer) = self.fleet.peer(change.endpoint.id()) {
                if let Some(event) = news::of_peer(change, peer.failure.as_ref(), clock::wall()) {
                    self.tell(event);
                }
                continue;
            }
            let member = self.fleet.member(change.endpoint.id());
            let failure = member.and_then(|it| it.failure.as_ref());
            if let Some(event) = news::of(change, failure, clock::wall()) {
                self.tell(event);
            }
        }
    }

    /// Puts one verdict where status and the store find it. One verdict for each slot: the newest run's.
    pub(super) fn report(&mut self, id: &EndpointId) {
        let Some(member) = self.fleet.member(id) else {
            return;
        };
        let thought = Thought {
            verdict: member.verdict,
            reason: reason(member),
            since: member.since,
        };
        self.options.seen.set(id, thought);
        if self.fleet.is_newest(id)
            && let Some(vote) = vote(member)
        {
            self.options.reports.set(&id.service, id.slot, vote);
        }
    }
}

fn reason(member: &Member) -> String {
    let failure = member.failure.as_ref();
    failure.map(ToString::to_string).unwrap_or_default()
}

/// What the store is told of a member; nothing where it is down as every run begins, not because of anything that was seen.
fn vote(member: &Member) -> Option<VerdictReport> {
    let id = member.endpoint.id();
    let is_draining = member.endpoint.is_draining();
    if member.verdict == Verdict::Down && member.failure.is_none() && !is_draining {
        return None;
    }
    let verdict = if is_draining {
        Verdict::Down
    } else {
        member.verdict
    };
    Some(VerdictReport {
        v: 1,
        generation: id.generation,
        run: id.run,
        verdict,
        reason: reason(member),
        since: member.since,
        drained: member.drained,
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::member::Past;
    use super::*;
    use minato_config::{Generation, Run, SlotIndex};
    use minato_health::{Failure, Layer};

    #[test]
    fn a_run_that_has_only_begun_has_no_vote_and_one_that_drains_is_down() {
        let name = ServiceName::parse("app").expect("a name");
        let text = "endpoints = [\"127.0.0.1:80\"]";
        let service = minato_config::parse_service("".as_ref(), &name, text).expect("a service");
        let id = EndpointId {
            service: name,
            slot: SlotIndex(0),
            generation: Generation::default(),
            run: Run(1),
            site: None,
        };
        let mut member = Member::new(&service, id, ([127, 0, 0, 1], 80).into(), Past::default());
        let votes = |it: &Member| vote(it).map(|it| (it.verdict, it.reason));
        assert_eq!(votes(&member), None);
        let detail = "refused".to_owned();
        let layer = Layer::ConnectRefused;
        let failure = Failure { layer, detail };
        let why = failure.to_string();
        member.failure = Some(failure);
        assert_eq!(votes(&member), Some((Verdict::Down, why)));
        (member.verdict, member.failure) = (Verdict::Up, None);
        assert_eq!(votes(&member), Some((Verdict::Up, String::new())));
        member.start_draining();
        assert_eq!(votes(&member), Some((Verdict::Down, String::new())));
    }
}
