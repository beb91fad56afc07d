//! Under which ids wanted endpoints are known. Pure.

use super::wanted::{FIXED, Wanted};
use minato_config::{ServiceName, SlotIndex};
use minato_proxy::EndpointId;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

/// The ids of all of `wanted`, in their order.
///
/// An instance is named by its documents. A fixed address keeps the slot that it has in `fixed`; a new one takes its
/// place in the list if nobody has `taken` it, else the first free slot, so that nothing of another address is ever
/// taken for its own.
pub(super) fn places(
    service: &ServiceName,
    wanted: &[Wanted],
    fixed: &BTreeMap<SocketAddr, SlotIndex>,
    mut taken: BTreeSet<SlotIndex>,
) -> Vec<EndpointId> {
    let mut ids = Vec::with_capacity(wanted.len());
    for it in wanted {
        let slot = match fixed.get(&it.address) {
            _ if it.generation != FIXED => it.slot,
            Some(slot) => *slot,
            None => first_free(it.slot, &taken),
        };
        taken.insert(slot);
        ids.push(EndpointId {
            service: service.clone(),
            slot,
            generation: it.generation,
            run: it.run,
            site: None,
        });
    }
    ids
}

fn first_free(proposed: SlotIndex, taken: &BTreeSet<SlotIndex>) -> SlotIndex {
    let all = (0..=u16::MAX).map(SlotIndex);
    let mut free = std::iter::once(proposed).chain(all);
    free.find(|it| !taken.contains(it)).unwrap_or(proposed)
}

#[cfg(test)]
mod tests {
    use super::super::wanted::Use;
    use super::*;
    use minato_config::{Generation, Run};

    fn address(port: u16) -> SocketAddr {
        ([10, 0, 0, 7], port).into()
    }

    fn fixed(slot: u16, port: u16) -> Wanted {
        Wanted {
            slot: SlotIndex(slot),
            generation: FIXED,
            run: Run(0),
            address: address(port),
            usage: Use::Serve,
        }
    }

    /// `known`: ports by slot; `wanted`: ports in the order of the file; expects slots.
    #[track_caller]
    fn check(known: &[(u16, u16)], wanted: &[u16], expected: &[u16]) {
        let wanted: Vec<Wanted> = (0..).zip(wanted).map(|(n, port)| fixed(n, *port)).collect();
        let fixed = known
            .iter()
            .map(|(slot, port)| (address(*port), SlotIndex(*slot)));
        let taken = known.iter().map(|(slot, _)| SlotIndex(*slot)).collect();
        let service = ServiceName::parse("library").expect("a name");
        let ids = places(&service, &wanted, &fixed.collect(), taken);
        let slots: Vec<u16> = ids.iter().map(|it| it.slot.0).collect();
        assert_eq!(slots, expected);
    }

    #[test]
    fn an_address_keeps_its_slot_wherever_it_stands_in_the_list() {
        check(&[], &[81, 82, 83], &[0, 1, 2]);
        check(&[(0, 81), (1, 82), (2, 83)], &[82, 83], &[1, 2]);
        check(&[(0, 81), (1, 82)], &[82, 81], &[1, 0]);
        check(&[(0, 81), (1, 82)], &[84, 82], &[2, 1]);
        check(&[(0, 81)], &[82, 83], &[1, 2]);
    }

    #[test]
    fn an_instance_is_named_by_its_documents() {
        let generation = Generation { era: 0, counter: 7 };
        let instance = Wanted {
            generation,
            run: Run(3),
            ..fixed(4, 81)
        };
        let service = ServiceName::parse("library").expect("a name");
        let fixed = BTreeMap::from([(address(81), SlotIndex(0))]);
        let ids = places(
            &service,
            &[instance],
            &fixed,
            BTreeSet::from([SlotIndex(0)]),
        );
        assert_eq!(
            (ids[0].slot, ids[0].generation, ids[0].run),
            (SlotIndex(4), generation, Run(3))
        );
    }
}
