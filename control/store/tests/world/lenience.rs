//! What is of a later version, broken or of another kind changes nothing else.

use super::*;

#[test]
fn unknown_fields_are_ignored() {
    let wanted = golden_world().world;
    let mut observed = Observed::new(keys());
    for (revision, (name, key)) in (1..).zip(documents()) {
        let text = String::from_utf8(golden(name)).unwrap();
        let text = text.replacen('{', "{ \"from_tomorrow\": [1, {\"v\": 9}],", 1);
        put(&mut observed, &key, text.into(), revision);
    }
    assert_eq!(observed.undecodable, BTreeMap::new());
    assert_eq!(observed.world, wanted);
}

#[test]
fn what_does_not_decode_keeps_the_last_good_object_and_is_noted() {
    for (name, key) in documents() {
        let text = String::from_utf8(golden(name)).unwrap();
        for (bad, reason) in [
            (text.replacen("\"v\": 1", "\"v\": 2", 1), "newer minato"),
            (text.replacen("\"v\": 1", "\"v\": 0", 1), "version 0"),
            (text.replacen("\"v\": 1,", "", 1), "missing field"),
            ("{\"v\":1}".to_owned(), "missing field"),
            ("not json".to_owned(), "expected"),
            (String::new(), "EOF"),
            ("[".repeat(100_000), "recursion"),
        ] {
            if is_kept(&key) && bad == "{\"v\":1}" {
                continue;
            }
            let mut observed = golden_world();
            let good = observed.world.clone();
            put(&mut observed, &key, bad.clone().into(), 99);
            let expected = World {
                revision: 99,
                ..good.clone()
            };
            assert_eq!(observed.world, expected, "{name}");
            let noted = &observed.undecodable[&keys().text(&key)];
            let shown: String = bad.chars().take(40).collect();
            assert!(
                noted.contains(reason) || noted.contains("invalid type"),
                "{name}: {noted} for {shown}"
            );
            // The next good one is taken, and nothing is noted any more.
            put(&mut observed, &key, golden(name), 100);
            assert_eq!(observed.undecodable, BTreeMap::new());
            assert_eq!(count(&observed.world), count(&good));
        }
    }
}

/// All fields of an intent and of a rollout but the version have defaults, and their last value stays when they vanish.
fn is_kept(key: &Key) -> bool {
    matches!(key, Key::Intent(_) | Key::Rollout(_))
}

#[test]
fn a_delete_takes_the_object_and_its_note() {
    for (name, key) in documents() {
        let mut observed = golden_world();
        let before = count(&observed.world);
        put(&mut observed, &key, b"bad".into(), 50);
        observed.apply(&Event::Delete {
            key: keys().text(&key),
            revision: Revision(51),
        });
        let kept = usize::from(is_kept(&key) || matches!(key, Key::Order(_)));
        assert_eq!(count(&observed.world), before - 1 + kept, "{name}");
        assert_eq!(observed.undecodable, BTreeMap::new(), "{name}");
        assert_eq!(observed.revision, Revision(51));
    }
}
