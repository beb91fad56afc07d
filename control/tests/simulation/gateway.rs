//! A simulated gateway: looks at what answers, and reports.

use crate::site::{Nature, Opinion, Site, State};
use minato_config::{GatewayId, ServiceName, SlotIndex};
use minato_control::InstanceKey;
use minato_health::{GatewayAlive, Phase, Verdict, VerdictReport};
use std::collections::BTreeMap;

const FALL: u8 = 3;
const RISE: u8 = 2;

pub(crate) fn any_turn(site: &mut Site) {
    let gateways: Vec<GatewayId> = site.gateways.keys().cloned().collect();
    if let Some(gateway) = site.one_of(&gateways) {
        turn(site, &gateway);
    }
}

pub(crate) fn all(site: &mut Site) {
    for gateway in site.gateways.keys().cloned().collect::<Vec<_>>() {
        turn(site, &gateway);
    }
}

fn turn(site: &mut Site, gateway: &GatewayId) {
    if !site.store.gateways.contains_key(gateway) {
        // Its lease comes first, its verdicts at its next turn.
        let since = site.now;
        let alive = site.stored(GatewayAlive { v: 1, since });
        site.store.gateways.insert(gateway.clone(), alive);
        return;
    }
    // Of several generations of one slot it sees the newest.
    let mut seen: BTreeMap<(ServiceName, SlotIndex), InstanceKey> = BTreeMap::new();
    for key in site.store.instances.keys() {
        let newest = seen
            .entry((key.service.clone(), key.slot))
            .or_insert_with(|| key.clone());
        if key.generation > newest.generation {
            *newest = key.clone();
        }
    }
    let gone = |(service, n, by): &(ServiceName, SlotIndex, GatewayId)| {
        by == gateway && !seen.contains_key(&(service.clone(), *n))
    };
    site.store.verdicts.retain(|key, _| !gone(key));
    let mut opinions = site.gateways.remove(gateway).unwrap_or_default();
    opinions.retain(|key, _| seen.contains_key(key));
    for (place, key) in seen {
        look(site, gateway, &mut opinions, place, &key);
    }
    site.gateways.insert(gateway.clone(), opinions);
}

fn look(
    site: &mut Site,
    gateway: &GatewayId,
    opinions: &mut BTreeMap<(ServiceName, SlotIndex), Opinion>,
    place: (ServiceName, SlotIndex),
    key: &InstanceKey,
) {
    let Some(instance) = site.store.instances.get(key).map(|it| it.value.clone()) else {
        return;
    };
    let fresh = Opinion {
        generation: key.generation,
        run: instance.run,
        verdict: Verdict::Down,
        streak: 0,
        since: site.now,
    };
    let opinion = opinions
        .entry(place.clone())
        .or_insert_with(|| fresh.clone());
    if (opinion.generation, opinion.run) != (key.generation, instance.run) {
        *opinion = fresh;
    }
    let process = site
        .processes
        .get(&(key.node.clone(), key.service.clone(), key.slot));
    let answers = instance.phase == Phase::Running
        && process.is_some_and(|it| {
            it.state == State::Alive
                && it.nature == Nature::Good
                && (it.generation, it.run) == (key.generation, instance.run)
        });
    let next = match (opinion.verdict, answers) {
        (Verdict::Up, true) | (Verdict::Down, false) => {
            opinion.streak = 0;
            opinion.verdict
        }
        (Verdict::Suspect, true) => Verdict::Up,
        (Verdict::Down, true) => {
            opinion.streak += 1;
            if opinion.streak >= RISE {
                Verdict::Up
            } else {
                Verdict::Down
            }
        }
        (Verdict::Up | Verdict::Suspect, false) => {
            opinion.streak += 1;
            if opinion.streak >= FALL {
                Verdict::Down
            } else {
                Verdict::Suspect
            }
        }
    };
    if next != opinion.verdict {
        opinion.since = site.now;
        opinion.verdict = next;
        if next != Verdict::Suspect {
            opinion.streak = 0;
        }
    }
    let report = VerdictReport {
        v: 1,
        generation: opinion.generation,
        run: opinion.run,
        verdict: opinion.verdict,
        reason: String::new(),
        since: opinion.since,
        drained: false,
    };
    let key = (place.0, place.1, gateway.clone());
    let has_said =
        |it: &VerdictReport| (it.generation, it.run) == (opinion.generation, opinion.run);
    let before = site.store.verdicts.get(&key);
    if opinion.verdict == Verdict::Down && answers && !before.is_some_and(|it| has_said(&it.value))
    {
        // Down as every run begins: no word yet.
        return;
    }
    if site
        .store
        .verdicts
        .get(&key)
        .is_none_or(|it| it.value != report)
    {
        let report = site.stored(report);
        site.store.verdicts.insert(key, report);
    }
}
