//! One service as the fleet knows it: its endpoints, and the entry that they make in the table.

use super::super::member::Member;
use super::super::peers::PeerMember;
use super::super::places::places;
use super::super::sites::{Meant, Routing};
use super::super::wanted::{FIXED, Use, Wanted};
use minato_config::Service;
use minato_proxy::{EndpointId, Intake, ServiceEntry, Shared, Standing};
use std::collections::BTreeMap;
use std::sync::Arc;

/// One service.
#[derive(Debug)]
pub(in crate::gateway) struct Known {
    pub(in crate::gateway) service: Arc<Service>,
    pub(in crate::gateway) members: BTreeMap<EndpointId, Member>,
    /// Gateways of other sites that serve it too.
    pub(in crate::gateway) peers: BTreeMap<EndpointId, PeerMember>,
    pub(super) own_tier: u8,
    /// Instances that should run here.
    pub(in crate::gateway) wanted: u32,
    /// Where several sites serve it.
    pub(super) routing: Option<Routing>,
    /// The same as its file has it.
    pub(super) meant: Option<Meant>,
    pub(super) shared: Arc<Shared>,
    pub(super) intake: Intake,
    /// It is in the table as it stands here.
    pub(super) routed: bool,
}

impl Known {
    /// A service of which nothing is known yet.
    pub(super) fn new(service: &Service) -> Self {
        Self {
            service: Arc::new(service.clone()),
            members: BTreeMap::new(),
            peers: BTreeMap::new(),
            own_tier: 0,
            wanted: service.replicas.into(),
            routing: None,
            meant: None,
            shared: Shared::new(service),
            intake: Intake::Open,
            routed: false,
        }
    }

    pub(in crate::gateway) fn is_drained(&self) -> bool {
        self.intake == Intake::Drained
    }

    /// Whether all is as it should be: `ids` are the places of `wanted`.
    pub(super) fn is(
        &self,
        service: &Service,
        wanted: &[Wanted],
        ids: &[EndpointId],
        intake: Intake,
    ) -> bool {
        let is_used = |(id, it): (&EndpointId, &Wanted)| match self.members.get(id) {
            Some(member) => match it.usage {
                Use::Serve => !member.leaving && !member.endpoint.is_draining(),
                Use::Leave => member.leaving || member.endpoint.is_draining(),
                Use::Drain => member.endpoint.is_draining(),
            },
            None => false,
        };
        let mut members = self.members.iter();
        self.routed
            && self.intake == intake
            && *self.service == *service
            && ids.iter().zip(wanted).all(is_used)
            && members.all(|(id, it)| it.leaving || ids.contains(id))
    }

    /// Which endpoint each of `wanted` is.
    pub(super) fn places(&self, wanted: &[Wanted]) -> Vec<EndpointId> {
        let fixed = self
            .members
            .iter()
            .filter(|(id, it)| id.generation == FIXED && !it.endpoint.is_draining());
        let fixed = fixed.map(|(id, it)| (it.endpoint.address(), id.slot));
        let taken = self.members.keys().map(|it| it.slot);
        places(
            &self.service.name,
            wanted,
            &fixed.collect(),
            taken.collect(),
        )
    }

    /// Endpoints that are not wanted any more. Fixed addresses, which nobody stops, make room for those that stay;
    /// instances of which the store says that they do not run are gone at once.
    pub(super) fn let_go(&mut self, ids: &[EndpointId]) -> Vec<(EndpointId, Standing)> {
        let unwanted = self.members.keys().filter(|id| !ids.contains(id));
        let unwanted: Vec<EndpointId> = unwanted.cloned().collect();
        let mut gone = Vec::new();
        for id in unwanted {
            let fixed = id.generation == FIXED;
            match self.members.get_mut(&id) {
                Some(member) if fixed && !member.drained => member.leaving = true,
                _ => gone.extend(self.retire(id)),
            }
        }
        gone
    }

    /// Takes an endpoint out, with the standing that it had.
    pub(super) fn retire(&mut self, id: EndpointId) -> Option<(EndpointId, Standing)> {
        let member = self.members.remove(&id)?;
        let standing = member.endpoint.standing();
        member.endpoint.retire();
        Some((id, standing))
    }

    /// For the table.
    pub(super) fn entry(&self) -> ServiceEntry {
        let own = self.members.values().map(|it| &it.endpoint);
        let own = own.inspect(|it| it.set_tier(self.own_tier));
        let peers = self.peers.values().map(|it| &it.endpoint);
        ServiceEntry::new(
            Arc::clone(&self.service),
            Arc::clone(&self.shared),
            own.chain(peers).map(Arc::clone).collect(),
            self.intake,
        )
        .spread(self.routing.as_ref().and_then(Routing::spread))
    }
}
