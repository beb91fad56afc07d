//! One place of a service: its slot, what its agent runs there, and what gateways think of it.

use super::Sources;
use crate::api::InstanceStatus;
use crate::view::EndpointView;
use minato_config::{
    Backend, GatewayId, Generation, Run, ServiceName, ServiceRecord, SlotIndex, Timestamp,
};
use minato_control::InstanceKey;
use minato_health::{Instance, Phase, Verdict, VerdictReport};
use std::net::SocketAddr;

impl Sources<'_> {
    /// Sorted by slot, newest generation first. Where the store knows nothing any more, what the gateway still serves.
    pub(super) fn instances(
        &self,
        service: &ServiceName,
        record: Option<&ServiceRecord>,
    ) -> Vec<InstanceStatus> {
        let mut all = self.assigned(service);
        all.extend(self.left_over(service));
        if let Some(Backend::Endpoints(list)) = record.map(|it| &it.service.backend) {
            let fixed = list.iter().zip(0..);
            all.extend(fixed.map(|(address, n)| self.fixed(service, SlotIndex(n), *address)));
        }
        if record.is_none() && all.is_empty() {
            let served = self.endpoints.iter().filter(|it| it.service == *service);
            all.extend(served.map(|it| self.fixed(service, it.slot, it.address)));
        }
        // Stable: each list is newest first already.
        all.sort_by_key(|it| it.slot);
        all
    }

    /// What fills each slot now.
    fn assigned(&self, service: &ServiceName) -> Vec<InstanceStatus> {
        let first = (service.clone(), SlotIndex(0));
        let slots = self.world.slots.range(first..);
        slots
            .take_while(|((of, _), _)| of == service)
            .map(|((_, n), slot)| {
                let slot = &slot.value;
                let key = InstanceKey {
                    node: slot.node.clone(),
                    service: service.clone(),
                    slot: *n,
                    generation: slot.generation,
                };
                let instance = self.world.instances.get(&key).map(|it| &it.value);
                let mut it = self.instance(&key, instance);
                it.removed = slot.removed;
                it
            })
            .collect()
    }

    /// What runs although no slot asks for it any more: older generations on their way out.
    fn left_over(&self, service: &ServiceName) -> Vec<InstanceStatus> {
        let mut left: Vec<_> = self
            .world
            .instances
            .iter()
            .filter(|(key, _)| &key.service == service && !self.is_assigned(key))
            .collect();
        left.sort_by_key(|(key, _)| std::cmp::Reverse(key.generation));
        left.into_iter()
            .map(|(key, stored)| {
                let mut it = self.instance(key, Some(&stored.value));
                it.removed = true;
                it
            })
            .collect()
    }

    fn is_assigned(&self, key: &InstanceKey) -> bool {
        let slot = self.world.slots.get(&(key.service.clone(), key.slot));
        slot.is_some_and(|it| it.value.generation == key.generation && it.value.node == key.node)
    }

    fn instance(&self, key: &InstanceKey, instance: Option<&Instance>) -> InstanceStatus {
        let mut it = InstanceStatus {
            slot: key.slot.0,
            generation: key.generation.to_string(),
            node: key.node.to_string(),
            phase: "assigned".to_owned(),
            verdict: "unknown".to_owned(),
            ..InstanceStatus::default()
        };
        let Some(instance) = instance else {
            "not started yet".clone_into(&mut it.reason);
            return it;
        };
        it.run = instance.run.0;
        it.address = instance.address.to_string();
        it.pid = instance.pid;
        it.restarts = instance.restarts;
        it.phase = phase(instance.phase).to_owned();
        it.since_ms = instance.since.0;
        it.reason.clone_from(&instance.reason);
        it.retry_at_ms = instance.retry_at.map(|it| it.0);
        self.judge(&mut it, key, instance.run);
        it
    }

    fn fixed(&self, service: &ServiceName, n: SlotIndex, address: SocketAddr) -> InstanceStatus {
        let mut it = InstanceStatus {
            slot: n.0,
            generation: Generation::default().to_string(),
            address: address.to_string(),
            phase: "fixed".to_owned(),
            verdict: "unknown".to_owned(),
            since_ms: self.now.0,
            ..InstanceStatus::default()
        };
        let here = |it: &&EndpointView| &it.service == service && it.slot == n;
        if let Some(view) = self.endpoints.iter().find(here) {
            see(&mut it, view);
        } else if let Some(report) = self.report(service, n, |_| true) {
            hear(&mut it, &report);
        }
        it
    }

    /// This process's gateway knows best, then what gateways reported to the store.
    fn judge(&self, it: &mut InstanceStatus, key: &InstanceKey, run: Run) {
        let here = |it: &&EndpointView| {
            it.service == key.service && it.slot == key.slot && it.generation == key.generation
        };
        let same = |it: &VerdictReport| it.generation == key.generation && it.run == run;
        match self.endpoints.iter().find(here) {
            Some(view) if view.run == run => see(it, view),
            view => {
                if let Some(report) = self.report(&key.service, key.slot, same) {
                    hear(it, &report);
                }
                if let Some(view) = view {
                    it.in_flight = view.in_flight;
                }
            }
        }
    }

    /// What live gateways say together: the word of most of them, and who sees it otherwise.
    fn report(
        &self,
        service: &ServiceName,
        n: SlotIndex,
        which: impl Fn(&VerdictReport) -> bool,
    ) -> Option<VerdictReport> {
        let all: Vec<(&GatewayId, &VerdictReport)> = self
            .world
            .gateways
            .keys()
            .filter_map(|it| {
                let key = (service.clone(), n, it.clone());
                Some((it, &self.world.verdicts.get(&key)?.value))
            })
            .filter(|(_, it)| which(it))
            .collect();
        let is_down = |it: &&(&GatewayId, &VerdictReport)| it.1.verdict == Verdict::Down;
        let down: Vec<_> = all.iter().filter(is_down).collect();
        let up = all.iter().filter(|it| !is_down(it));
        if down.len() * 2 > all.len() {
            return down.first().map(|(_, it)| VerdictReport::clone(it));
        }
        let (_, worst) = up.max_by_key(|it| it.1.verdict)?;
        let mut said = VerdictReport::clone(worst);
        if let Some((gateway, it)) = down.first() {
            if down.len() * 2 == all.len() {
                said.verdict = Verdict::Suspect;
            }
            said.reason = format!("down for gateway {gateway}: {}", it.reason);
        }
        Some(said)
    }
}

