//! What fits, and which of what fits is best.

use super::*;
use crate::plan::scene::{Scene, name};
use minato_config::{DependencyName, Overcommit, Timestamp};
use minato_health::NodeLoad;

const GIB: u64 = 1 << 30;

fn demand(cpu_milli: u64, memory_bytes: u64) -> Demand {
    Demand {
        cpu_milli,
        memory_bytes,
    }
}

fn load(cpu_permille: u16, memory_free_bytes: u64) -> NodeLoad {
    NodeLoad {
        v: 1,
        at: Timestamp(0),
        cpu_permille,
        memory_free_bytes,
        disk_free_bytes: 0,
        disk_bytes: 0,
        received_per_s: 0,
        sent_per_s: 0,
    }
}

/// Three nodes of 2 processors and 4 GiB.
fn scene() -> Scene {
    let nodes = ["a", "b", "c"].into_iter();
    nodes.fold(Scene::empty(), |scene, node| {
        scene.node(node).info(node, |it| it.memory_bytes = 4 * GIB)
    })
}

/// Places `count` of one service one after the other; `-` where nothing fits.
fn fill(scene: &Scene, demand: Demand, labels: &[(&str, &str)], count: usize) -> String {
    let labels = labels
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let mut places = Places::of(&scene.world);
    let mut here = BTreeMap::new();
    let mut found = Vec::new();
    for _ in 0..count {
        let need = Need {
            demand,
            labels: &labels,
            port: None,
            depends_on: &BTreeSet::new(),
        };
        match places.best(&here, need) {
            Ok(choice) => {
                found.push(choice.node.as_str());
                *here.entry(choice.node).or_default() += 1;
                places.take(choice.node, demand);
            }
            Err(_) => found.push("-"),
        }
    }
    found.join(" ")
}

#[test]
fn spread_comes_before_room() {
    let busy = scene()
        .load("a", load(900, 2 * GIB))
        .load("b", load(0, 4 * GIB));
    for (scene, expected) in [
        (scene(), "a b c a b c"),
        // The busy one is last, yet before a second one anywhere.
        (busy, "b c a b c b"),
    ] {
        let found = fill(&scene, Demand::default(), &[], 6);
        assert!(found.starts_with(&expected[..5]), "{found}");
    }
    let busy = scene().load("a", load(900, 2 * GIB));
    assert_eq!(fill(&busy, Demand::default(), &[], 3), "b c a");
}

#[test]
fn what_is_promised_fills_nodes_up_to_the_overcommit() {
    // 2 processors, promised twice; 4 GiB, promised once.
    for (demand, count, expected) in [
        (demand(2_000, 0), 7, "a b c a b c -"),
        (demand(0, 2 * GIB), 7, "a b c a b c -"),
        (demand(0, 3 * GIB), 4, "a b c -"),
        (demand(4_001, 0), 1, "-"),
        (demand(0, 0), 4, "a b c a"),
    ] {
        assert_eq!(fill(&scene(), demand, &[], count), expected, "{demand:?}");
    }
    let tight = scene().info("a", |it| {
        it.overcommit = Overcommit {
            cpu_percent: 100,
            memory_percent: 200,
        };
    });
    assert_eq!(fill(&tight, demand(2_000, 0), &[], 4), "b c a b");
    assert_eq!(fill(&tight, demand(0, 3 * GIB), &[], 5), "a b c a -");
}

#[test]
fn labels_must_all_be_there() {
    let scene = scene()
        .label("a", "zone", "east")
        .label("b", "zone", "west")
        .label("b", "disk", "ssd");
    for (labels, expected) in [
        (&[("zone", "west")][..], "b b"),
        (&[("zone", "east"), ("disk", "ssd")], "- -"),
        (&[("zone", "west"), ("disk", "ssd")], "b b"),
        (&[("rack", "1")], "- -"),
        (&[], "a b"),
    ] {
        assert_eq!(fill(&scene, Demand::default(), labels, 2), expected);
    }
}

#[test]
fn a_node_whose_memory_is_used_up_takes_nothing() {
    let scene = scene()
        .load("a", load(0, GIB / 20))
        .load("b", load(0, GIB))
        .load("c", load(0, 4 * GIB));
    assert_eq!(fill(&scene, demand(0, GIB / 2), &[], 2), "c b");
    assert_eq!(fill(&scene, demand(0, 2 * GIB), &[], 2), "c c");
}

#[test]
fn a_drained_node_takes_nothing() {
    let scene = scene().drained("a").drained("c");
    assert_eq!(fill(&scene, Demand::default(), &[], 2), "b b");
}

