//! Keys that vanish without a word are an accident.

use super::*;

/// A record that did not say `removed`, and an intent.
fn archive_by_hand() -> Observed {
    let mut observed = Observed::new(keys());
    let archive = || service("archive");
    put(
        &mut observed,
        &Key::Service(archive()),
        golden("service_endpoints.json"),
        1,
    );
    put(
        &mut observed,
        &Key::Intent(archive()),
        golden("intent.json"),
        2,
    );
    observed
}

#[test]
fn an_intent_that_vanishes_holds_until_it_is_written_again() {
    let archive = || service("archive");
    let mut observed = archive_by_hand();
    observed.apply(&gone(&Key::Intent(archive()), 3));
    let kept = &observed.world.intents[&archive()].value;
    assert_eq!(kept.replicas, Some(4));
    let vanished: Vec<&Object> = observed.world.vanished.iter().collect();
    assert_eq!(vanished, [&Object::Intent(archive())]);
    put(
        &mut observed,
        &Key::Intent(archive()),
        golden("intent.json"),
        4,
    );
    assert!(observed.world.vanished.is_empty());
    assert_eq!(observed.world.intents[&archive()].modified, 4);
    // A list without it is no other word than a delete.
    let listing = Listing {
        revision: Revision(5),
        entries: vec![entry(
            &keys().text(&Key::Service(archive())),
            golden("service_endpoints.json"),
            1,
        )],
    };
    observed.relist(&listing);
    assert_eq!(observed.world.intents.len(), 1);
    assert_eq!(observed.world.vanished.len(), 1);
}

#[test]
fn an_intent_ends_with_its_service_in_either_order() {
    let library = || service("library");
    for reversed in [false, true] {
        let mut observed = golden_world();
        let mut batch = [
            gone(&Key::Service(library()), 20),
            gone(&Key::Intent(library()), 20),
        ];
        if reversed {
            batch.reverse();
        }
        observed.apply_batch(&batch);
        assert!(observed.world.intents.is_empty(), "{reversed}");
        assert!(observed.world.vanished.is_empty(), "{reversed}");
    }
}

#[test]
fn a_record_that_vanishes_is_noted_and_keeps_its_intent() {
    let archive = || service("archive");
    let mut observed = archive_by_hand();
    observed.apply(&gone(&Key::Service(archive()), 3));
    observed.apply(&gone(&Key::Intent(archive()), 4));
    assert!(observed.world.services.is_empty());
    assert_eq!(observed.world.intents.len(), 1);
    assert_eq!(observed.world.vanished.len(), 2);
    put(
        &mut observed,
        &Key::Service(archive()),
        golden("service_endpoints.json"),
        5,
    );
    let vanished: Vec<&Object> = observed.world.vanished.iter().collect();
    assert_eq!(vanished, [&Object::Intent(archive())]);
}