fn see(it: &mut InstanceStatus, view: &EndpointView) {
    judged(it, view.verdict, &view.reason, view.since);
    it.standing.clone_from(&view.standing);
    it.in_flight = view.in_flight;
    it.requests = view.requests;
    it.failures = view.failures;
}

fn hear(it: &mut InstanceStatus, report: &VerdictReport) {
    judged(it, report.verdict, &report.reason, report.since);
}

fn judged(it: &mut InstanceStatus, verdict: Verdict, reason: &str, since: Timestamp) {
    it.verdict = match verdict {
        Verdict::Up => "up",
        Verdict::Suspect => "suspect",
        Verdict::Down => "down",
    }
    .to_owned();
    // While the process lives, what gateways see says more than how the agent came to start it,
    if matches!(it.phase.as_str(), "running" | "fixed") {
        // but not what it lacks of what it depends on.
        it.reason = match (it.reason.as_str(), reason) {
            ("", seen) => seen.to_owned(),
            (lacks, "") => lacks.to_owned(),
            (lacks, seen) => format!("{lacks}; {seen}"),
        };
        it.since_ms = since.0;
    }
}

fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Running => "running",
        Phase::Stopping => "stopping",
        Phase::Exited => "exited",
        Phase::Failed => "failed",
    }
}
