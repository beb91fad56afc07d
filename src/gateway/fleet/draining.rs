//! The half of the fleet that lets endpoints go: they take no new requests, and what they have in flight ends.

use super::{Fleet, Known};
use crate::clock;
use minato_config::ServiceName;
use minato_health::Verdict;
use minato_proxy::{EndpointId, ServiceEntry};

/// Ticks with nothing in flight after which an endpoint counts as drained: a request may have picked it just before
/// it was told to drain; the second tick sees that one in flight.
const DRAINED_AFTER: u32 = 2;

impl Fleet {
    /// Drains those that leave, once one that stays is up, or none is to stay.
    pub(super) fn make_room(&mut self, known: &mut Known) {
        let mut staying = known.members.values().filter(|it| !it.leaving).peekable();
        let room = staying.peek().is_none() || staying.any(|it| it.verdict == Verdict::Up);
        for (id, member) in known
            .members
            .iter_mut()
            .filter(|(_, it)| it.leaving && room)
        {
            if !member.endpoint.is_draining() {
                member.start_draining();
                self.draining.insert(id.clone());
            }
        }
    }

    /// Tells all of a service's endpoints to drain.
    pub(in crate::gateway) fn drain(&mut self, name: &ServiceName) {
        let Some(known) = self.services.get_mut(name) else {
            return;
        };
        known.routed = false;
        for (id, member) in &mut known.members {
            member.start_draining();
            self.draining.insert(id.clone());
        }
    }

    /// Looks at draining endpoints; returns those that have nothing left in flight.
    pub(in crate::gateway) fn drained(&mut self) -> Vec<EndpointId> {
        let mut found = Vec::new();
        for id in self.draining.clone() {
            let Some(member) = self.member_mut(&id) else {
                self.draining.remove(&id);
                continue;
            };
            member.draining_ticks += 1;
            if member.draining_ticks >= DRAINED_AFTER && member.endpoint.in_flight() == 0 {
                member.drained = true;
                member.since = clock::wall();
                self.draining.remove(&id);
                found.push(id);
            }
        }
        found
    }

    /// Takes an endpoint that has made room out of its service; the service's new entry for the table.
    pub(in crate::gateway) fn remove_drained(&mut self, id: &EndpointId) -> Option<ServiceEntry> {
        let known = self.services.get_mut(&id.service)?;
        known
            .members
            .get(id)
            .filter(|it| it.leaving && it.drained)?;
        known.retire(id.clone());
        known.routed.then(|| known.entry())
    }
}