#[test]
fn many_at_once_do_not_all_go_to_the_node_that_is_idle_now() {
    let scene = scene()
        .load("a", load(0, 4 * GIB))
        .load("b", load(300, 4 * GIB))
        .load("c", load(300, 4 * GIB));
    let mut places = Places::of(&scene.world);
    let none = BTreeMap::new();
    let labels = BTreeMap::new();
    let need = Need {
        demand: Demand::default(),
        labels: &labels,
        port: None,
        depends_on: &BTreeSet::new(),
    };
    let mut found = BTreeMap::new();
    for _ in 0..12 {
        let node = places.best(&none, need).unwrap().node;
        *found.entry(node.as_str()).or_insert(0) += 1;
        places.take(node, Demand::default());
    }
    assert!(found.values().all(|it| *it >= 2), "{found:?}");
}

#[test]
fn an_instance_that_the_load_does_not_show_yet_counts() {
    // Placed at 5, measured at 3.
    let scene = scene()
        .at(3)
        .load("a", load(0, 4 * GIB))
        .load("b", load(0, 4 * GIB))
        .load("c", load(500, 4 * GIB))
        .at(5)
        .service("archive", 4)
        .slot(0, "a", 1)
        .slot(1, "a", 1)
        .slot(2, "a", 1)
        .slot(3, "b", 1);
    assert_eq!(fill(&scene, Demand::default(), &[], 1), "b");
    assert_eq!(name("archive").as_str(), "archive");
}

#[test]
fn what_is_missing_is_said_with_the_nodes() {
    let scene = scene()
        .label("a", "zone", "east")
        .label("b", "zone", "east")
        .drained("c")
        .load("b", load(0, GIB / 20));
    let places = Places::of(&scene.world);
    let say = |cpu, memory, zone: &str| {
        let labels = [("zone".to_owned(), zone.to_owned())].into();
        let need = Need {
            demand: demand(cpu, memory),
            labels: &labels,
            port: None,
            depends_on: &BTreeSet::new(),
        };
        places.best(&BTreeMap::new(), need).unwrap_err().to_string()
    };
    assert_eq!(
        say(4_500, 0, "east"),
        "drained (c); processors: 4.5 wanted, 4 left (a, b)"
    );
    assert_eq!(
        say(0, 5 * GIB, "east"),
        "drained (c); memory: 5120 MiB wanted, 4096 MiB left (a, b)"
    );
    assert_eq!(
        say(0, 0, "west"),
        "drained (c); without the label zone = \"west\" (a, b)"
    );
    let empty = Scene::empty();
    let nobody = Places::of(&empty.world);
    let labels = BTreeMap::new();
    let need = Need {
        demand: Demand::default(),
        labels: &labels,
        port: None,
        depends_on: &BTreeSet::new(),
    };
    let nowhere = nobody.best(&BTreeMap::new(), need).unwrap_err();
    assert_eq!(nowhere.to_string(), "no node is alive");
}

#[test]
fn a_node_that_does_not_reach_a_dependency_takes_nothing_while_another_does() {
    // Spread would take a first; b is fuller and reaches it.
    let scene = scene()
        .lacks("a", "library-db")
        .lacks("c", "library-db")
        .load("b", load(900, 2 * GIB));
    let labels = BTreeMap::new();
    let both = ["files", "library-db"].map(|it| DependencyName::parse(it).unwrap());
    let (both, other) = (BTreeSet::from(both), BTreeSet::new());
    let fill = |scene: &Scene, depends_on: &BTreeSet<DependencyName>, count: usize| {
        let mut places = Places::of(&scene.world);
        let mut here = BTreeMap::new();
        let mut found = Vec::new();
        for _ in 0..count {
            let need = Need {
                demand: demand(0, 2 * GIB),
                labels: &labels,
                port: None,
                depends_on,
            };
            match places.best(&here, need) {
                Ok(choice) => {
                    found.push(choice.node.to_string());
                    *here.entry(choice.node).or_default() += 1;
                    places.take(choice.node, need.demand);
                }
                Err(nowhere) => found.push(nowhere.to_string()),
            }
        }
        found.join(" ")
    };
    // Once b is full the others are better than nothing: what is placed there waits.
    let full = scene.clone().load("b", load(0, GIB));
    assert_eq!(fill(&scene, &both, 3), "b b a");
    assert_eq!(fill(&full, &both, 2), "a c");
    assert_eq!(fill(&scene, &other, 2), "a c");
    let nobody = scene.lacks("b", "files");
    assert_eq!(fill(&nobody, &both, 3), "a c b");
    let need = Need {
        demand: Demand::default(),
        labels: &labels,
        port: None,
        depends_on: &both,
    };
    // Said only where it decides.
    let say = |scene: &Scene| {
        let places = Places::of(&scene.world);
        let each = places.each(&BTreeMap::new(), need).into_iter();
        let said = each.map(|(node, fits)| match fits {
            Ok(_) => format!("{node} fits"),
            Err(lack) => format!("{node} {lack}"),
        });
        said.collect::<Vec<_>>().join(", ")
    };
    let why = "does not reach library-db (server: 10.0.0.9:1 connect refused)";
    assert_eq!(say(&full), format!("a {why}, b fits, c {why}"));
    assert_eq!(say(&nobody), "a fits, b fits, c fits");
}
