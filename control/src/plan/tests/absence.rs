//! What the leader tells of nodes that are gone: the document `absences`, from a node that is waited for to one that is given up, back, or
//! never back.

use crate::plan::scene::{NOW, Scene};
use crate::plan::{AbsenceRecord, Losses};
use crate::{Stored, World};
use minato_config::{NodeId, Timestamp};

fn node(name: &str) -> NodeId {
    NodeId::parse(name).unwrap()
}

/// What the leader judged: `lost`, and `waiting` with its reasons.
fn judged(lost: &[&str], waiting: &[(&str, &str)]) -> Losses {
    Losses {
        lost: lost.iter().map(|it| node(it)).collect(),
        waiting: waiting
            .iter()
            .map(|(it, why)| (node(it), (*why).to_owned()))
            .collect(),
        ..Losses::default()
    }
}

/// Writes what is due this many seconds later; whether anything was, and the texts that stand there then.
fn tell(world: &mut World, losses: &Losses, seconds: u64) -> (bool, Vec<String>) {
    let now = Timestamp(NOW.0 + seconds * 1_000);
    let due = AbsenceRecord::due(world, losses, now);
    let told = due.is_some();
    if let Some(value) = due {
        let modified = world.absences.as_ref().map_or(1, |it| it.modified + 1);
        world.absences = Some(Stored { value, modified });
    }
    let nodes = world.absences.iter().flat_map(|it| &it.value.nodes);
    let texts = nodes.map(|(node, it)| format!("{node} {}", it.text()));
    (told, texts.collect())
}

/// A time of the clock, this many seconds later.
fn at(seconds: u64) -> String {
    crate::clock_text(Timestamp(NOW.0 + seconds * 1_000))
}

#[test]
fn who_is_gone_is_told_once_with_its_reason_and_since_when() {
    let mut world = Scene::of(1).info("a", |_| {}).info("z", |_| {}).world;
    assert_eq!(tell(&mut world, &Losses::default(), 0), (false, vec![]));
    let waiting = judged(&[], &[("z", "library/0 there still answers g")]);
    let expected = vec![format!(
        "z waited for, gone since {}: library/0 there still answers g",
        at(1)
    )];
    assert_eq!(tell(&mut world, &waiting, 1), (true, expected.clone()));
    // The same again is no news, and no write.
    assert_eq!(tell(&mut world, &waiting, 9), (false, expected));
    // Given up: since when it is gone stays.
    let lost = judged(&["z"], &[]);
    let expected = vec![format!(
        "z given up, gone since {}: its lease ended, and nothing there answers",
        at(1)
    )];
    assert_eq!(tell(&mut world, &lost, 20), (true, expected.clone()));
    // It has nothing any more, so nobody judges it; people should still know.
    assert_eq!(tell(&mut world, &Losses::default(), 60), (false, expected));
    let hint = world.absences.as_ref().unwrap().value.nodes[&node("z")].hint(&node("z"));
    assert!(
        hint.contains("minato rebalance") && hint.contains("minato node drain z"),
        "{hint}"
    );
    // Back.
    let back = Scene::of(1).info("z", |_| {}).node("z").world;
    world.nodes = back.nodes;
    assert_eq!(tell(&mut world, &Losses::default(), 90), (true, vec![]));
}

#[test]
fn who_is_only_waited_for_is_forgotten_once_nobody_waits() {
    let mut world = Scene::of(1).info("z", |_| {}).world;
    tell(&mut world, &judged(&[], &[("z", "")]), 1);
    let texts = tell(&mut world, &judged(&[], &[("z", "")]), 2).1;
    assert_eq!(
        texts,
        [format!(
            "z waited for, gone since {}: its lease ended a moment ago",
            at(1)
        )]
    );
    assert_eq!(tell(&mut world, &Losses::default(), 3), (true, vec![]));
}

#[test]
fn a_node_that_is_forgotten_and_one_that_is_drained() {
    let mut world = Scene::of(1).info("z", |_| {}).drained("z").world;
    let told = tell(&mut world, &judged(&["z"], &[]), 1);
    assert_eq!(
        told.1,
        [format!("z given up, gone since {}: it is drained", at(1))]
    );
    // Nothing speaks of the machine any more.
    world.node_infos.clear();
    assert_eq!(tell(&mut world, &Losses::default(), 2), (true, vec![]));
}

#[test]
fn an_alarm_stands_there_even_without_a_node_and_ends() {
    let mut world = Scene::of(1).world;
    let alarm = Losses {
        alarm: Some("3 of 4 nodes are gone at once".to_owned()),
        ..Losses::default()
    };
    assert!(tell(&mut world, &alarm, 1).0);
    let record = world.absences.as_ref().unwrap().value.clone();
    assert_eq!(
        record.alarm.as_deref(),
        Some("3 of 4 nodes are gone at once")
    );
    // Another leader judges by what stands there, as this one did.
    assert_eq!(record.losses().alarm, record.alarm);
    assert!(tell(&mut world, &Losses::default(), 2).0);
    assert_eq!(world.absences.as_ref().unwrap().value.alarm, None);
}

#[test]
fn what_is_read_back_is_what_was_judged() {
    let mut world = Scene::of(1).info("y", |_| {}).info("z", |_| {}).world;
    let losses = judged(&["z"], &[("y", "its grace is not over")]);
    tell(&mut world, &losses, 1);
    let record = &world.absences.as_ref().unwrap().value;
    let back = record.losses();
    assert_eq!((back.lost, back.waiting), (losses.lost, losses.waiting));
    let text = serde_json::to_string(record).unwrap();
    assert_eq!(
        &serde_json::from_str::<AbsenceRecord>(&text).unwrap(),
        record
    );
}
