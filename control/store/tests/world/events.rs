//! Events lead where a list does, and tell whom they touched.

use super::*;

#[test]
fn a_batch_tells_whom_it_touched() {
    for (name, key) in documents() {
        let mut observed = Observed::new(keys());
        let event = Event::Put(entry(&keys().text(&key), golden(name), 1));
        let touched = observed.apply_batch(&[event]);
        let named = (
            touched.services.len(),
            touched.nodes.len(),
            touched.gateways.len(),
        );
        let wanted = match key {
            Key::NodeAlive(_)
            | Key::NodeInfo(_)
            | Key::NodeLoad(_)
            | Key::NodeReach(_)
            | Key::Drain(_) => (0, 1, 0),
            Key::GatewayAlive(_) => (0, 0, 1),
            // Only slots follow from these, and nothing that others follow.
            Key::Load(..)
            | Key::NodeUsage(_)
            | Key::Absences
            | Key::Link(..)
            | Key::Recovery(..)
            | Key::Operation(_)
            | Key::Held(..)
            | Key::Sync(_)
            | Key::Mirror(..) => (0, 0, 0),
            _ => (1, 0, 0),
        };
        assert_eq!(named, wanted, "{name}");
    }
}

/// A step of a random history: any document, whole, broken or gone, or a key of another kind.
fn step(random: &mut fastrand::Rng, entries: &mut BTreeMap<String, Entry>, revision: u64) -> Event {
    let (name, key) = random.choice(documents()).unwrap();
    let name_of =
        |random: &mut fastrand::Rng| service(["library", "archive", "mail"][random.usize(..3)]);
    let n = SlotIndex(random.u16(..3));
    let generation = Generation {
        counter: random.u64(..3),
        ..GENERATION
    };
    let key = match key {
        Key::Slot(..) => Key::Slot(name_of(random), n),
        Key::Verdict(gateway, ..) => Key::Verdict(gateway, name_of(random), n),
        Key::Instance(node, ..) => Key::Instance(node, name_of(random), n, generation),
        Key::Intent(_) => Key::Intent(name_of(random)),
        other => other,
    };
    let text = if random.u8(..20) == 0 {
        format!("{}tomorrow/{}", keys().root(), random.u8(..3))
    } else {
        keys().text(&key)
    };
    if random.u8(..3) == 0 {
        entries.remove(&text);
        return Event::Delete {
            key: text,
            revision: Revision(revision),
        };
    }
    let value = if random.u8(..10) == 0 {
        b"broken".to_vec()
    } else {
        golden(name)
    };
    let entry = entry(&text, value, revision);
    entries.insert(text, entry.clone());
    Event::Put(entry)
}

/// Without what a fresh list cannot know: the last good objects of what does not decode, and what vanished.
fn without_kept(observed: &Observed, entries: &BTreeMap<String, Entry>) -> World {
    let mut bare = observed.clone();
    for key in observed.undecodable.keys() {
        bare.apply(&Event::Delete {
            key: key.clone(),
            revision: observed.revision,
        });
    }
    // Who comes first stays as it was where nobody says it any more.
    bare.world.orders.retain(|service, _| {
        let key = keys().text(&Key::Order(service.clone()));
        entries.contains_key(&key) && !observed.undecodable.contains_key(&key)
    });
    for gone in std::mem::take(&mut bare.world.vanished) {
        match gone {
            Object::Intent(service) => drop(bare.world.intents.remove(&service)),
            Object::Rollout(service) => drop(bare.world.rollouts.remove(&service)),
            Object::Service(_) | Object::Slot(..) => {}
        }
    }
    bare.world
}

#[test]
fn events_lead_to_the_same_world_as_a_fresh_list() {
    let seed = fastrand::u64(..1_000_000);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    for _ in 0..30 {
        let mut entries = BTreeMap::new();
        let mut followed = Observed::new(keys());
        let mut behind = Observed::new(keys());
        for revision in 1..200 {
            let event = step(&mut random, &mut entries, revision);
            followed.apply(&event);
            if random.u8(..10) > 0 {
                continue;
            }
            let listing = Listing {
                revision: Revision(revision),
                entries: entries.values().cloned().collect(),
            };
            let mut fresh = Observed::new(keys());
            fresh.relist(&listing);
            let context = format!("seed {seed}, revision {revision}");
            assert_eq!(without_kept(&followed, &entries), fresh.world, "{context}");
            assert_eq!(followed.undecodable, fresh.undecodable, "{context}");
            assert_eq!(followed.revision, fresh.revision, "{context}");
            // One that was away and lists again, deletes included.
            behind.relist(&listing);
            assert_eq!(without_kept(&behind, &entries), fresh.world, "{context}");
            assert_eq!(behind.undecodable, fresh.undecodable, "{context}");
        }
    }
}
